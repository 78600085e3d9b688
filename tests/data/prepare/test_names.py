"""Names inside archives: whatever packed them, they give what their folder gives, or it is said."""

import json
import logging
import os
import shutil
import tarfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packers import DOS, UNIX, pack_tar, pack_zip
from tiny_images import lines_of, names_of, picture, write_files

from facegan.data.prepare import StreamSource, prepare
from facegan.data.prepare.names import clean_name, match_key
from facegan.data.prepare.sources import open_source
from facegan.data.toy_faces import write_toy_faces
from facegan.errors import ConfigError, DatasetError

CATS = {f"{'cats' if k % 2 else 'dogs'}/{k}.png": picture(k) for k in range(6)}
NUMBERS = [[name, int(name < "d")] for name in CATS]
LABELS = json.dumps({"labels": NUMBERS, "class_names": ["dog", "cat"]}).encode()


def quickly(source: object, out: Path, **how: object) -> dict:
    return prepare(source, out, 8, workers=1, **how)


def classes_in(out: Path) -> dict[str, str]:
    """The class of every image that was written."""
    names = json.loads((out / "dataset.json").read_text())["class_names"]
    labels = np.load(out / "labels.npy")
    return {name: names[label] for name, label in zip(names_of(out), labels, strict=True)}


# --- one set of names, whatever packed it -------------------------------------------------------

parts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="/\\:"),
    min_size=1,
    max_size=8,
).filter(lambda part: part.strip(". ~") == part and part[0] not in ".~$#@" and len(part) < 9)
paths = st.lists(parts, min_size=1, max_size=3).map(lambda names: "/".join([*names, "x.png"]))


