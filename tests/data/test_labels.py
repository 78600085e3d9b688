"""Labels come from the manifest, or from folders where that is asked; what is wrong is named."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facegan.data import ImageFolderDataset
from facegan.data.image_folder import find_images
from facegan.data.labels import labels_of_manifest, read_labels, require_labels
from facegan.errors import ConfigError, DatasetError

FOUR = ("a.png", "b.png", "c.png", "sub/d.png")


def pictures(folder: Path, names: tuple[str, ...] = FOUR) -> Path:
    for shade, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (shade, 0, 0)).save(folder / name)
    return folder


def with_manifest(folder: Path, **manifest: Any) -> ImageFolderDataset:
    (pictures(folder) / "dataset.json").write_text(json.dumps(manifest))
    return ImageFolderDataset(folder, 8)


NUMBERS = {"a.png": 1, "b.png": 0, "c.png": 1, "sub/d.png": 2}


@pytest.mark.parametrize("form", ["mapping", "pairs"])
def test_both_forms_of_a_manifest_are_read(tmp_path: Path, form: str) -> None:
    """Ours, and the list of pairs that StyleGAN's tools write."""
    labels: Any = NUMBERS if form == "mapping" else [[*pair] for pair in reversed(NUMBERS.items())]
    data = with_manifest(tmp_path, labels=labels, class_names=["cat", "dog", "owl"])
    assert data.labels is not None and data.labels.tolist() == [1, 0, 1, 2]
    assert list(data.classes.items()) == [("cat", 1), ("dog", 2), ("owl", 1)]


def test_the_kth_label_is_that_of_the_kth_image(labelled: ImageFolderDataset) -> None:
    assert labelled.labels is not None
    for index, file in enumerate(labelled.files):
        assert labelled.labels[index] == (0, 1, 1, 2)[int(file.stem) % 4]


def test_without_names_classes_are_called_by_their_numbers(tmp_path: Path) -> None:
    assert dict(with_manifest(tmp_path, labels=NUMBERS).classes) == {"0": 1, "1": 2, "2": 1}


@pytest.mark.parametrize("manifest", [{}, {"labels": None}, {"class_names": ["cat"]}])
def test_a_manifest_without_labels_gives_none(tmp_path: Path, manifest: dict[str, Any]) -> None:
    """NVIDIA's tool writes null where a data set has none."""
    data = with_manifest(tmp_path, **manifest)
    assert data.labels is None and data.classes == {}
    with pytest.raises(DatasetError, match=r"has no labels.*--labels folders.*facegan data toy"):
        require_labels(tmp_path, data.files, "manifest")


def test_folders_are_classes_only_where_that_is_asked(tmp_path: Path) -> None:
    """In the order of their names, whatever lies deeper."""
    pictures(tmp_path, ("owl/a.png", "cat/x/b.png", "cat/c.png"))
    assert ImageFolderDataset(tmp_path, 8).labels is None
    data = ImageFolderDataset(tmp_path, 8, labels_from="folders")
    assert [file.name for file in data.files] == ["c.png", "b.png", "a.png"]
    assert data.labels is not None and data.labels.tolist() == [0, 0, 1]
    assert dict(data.classes) == {"cat": 2, "owl": 1}


def test_an_image_in_no_folder_has_no_class(tmp_path: Path) -> None:
    pictures(tmp_path, ("cat/a.png", "stray.png"))
    with pytest.raises(DatasetError, match=r"stray\.png is not in a subfolder"):
        _ = ImageFolderDataset(tmp_path, 8, labels_from="folders").labels


