"""Whatever is given for data has an answer that names it, and the next command, which runs."""

import gzip
import json
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packers import pack_tar, pack_zip
from tiny_images import picture, write_files

from facegan.cli.inputs import refuse_data
from facegan.data.image_folder import find_images
from facegan.data.opening import dataset_kind, read_required_labels
from facegan.data.prepare import check, merge, prepare, sample
from facegan.errors import DatasetError
from facegan.path_kinds import describe_path, no_images_error

FACES = {f"{k}.png": picture(k) for k in range(4)}
STYLEGAN = {**FACES, "dataset.json": json.dumps({"labels": [[name, 0] for name in FACES]}).encode()}
SEVENZIP = b"7z\xbc\xaf\x27\x1c" + bytes(40)
RAR = b"Rar!\x1a\x07\x01\x00" + bytes(40)
Make = Callable[[Path], Path]


def zipped(contents: dict[str, bytes], name: str = "faces.zip") -> Make:
    return lambda folder: pack_zip(folder / name, contents.items())


def without_magic(tar: bytes, members: int) -> bytes:
    """A tar of one-block members as it was written before 1988: without a mark in its headers."""
    old = bytearray(tar)
    place = 0
    for _ in range(members):
        size = int(old[place + 124 : place + 135], 8)
        old[place + 257 : place + 512] = bytes(255)
        old[place + 148 : place + 156] = b" " * 8
        total = sum(old[place : place + 512])
        old[place + 148 : place + 156] = b"%06o\0 " % total
        place += 512 + -(-size // 512) * 512
    return bytes(old)


def tarred(
    contents: dict[str, bytes], name: str, form: int = tarfile.PAX_FORMAT, magic: bytes = b"?"
) -> Make:
    def make(folder: Path) -> Path:
        whole = pack_tar(folder / "whole.tar", contents.items(), form)
        if not magic:
            whole.write_bytes(without_magic(whole.read_bytes(), len(contents)))
        if name.endswith("gz"):
            whole.write_bytes(gzip.compress(whole.read_bytes()))
        return whole.rename(folder / name)

    return make


def written(name: str, content: bytes) -> Make:
    return lambda folder: write_files(folder, {name: content}) / name


def channel(*inside: Make) -> Make:
    """A folder with some of these in it."""

    def make(folder: Path) -> Path:
        place = folder / "training"
        place.mkdir()
        for each in inside:
            each(place)
        return place

    return make


SHAPES = [  # what is made; what is said of it; the next command's first words
    (zipped(STYLEGAN), "is a zip archive of 4 images and a dataset.json", "data prepare"),
    (zipped(FACES, "no-suffix"), "is a zip archive of 4 images, not", "data prepare"),
    (tarred(FACES, "faces.tar"), "is a tar archive", "data prepare"),
    (tarred(FACES, "faces.tar.gz"), "is a tar archive", "data prepare"),
    (tarred(FACES, "old.tar", tarfile.USTAR_FORMAT, magic=b""), "is a tar archive",
     "data prepare"),
    (channel(zipped(FACES, "photos.zip")), "with an archive, photos.zip", "data prepare"),
    (channel(tarred(FACES, "p.tar.gz"), zipped(FACES, "my photos.zip")), "photos.zip, and 1 more",
     "data prepare"),
    (zipped({"readme.txt": b"?"}), "is a zip archive without images", ""),
    (zipped({"model_card.json": b"{}", "x.safetensors": b""}), "of a trained model", ""),
    (zipped({"x/dataset.json": b"{}", "x/images/00000.npy": b""}), "of a prepared data set", ""),
    (written("photos.7z", SEVENZIP), "is a 7z archive", ""),
    (written("photos.zip", RAR), "is a RAR archive", ""),
    (written("photos.tar.zst", b"\x28\xb5\x2f\xfd" + bytes(40)), "is a zstd archive", ""),
    (channel(written("photos.7z", SEVENZIP)), "with an archive, photos.7z", ""),
    (written("photos.zip", b"<html>404</html>"), "is a text file", ""),
    (written("photos.zip", b""), "is an empty file", ""),
    (written("photos.zip", b"PK\x03\x04" + bytes(60)), "is a damaged zip archive", ""),
    (written("face.png", picture(1)), "is an image, not", ""),
    (written("dataset.json", b'{"labels": null}'), "is a JSON file", ""),
    (written("faces.npy", b"\x93NUMPY\x01\x00"), "is a NumPy array", ""),
    (written("faces.csv", b"a,b\n"), "is a text file", ""),
]  # fmt: skip
NO_FOLDER = [dataset_kind, find_images, check, lambda path: sample(path, 4),
             lambda path: merge([path], path.parent / "merged")]  # fmt: skip


@pytest.mark.parametrize(("make", "output", "command"), SHAPES)
def test_what_is_not_a_folder_of_images_is_reported_with_the_next_command(
    make: Make, output: str, command: str, tmp_path: Path
) -> None:
    """By the early look and by each reader; never with a number of the system's."""
    path = make(tmp_path)
    with pytest.raises(DatasetError) as early:
        refuse_data(describe_path(path), 16)
    assert output in early.value.message and "--resolution 64" not in early.value.hint
    for read in NO_FOLDER if path.is_file() else NO_FOLDER[1:]:
        with pytest.raises(DatasetError) as caught:
            read(path)
        said = str(caught.value)
        assert output in said and "Errno" not in said and str(path) in said
        assert ("facegan data prepare" in said) == bool(command)


@pytest.mark.parametrize("make", [make for make, _, command in SHAPES if "prepare" in command])
def test_the_command_that_is_reported_makes_a_data_set(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is printed, but for the processes it would start."""
    path = make(tmp_path)
    monkeypatch.chdir(tmp_path)
    output = no_images_error(describe_path(path), 8).hint.partition(": facegan data prepare ")[2]
    words = shlex.split(output.removesuffix("."))
    source, out = Path(words[0]), Path(words[words.index("--out") + 1])
    resolution = int(words[words.index("--resolution") + 1])
    assert resolution == 8
    assert prepare(source, out, resolution, workers=1)["images"] == 4
    refuse_data(describe_path(out))


def test_what_can_be_read_is_let_through(tmp_path: Path) -> None:
    refuse_data(describe_path(write_files(tmp_path / "x", {**FACES, "old.zip": b"PK"})))


def test_a_data_set_one_folder_below_is_named(tmp_path: Path) -> None:
    """Unless images lie beside it."""
    prepare(write_files(tmp_path / "x", FACES), tmp_path / "all/done", 8, workers=1)
    for read in (find_images, check, lambda path: refuse_data(describe_path(path))):
        with pytest.raises(DatasetError, match=r"(?s)data set in .*all/done.*Name that folder"):
            read(tmp_path / "all")
    write_files(tmp_path / "all/more", FACES)
    assert len(find_images(tmp_path / "all")) == 4


@pytest.mark.parametrize("manifest", ["ds/dataset.json", "dataset.json", "ds/in/dataset.json"])
@pytest.mark.parametrize("wide", [False, True])
def test_labels_around_all_images_are_read_as_prepare_reads_them(
    manifest: str, wide: bool, tmp_path: Path
) -> None:
    """As in what a zip of a labelled folder is unpacked to, with one folder too many."""
    around = manifest.removesuffix("dataset.json")
    names = [f"{'c/' * wide}{k}.png" for k in range(4)]
    labels = [[f"{'ds/in/'.removeprefix(around)}{name}", k % 2] for k, name in enumerate(names)]
    files = {f"ds/in/{name}": picture(k) for k, name in enumerate(names)}
    files[manifest] = json.dumps({"labels": labels, "class_names": ["no", "yes"]}).encode()
    folder = write_files(tmp_path / "x", files)
    assert read_required_labels(folder, "manifest").classes == {"no": 2, "yes": 2}
    assert prepare(folder, tmp_path / "out", 8, workers=1)["class_names"] == ["no", "yes"]


def test_a_manifest_beside_some_images_is_named_as_not_used(tmp_path: Path) -> None:
    files = {f"a/{name}": body for name, body in STYLEGAN.items()} | {"b/1.png": picture(50)}
    with pytest.raises(DatasetError, match=r"has no labels.*Not used: a/dataset.json"):
        read_required_labels(write_files(tmp_path / "x", files), "manifest")


def test_a_folder_of_plain_images_is_not_a_prepared_data_set(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "x", FACES)
    with pytest.raises(DatasetError) as caught:
        check(folder)
    assert "is a folder of images, not a prepared data set" in caught.value.message
    assert f"facegan data prepare {folder} --out x-64" in caught.value.hint


def test_the_look_needs_no_torch(tmp_path: Path) -> None:
    """It comes before torch is imported, which takes seconds."""
    path = zipped(FACES)(tmp_path)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from facegan.cli.inputs import describe_path, refuse_data\n"
        f"refuse_data(describe_path({str(path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "is a zip archive of 4 images" in done.stderr
