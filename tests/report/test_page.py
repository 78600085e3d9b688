"""The report: every section, nothing loaded from elsewhere, a reason for what is missing."""

import io
import json
import re
from pathlib import Path

import pytest
from parsed_page import Page
from PIL import Image

from facegan.cli.__main__ import facegan, run_safely
from facegan.errors import DatasetError, OutputError, RunError
from facegan.report import RealImages, find_real_images, read_run, write_report
from facegan.report.neighbours import Neighbours

SHORT = ["--preset", "tiny", "--total-kimg", "0.064", "--tick-kimg", "0.032"]
HEADINGS = [
    "Generated images",
    "The same latents during training",
    "Losses and speed",
    "Interpolations",
    "Real and generated",
    "Nearest real images",
    "Configuration",
    "Next steps",
]


def page_of(run: Path, data: Path | None = None, refresh: int | None = None) -> Page:
    record = read_run(run)
    return Page(write_report(record, find_real_images(record, data), refresh=refresh).read_text())


@pytest.fixture(scope="module")
def page(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    record = read_run(finished)
    out = tmp_path_factory.mktemp("page") / "page.html"
    return Page(write_report(record, find_real_images(record), out).read_text())


def test_every_section_is_there(page: Page) -> None:
    assert page.texts["h2"] == HEADINGS
    assert page.texts["h1"] == ["dcgan tiny"]
    for said in ("0.128", "cpu", "float32", "Finished"):
        assert said in page.text
    assert not [p for p in page.all("p") if p.get("class") == "missing"]


def test_the_page_loads_nothing(page: Page) -> None:
    """No element that loads, no address but data:, and a policy that forbids all others."""
    loading = {"script", "link", "iframe", "object", "embed", "base", "audio", "video", "source"}
    assert not loading & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), f"{tag} {name}"
            if name in ("src", "href", "srcset", "data", "action", "poster"):
                assert str(value).startswith("data:"), f"{tag} {name}={value}"
            if name == "style":
                assert "url(" not in str(value)
    assert all("url(" not in text and "@import" not in text for text in page.texts["style"])
    policies = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_generated_images_say_so_and_real_ones_do_not(page: Page) -> None:
    images = page.images()
    assert {f"Seed {seed}" for seed in range(64)} <= set(images)
    for alt, png in images.items():
        with Image.open(io.BytesIO(png)) as image:
            marked = "trainedAlgorithmicMedia" in image.info.get("XML:com.adobe.xmp", "")
        assert marked != alt.lower().startswith(("real", "a real")), alt


def test_a_face_is_what_generate_draws_of_its_seed(page: Page, finished: Path) -> None:
    from facegan.artifact import load_artifact
    from facegan.synthesis import Synthesizer

    face = Synthesizer(load_artifact(finished / "model")).generate([5])[0]
    with Image.open(io.BytesIO(page.images()["Seed 5"])) as image:
        assert image.tobytes() == face.tobytes()
        assert image.info["facegan:seeds"] == "5"


def test_every_moment_can_be_chosen_and_the_last_one_is(page: Page) -> None:
    inputs = page.all("input")
    assert [("checked" in i) for i in inputs] == [False, False, False, True]
    assert [label["for"] for label in page.all("label")] == [i["id"] for i in inputs]
    (rules,) = page.texts["style"]
    assert all(f"#{i['id']}:checked ~ .frames" in rules for i in inputs)


def test_a_curve_has_a_point_a_tick(page: Page, finished: Path) -> None:
    ticks = len((finished / "metrics.jsonl").read_text().splitlines())
    lines = [str(line["points"]).split() for line in page.all("polyline")]
    assert [len(points) for points in lines] == [
        ticks
    ] * 7  # terms, balance and the speed, 3 + 3 + 1
    assert len({line["stroke"] for line in page.all("polyline")[:3]}) == 3


