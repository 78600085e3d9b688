"""Any folder of images becomes squares of one resolution; what cannot is named."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facegan.data import ImageFolderDataset, order_of, to_float
from facegan.data.image_folder import decode_square
from facegan.errors import DatasetError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def first(folder: Path, resolution: int = 8) -> np.ndarray:
    return ImageFolderDataset(folder, resolution).images[0]


@pytest.mark.parametrize(
    ("name", "mode", "colour", "expected"),
    [
        ("a.png", "RGB", RED, RED),
        ("a.jpg", "RGB", WHITE, WHITE),
        ("a.webp", "RGB", WHITE, WHITE),
        ("a.JPEG", "L", 255, WHITE),
        ("a.png", "L", 128, (128, 128, 128)),
        ("a.png", "1", 1, WHITE),
        ("a.png", "RGBA", (255, 0, 0, 0), WHITE),
        ("a.png", "RGBA", (255, 0, 0, 255), RED),
        ("a.png", "LA", (0, 0), WHITE),
        ("a.png", "P", 0, (0, 0, 0)),
        ("a.jpg", "CMYK", (0, 0, 0, 0), WHITE),
    ],
)
def test_every_kind_of_image_becomes_rgb(
    tmp_path: Path, name: str, mode: str, colour: object, expected: tuple[int, ...]
) -> None:
    Image.new(mode, (20, 30), colour).save(tmp_path / name)
    assert (first(tmp_path) == expected).all()


@pytest.mark.parametrize("size", [(40, 20), (20, 40)])
def test_an_image_is_cropped_square_around_its_centre(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    picture = Image.new("RGB", size, WHITE)
    picture.paste(RED, (size[0] // 2 - 10, size[1] // 2 - 10, size[0] // 2 + 10, size[1] // 2 + 10))
    picture.save(tmp_path / "a.png")
    assert (first(tmp_path) == RED).all()


def test_an_image_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (20, 20), WHITE)
    picture.paste(RED, (0, 0, 10, 20))  # red at the left …
    exif = Image.Exif()
    exif[0x0112] = 6  # … and meant to be turned a quarter clockwise: red on top
    picture.save(tmp_path / "a.png", exif=exif)
    image = first(tmp_path)
    assert (image[0] == RED).all() and (image[-1] == WHITE).all()


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    """A one-pixel chequerboard becomes grey, not stripes."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "a.png")
    assert np.abs(first(tmp_path)[2:-2, 2:-2].astype(int) - 127).max() < 12


def test_minus_one_to_one_is_done_in_one_place() -> None:
    levels = torch.tensor([0, 255], dtype=torch.uint8)
    assert to_float(levels).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("make", [None, "file", "empty", "texts"])
def test_a_folder_without_images_is_named(tmp_path: Path, make: str | None) -> None:
    folder = tmp_path / "faces"
    if make == "file":
        folder.write_text("x")
    elif make is not None:
        folder.mkdir()
        if make == "texts":
            (folder / "a.txt").write_text("x")
    with pytest.raises(DatasetError, match="faces"):
        ImageFolderDataset(folder, 8)


def test_an_unreadable_image_is_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.new("RGB", (9, 9), RED).save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:40])
    (tmp_path / "page.jpg").write_text("<html>")
    (tmp_path / "zero.webp").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        data = ImageFolderDataset(tmp_path, 8)
    assert len(data) == 1 and len(data.skipped) == 3
    assert all(name in caplog.text for name in ("cut.png", "page.jpg", "zero.webp"))
    assert data.describe()["skipped"] == 3


def test_a_folder_of_unreadable_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"None of the 1 images.*a\.png"):
        ImageFolderDataset(tmp_path, 8)


def test_the_digest_follows_the_pixels(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), RED).save(tmp_path / "a.png")
    before = ImageFolderDataset(tmp_path, 8).digest
    assert ImageFolderDataset(tmp_path, 8).digest == before
    Image.new("RGB", (9, 9), WHITE).save(tmp_path / "a.png")
    assert ImageFolderDataset(tmp_path, 8).digest != before


def test_a_prepared_data_set_says_where_its_images_are(tmp_path: Path) -> None:
    for name, colour in (("images", RED), ("labels", WHITE)):
        (tmp_path / name).mkdir()
        Image.new("RGB", (9, 9), colour).save(tmp_path / name / "a.png")
    facts = {"format": "facegan-dataset", "name": "toys", "images_folder": "images"}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    data = ImageFolderDataset(tmp_path, 8)
    assert len(data) == 1 and (data.images[0] == RED).all()
    assert data.describe()["name"] == "toys"


def test_a_jpeg_decoded_at_a_fraction_looks_like_one_decoded_whole(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 512, dtype=np.uint8)
    picture = Image.fromarray(np.stack([np.tile(ramp, (512, 1))] * 3, -1))
    picture.save(tmp_path / "a.jpg", quality=95)
    quick = decode_square(tmp_path / "a.jpg", 32).astype(int)
    whole = np.asarray(picture.resize((32, 32), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(quick - whole).max() <= 3


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    first_=st.integers(0, 500),
    count=st.integers(1, 60),
    length=st.integers(1, 40),
    cut=st.integers(0, 60),
)
def test_the_order_depends_on_the_position_alone(
    seed: int, first_: int, count: int, length: int, cut: int
) -> None:
    """Reading in one go or in two gives the same images."""
    cut = min(cut, count)
    whole = order_of(seed, first_, count, length)
    halves = [order_of(seed, first_ + a, n, length) for a, n in ((0, cut), (cut, count - cut)) if n]
    assert torch.equal(whole, torch.cat(halves))


@given(seed=st.integers(0, 1000), length=st.integers(1, 50), epoch=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_every_image_comes_once_an_epoch(seed: int, length: int, epoch: int) -> None:
    order = order_of(seed, epoch * length, length, length)
    assert sorted(order.tolist()) == list(range(length))
