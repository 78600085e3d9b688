"""`facegan train` reads a plain folder as `facegan data prepare` does: files, pixels, reasons."""

import json
import logging
import os
import socket
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_bad_images import BAD, GOOD
from tiny_images import lines_of, names_of, picture, pixels_of, saved, write_files

from facegan import image_encoding
from facegan.data import ImageFolderDataset
from facegan.data.image_folder import find_images
from facegan.data.opening import read_required_labels
from facegan.data.prepare import prepare
from facegan.data.prepare.skip_report import IgnoredFiles
from facegan.errors import DatasetError
from facegan.report.neighbours import RealImages

PIXELS = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
GENERATED = image_encoding.encode_png(PIXELS, {"facegan:seeds": "1"})
NAMES = {  # by content, whatever the name
    **{f"called/b{suffix}": picture(number) for number, suffix in enumerate(
        (".jfif", ".jpe", ".tif", ".PNG", ".Png", ".dat", "", ".jpeg_large", ".pjpeg"), 100)},
    "called/a.webp": picture(120, format="AVIF"),
    "called/c.gif": picture(121, format="TIFF"),
}  # fmt: skip
NO_PICTURES = {
    "notes.txt": b"x",
    "labels.csv": b"a,b",
    "film.mp4": b"\0\0\0\x20ftypisom" + bytes(40),
    "film.mov": b"\0\0\0\x14ftypqt  " + bytes(40),
    "raw.dng": picture(130, format="TIFF"),
    "photos.zip": b"PK\3\4" + bytes(40),
    "README": b"hello",
    "BMW.doc": b"BM is a car",
}
BY_PRODUCTS = {
    name: picture(number)
    for number, name in enumerate((
        ".hidden.png", ".ipynb_checkpoints/a-checkpoint.png", "a/.ipynb_checkpoints/b.png",
        "__MACOSX/a/c.png", "._d.png", ".git/e.png", "a/@eaDir/f.png/SYNO.jpg", "Thumbs.db",
        "$RECYCLE.BIN/g.jpg", ".Trash-1000/files/h.png", ".thumbnails/i.png", "lost+found/j.png",
        "__pycache__/k.png", "#recycle/l.jpg", "@Recycle/m.jpg", "~$n.jpg", "o.png~", "p.png.bak",
        "q.jpg.crdownload", "r.jpg.part", "s.png.sagemaker-uploaded", "t.jpg_original",
        "u.sync-conflict-20240102-030405-ABCDEFG.jpg", "v (Eve's conflicted copy 2024-01-02).jpg",
        "System Volume Information/w.png", "DESKTOP.INI", "toy.partial-1x/images/y.png",
        ".dropbox.cache/z.png",
        "RECYCLER/S-1-5/1.jpg", "a/@__thumb/2.jpg", "FOUND.007/3.jpg",
        "run/samples/kimg-1.png", "wandb/media/images/1.png",
    ), 200)
}  # fmt: skip
RUN = {"run/run.json": b"{}"}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"bad/{name}": content for name, (content, _) in BAD.items()}
    files |= {f"good/{name}": content for name, content in GOOD.items()}
    folder = tmp_path_factory.mktemp("zoo") / "zoo"
    return write_files(
        folder, files | NAMES | NO_PICTURES | BY_PRODUCTS | RUN | {"g.png": GENERATED}
    )


def special(folder: Path) -> list[str]:
    """Files that are none: to open some of them is to wait, or to read without an end."""
    os.mkfifo(folder / "fifo.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "linked").symlink_to(folder, target_is_directory=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket.png"))
    return ["fifo.png", "gone.png", "linked", "loop.png", "socket.png", "zero.png"]