def test_the_commands_are_those_that_fit(page: Page, unfinished: Path) -> None:
    done = "\n".join(page.texts["code"])
    assert "--resume --total-kimg" in done and "facegan serve" in done and "--watch" not in done
    going_on = "\n".join(page_of(unfinished).texts["code"])
    assert f"facegan train --out {unfinished} --resume\n" in going_on + "\n"
    assert "--watch" in going_on and "facegan serve" not in going_on


def test_a_run_in_progress_says_what_it_lacks(unfinished: Path) -> None:
    """No model, and a line that is half written."""
    metrics = unfinished / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:2]) + '{"kimg": 0.')
    page = page_of(unfinished)
    assert page.texts["h2"] == HEADINGS
    assert page.text.count("There is no model yet") == 4
    assert "In progress" in page.text and "Real images" in page.images()
    assert [len(str(line["points"]).split()) for line in page.all("polyline")] == [2] * 7


def test_a_run_in_progress_tells_its_numbers_and_hardware_already(unfinished: Path) -> None:
    """From run.json: the model's card comes at the end."""
    training = json.loads((unfinished / "run.json").read_text())["training"]
    page = page_of(unfinished)
    assert training["hardware"] in page.texts["dd"]
    assert {"Networks", "Training", "Versions"} <= set(page.texts["h3"])
    assert "conv dim" in page.texts["th"]


def test_a_run_of_an_older_version_has_a_page(unfinished: Path) -> None:
    """Its run.json says no more than what was asked for."""
    facts = json.loads((unfinished / "run.json").read_text())
    old = {name: facts[name] for name in ("version", "plan", "dataset")}
    (unfinished / "run.json").write_text(json.dumps(old))
    assert page_of(unfinished).texts["h2"] == HEADINGS


def test_a_run_without_a_tick_has_a_page(unfinished: Path) -> None:
    (unfinished / "metrics.jsonl").unlink()
    for sample in (unfinished / "samples").iterdir():
        sample.unlink()
    told = page_of(unfinished).text
    assert "No tick has been written yet" in told and "No samples have been written yet" in told


def test_a_resumed_run_is_not_finished_by_its_older_model(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"kimg": 0.5, "images_per_second": 9, "generator": 1}\n')
    told = page_of(run).text
    assert "In progress" in told and "The model was saved at 0.128 kimg; the run is at 0.5." in told


def test_a_damaged_model_is_said(run: Path) -> None:
    (run / "model" / "generator.safetensors").write_bytes(b"x")
    assert "the weights are not those its card describes" in page_of(run).text


def test_a_damaged_sample_is_left_out(run: Path) -> None:
    sorted((run / "samples").iterdir())[0].write_bytes(b"x")
    assert len(page_of(run).all("input")) == 3


