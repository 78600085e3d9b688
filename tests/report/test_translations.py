"""The report of models that are given images or label maps: inputs, outputs, truths, IoU."""

import io
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from parsed_page import Page
from PIL import Image

from facegan.artifact import load_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.data.prepare import prepare
from facegan.data.toy_faces import LABELS, write_toy_faces
from facegan.metrics import mean_absolute_difference, metric_names
from facegan.report import find_real_images, map_scores, read_run, write_report
from facegan.report.examples import Examples, rows_of
from facegan.report.images import GeneratedImages
from facegan.report.neighbours import evenly_spaced
from facegan.synthesis import Synthesizer

SHORT = ["--preset", "tiny", "--total-kimg", "0.032", "--tick-kimg", "0.016",
         "--precision", "fp32"]  # fmt: skip
FACES, COLUMNS, SIDE, GAP = 48, 12, 32, 2
REST = ["The same inputs during training", "Losses and speed", "Configuration", "Next steps"]
KINDS = {"spade": {"label_maps": True}, "pix2pix": {"paired": "sketch"},
         "cyclegan": {"unpaired": "night"}}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of two ticks of each family, on toy faces with what it needs."""
    found = {}
    for family, companion in KINDS.items():
        folder = tmp_path_factory.mktemp(family)
        (name,) = companion
        write_toy_faces(folder / "toys", FACES, SIDE, seed=0, **companion)
        prepare(folder / "toys", folder / "data", SIDE, **{name: folder / "toys"})
        words = ["train", "--data", folder / "data", "--out", folder / "run", "--family", family]
        assert run_safely(facegan, [*map(str, words), *SHORT]) == 0
        found[family] = folder / "run"
    return found


@pytest.fixture(scope="module")
def pages(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """Their pages, with a segmenter of few steps."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(map_scores, "STEPS", 30)
        return {family: page_of(run, cache=cache) for family, run in runs.items()}


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_scores, "STEPS", 30)


def page_of(run: Path, data: Path | None = None, cache: Path | None = None) -> Page:
    record = read_run(run)
    out = run.parent / "page.html"
    return Page(write_report(record, find_real_images(record, data), out, cache=cache).read_text())


def cells(page: Page, caption: str) -> tuple[np.ndarray, dict[str, str]]:
    """The images of a row, (N, S, S, 3), and the texts in its metadata."""
    png = next(png for alt, png in page.images().items() if alt.startswith(caption))
    with Image.open(io.BytesIO(png)) as image:
        row, texts = np.asarray(image.convert("RGB")), dict(image.info)
    starts = range(0, row.shape[1], SIDE + GAP)
    return np.stack([row[:, start : start + SIDE] for start in starts]), texts


def source_type(texts: dict[str, str]) -> str:
    return texts.get("XML:com.adobe.xmp", "").partition("digitalsourcetype/")[2].partition('"')[0]


def test_the_sections_are_those_of_what_a_model_takes(pages: dict[str, Page]) -> None:
    assert pages["spade"].texts["h2"] == [
        "Input, output and truth",
        "The same label maps in several seeds",
        "Label maps read back",
        *REST,
    ]
    assert pages["pix2pix"].texts["h2"] == ["Input, output and truth", *REST]
    assert pages["cyclegan"].texts["h2"] == ["There and back", *REST]
    for family, page in pages.items():
        assert page.texts["h1"] == [f"{family} tiny"] and "Finished" in page.text
        assert not [p for p in page.all("p") if p.get("class") == "missing"], family
        assert not {"script", "link", "iframe"} & {tag for tag, _ in page.elements}


