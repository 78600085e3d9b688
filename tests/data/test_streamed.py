"""Tars are read from end to end, in an order that the seed alone decides; damage is named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facegan.data import open_dataset, reading_order
from facegan.data.opening import single_images
from facegan.errors import DatasetError

pytest.importorskip("webdataset", reason="the extra `streaming` is not installed")

from facegan.data.streamed import WINDOW, StreamedDataset, write_streamed

LENGTH, LABELS = 47, [0, 1] * 23 + [1]


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (LENGTH, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def streamed(
    tmp_path_factory: pytest.TempPathFactory, pixels: NDArray[np.uint8]
) -> StreamedDataset:
    """Ten shards, the last of two images."""
    folder = tmp_path_factory.mktemp("streamed") / "data"
    write_streamed(folder, pixels, LABELS, ["cat", "dog"], images_per_shard=5)
    data = open_dataset(folder, 8)
    assert isinstance(data, StreamedDataset)
    return data


def test_it_holds_the_pixels_and_labels_that_were_written(
    streamed: StreamedDataset, pixels: NDArray[np.uint8]
) -> None:
    every = torch.arange(LENGTH)
    assert torch.equal(streamed.read(every), torch.from_numpy(pixels).permute(0, 3, 1, 2))
    assert streamed.classes == {"cat": 23, "dog": 24}
    streamed.verify()
    places, read = single_images(streamed.folder, 8)
    assert (read(places[46]) == pixels[46]).all()


def test_the_same_images_make_the_same_bytes(
    streamed: StreamedDataset, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    again = write_streamed(tmp_path / "b", pixels, LABELS, ["cat", "dog"], images_per_shard=5)
    assert again.shards == streamed.manifest.shards and again.digest == streamed.digest


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    first=st.integers(0, 200),
    count=st.integers(1, 60),
    cut=st.integers(0, 60),
)
def test_the_order_depends_on_the_position_alone(
    seed: int, first: int, count: int, cut: int, streamed: StreamedDataset
) -> None:
    """Reading in one go or in two gives the same images."""
    cut = min(cut, count)
    whole = reading_order(streamed, seed, first, count)
    parts = [(first, cut), (first + cut, count - cut)]
    halves = [reading_order(streamed, seed, a, n) for a, n in parts if n]
    assert torch.equal(whole, torch.cat(halves))


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), epoch=st.integers(0, 3))
def test_every_image_comes_once_an_epoch_and_a_window_needs_few_shards(
    seed: int, epoch: int, streamed: StreamedDataset
) -> None:
    order = reading_order(streamed, seed, epoch * LENGTH, LENGTH)
    assert sorted(order.tolist()) == list(range(LENGTH))
    shards = (order // 5).tolist()
    spans = [LENGTH - shards[::-1].index(s) - shards.index(s) for s in range(10)]
    assert max(spans) <= 5 * WINDOW  # from a shard's first image to its last


def test_seeds_and_epochs_have_orders_of_their_own(streamed: StreamedDataset) -> None:
    orders = [reading_order(streamed, seed, first, LENGTH).tolist()
              for seed, first in ((0, 0), (1, 0), (0, LENGTH))]  # fmt: skip
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_few_shards_are_kept_and_the_next_are_decoded_ahead(
    streamed: StreamedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = StreamedDataset(streamed.folder)
    decoded: list[int] = []
    decode = data.stream.decode
    monkeypatch.setattr(data.stream, "decode", lambda n: (decoded.append(n), decode(n))[1])
    for first in range(0, LENGTH, 8):
        data.read(data.order(3, first, 8))
        assert len(data.stream.decoding) <= 2 * WINDOW
    assert len(decoded) <= 10 + 2 * WINDOW  # each once, and those of the next epoch
    assert set(decoded) == set(range(10))


def test_damage_is_named(streamed: StreamedDataset, tmp_path: Path) -> None:
    write_streamed(tmp_path / "d", streamed.read(torch.arange(12)).permute(0, 2, 3, 1).numpy(),
                   images_per_shard=4)  # fmt: skip
    shard = tmp_path / "d" / "images" / "00001.tar"
    content = shard.read_bytes()
    for broken in (content[:700], b"", b"<html>" * 200, content[:2048].replace(b"IDAT", b"IDAX")):
        shard.write_bytes(broken)
        data = StreamedDataset(tmp_path / "d")
        assert len(data.read(torch.tensor([0, 11]))) == 2  # the others are as they were
        with pytest.raises(DatasetError, match=r"00001\.tar"):
            data.read(torch.tensor([5]))
        with pytest.raises(DatasetError, match=r"damaged: images/00001\.tar"):
            data.verify()
    shard.unlink()
    with pytest.raises(DatasetError, match=r"00001\.tar is missing"):
        open_dataset(tmp_path / "d", 8)


def test_a_shard_with_another_number_of_images_is_named(tmp_path: Path) -> None:
    write_streamed(tmp_path / "d", np.zeros((6, 8, 8, 3), np.uint8), images_per_shard=3)
    file = tmp_path / "d" / "dataset.json"
    manifest = json.loads(file.read_text())
    manifest["shards"][0]["images"], manifest["shards"][1]["images"] = 2, 4
    file.write_text(json.dumps(manifest))
    data = StreamedDataset(tmp_path / "d")
    with pytest.raises(DatasetError, match=r"00001\.tar holds 3 images, not 4"):
        data.read(torch.tensor([3]))
    with pytest.raises(DatasetError, match=r"00000\.tar cannot be read"):
        data.read(torch.tensor([0]))
