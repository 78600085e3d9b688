"""`check` names what is wrong with a data set, and `sample` shows what is in it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_images import photos, pixels_of

from facegan.data.prepare import check, prepare, sample
from facegan.errors import ConfigError, DatasetError


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Seven images of two classes in shards of three."""
    out = tmp_path / "packed"
    prepare(photos(tmp_path / "photos"), out, 8, labels="folders", workers=1, shard_images=3)
    return out


def test_a_whole_data_set_has_no_problems_and_its_balance_is_reported(packed: Path) -> None:
    done: list[int] = []
    checked = check(packed, done.append)
    assert checked.problems == [] and checked.classes == {"a": 4, "b": 3} and done == [3, 3, 1]


def change_manifest(packed: Path, **facts: object) -> None:
    manifest = json.loads((packed / "dataset.json").read_text())
    (packed / "dataset.json").write_text(json.dumps(manifest | facts))


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


HARM: list[tuple[Callable[[Path], object], str]] = [
    (lambda p: flip_last_byte(p / "images/00001.npy"), "00001.npy is damaged"),
    (lambda p: cut(p / "images/00002.npy"), "00002.npy is damaged"),
    (lambda p: (p / "images/00000.npy").unlink(), "00000.npy is missing"),
    (lambda p: np.save(p / "images/00000.npy", np.zeros((3, 8, 8))), "holds float64"),
    (lambda p: (p / "images/00000.npy").write_bytes(b""), "00000.npy is damaged"),
    (lambda p: change_manifest(p, digest="0" * 64), "digest of all pixels"),
    (lambda p: change_manifest(p, found=8), "do not add up: 8 found, but 7 written"),
    (lambda p: change_manifest(p, images=8), "8 images, its shards hold 7"),
    (lambda p: change_manifest(p, shards=[{}]), "The manifest is damaged"),
    (lambda p: (p / "labels.npy").unlink(), "labels.npy cannot be read"),
    (lambda p: np.save(p / "labels.npy", np.zeros(6, np.int64)), "not one int64 per image"),
    (lambda p: np.save(p / "labels.npy", np.full(7, 2)), "labels outside 0 to 1"),
    (lambda p: np.save(p / "labels.npy", np.zeros(7, np.int64)), "class b has no image"),
    (lambda p: (p / "sources.jsonl").write_bytes(b""), "has 0 lines"),
    (lambda p: (p / "skipped.jsonl").unlink(), "skipped.jsonl cannot be read"),
]


@pytest.mark.parametrize(("harm", "message"), HARM, ids=[message for _, message in HARM])
def test_what_is_wrong_is_named(packed: Path, harm: Callable, message: str) -> None:
    harm(packed)
    assert any(message in problem for problem in check(packed).problems), check(packed).problems


def test_images_in_two_splits_are_reported(packed: Path) -> None:
    shard = np.load(packed / "images/00001.npy")
    shard[1] = np.load(packed / "images/00000.npy")[0]
    np.save(packed / "images/00001.npy", shard)
    change_manifest(packed, splits={"train": [0, 4], "test": [4, 7]})
    message = "1 images are both in the splits train and test, the first of them image 4."
    assert message in check(packed).problems
    change_manifest(packed, splits={"train": [0, 7]})
    assert "1 images are duplicates, the first of them image 4." in check(packed).problems


def test_a_folder_that_is_not_a_packed_data_set_is_refused_with_the_way_to_one(
    tmp_path: Path, packed: Path
) -> None:
    with pytest.raises(DatasetError, match="facegan data prepare"):
        check(tmp_path / "photos")
    change_manifest(packed, version=3)
    with pytest.raises(DatasetError, match="version 3"):
        check(packed)


def test_a_sample_is_spread_from_first_to_last(packed: Path) -> None:
    whole = pixels_of(packed)
    assert (sample(packed, 4) == whole[[0, 2, 4, 6]]).all()
    assert (sample(packed, 1) == whole[:1]).all()
    assert (sample(packed, 99) == whole).all()
    with pytest.raises(ConfigError):
        sample(packed, 0)