def test_a_row_holds_what_the_model_makes_of_the_datas_maps(
    pages: dict[str, Page], runs: dict[str, Path]
) -> None:
    """Inputs, truths, outputs by seed and in the truths' style, column by column."""
    page, run = pages["spade"], runs["spade"]
    record = read_run(run)
    reals = find_real_images(record)
    assert not isinstance(reals, str)
    chosen = evenly_spaced(range(FACES), COLUMNS)
    maps = rows_of(reals.dataset.companions["label_maps"], chosen)  # type: ignore[attr-defined]
    faces = rows_of(reals.dataset, chosen)
    synthesizer = Synthesizer(load_artifact(run / "model"))

    def made(**request: object) -> np.ndarray:
        return synthesizer.generate_batch(synthesizer.prepare_batch(label_maps=maps, **request))

    rows = {
        "Output: seeds 0 to 11": made(seeds=range(COLUMNS)),
        "Output, in the style": made(styles=faces),
        "Real: the true answers": faces,
        "Seed 3": made(seeds=[3]),
    }
    for caption, expected in rows.items():
        assert (cells(page, caption)[0] == expected).all(), caption
    colours = [bytes.fromhex(it[1:]) for _, it in synthesizer.card.map_classes]
    inputs, _ = cells(page, "Input")
    assert tuple(inputs[4, 20, 16]) == tuple(colours[maps[4, 20, 16]])


def test_outputs_say_that_they_are_made_and_of_what(pages: dict[str, Page]) -> None:
    """Of a label map wholly; with parts of another image if one was given."""
    whole, composite = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
    for family, caption, expected in (
        ("spade", "Input", ""),
        ("spade", "Output: seeds", whole),
        ("spade", "Output, in the style", composite),
        ("spade", "Real", ""),
        ("spade", "Seed 5", whole),
        ("pix2pix", "Input", ""),
        ("pix2pix", "Output", composite),
        ("pix2pix", "Real", ""),
        ("cyclegan", "Real: images to translate BtoA", ""),
        ("cyclegan", "Translated AtoB", composite),
        ("cyclegan", "Translated back, AtoB", composite),
    ):
        assert source_type(cells(pages[family], caption)[1]) == expected, (family, caption)
    texts = cells(pages["spade"], "Seed 5")[1]
    assert texts["facegan:family"] == "spade" and texts["facegan:seeds"] == "5"
    assert cells(pages["cyclegan"], "Translated BtoA")[1]["facegan:direction"] == "BtoA"


def test_what_comes_back_was_made_of_what_went_there(
    pages: dict[str, Page], runs: dict[str, Path]
) -> None:
    page, synthesizer = pages["cyclegan"], Synthesizer(load_artifact(runs["cyclegan"] / "model"))
    inputs, _ = cells(page, "Real: images to translate BtoA")
    for caption, direction in (("Translated BtoA", "BtoA"), ("Translated back, AtoB", "AtoB")):
        batch = synthesizer.prepare_batch(images=inputs, direction=direction)
        made = synthesizer.generate_batch(batch)
        assert (cells(page, caption)[0] == made).all()
        before, inputs = inputs, made
    first, _ = cells(page, "Real: images to translate BtoA")
    l1 = mean_absolute_difference(*(torch.from_numpy(it) for it in (inputs, first)))
    assert f"Translated back, AtoB. L1 to the first row: {l1:.3f}" in page.texts["figcaption"]
    assert (before != inputs).any()


def test_images_of_ticks_are_outputs_not_inputs(
    pages: dict[str, Page], runs: dict[str, Path]
) -> None:
    """The column of a moment has the second image of each strip of the grid's first row."""
    png = pages["spade"].images()["Images at 0.032 kimg"]
    with Image.open(io.BytesIO(png)) as image:
        column = np.asarray(image)
    last = sorted((runs["spade"] / "samples").iterdir())[-1]
    with Image.open(last) as image:
        grid = np.asarray(image)
    pitch = SIDE + GAP
    for row in range(4):
        left = (1 + 3 * row) * pitch
        shown = column[row * SIDE : (row + 1) * SIDE]
        assert (shown == grid[:SIDE, left : left + SIDE]).all()


def test_commands_take_what_the_model_takes(pages: dict[str, Page]) -> None:
    codes = {family: "\n".join(page.texts["code"]) for family, page in pages.items()}
    assert "--label-map map.png --seeds" in codes["spade"]
    for family in ("pix2pix", "cyclegan"):
        assert "--image photo.png" in codes[family] and "--seeds" not in codes[family]


# --- label maps read back -----------------------------------------------------------------------


