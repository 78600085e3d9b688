"""Where images come from: archives are as good as folders, and harm no one."""

import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_images import files_of, lines_of, names_of, photos, picture, write_files

from facegan.data.prepare import StreamSource, merge, prepare
from facegan.data.prepare.classes import find_class_root
from facegan.data.prepare.sources import Entry, FolderSource, escapes
from facegan.errors import CloudError, DatasetError


def zipped(folder: Path, out: Path) -> Path:
    """A folder's files, in no particular order."""
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(folder.rglob("*"), reverse=True):
            archive.write(path, path.relative_to(folder))
    return out


def tarred(folder: Path, out: Path, mode: str = "w:gz") -> Path:
    """A folder's files in the order of their names, as `tar -C folder .` names them."""
    with tarfile.open(out, mode) as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, f"./{path.relative_to(folder)}", recursive=False)
    return out


def test_an_archive_gives_the_bytes_that_its_folder_does(tmp_path: Path) -> None:
    folder = write_files(photos(tmp_path / "photos"), {"bad.png": b"?"})
    (tmp_path / "archives").mkdir()
    sources = [
        folder,
        zipped(folder, tmp_path / "archives/photos.zip"),
        tarred(folder, tmp_path / "archives/photos.tar", "w"),
        tarred(folder, tmp_path / "archives/photos.tar.gz"),
        tarred(folder, tmp_path / "archives/photos.tar.xz", "w:xz"),
    ]
    digests = set()
    for number, source in enumerate(sources):
        manifest = prepare(source, tmp_path / str(number), 8, labels="folders", workers=1)
        assert manifest["class_names"] == ["a", "b"]
        digests.add((manifest["digest"], manifest["names_digest"], manifest["skipped"]))
    assert len(digests) == 1
    assert not (tmp_path / "archives" / "a").exists()


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz", "streams"])
def test_folders_below_the_one_folder_that_holds_all_are_the_classes(
    tmp_path: Path, kind: str
) -> None:
    """pets.zip with pets/cats and pets/dogs has cats and dogs, on every machine."""
    contents = {f"pets/{'cats' if k % 2 else 'dogs'}/{k}.png": picture(k) for k in range(6)}
    source = write_files(tmp_path / "x", contents)
    if kind == "zip":
        source = zipped(source, tmp_path / "x.zip")
        with zipfile.ZipFile(source, "a") as archive:  # as macOS packs one
            archive.writestr("__MACOSX/pets/cats/._1.png", b"attributes")
    elif kind != "folder" and kind != "streams":
        source = tarred(source, tmp_path / f"x.{kind}", "w:gz" if kind == "tar.gz" else "w")
    for part in (None, (0, 2), (1, 2)):
        found = StreamSource("x", lambda: (
            (name, lambda name=name: contents[name]) for name in sorted(contents)
        )) if kind == "streams" else source  # fmt: skip
        out = tmp_path / f"out{part}"
        manifest = prepare(found, out, 8, labels="folders", shard=part, workers=1)
        assert set(manifest["class_names"]) <= {"cats", "dogs"}
        assert manifest["protocol"]["labels_below"] == "pets/"
        assert all(name.startswith("pets/") for name in names_of(out))
    whole = tmp_path / "outNone"
    assert np.load(whole / "labels.npy").tolist() == [0, 0, 0, 1, 1, 1]
    merged = merge([tmp_path / "out(0, 2)", tmp_path / "out(1, 2)"], tmp_path / "merged")
    assert merged["class_names"] == ["cats", "dogs"]
    assert files_of(tmp_path / "merged") == files_of(whole)


@pytest.mark.parametrize(("names", "below"), [
    (["cats/1.png", "dogs/1.png"], ""),
    (["pets/cats/1.png", "pets/dogs/1.png"], "pets/"),
    (["a/pets/cats/1.png", "a/pets/dogs/old/1.png"], "a/pets/"),
    (["cats/1.png", "cats/2.png"], ""),
    (["pets/cats/1.png", "pets/cats/2.png"], "pets/"),
    (["cats/1.png", "cats/old/2.png"], ""),
    (["cats/old/2.png", "cats/1.png"], ""),
    (["1.png", "pets/cats/1.png"], ""),
    (["pets/cats/1.png", "1.png"], ""),
    (["pets/cats/1.png", "pets2/dogs/1.png"], ""),
    ([], ""),
])  # fmt: skip
def test_the_folder_that_holds_all_classes(names: list[str], below: str) -> None:
    """A folder with images of its own is a class, not what holds classes."""
    assert find_class_root(Entry(name) for name in names) == below