def test_an_unknown_source_offers_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'folder'.*Did you mean folders"):
        read_labels(tmp_path, find_images(pictures(tmp_path)), "folder")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"labels": {"a.png": 0}}, r"the image b\.png has no label"),
        ({"labels": {**NUMBERS, "a.png": -1}}, r"label of a\.png is -1.*from 0"),
        ({"labels": {**NUMBERS, "a.png": "1"}}, r"label of a\.png is '1'"),
        ({"labels": {**NUMBERS, "a.png": True}}, r"label of a\.png is True"),
        ({"labels": {**NUMBERS, "a.png": 1.5}}, r"label of a\.png is 1\.5"),
        ({"labels": {**NUMBERS, "a.png": 3, "c.png": 3}}, "the class '1' has no images"),
        ({"labels": {**NUMBERS, "a.png": 10**9}}, "class 1000000000, but the last class is"),
        ({"labels": [["a.png", 0], ["a.png", 1]]}, "two labels"),
        ({"labels": 7}, "neither a mapping nor a list of pairs"),
        ({"labels": ["a.png", "b.png"]}, "neither a mapping nor a list of pairs"),
        ({"labels": [["a.png", 0, 1]]}, "neither a mapping nor a list of pairs"),
        ({"labels": NUMBERS, "class_names": ["cat", "dog"]}, "class 2, but the last class is 1"),
        ({"labels": NUMBERS, "class_names": ["a", "b", "c", "owl"]}, "'owl' has no images"),
        ({"labels": NUMBERS, "class_names": ["a", "b", "b"]}, "two classes have the same name"),
        ({"labels": NUMBERS, "class_names": ["a", "b", ""]}, "not a list of names"),
        ({"labels": NUMBERS, "class_names": {"a": 1}}, "not a list of names"),
        ({"labels": NUMBERS, "class_names": ["a", "b", "c\nd"]}, r"'c\\nd' cannot be printed"),
        ({"labels": NUMBERS, "class_names": ["\ud800", "b", "c"]}, "cannot be printed"),
    ],
)
def test_wrong_labels_are_named_when_they_are_wanted_and_not_before(
    tmp_path: Path, manifest: dict[str, Any], message: str
) -> None:
    """An unconditional run never looks: a stranger's dataset.json does not stop it."""
    data = with_manifest(tmp_path, **manifest)
    assert data.describe()["images"] == 4
    with pytest.raises(DatasetError, match=message):
        _ = data.labels


def test_an_image_that_was_left_out_takes_its_label_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pictures(tmp_path)
    (tmp_path / "b.png").write_text("no image")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {**NUMBERS, "sub/d.png": 0}}))
    with caplog.at_level(logging.ERROR):
        data = ImageFolderDataset(tmp_path, 8)
    assert data.labels is not None and data.labels.tolist() == [1, 1, 0]


def test_paths_of_a_prepared_set_start_at_its_images(tmp_path: Path) -> None:
    pictures(tmp_path / "images")
    facts = {"format": "facegan-dataset", "images_folder": "images", "labels": NUMBERS}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    labels = ImageFolderDataset(tmp_path, 8).labels
    assert labels is not None and labels.tolist() == [1, 0, 1, 2]


def test_digests_tell_pixels_and_labels_apart(tmp_path: Path) -> None:
    plain = ImageFolderDataset(pictures(tmp_path / "plain"), 8)
    one = with_manifest(tmp_path / "one", labels=NUMBERS)
    two = with_manifest(tmp_path / "two", labels={**NUMBERS, "a.png": 0})
    named = with_manifest(tmp_path / "named", labels=NUMBERS, class_names=["x", "y", "z"])
    assert plain.digest == one.digest == two.digest
    assert "labels_digest" not in one.describe()
    digests = {data.describe(with_labels=True)["labels_digest"] for data in (one, two, named)}
    assert len(digests) == 3 and all(len(digest) == 64 for digest in digests)


@settings(max_examples=40)
@given(numbers=st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_any_numbering_without_gaps_comes_back_and_any_with_one_is_refused(
    numbers: list[int],
) -> None:
    paths = [Path(f"{index}.png") for index in range(len(numbers))]
    manifest = {"labels": {str(path): number for path, number in zip(paths, numbers, strict=True)}}
    if set(numbers) == set(range(max(numbers) + 1)):
        found = labels_of_manifest(Path("dataset.json"), manifest, paths)
        assert found.numbers.tolist() == numbers
        assert sum(found.classes.values()) == len(numbers)
    else:
        with pytest.raises(DatasetError):
            labels_of_manifest(Path("dataset.json"), manifest, paths)