@pytest.fixture
def examples(runs: dict[str, Path]) -> Examples:
    record = read_run(runs["spade"])
    reals = find_real_images(record)
    assert record.artifact and not isinstance(reals, str)
    return Examples(GeneratedImages(record.artifact), reals)


def test_every_class_has_its_iou_beside_the_ceiling(pages: dict[str, Page]) -> None:
    page = pages["spade"]
    assert set(LABELS) <= set(page.texts["th"])
    assert "12 images of the model, one for each of 12 label maps" in page.text
    assert "trained on 36 of the data's other images" in page.text
    assert "of the ceiling" in page.texts["strong"][-1]


def test_the_true_images_reach_the_ceiling_and_grey_ones_do_not(
    examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = evenly_spaced(range(FACES), FACES // 4)
    truths = rows_of(examples.target, held_out)
    monkeypatch.setattr(GeneratedImages, "make", lambda self, **request: truths)
    scores = map_scores.map_scores(examples, None)
    assert scores.share == 1 and scores.made_accuracy == scores.real_accuracy > 0.5
    assert sum(it.share for it in scores.classes) == pytest.approx(1)
    assert scores.count == len(held_out) and scores.trained_on == FACES - len(held_out)
    monkeypatch.setattr(GeneratedImages, "make", lambda self, **r: np.full_like(truths, 128))
    grey = map_scores.map_scores(examples, None)
    assert grey.real_miou == scores.real_miou and grey.share < 0.7


def test_a_segmenter_is_trained_once_for_the_same_data(
    examples: Examples, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = map_scores.map_scores(examples, tmp_path)
    assert "Training a segmenter on 36 images" in caplog.text
    caplog.clear()
    assert map_scores.map_scores(examples, tmp_path) == first
    assert "Training" not in caplog.text
    assert len(list((tmp_path / "segmenters").iterdir())) == 1


@pytest.mark.parametrize("side", [16, 96, 130])
def test_images_of_any_side_are_read_at_a_side_that_fits(side: int) -> None:
    images = np.full((2, side, side, 3), 7, np.uint8)
    maps = torch.full((2, side, side), 3, dtype=torch.uint8)
    expected = min(64, side // 4 * 4)
    assert map_scores.smaller(images).shape == (2, 3, expected, expected)
    assert (map_scores.smaller(images) == 7).all()
    assert map_scores.smaller_maps(maps).shape == (2, expected, expected)
    assert (map_scores.smaller_maps(maps) == 3).all()


# --- what is missing ----------------------------------------------------------------------------


def test_a_run_in_progress_has_its_sections(runs: dict[str, Path]) -> None:
    record = replace(read_run(runs["spade"]), artifact=None, no_artifact="There is no model yet.")
    page = Page(
        write_report(record, find_real_images(record), runs["spade"].parent / "p.html").read_text()
    )
    assert page.texts["h2"] == ["Input and output", *REST]
    assert "There is no model yet." in page.text


def test_moved_data_is_said_and_data_without_maps_is_named(
    runs: dict[str, Path], images_dir: Path, tmp_path: Path
) -> None:
    page = page_of(runs["spade"], data=images_dir)
    assert f"The data in {images_dir} has no label maps." in page.text
    record = read_run(runs["spade"])
    moved = replace(record, plan={**record.plan, "data": str(tmp_path / "gone")})
    file = write_report(moved, find_real_images(moved), tmp_path / "page.html")
    told = Page(file.read_text())
    assert told.texts["h2"] == ["Input and output", *REST]
    assert "does not exist" in told.text and "--data" in told.text


def test_the_distance_to_the_truth_is_a_metric_and_no_loss(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    """`l1` of evaluations has a chart of its own."""
    record = read_run(runs["pix2pix"])
    measured = {**dict.fromkeys(metric_names(["lite0"]), 0.5), "l1": 0.25}
    ticks = tuple({**tick, **measured} for tick in record.ticks)
    assert "l1" not in replace(record, ticks=ticks).terms
    told = Page(
        write_report(replace(record, ticks=ticks), "no images", tmp_path / "page.html").read_text()
    )
    assert "L1 to the true images, white being 1" in told.texts["h3"]
