"""A packed data set's companions: read with its images as one batch, or as sets of their own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facegan.data import PackedDataset, open_dataset
from facegan.data.prepare import prepare
from facegan.errors import DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images with partners and maps, and three of another domain."""
    numbers = np.random.default_rng(0)
    for name, count in (("a", 4), ("b", 4), ("c", 4), ("d", 3)):
        (tmp_path / name).mkdir()
        for k in range(count):
            pixels = numbers.integers(0, 5 if name == "c" else 256, (8, 8, 3), np.uint8)
            image = Image.fromarray(pixels[..., 0] if name == "c" else pixels)
            image.save(tmp_path / name / f"{k}.png")
    a, b, c, d = (tmp_path / name for name in "abcd")
    out = tmp_path / "out"
    prepare(a, out, 8, workers=1, paired=b, label_maps=c, unpaired=d, shard_images=3)
    return out


def png(path: Path) -> torch.Tensor:
    """(C, H, W) of a file."""
    with Image.open(path) as picture:
        return torch.from_numpy(np.atleast_3d(np.asarray(picture)).copy()).permute(2, 0, 1)


def test_an_example_is_read_with_all_that_belongs_to_it(folder: Path, tmp_path: Path) -> None:
    dataset = open_dataset(folder, 8)
    assert isinstance(dataset, PackedDataset)
    batch = dataset.read_examples(torch.tensor([3, 0, 3]))
    assert list(batch) == ["images", "paired", "label_maps"]
    for name, source in zip(batch, "abc", strict=True):
        assert batch[name].dtype == torch.uint8
        files = [tmp_path / source / f"{k}.png" for k in (3, 0, 3)]
        assert torch.equal(batch[name], torch.stack([png(file) for file in files]))
    maps = dataset.companions["label_maps"]
    assert maps.image_shape == (1, 8, 8) and maps.label_names == ("0", "1", "2", "3", "4")
    assert dataset.label_names == () and dataset.companions["paired"].image_shape == (3, 8, 8)


def test_an_unpaired_domain_has_a_length_of_its_own(folder: Path, tmp_path: Path) -> None:
    dataset = PackedDataset(folder)
    other = dataset.companions["unpaired"]
    assert (len(dataset), len(other)) == (4, 3)
    assert torch.equal(other.read(torch.tensor([2]))[0], png(tmp_path / "d/2.png"))
    for companion in dataset.companions.values():
        companion.verify()


def change(folder: Path, **facts: Any) -> None:
    place = folder / "dataset.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | facts))


def test_a_companion_that_is_another_or_missing_is_named_when_it_is_asked_for(
    folder: Path,
) -> None:
    change(folder / "paired", digest="0" * 64)
    with pytest.raises(DatasetError, match="not the paired data set that"):
        PackedDataset(folder).read_examples(torch.tensor([0]))
    (folder / "paired/dataset.json").unlink()
    dataset = PackedDataset(folder)
    assert len(dataset.read(torch.arange(4))) == 4
    with pytest.raises(DatasetError, match="paired"):
        _ = dataset.companions


@pytest.mark.parametrize("facts", [
    {"channels": 2}, {"companions": {"x": {"folder": "../x", "digest": "0" * 64, "aligned": True}}},
    {"companions": {"x": {}}}, {"companions": [1]},
    {"companions": {"x": {"folder": "x", "digest": "0" * 64, "aligned": 1}}},
])  # fmt: skip
def test_a_manifest_that_says_nothing_of_its_companions_is_refused(
    folder: Path, facts: dict[str, Any]
) -> None:
    change(folder, **facts)
    with pytest.raises(DatasetError, match="is not the manifest of a packed data set"):
        PackedDataset(folder)