def test_every_file_has_the_same_pixels_or_the_same_reason(zoo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "zoo"
    folder.symlink_to(zoo)
    manifest = prepare(folder, tmp_path / "out", 16, workers=1)
    data = ImageFolderDataset(folder, 16)
    skipped = {line["file"]: line["reason"] for line in lines_of(tmp_path / "out/skipped.jsonl")}
    assert {str(f.relative_to(folder)): reason for f, reason in data.skipped.items()} == skipped
    assert manifest["found"] == len(data) + len(data.skipped)  # less no duplicates: only prepare
    of_prepare = dict(zip(names_of(tmp_path / "out"), pixels_of(tmp_path / "out"), strict=True))
    of_train = {str(f.relative_to(folder)): p for f, p in zip(data.files, data.images, strict=True)}
    twice = set(names_of(tmp_path / "out", "duplicates.jsonl"))
    assert set(of_train) == set(of_prepare) | twice and set(NAMES) <= set(of_train)
    assert all(np.array_equal(of_train[name], of_prepare[name]) for name in of_prepare)
    assert skipped["g.png"].startswith("facegan made it")


def test_special_files_are_named_and_never_waited_for(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "x", {"a.png": picture(1), "b.png": picture(2)})
    names = special(folder)
    prepare(folder, tmp_path / "out", 8, workers=1)
    reasons = {line["file"]: line["reason"] for line in lines_of(tmp_path / "out/skipped.jsonl")}
    data = ImageFolderDataset(folder, 8)
    assert sorted(reasons) == sorted(f.name for f in data.skipped) == names
    assert {f.name: reason for f, reason in data.skipped.items()} == reasons


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "x", {"a.png": picture(1), "b.png": picture(2), "c/d.png": b""})
    (folder / "b.png").chmod(0)
    (folder / "c").chmod(0)
    data = ImageFolderDataset(folder, 8)
    (folder / "c").chmod(0o700)
    assert {f.name for f in data.skipped} == {"b.png", "c"}


def test_the_sum_and_the_reasons_are_reported_in_a_few_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heic = b"\0\0\0\x18ftypheic" + bytes(40)
    files = {f"IMG_{k:04d}.HEIC": heic for k in range(20)} | {"a.png": picture(1), "c.txt": b"x"}
    with caplog.at_level(logging.INFO):
        ImageFolderDataset(write_files(tmp_path, files | {".DS_Store": b"x"}), 8)
    message = caplog.messages
    assert message[0].startswith("21 found = 1 used + 20 skipped in ")
    assert message[1].startswith("Skipped 20: IMG_0000.HEIC, IMG_0001.HEIC, IMG_0002.HEIC …: it is")
    assert message[2].startswith("Ignored 1 hidden file or by-products of programs: 1 .DS_Store.")
    assert message[3] == "1 other file that is not an image: 1 .txt." and len(message) == 4


def archive_of(folder: Path, kind: str) -> Path:
    path = folder.with_suffix("." + kind)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, str(file.relative_to(folder)))
    else:
        with tarfile.open(path, "w") as archive:
            for file in files:
                archive.add(file, str(file.relative_to(folder)))
    return path


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_by_products_are_passed_over_everywhere_alike(tmp_path: Path, kind: str) -> None:
    files = BY_PRODUCTS | NO_PICTURES | RUN | {"a/1.png": picture(1), "b/2": picture(2)}
    source = write_files(tmp_path / "x", files)
    source = source if kind == "folder" else archive_of(source, kind)
    ignored = IgnoredFiles()
    manifest = prepare(source, tmp_path / "out", 8, workers=1, on_ignored=ignored.add)
    assert sorted(names_of(tmp_path / "out")) == ["a/1.png", "b/2"] and manifest["found"] == 2
    assert ignored.by_products.total() == len(BY_PRODUCTS)
    assert ignored.others.total() == len(NO_PICTURES) + len(RUN)
    assert ignored.others[".mp4"] == 1 and "1 .mp4" in "".join(ignored.lines())


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_who_insists_gets_everything(tmp_path: Path, kind: str) -> None:
    files = {
        ".hidden/1.png": picture(1),
        "Thumbs.db": b"x",
        "2.png": GENERATED,
        "3.png~": picture(3),
    }
    source = write_files(tmp_path / "x", files)
    source = source if kind == "folder" else archive_of(source, kind)
    prepare(source, tmp_path / "out", 8, workers=1, everything=True)
    assert sorted(names_of(tmp_path / "out")) == [".hidden/1.png", "2.png", "3.png~"]


