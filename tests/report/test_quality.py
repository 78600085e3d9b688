"""The page's quality section: metrics over kimg, the best, the last; or nothing."""

import json
from pathlib import Path

from parsed_page import Page

from facegan.report import find_real_images, read_run, write_report


def page_of(run: Path) -> Page:
    record = read_run(run)
    return Page(write_report(record, find_real_images(record)).read_text())


def add_figures(run: Path, extractor: str = "_lite0", fd: str = "fd") -> None:
    """Make the second and the last of a run's ticks evaluated ones."""
    file = run / "metrics.jsonl"
    ticks = [json.loads(line) for line in file.read_text().splitlines()]
    for index, kid in ((1, 0.5), (3, 0.75)):
        ticks[index] |= {
            f"kid{extractor}": kid, f"kid{extractor}_std": 0.01, f"{fd}{extractor}": 100 + kid,
            f"precision{extractor}": 0.25, f"recall{extractor}": 0.125,
        }  # fmt: skip
    file.write_text("".join(json.dumps(tick) + "\n" for tick in ticks))


def test_metrics_are_drawn_over_kimg_and_the_best_stands_beside_the_last(run: Path) -> None:
    add_figures(run)
    page = page_of(run)
    assert "Quality" in page.texts["h2"]
    assert {"KID", "Fréchet distance", "Precision and recall"} <= set(page.texts["title"])
    cells = page.texts["td"]
    best = cells.index("0.5 ± 0.01")
    assert cells[best - 1 : best + 4] == ["0.064", "0.5 ± 0.01", "100.5", "0.25", "0.125"]
    assert cells[best + 4 : best + 6] == ["0.128", "0.75 ± 0.01"]
    assert any("not with anybody's FID" in text for text in page.texts["p"])


def test_metrics_are_no_loss_terms(run: Path) -> None:
    before = read_run(run).terms
    add_figures(run)
    assert read_run(run).terms == before


def test_published_numbers_carry_their_names_and_no_reservation(run: Path) -> None:
    add_figures(run, extractor="", fd="fid")
    page = page_of(run)
    names = {"fid", "kid", "precision_inception", "recall_inception"}  # today's, of an earlier run
    assert names <= set(page.texts["th"])
    assert not {"precision", "recall"} & set(read_run(run).terms)
    assert not any("not with anybody's FID" in text for text in page.texts["p"])


def test_a_run_that_is_not_evaluated_has_no_such_section(run: Path) -> None:
    assert "Quality" not in page_of(run).texts["h2"]