def test_moved_images_are_reported_and_found_by_data(run: Path, images_dir: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    facts["plan"]["data"] = "/gone"
    (run / "run.json").write_text(json.dumps(facts))
    told = page_of(run).text
    assert "/gone does not exist" in told and "--data" in told
    assert "Real images" in page_of(run, data=images_dir).images()


def test_a_named_folder_without_pictures_is_an_error(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        find_real_images(read_run(run), tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("generated", "verdict"),
    [
        ([17.0, 19.0], "no sign of copying"),
        ([17.0, 19.0, 18.0, 2.0], "possible copy: seed 3."),
        ([1.0, 2.0, 0.0], "the model seems to copy its training images"),
    ],
)
def test_the_distances_come_with_a_verdict(
    run: Path, monkeypatch: pytest.MonkeyPatch, generated: list[float], verdict: str
) -> None:
    def nearest(reals: RealImages, images: object, count: int) -> Neighbours:
        distances = [generated[k % len(generated)] if k < 4 else generated[0] for k in range(64)]
        return Neighbours([reals.files[:3]] * 64, [[d] for d in distances], distances[0], 17.5)

    monkeypatch.setattr(RealImages, "nearest", nearest)
    page = page_of(run)
    text = "".join(page.texts["p"] + page.texts["strong"])
    assert f"Median distance to the nearest real image: generated {generated[0]:.1f}" in text
    assert verdict.partition(":")[0] in page.texts["strong"]
    assert verdict.partition(":")[2] in text


def test_other_data_is_doubted(run: Path, images_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("000.png", "001.png"):
        (other / name).write_bytes((images_dir / name).read_bytes())
    assert "It may not be the same data" in page_of(run, data=other).text


def test_unreadable_real_images_are_reported(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.png").write_bytes(b"x")
    told = page_of(run, data=other).text
    assert "cannot be read" in told and "fewer than two images" in told


HOSTILE = "</td><script>alert('1')</script>&\""


def test_texts_are_escaped(run: Path) -> None:
    """Names from run.json, of loss terms and of folders reach the page as text alone."""
    facts = json.loads((run / "run.json").read_text())
    for part, name in (("plan", "preset"), ("plan", "data"), ("dataset", "name")):
        facts[part][name] = HOSTILE
    facts["plan"][HOSTILE] = HOSTILE
    (run / "run.json").write_text(json.dumps(facts))
    with (run / "metrics.jsonl").open("a") as metrics:
        metrics.write(json.dumps({"kimg": 0.2, HOSTILE: 1.0}) + "\n")
    moved = run.rename(run.with_name("<i>run & 'co'"))
    page = page_of(moved)
    assert not page.all("script") and all("style" in mark for mark in page.all("i"))
    assert HOSTILE in page.texts["td"] and HOSTILE in page.texts["h1"][0]
    assert any("--out '" in code and "<i>run" in code for code in page.texts["code"])


def test_a_run_in_progress_is_asked_for_again(unfinished: Path) -> None:
    assert {"http-equiv": "refresh", "content": "7"} in page_of(unfinished, refresh=7).all("meta")


def test_a_finished_page_does_not_refresh(run: Path) -> None:
    assert not [m for m in page_of(run, refresh=7).all("meta") if m.get("http-equiv") == "refresh"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("run.json", "{", "does not describe a run"),
        ("run.json", '{"plan": [], "dataset": {}}', "plan and dataset must be objects"),
        ("run.json", '{"plan": {}, "dataset": {}}', "family"),
        ("metrics.jsonl", "[1]\n", r"metrics.jsonl, line 1 is not a tick"),
        ("metrics.jsonl", '{"kimg": NaN}\n', "kimg is not finite"),
    ],
)
def test_a_damaged_run_is_named(run: Path, file: str, content: str, message: str) -> None:
    (run / file).write_text(content)
    with pytest.raises(RunError, match=message):
        read_run(run)


def test_figures_that_are_not_finite_are_left_out(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"kimg": 0.2, "generator": NaN, "reals": Infinity, "fakes": 1}\n')
    points = [str(line["points"]).split() for line in page_of(run).all("polyline")]
    assert sorted(len(p) for p in points) == [4] * 6 + [5]
    assert not re.search("nan|inf", str(points))


def test_a_page_that_cannot_be_written_leaves_the_old_one(run: Path, tmp_path: Path) -> None:
    record = read_run(run)
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(record, "no images", tmp_path / "file" / "page.html")
    assert (tmp_path / "file").read_text() == "old"


def test_a_conditional_run_shows_the_same_seeds_in_every_class(
    labelled_dir: Path, tmp_path: Path
) -> None:
    words = ["train", "--data", str(labelled_dir), "--out", str(tmp_path / "run"), "--family",
             "r3gan", *SHORT, "--conditional", "true"]  # fmt: skip
    assert run_safely(facegan, words) == 0
    page = page_of(tmp_path / "run")
    assert page.texts["h2"] == [HEADINGS[0], "Classes", *HEADINGS[1:]]
    images = page.images()
    for name, count in (("plain", 16), ("striped", 32), ("spotted", 16)):
        assert f"{name}: {count} of the real images" in page.text
        with Image.open(io.BytesIO(images[f"Images of the class {name}"])) as strip:
            assert strip.size == (9 * 32, 32)
            assert strip.info["facegan:classes"] == ",".join([name] * 9)
    assert re.search(r"Seed 5, (plain|striped|spotted)", " ".join(images))