def test_a_hidden_folder_is_not_a_class_and_an_empty_one_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {
        f"{kind}/{k}.png": picture(10 * k + len(kind)) for kind in ("cat", "horse") for k in (1, 2)
    }
    files |= {".ipynb_checkpoints/a.png": picture(50), "__MACOSX/cat/._1.png": b"x",
              "bird/notes.txt": b"x", "run/samples/1.png": picture(51), "run/run.json": b"{}",
              "grid.png": GENERATED, "cat/.ipynb_checkpoints/b.png": picture(52)}  # fmt: skip
    folder = write_files(tmp_path / "x", files)
    with caplog.at_level(logging.WARNING):
        labels = read_required_labels(folder, "folders")
    assert labels.classes == {"cat": 2, "horse": 2}
    assert "No image is in bird, run, so that is not a class." in caplog.text
    assert ImageFolderDataset(folder, 8, labels_from="folders").classes == labels.classes
    ignored = IgnoredFiles()
    prepare(folder, tmp_path / "out", 8, labels="folders", workers=1, on_ignored=ignored.add)
    manifest = json.loads((tmp_path / "out/dataset.json").read_text())
    assert manifest["class_names"] == ["cat", "horse"] and ignored.empty_folders == ["bird", "run"]


def test_classes_below_one_folder_are_found_by_both(tmp_path: Path) -> None:
    files = {
        f"pets/{kind}/{k}.png": picture(10 * k + len(kind))
        for kind in ("cat", "horse")
        for k in (1, 2)
    }
    folder = write_files(tmp_path / "x", files)
    assert ImageFolderDataset(folder, 8, labels_from="folders").classes == {"cat": 2, "horse": 2}


@pytest.mark.parametrize(("files", "message"), [
    ({}, "Make some"),
    ({"a.mp4": b"x", "b.mp4": b"x", "c.mov": b"x"}, r"2 \.mp4, 1 \.mov"),
    ({".a/b.png": b"x"}, "Ignored 1 hidden file"),
])  # fmt: skip
def test_a_folder_without_images_says_what_is_there(
    tmp_path: Path, files: dict, message: str
) -> None:
    folder = write_files(tmp_path / "x", files)
    folder.mkdir(exist_ok=True)
    for read in (lambda: ImageFolderDataset(folder, 8), lambda: find_images(folder),
                 lambda: prepare(folder, tmp_path / "out", 8, workers=1)):  # fmt: skip
        with pytest.raises(DatasetError, match=f"(?s)holds no images.*{message}"):
            read()


def test_a_report_reads_the_same_files(zoo: Path, caplog: pytest.LogCaptureFixture) -> None:
    data, reals = ImageFolderDataset(zoo, 16), RealImages(zoo, 16)
    with caplog.at_level(logging.INFO):
        files, _ = reals.fingerprints
    assert files == data.files and reals.skipped == data.skipped
    assert f"= {len(files)} used + {len(data.skipped)} skipped" in caplog.text
    assert reals.found == len(files) + len(data.skipped)


def test_a_name_cannot_reach_the_terminal_as_a_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_files(tmp_path, {"a.png": picture(1), "\x1b[2Jb.png": b"", ".\x1b[2Jc": b""})
    ImageFolderDataset(tmp_path, 8)
    assert "\x1b" not in caplog.text and "x1b" in caplog.text


def test_a_manifest_leads_out_of_no_folder(tmp_path: Path) -> None:
    write_files(tmp_path, {"in/a.png": picture(1), "b.png": picture(2)})
    facts = {"format": "facegan-dataset", "images_folder": ".."}
    (tmp_path / "in/dataset.json").write_text(json.dumps(facts))
    with pytest.raises(DatasetError, match="outside its own folder"):
        ImageFolderDataset(tmp_path / "in", 8)


def test_large_images_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    Image.new("1", (10_000, 9_000)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(saved(Image.new("RGB", (9, 9))))
    data = ImageFolderDataset(tmp_path, 8)
    assert len(data) == 1 and "bomb" in data.skipped[tmp_path / "a.png"]
