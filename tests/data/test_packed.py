"""Packed shards are the folder they were made of, to the bit; what is wrong with them is named."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facegan.data import ImageFolderDataset, PackedDataset, open_dataset
from facegan.data.opening import read_required_labels, single_images
from facegan.data.packed_files import write_packed
from facegan.errors import DatasetError

COUNTS = [5, 5, 5, 2]  # images in the shards of 17
LABELS = [0, 1, 1] * 5 + [0, 1]


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (17, 8, 8, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path, pixels: NDArray[np.uint8]) -> Path:
    write_packed(tmp_path / "data", pixels, LABELS, ["cat", "dog"], images_per_shard=5)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, pixels: NDArray[np.uint8]) -> PackedDataset:
    folder = tmp_path_factory.mktemp("packed") / "data"
    write_packed(folder, pixels, images_per_shard=5)
    return PackedDataset(folder, 8)


def change(folder: Path, **facts: Any) -> None:
    """Change what the manifest says; None removes."""
    manifest = json.loads((folder / "dataset.json").read_text()) | facts
    kept = {name: fact for name, fact in manifest.items() if fact is not None}
    (folder / "dataset.json").write_text(json.dumps(kept))


def test_it_is_the_folder_that_it_was_made_of(labelled: ImageFolderDataset, tmp_path: Path) -> None:
    assert labelled.labels is not None
    names = list(labelled.classes)
    protocol = {"crop": "centre square", "filter": "Lanczos"}
    write_packed(tmp_path / "data", labelled.images, labelled.labels.tolist(), names, 10,
                 protocol=protocol)  # fmt: skip
    packed = open_dataset(tmp_path / "data", 32)
    every = torch.arange(64)
    assert isinstance(packed, PackedDataset) and len(packed) == 64
    assert packed.image_shape == labelled.image_shape and packed.classes == labelled.classes
    assert torch.equal(packed.read(every), labelled.read(every))
    assert torch.equal(packed.labels, labelled.labels)
    assert packed.read(every).stride() == labelled.read(every).stride()  # so kernels are the same
    assert packed.describe(True) == labelled.describe(True)
    packed.verify()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(indices=st.lists(st.integers(0, 16), max_size=40))
def test_any_order_is_read(
    indices: list[int], packed: PackedDataset, pixels: NDArray[np.uint8]
) -> None:
    found = packed.read(torch.tensor(indices, dtype=torch.int64))
    assert torch.equal(found, torch.from_numpy(pixels[indices]).permute(0, 3, 1, 2))


@pytest.mark.parametrize("index", [-1, 17])
def test_an_image_that_is_not_there_is_not_read(index: int, packed: PackedDataset) -> None:
    with pytest.raises(IndexError, match="outside 0 to 16"):
        packed.read(torch.tensor([0, index]))


def test_what_is_written_is_the_format_that_is_documented(
    folder: Path, pixels: NDArray[np.uint8]
) -> None:
    said = json.loads((folder / "dataset.json").read_text())
    assert (said["format"], said["version"], said["kind"]) == ("facegan-dataset", 2, "packed")
    assert (said["resolution"], said["images"]) == (8, 17)
    assert said["digest"] == hashlib.sha256(pixels.tobytes()).hexdigest()
    assert [shard["images"] for shard in said["shards"]] == COUNTS
    for shard in said["shards"]:
        content = (folder / shard["file"]).read_bytes()
        assert content[:8] == b"\x93NUMPY\x01\x00"
        assert hashlib.sha256(content).hexdigest() == shard["sha256"]
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    assert labels.dtype == np.int64 and labels.tolist() == LABELS
    assert said["found"] == said["written"] + said["duplicates"] + said["skipped"]


def test_a_folder_that_holds_something_is_not_written_into(
    folder: Path, pixels: NDArray[np.uint8]
) -> None:
    with pytest.raises(DatasetError, match="not empty"):
        write_packed(folder, pixels)
    assert [path.name for path in folder.parent.iterdir()] == ["data"]


# --- what is wrong --------------------------------------------------------------------------------


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def other_type(file: Path) -> None:
    np.save(file, np.zeros((5, 8, 8, 3), np.float32))


def other_shape(file: Path) -> None:
    np.save(file, np.zeros((5, 8, 9, 3), np.uint8))


def other_order(file: Path) -> None:
    np.save(file, np.asfortranarray(np.zeros((5, 8, 8, 3), np.uint8)))


def pickled(file: Path) -> None:
    np.save(file, np.array([{}] * 5, dtype=object), allow_pickle=True)


BREAKS: list[Callable[[Path], object]] = [
    Path.unlink, cut, lengthen, other_type, other_shape, other_order, pickled,
    lambda file: file.write_bytes(b""), lambda file: file.write_text("<html>"),
    lambda file: (file.unlink(), file.mkdir()),
]  # fmt: skip


@pytest.mark.parametrize("spoil", BREAKS)
def test_a_shard_that_is_missing_short_or_foreign_is_named(
    spoil: Callable[[Path], object], folder: Path
) -> None:
    spoil(folder / "images" / "00001.npy")
    with pytest.raises(DatasetError, match=r"00001\.npy"):
        open_dataset(folder, 8)


def test_changed_pixels_are_found_when_asked_for_and_every_such_shard_is_named(
    folder: Path,
) -> None:
    for name in ("00000.npy", "00002.npy"):
        shard = np.load(folder / "images" / name)
        shard[3, 2, 1] ^= 1
        np.save(folder / "images" / name, shard)
    data = PackedDataset(folder)
    with pytest.raises(DatasetError, match=r"damaged: images/00000\.npy, images/00002\.npy"):
        data.verify()


def test_shards_in_another_order_are_found(folder: Path) -> None:
    shards = json.loads((folder / "dataset.json").read_text())["shards"]
    change(folder, shards=[shards[1], shards[0], *shards[2:]])
    with pytest.raises(DatasetError, match=r"not the one in its dataset\.json"):
        PackedDataset(folder).verify()


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"version": 3}, "version 3"),
        ({"kind": "streaming"}, "'streaming'"),
        ({"resolution": "8"}, "'8' is not a whole number"),
        ({"images": 16}, "16 images, but 17"),
        ({"digest": "0"}, "not a sha256"),
        ({"shards": None}, "'shards' is missing"),
        ({"shards": [{"file": "/etc/passwd", "images": 17, "sha256": "0" * 64}]}, "leads out"),
        ({"shards": [{"file": "../a.npy", "images": 17, "sha256": "0" * 64}]}, "leads out"),
        ({"shards": ["images/00000.npy"]}, "is not the manifest of a packed data set"),
        ({"labels": "../labels.npy"}, "leads out"),
        ({"labels": {"a.png": 1}}, "is not a file name"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(
    facts: dict[str, Any], message: str, folder: Path
) -> None:
    change(folder, **facts)
    with pytest.raises(DatasetError, match=message) as refusal:
        open_dataset(folder, 8)
    assert "dataset.json" in str(refusal.value)


def test_another_resolution_is_refused_with_how_to_get_it(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"8 px, not at 16.*prepare .*--resolution 16"):
        open_dataset(folder, 16)


@pytest.mark.parametrize(
    "labels",
    [np.zeros(16, np.int64), np.zeros(17, np.int32), np.full(17, -1), np.zeros((17, 1), np.int64)],
)
def test_labels_that_are_no_such_list_are_named(labels: NDArray[Any], folder: Path) -> None:
    np.save(folder / "labels.npy", labels)
    with pytest.raises(DatasetError, match=r"labels\.npy does not hold one int64 label"):
        _ = PackedDataset(folder).labels


def test_labels_are_read_only_where_someone_asks(folder: Path) -> None:
    (folder / "labels.npy").unlink()
    data = PackedDataset(folder)
    assert len(data.read(torch.tensor([3]))) == 1
    with pytest.raises(DatasetError, match=r"labels\.npy cannot be read"):
        _ = data.labels


def test_without_labels_a_conditional_run_is_refused(packed: PackedDataset) -> None:
    assert packed.labels is None and packed.classes == {}
    with pytest.raises(DatasetError, match="no labels"):
        read_required_labels(packed.folder, "manifest")


def test_folders_cannot_name_classes_of_packed_images(folder: Path) -> None:
    with pytest.raises(DatasetError, match="no folders to read classes from"):
        read_required_labels(folder, "folders")


def test_single_images_can_be_read(folder: Path, pixels: NDArray[np.uint8]) -> None:
    places, read = single_images(folder, 8)
    assert len(places) == 17 and places[5] == folder / "images" / "00001.npy" / "0"
    assert all((read(place) == pixels[row]).all() for row, place in enumerate(places))