@pytest.mark.parametrize("name", [
    "../up.png", "/root.png", "a/../../up.png", "C:/x.png", "..\\up.png",
])  # fmt: skip
def test_a_member_that_would_leave_its_folder_is_named_and_not_read(
    tmp_path: Path, name: str
) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(name, picture(1))
        archive.writestr("good.png", picture(2))
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for member, content in ((name, picture(1)), ("good.png", picture(2))):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    for kind in ("zip", "tar"):
        manifest = prepare(tmp_path / f"x.{kind}", tmp_path / kind, 8, workers=1)
        assert (manifest["written"], manifest["skipped"]) == (1, 1)
        (skipped,) = lines_of(tmp_path / kind / "skipped.jsonl")
        assert skipped["reason"] == "its path leaves the archive"


@given(st.text(st.sampled_from("a./\\:"), min_size=1, max_size=8))
def test_what_does_not_escape_stays_below(name: str) -> None:
    """The system's own rules as the judge."""
    if not escapes(name):
        joined = os.path.normpath(f"/folder/{name}")
        assert joined == "/folder" or joined.startswith("/folder/")


def test_links_and_encrypted_members_are_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind in (("s.png", tarfile.SYMTYPE), ("h.png", tarfile.LNKTYPE),
                           ("p.png", tarfile.FIFOTYPE)):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("good.png")
        info.size = len(picture(1))
        archive.addfile(info, io.BytesIO(picture(1)))
    prepare(tmp_path / "x.tar", tmp_path / "tar", 8, workers=1)
    reasons = [line["reason"] for line in lines_of(tmp_path / "tar" / "skipped.jsonl")]
    assert ["link" in reason for reason in reasons] == [True, True, False]
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.png", picture(1))
        archive.writestr("secret.png", picture(2))
    content = bytearray((tmp_path / "x.zip").read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 8] |= 1  # the directory says that it is encrypted
    (tmp_path / "x.zip").write_bytes(content)
    prepare(tmp_path / "x.zip", tmp_path / "zip", 8, workers=1)
    message = {
        line["file"]: line["reason"] for line in lines_of(tmp_path / "zip" / "skipped.jsonl")
    }
    assert "link" in message["link.png"] and "encrypted" in message["secret.png"]


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
def test_a_cut_archive_is_refused(tmp_path: Path, suffix: str) -> None:
    """tarfile alone takes a cut archive for a shorter one, and nobody would learn of the rest."""
    folder, whole = photos(tmp_path / "photos", 9), tmp_path / f"whole.{suffix}"
    zipped(folder, whole) if suffix == "zip" else tarred(folder, whole, f"w:{suffix[4:]}")
    content = whole.read_bytes()
    for keep in (len(content) // 2, len(content) // 2 // 512 * 512, 700):
        (tmp_path / f"cut.{suffix}").write_bytes(content[:keep])
        with pytest.raises(DatasetError, match=r"damaged|cannot be read|no folder, no zip"):
            prepare(tmp_path / f"cut.{suffix}", tmp_path / "out", 8, workers=1)


def test_a_damaged_member_of_a_zip_is_skipped(tmp_path: Path) -> None:
    source = zipped(photos(tmp_path / "photos", 3), tmp_path / "x.zip")
    content = bytearray(source.read_bytes())
    content[content.index(b"IDAT") + 9] ^= 255
    source.write_bytes(content)
    manifest = prepare(source, tmp_path / "out", 8, workers=1)
    assert (manifest["found"], manifest["written"], manifest["skipped"]) == (3, 2, 1)
    (skipped,) = lines_of(tmp_path / "out" / "skipped.jsonl")
    assert "CRC" in skipped["reason"]


# --- folders ------------------------------------------------------------------------------------


def test_links_pipes_and_folders_that_cannot_be_listed_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_files(photos(tmp_path / "photos", 2), {"shut/1.png": picture(8)})
    (folder / "a" / "up").symlink_to(folder)  # a loop
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "linked.png").symlink_to(write_files(tmp_path / "x", {"x.png": picture(7)}) / "x.png")
    os.mkfifo(folder / "pipe.png")
    real = os.scandir

    def scandir(path: Path):  # root may list any folder
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    manifest = prepare(folder, tmp_path / "out", 8, workers=1)
    message = {
        line["file"]: line["reason"] for line in lines_of(tmp_path / "out" / "skipped.jsonl")
    }
    assert set(message) == {"a/up", "self.png", "gone.png", "pipe.png", "shut/"}
    assert "not followed" in message["a/up"] and "Permission denied" in message["shut/"]
    assert "symbolic links" in message["self.png"] and "No such file" in message["gone.png"]
    assert "not a regular file" in message["pipe.png"]
    assert manifest["written"] == 3 and manifest["found"] == 8


