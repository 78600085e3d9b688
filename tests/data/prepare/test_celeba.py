"""CelebA as it is downloaded: attribute → labels, partition → splits, its own crop."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_images import lines_of, names_of, picture, pixels_of, saved, write_files

from facegan.data.prepare import check, prepare
from facegan.errors import ConfigError, DatasetError

SIZE = (178, 218)
# The third is listed as a test image, so that splits are not in the order of the names.
PARTITION = "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n000004.jpg 0\n000005.jpg 2\n000006.jpg 0\n"
ATTRIBUTES = """6
Bald Smiling Young
000001.jpg -1  1 -1
000002.jpg  1 -1  1
000003.jpg -1  1  1
000004.jpg -1 -1  1
000005.jpg -1  1 -1
000006.jpg -1  1 -1
"""


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    contents = {f"img_align_celeba/{k:06d}.jpg": picture(k, SIZE, "JPEG") for k in range(1, 8)}
    lists = {"list_attr_celeba.txt": ATTRIBUTES, "list_eval_partition.txt": PARTITION}
    encoded = {name: text.encode() for name, text in lists.items()}
    return write_files(tmp_path / "CelebA", contents | encoded)


def test_the_partition_becomes_splits_and_an_attribute_labels(celeba: Path, tmp_path: Path) -> None:
    manifest = prepare(celeba, tmp_path / "out", 8, "celeba", "Smiling", workers=1)
    assert manifest["splits"] == {"train": [0, 3], "validation": [3, 4], "test": [4, 6]}
    assert [name[5] for name in names_of(tmp_path / "out")] == list("146235")
    assert manifest["class_names"] == ["not Smiling", "Smiling"]
    assert np.load(tmp_path / "out/labels.npy").tolist() == [1, 0, 1, 0, 1, 1]
    (skipped,) = lines_of(tmp_path / "out" / "skipped.jsonl")
    assert skipped["file"] == "000007.jpg" and "does not name it" in skipped["reason"]
    assert not check(tmp_path / "out").problems


def test_the_official_download_with_its_zip_gives_the_same(celeba: Path, tmp_path: Path) -> None:
    official = tmp_path / "official" / "CelebA"
    for part, name in (("Anno", "list_attr_celeba.txt"), ("Eval", "list_eval_partition.txt")):
        write_files(official / part, {name: (celeba / name).read_bytes()})
    (official / "Img").mkdir()
    shutil.make_archive(str(official / "Img/img_align_celeba"), "zip", celeba, "img_align_celeba")
    one = prepare(celeba, tmp_path / "one", 8, "celeba", "Young", workers=1)
    two = prepare(official, tmp_path / "two", 8, "celeba", "Young", workers=1)
    assert one["digest"] == two["digest"] and one["splits"] == two["splits"]
    names = [(tmp_path / x / "labels.npy").read_bytes() for x in ("one", "two")]
    assert names[0] == names[1]


def test_the_crop_is_the_middle_square_of_178(tmp_path: Path) -> None:
    """Twenty rows at the top and at the bottom go; images of another size are not CelebA's."""
    pixels = np.zeros((218, 178, 3), np.uint8)
    pixels[20:198] = np.random.default_rng(0).integers(0, 255, (178, 178, 3))
    folder = write_files(tmp_path / "x", {
        "a.png": saved(Image.fromarray(pixels)), "b.png": picture(2, (218, 178)),
    })  # fmt: skip
    prepare(folder, tmp_path / "out", 178, "celeba", workers=1)
    assert (pixels_of(tmp_path / "out")[0] == pixels[20:198]).all()
    (skipped,) = lines_of(tmp_path / "out" / "skipped.jsonl")
    assert "218x178" in skipped["reason"]


def test_ffhq_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "x", {"1.png": picture(1, (8, 8)), "2.png": picture(2, (9, 8))})
    prepare(folder, tmp_path / "out", 8, "ffhq", workers=1)
    with Image.open(folder / "1.png") as original:
        assert (pixels_of(tmp_path / "out")[0] == np.asarray(original)).all()
    (skipped,) = lines_of(tmp_path / "out" / "skipped.jsonl")
    assert "square" in skipped["reason"]


def test_an_attribute_that_is_none_is_refused_with_the_nearest(
    celeba: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="Did you mean Smiling"):
        prepare(celeba, tmp_path / "out", 8, "celeba", "Smilin", workers=1)


@pytest.mark.parametrize(("name", "old", "new"), [
    ("list_eval_partition.txt", "000002.jpg 1", "000002.jpg 3"),
    ("list_attr_celeba.txt", "000002.jpg  1 -1  1", "000002.jpg  1"),
    ("list_attr_celeba.txt", "000002.jpg  1 -1", "000002.jpg  1 yes"),
])  # fmt: skip
def test_a_damaged_list_is_refused_by_its_line(
    celeba: Path, tmp_path: Path, name: str, old: str, new: str
) -> None:
    text = (celeba / name).read_text()
    (celeba / name).write_text(text.replace(old, new))
    with pytest.raises(DatasetError, match=rf"{name}, line \d"):
        prepare(celeba, tmp_path / "out", 8, "celeba", "Smiling", workers=1)
