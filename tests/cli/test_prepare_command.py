"""`facegan data prepare`, `merge`, `check` and `show`: what they say, and with which exit code."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facegan.cli.__main__ import facegan, run_safely
from facegan.data.packed import PackedDataset


def data(*words: object) -> int:
    return run_safely(facegan, ["data", *map(str, words)])


def prepared(source: Path, out: Path, *more: object) -> int:
    return data("prepare", source, "--out", out, "--resolution", 16, "--workers", 1, *more)


def test_prepare_check_and_show_in_a_row(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert prepared(images_dir, out) == 0
    assert "64 found = 64 written + 0 duplicates + 0 skipped" in capsys.readouterr().out
    assert prepared(images_dir, out) == 0
    assert "Already there" in capsys.readouterr().out
    assert data("check", out) == 0
    said = capsys.readouterr().out
    assert "64 images of 16 pixels" in said and "All is well." in said
    assert data("show", out, "--out", tmp_path / "grid.png", "--images", 9) == 0
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (3 * 16 + 2 * 2, 3 * 16 + 2 * 2)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_grid_is_never_taken_for_data(
    images_dir: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    grids = tmp_path / "grids"
    grids.mkdir()
    assert prepared(images_dir, tmp_path / "out") == 0
    assert data("show", tmp_path / "out", "--out", grids / f"grid{suffix}") == 0
    assert prepared(grids, tmp_path / "again") != 0
    assert "facegan made it" in capsys.readouterr().err


def test_parts_are_merged(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [tmp_path / "0", tmp_path / "1"]
    for number, part in enumerate(parts):
        assert prepared(images_dir, part, "--shard", number, "--of", 2) == 0
    assert data("merge", *parts, "--out", tmp_path / "merged") == 0
    assert "64 images of 16 pixels are in" in capsys.readouterr().out
    assert prepared(images_dir, tmp_path / "2", "--shard", 0) == 2


def test_a_damaged_shard_exits_3_and_is_named(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared(images_dir, tmp_path / "out")
    shard = tmp_path / "out/images/00000.npy"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert data("check", tmp_path / "out") == 3
    said = capsys.readouterr().err
    assert "images/00000.npy is damaged" in said and "Traceback" not in said


@pytest.mark.parametrize(("source", "message"), [
    ("nowhere", "does not exist"), ("file.txt", "is a text file, not a folder or an archive"),
])  # fmt: skip
def test_a_source_that_is_none_exits_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, message: str
) -> None:
    (tmp_path / "file.txt").write_text("x")
    assert prepared(tmp_path / source, tmp_path / "out") == 3
    assert message in capsys.readouterr().err


def test_the_choices_of_crops_are_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """The help names them without importing a decoder, so a test keeps them in step."""
    from facegan.cli.data import prepare as command
    from facegan.data.prepare import CROPS

    metavar = next(param.metavar for param in command.params if param.name == "crop")
    assert metavar == f"[{'|'.join(CROPS)}]"


def test_a_removed_crop_is_refused_with_what_to_do(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepared(images_dir, tmp_path / "out", "--crop", "faces") == 2
    said = capsys.readouterr().err
    assert "--crop faces was removed" in said and "--crop center" in said
    assert not (tmp_path / "out").exists()


def test_the_centre_is_spelled_either_way(images_dir: Path, tmp_path: Path) -> None:
    for name in ("centre", "center", "centre"):  # the same data set: it is there already
        assert prepared(images_dir, tmp_path / "out", "--crop", name) == 0
    manifest = json.loads((tmp_path / "out/dataset.json").read_text())
    assert manifest["protocol"]["crop"] == "centre"


def test_a_label_map_is_written_to_paint_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its class numbers, in the colours that the data set has for them."""
    toy, out = tmp_path / "toy", tmp_path / "set"
    words = ("toy", "--out", toy, "--images", 6, "--resolution", 16, "--label-maps")
    assert data(*words) == 0
    assert prepared(toy, out, "--label-maps", toy) == 0
    assert data("show", out, "--map", 3, "--out", tmp_path / "map.png") == 0
    assert "The label map of image 3" in capsys.readouterr().out
    maps = PackedDataset(out).companions["label_maps"]
    with Image.open(tmp_path / "map.png") as image:
        assert image.mode == "P" and image.size == (16, 16)
        assert np.array_equal(np.asarray(image), maps.read(torch.tensor([3]))[0, 0].numpy())
        shown = image.getpalette()
    colours = [f"#{bytes(shown[at : at + 3]).hex()}" for at in range(0, 3 * 14, 3)]
    assert colours == list(PackedDataset(out).map_classes.values())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--map", 4, "--out", "map.png"), "--map is 4;"),
        (("--map", -1, "--out", "map.png"), "--map"),
        (("--map", 0, "--out", "map.jpg"), "a label map is a .png"),
    ],
)
def test_a_label_map_that_is_not_there_is_named(
    words: tuple[object, ...], sentence: str, images_dir: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "maps"):
        Path(folder).mkdir()
        for number, file in enumerate(sorted(images_dir.rglob("*.png"))[:4]):
            with Image.open(file) as image:
                is_map = folder == "maps"
                made = Image.new("L", image.size, number) if is_map else image.convert("RGB")
                made.save(f"{folder}/{file.name}")
    assert prepared(Path("photos"), Path("set"), "--label-maps", "maps") == 0
    assert data("show", "set", *words) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.glob("map.*"))


def test_a_data_set_without_label_maps_shows_none(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepared(images_dir, tmp_path / "out") == 0
    assert data("show", tmp_path / "out", "--map", 0, "--out", tmp_path / "map.png") == 3
    assert "has no label maps" in capsys.readouterr().err


def test_pairs_maps_and_domains_are_prepared_checked_and_shown(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, file in enumerate(sorted(images_dir.rglob("*.png"))[:4]):
        for name in ("photos", "sketches", "maps"):
            (tmp_path / name).mkdir(exist_ok=True)
        with Image.open(file) as picture:
            picture.save(tmp_path / "photos" / file.name)
            picture.rotate(180).save(tmp_path / "sketches" / file.name)
            Image.new("L", picture.size, number).save(tmp_path / "maps" / file.name)
    (tmp_path / "maps/zz.png").write_bytes(b"")
    out, maps = tmp_path / "out", tmp_path / "maps"
    more = ("--paired", tmp_path / "sketches", "--label-maps", maps, "--unpaired", images_dir)
    assert prepared(tmp_path / "photos", out, *more) == 0
    said = capsys.readouterr().out
    assert "5 found = 4 written + 0 duplicates + 1 skipped" in said
    assert f"64 images of 16 pixels are in {out / 'unpaired'}" in said
    assert data("check", out) == 0
    assert "label_maps:\n4 images of 16 pixels" in capsys.readouterr().out
    assert data("show", out, "--out", tmp_path / "grid.png", "--columns", 1) == 0
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (3 * 16, 4 * 16 + 3 * 6)