@settings(max_examples=40, deadline=None)
@given(names=st.sets(paths, min_size=1, max_size=5), form=st.sampled_from(["NFC", "NFD"]))
def test_a_zip_and_a_tar_have_the_names_of_their_folder(
    names: set[str], form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Order, too, is of the names alone; letters are those that people see."""
    tmp_path = tmp_path_factory.mktemp("names")
    contents = {name: picture(k) for k, name in enumerate(sorted(names))}
    try:
        folder = write_files(tmp_path / "folder", contents)
    except OSError:  # a name that is a folder in another, or too long for the disk
        return
    packed = [(unicodedata.normalize(form, name), contents[name]) for name in contents]
    backwards = list(reversed(packed))
    by_backslash = [(name.replace("/", "\\"), content) for name, content in backwards]
    sources = [
        folder,
        pack_zip(tmp_path / "unix.zip", [(f"./{n}", c) for n, c in backwards]),
        pack_zip(
            tmp_path / "flagged.zip", [(n.replace("/", "//"), c) for n, c in packed], DOS, 2048
        ),
        pack_zip(tmp_path / "dos.zip", by_backslash, DOS, 2048),
        pack_tar(tmp_path / "pax.tar", packed),
        pack_tar(tmp_path / "gnu.tar", [(f"./{n}", c) for n, c in packed], tarfile.GNU_FORMAT),
    ]  # fmt: skip
    found = []
    for source in sources:
        entries = {e.name: (e.read() if e.read else Path(e.path or "").read_bytes(), e.problem)
                   for e in open_source(source).entries()}  # fmt: skip
        found.append(
            {unicodedata.normalize("NFC", name): output for name, output in entries.items()}
        )
        if source.suffix != ".tar":  # which has its own order
            assert list(found[-1]) == list(found[0])
    assert all(each == found[0] for each in found)


@given(st.text(min_size=1, max_size=20), st.booleans())
def test_a_clean_name_stays_below_and_is_clean_already(name: str, parts_by_backslash: bool) -> None:
    clean, problem = clean_name(name, parts_by_backslash)
    assert clean_name(clean, parts_by_backslash)[0] == clean
    assert match_key(clean) == match_key(name)
    if not problem:
        joined = os.path.normpath(f"/folder/{clean}")
        assert joined == "/folder" or joined.startswith("/folder/")


# --- separators ---------------------------------------------------------------------------------


@pytest.mark.parametrize("system", [DOS, UNIX, 11])
def test_backslashes_part_folders_in_a_zip_of_windows(tmp_path: Path, system: int) -> None:
    """Also where the packer said Unix, as Go's does, if no name is parted otherwise."""
    members = [(name.replace("/", "\\"), content) for name, content in CATS.items()]
    members.insert(0, ("cats\\", b""))  # a folder
    out = tmp_path / "out"
    quickly(pack_zip(tmp_path / "x.zip", members, system), out, labels="folders")
    assert classes_in(out) == {name: name.split("/")[0] for name in CATS}


@pytest.mark.parametrize("before", ["", "./"])
def test_backslashes_part_folders_in_a_tar_whose_names_are_all_written_so(
    tmp_path: Path, before: str
) -> None:
    """Its dataset.json is found as well."""
    files = {f"x/{name}": content for name, content in CATS.items()} | {"x/dataset.json": LABELS}
    members = [(before + name.replace("/", "\\"), content) for name, content in files.items()]
    tar = pack_tar(tmp_path / "x.tar", members)
    quickly(tar, tmp_path / "out", labels="folders")
    assert classes_in(tmp_path / "out") == {f"x/{name}": name.split("/")[0] for name in CATS}
    assert quickly(tar, tmp_path / "b", labels="manifest")["protocol"]["labels_below"] == "x/"


def test_a_backslash_of_unix_is_a_letter_and_no_class_is_made_of_it(tmp_path: Path) -> None:
    """A file of the name ``a\\b.png`` lies in no folder, in its folder and in its archives."""
    contents = {"a\\b.png": picture(1), "cats/1.png": picture(2)}
    folder = write_files(tmp_path / "x", contents)
    archives = (pack_zip(tmp_path / "x.zip", contents.items()),
                pack_tar(tmp_path / "x.tar", contents.items()))  # fmt: skip
    for number, source in enumerate((folder, *archives)):
        out = tmp_path / str(number)
        quickly(source, out, labels="folders")
        assert names_of(out) == ["cats/1.png"]
        (skipped,) = lines_of(out / "skipped.jsonl")
        assert "backslash" in skipped["reason"] and skipped["file"] == "a\\b.png"


# --- encodings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("raw", "system", "flags", "also", "seen"), [
    ("küche".encode(), DOS, 2048, None, "küche"),
    ("küche".encode(), UNIX, 0, None, "küche"),  # macOS and Info-ZIP mark nothing
    (b"k\x81che", DOS, 0, "küche/x.png", "küche"),
    (b"k\x81che", DOS, 0, None, None),  # cp437, cp850, cp932 …: nobody knows
    (b"k\x81che", UNIX, 0, None, None),
    ("küche".encode(), DOS, 0, None, None),  # gbk reads it as well
    ("表".encode("cp932"), DOS, 0, None, None),  # its second byte is a backslash
])  # fmt: skip
def test_a_class_is_made_of_letters_that_are_certain(
    tmp_path: Path, raw: bytes, system: int, flags: int, also: str | None, seen: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    source = pack_zip(tmp_path / "x.zip", [(raw + b"/x.png", picture(1))], system, flags, also)
    if seen:
        assert quickly(source, tmp_path / "out", labels="folders")["class_names"] == [seen]
        return
    with pytest.raises(DatasetError, match=r"encoding of its name is unknown.*--name-encoding"):
        quickly(source, tmp_path / "out", labels="folders")
    shutil.rmtree(tmp_path / "out")
    quickly(source, tmp_path / "bare")  # no word of it is needed without classes
    (name,) = names_of(tmp_path / "bare")
    assert os.fsencode(name) == raw + b"/x.png"
    assert "--name-encoding" in caplog.text


@pytest.mark.parametrize(("encoding", "folder"), [
    ("cp437", "küche"), ("cp932", "表"), ("gbk", "茅屋"), ("utf-8", "küche"),
])  # fmt: skip
def test_an_encoding_can_be_told(tmp_path: Path, encoding: str, folder: str) -> None:
    member = (folder.encode(encoding) + b"\\x.png", picture(1))
    source = pack_zip(tmp_path / "x.zip", [member], DOS)
    manifest = quickly(source, tmp_path / "out", labels="folders", encoding=encoding)
    assert manifest["class_names"] == [folder]


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "hex", ""])
def test_what_is_not_an_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    source = pack_zip(tmp_path / "x.zip", CATS.items())
    with pytest.raises(ConfigError, match="not a text encoding"):
        quickly(source, tmp_path / "out", encoding=encoding)