NAMES = ["имя.png", "名前.png", "اسم.png", "new\nline.png", 'quo"te.png', "tab\t.png", "😀.png",
         "\u202eright.png", "-o.png", " .png"]  # fmt: skip


def test_names_in_any_script_and_with_newlines_come_through(tmp_path: Path) -> None:
    contents = {name: picture(number) for number, name in enumerate(NAMES)}
    folder = write_files(tmp_path / "photos", contents)
    (folder / os.fsdecode(b"no\xffutf8.png")).write_bytes(picture(50))
    (folder / os.fsdecode(b"no\xfeutf8.png")).write_bytes(picture(50))  # a duplicate
    manifest = prepare(folder, tmp_path / "out", 8, workers=1)
    assert sorted(names_of(tmp_path / "out")) == sorted([*NAMES, os.fsdecode(b"no\xfeutf8.png")])
    (twin,) = lines_of(tmp_path / "out" / "duplicates.jsonl")
    assert os.fsencode(twin["file"]) == b"no\xffutf8.png"
    assert os.fsencode(twin["of"]) == b"no\xfeutf8.png" and manifest["found"] == 12
    assert all(content.isascii() for name, content in files_of(tmp_path / "out").items()
               if name.endswith((".json", ".jsonl")))  # fmt: skip


def test_a_deep_tree_is_walked_to_its_end(tmp_path: Path) -> None:
    """Deeper than Python's stack would allow a function that calls itself."""
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1200):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        with open(os.open("x.png", os.O_WRONLY | os.O_CREAT, dir_fd=here), "wb") as file:
            file.write(picture(1))
    finally:
        os.close(here)
    (entry,) = FolderSource(tmp_path).entries()
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # too deep for shutil.rmtree
    assert entry.name == "d/" * 1200 + "x.png"


# --- streams ------------------------------------------------------------------------------------


def streams(broken: dict[int, Exception]) -> Callable[[], Iterator]:
    def read(number: int) -> bytes:
        if number in broken:
            raise broken[number]
        return picture(number)

    return lambda: ((f"{k:03d}.png", lambda k=k: read(k)) for k in range(40))


@pytest.mark.parametrize("readers", [1, 8])
def test_streams_are_read_in_order_by_any_number_of_readers(tmp_path: Path, readers: int) -> None:
    gone = FileNotFoundError("it vanished after it was listed")
    source = StreamSource("store", streams({5: gone}), readers=readers)
    manifest = prepare(source, tmp_path / "out", 8, workers=1)
    assert names_of(tmp_path / "out") == [f"{k:03d}.png" for k in range(40) if k != 5]
    assert lines_of(tmp_path / "out" / "skipped.jsonl")[0]["reason"] == str(gone)
    assert manifest["skipped"] == 1


@pytest.mark.parametrize("readers", [1, 8])
def test_a_store_that_fails_ends_the_run_and_the_run_goes_on_later(
    tmp_path: Path, readers: int
) -> None:
    """Expired credentials are no reason to skip all images that are left."""
    source = StreamSource("store", streams({30: CloudError("expired")}), readers=readers)
    with pytest.raises(CloudError):
        prepare(source, tmp_path / "out", 8, workers=1, shard_images=10)
    assert len(list((tmp_path / "out/images").glob("0*.npy"))) >= 1
    mended = StreamSource("store", streams({}), readers=readers)
    assert prepare(mended, tmp_path / "out", 8, workers=1, shard_images=10)["written"] == 40