def test_a_name_that_lies_of_its_encoding_is_refused_with_its_archive(tmp_path: Path) -> None:
    source = pack_zip(tmp_path / "x.zip", [(b"\xff.png", picture(1))], DOS, 2048)
    with pytest.raises(DatasetError, match="marked as UTF-8 but is not"):
        quickly(source, tmp_path / "out")


# --- names that are there twice, or are none ----------------------------------------------------


@pytest.mark.parametrize("twin", ["./e\u0301/1.png", "é//1.png", "é/./1.png", "é/1.png"])
def test_of_one_name_the_first_is_read_and_the_other_reported(tmp_path: Path, twin: str) -> None:
    members = [("é/1.png", picture(1)), (twin, picture(2))]
    digests = set()
    archives = (pack_zip(tmp_path / "x.zip", members, UNIX, 2048),
                pack_tar(tmp_path / "x.tar", members))  # fmt: skip
    for source in archives:
        out = tmp_path / f"out{source.suffix}"
        digests.add(quickly(source, out)["digest"])
        (skipped,) = lines_of(out / "skipped.jsonl")
        assert "an earlier file in the archive" in skipped["reason"]
    digests.add(
        quickly(write_files(tmp_path / "x", {"1.png": picture(1)}), tmp_path / "o")["digest"]
    )
    assert len(digests) == 1


def test_a_name_with_a_zero_byte_is_not_read(tmp_path: Path) -> None:
    members = [("good.png", picture(1)), ("bad.png\0.exe", picture(2))]
    quickly(pack_zip(tmp_path / "x.zip", members, UNIX, 2048), tmp_path / "out")
    (skipped,) = lines_of(tmp_path / "out/skipped.jsonl")
    assert skipped["reason"] == "its name contains a zero byte"


def test_folders_that_are_one_elsewhere_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    contents = {"Cats/1.png": picture(1), "cats/1.png": picture(2), "dogs/1.png": picture(3)}
    source = pack_zip(tmp_path / "x.zip", contents.items())
    manifest = quickly(source, tmp_path / "out", labels="folders")
    assert manifest["class_names"] == ["Cats", "cats", "dogs"]
    assert "'Cats' and 'cats'" in caplog.text and "dogs" not in caplog.text


# --- a folder around all ------------------------------------------------------------------------

AROUND = ["", "ds/", "home/u/ds/", "./ds/"]


def packed_as(kind: str, place: Path, contents: dict[str, bytes]) -> object:
    """The same files as a folder, an archive, or streams."""
    if kind == "folder":
        return write_files(place, contents)
    if kind == "zip":
        return pack_zip(place, contents.items(), UNIX, 2048)
    if kind == "streams":
        clean = {clean_name(name)[0]: content for name, content in contents.items()}
        return StreamSource(
            "x",
            lambda: ((n, lambda n=n: clean[n]) for n in sorted(clean)),
            clean.get,
        )
    return pack_tar(place, contents.items())


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "streams"])
@pytest.mark.parametrize("around", AROUND)
def test_labels_are_those_of_the_folder_itself(tmp_path: Path, kind: str, around: str) -> None:
    """What macOS lays beside it is seen through."""
    contents = {f"{around}{name}": content for name, content in CATS.items()}
    contents = {f"{around}dataset.json": LABELS, **contents, "__MACOSX/._ds": b"attributes"}
    source = packed_as(kind, tmp_path / "x", contents)
    labels = "manifest" if kind == "tar" else None
    manifest = quickly(source, tmp_path / "out", labels=labels)
    assert (manifest["written"], manifest["skipped"]) == (6, 0)
    assert manifest["class_names"] == ["dog", "cat"]
    output = {name.split("/")[-2]: label for name, label in classes_in(tmp_path / "out").items()}
    assert output == {"cats": "cat", "dogs": "dog"}


@pytest.mark.parametrize("around", AROUND)
def test_a_drawn_data_set_in_an_archive_is_what_it_is_as_a_folder(
    tmp_path: Path, around: str
) -> None:
    """Its label maps are no images, and its classes those of its dataset.json."""
    folder = tmp_path / "toy"
    write_toy_faces(folder, 6, 8, label_maps=True, labels="hair", workers=1)
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    whole = quickly(folder, tmp_path / "a", label_maps=folder)
    archive = pack_zip(tmp_path / "toy.zip", ((around + n, c) for n, c in sorted(files.items())))
    packed = quickly(archive, tmp_path / "b", label_maps=archive)
    for fact in ("digest", "images", "class_names", "names_digest"):
        assert packed[fact] == whole[fact]
    assert packed["companions"]["label_maps"] == whole["companions"]["label_maps"]


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "streams"])
def test_a_dataset_json_that_is_not_used_is_reported(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It lies beside some of the images alone, or in a tar that was not asked for it."""
    beside = {**CATS, "cats/dataset.json": LABELS}
    source = packed_as(kind, tmp_path / "x", beside)
    assert "class_names" not in quickly(source, tmp_path / "out")
    assert "Not used: cats/dataset.json" in caplog.text and "--labels none" in caplog.text
    caplog.clear()
    quickly(source, tmp_path / "bare", labels="none")
    assert "Not used" not in caplog.text


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"captions": {}}'])
def test_a_dataset_json_without_labels_is_reported(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_files(tmp_path / "x", {**CATS, "dataset.json": content})
    assert "class_names" not in quickly(source, tmp_path / "out")
    assert 'has no "labels"' in caplog.text


def test_without_labels_a_damaged_dataset_json_does_not_matter(tmp_path: Path) -> None:
    source = write_files(tmp_path / "x", {**CATS, "dataset.json": b"{"})
    with pytest.raises(DatasetError, match="cannot be read"):
        quickly(source, tmp_path / "out")
    assert quickly(source, tmp_path / "out", labels="none")["images"] == 6


@pytest.mark.parametrize(("ours", "theirs"), [
    ("", ""), ("photos/", "sketches/"), ("photos/", ""), ("", "sketches/"),
    ("in/photos/", "in/sketches/"), ("x/", "x/"),
])  # fmt: skip
@pytest.mark.parametrize("only", ["", "cats/"])
def test_partners_are_found_through_folders_around_either_side(
    tmp_path: Path, ours: str, theirs: str, only: str
) -> None:
    """Also where one side has images of one class alone."""
    photos = {f"{ours}{name}": content for name, content in CATS.items()}
    sketches = {f"{theirs}{name}": picture(50 + k) for k, name in enumerate(CATS)
                if name.startswith(only)}  # fmt: skip
    source = pack_zip(tmp_path / "photos.zip", photos.items())
    manifest = quickly(source, tmp_path / "out", paired=write_files(tmp_path / "x", sketches))
    assert manifest["written"] == len(sketches)
    pairs = zip(names_of(tmp_path / "out"), names_of(tmp_path / "out/paired"), strict=True)
    assert all(a.removeprefix(ours) == b.removeprefix(theirs) for a, b in pairs)


@pytest.mark.parametrize("key", ["cats\\1.png", "./cats/1.png", "/cats/1.png", "cats//1.png"])
def test_keys_of_a_dataset_json_are_cleaned_as_names_are(tmp_path: Path, key: str) -> None:
    labels = {"labels": {key: 1, "dogs/0.png": 0}}
    contents = {"cats/1.png": picture(1), "dogs/0.png": picture(2)}
    contents["dataset.json"] = json.dumps(labels).encode()
    quickly(pack_zip(tmp_path / "x.zip", contents.items()), tmp_path / "out")
    assert classes_in(tmp_path / "out") == {"cats/1.png": "1", "dogs/0.png": "0"}


def test_a_prepared_data_set_is_not_prepared_again(tmp_path: Path) -> None:
    quickly(write_files(tmp_path / "x", CATS), tmp_path / "done")
    with pytest.raises(DatasetError, match=r"is already a prepared data set.*facegan train --data"):
        quickly(tmp_path / "done", tmp_path / "again")
    files = {f"done/{p.relative_to(tmp_path / 'done')}": p.read_bytes()
             for p in (tmp_path / "done").rglob("*") if p.is_file()}  # fmt: skip
    with pytest.raises(DatasetError, match=r"is already a prepared data set.*Unpack it"):
        quickly(pack_zip(tmp_path / "x.zip", files.items()), tmp_path / "again")


# --- labels of other shapes ---------------------------------------------------------------------


def labelled_by(tmp_path: Path, labels: list[object]) -> Path:
    pairs = [[f"{k}.png", label] for k, label in enumerate(labels)]
    contents = {f"{k}.png": picture(k) for k in range(len(labels))}
    contents["dataset.json"] = json.dumps({"labels": pairs}).encode()
    return write_files(tmp_path / "x", contents)


@pytest.mark.parametrize(("labels", "numbers"), [
    ([[1.0, 0.0], [0.0, 1.0], [1, 0]], [0, 1, 0]), ([0.0, 2.0, 1.0], [0, 2, 1]),
    ([[1], [1]], [0, 0]),
])  # fmt: skip
def test_vectors_of_a_single_one_and_whole_numbers_are_classes(
    tmp_path: Path, labels: list[object], numbers: list[int]
) -> None:
    quickly(labelled_by(tmp_path, labels), tmp_path / "out")
    assert np.load(tmp_path / "out/labels.npy").tolist() == numbers


@pytest.mark.parametrize(("labels", "output"), [
    ([[1, 1, 0], [0, 1, 0]], "2 ones: several attributes"), ([[0, 0], [0, 1]], "0 ones"),
    ([[0.2, 0.8], [1, 0]], "without a single 1"), ([[1, 0], [1, 0, 0]], "lengths, 2 to 3"),
    ([[1, 0], 1], "some labels are vectors"), (["cat", "dog"], "is 'cat'"), ([None, 1], "is null"),
    ([-1, 0], "is -1"), ([0.5, 1], "is 0.5"), ([[], []], "vector"), ([[[1]], [[1]]], "vector"),
    ([float("nan"), 0], "is nan"), ([float("inf"), 0], "is inf"), ([True, False], "is True"),
    ([["1", "0"], ["0", "1"]], "vector"), ([{"a": 1}, 0], "is {'a': 1}"),
])  # fmt: skip
def test_other_labels_are_reported_with_what_is_read_and_what_does_without(
    tmp_path: Path, labels: list[object], output: str
) -> None:
    source = labelled_by(tmp_path, labels)
    with pytest.raises(DatasetError) as caught:
        quickly(source, tmp_path / "out")
    assert output in caught.value.message
    assert "one number per image" in caught.value.hint and "--labels none" in caught.value.hint
    assert quickly(source, tmp_path / "out", labels="none")["images"] == len(labels)


def test_nothing_of_all_this_warns_of_a_plain_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quickly(write_files(tmp_path / "x", {**CATS, "dataset.json": LABELS}), tmp_path / "out")
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
