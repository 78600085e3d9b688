"""`prepare`: what it writes, and that kills and the number of workers change none of it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_images import (
    files_of,
    lines_of,
    names_of,
    photos,
    picture,
    pixels_of,
    saved,
    write_files,
)

from facegan.data import ImageFolderDataset
from facegan.data.prepare import prepare
from facegan.errors import ConfigError, DatasetError

TESTS = Path(__file__).parent


def quickly(source: Path, out: Path, resolution: int = 8, **how: object) -> dict:
    """In this process: to start others takes longer than the images do."""
    return prepare(source, out, resolution, workers=1, **how)  # type: ignore[arg-type]


def test_the_manifest_and_the_shards_are_as_the_format_says(tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = quickly(photos(tmp_path / "photos", 7), out, shard_images=3)
    assert json.loads((out / "dataset.json").read_text()) == manifest
    assert (manifest["format"], manifest["version"]) == ("facegan-dataset", 2)
    assert (manifest["kind"], manifest["resolution"], manifest["images"]) == ("packed", 8, 7)
    assert [s["images"] for s in manifest["shards"]] == [3, 3, 1]
    whole = hashlib.sha256()
    for number, shard in enumerate(manifest["shards"]):
        assert shard["file"] == f"images/{number:05d}.npy"
        content = (out / shard["file"]).read_bytes()
        assert content[:8] == b"\x93NUMPY\x01\x00"
        assert shard["sha256"] == hashlib.sha256(content).hexdigest()
        pixels = np.load(out / shard["file"], mmap_mode="r", allow_pickle=False)
        assert pixels.dtype == np.uint8 and pixels.shape == (shard["images"], 8, 8, 3)
        whole.update(pixels.data)
    assert manifest["digest"] == whole.hexdigest()
    assert manifest["protocol"]["crop"] == "centre"
    assert manifest["protocol"]["filter"] == "lanczos"
    assert "labels" not in manifest and "splits" not in manifest
    assert {p.name for p in out.iterdir()} == {
        *("dataset.json", "images", "sources.jsonl", "skipped.jsonl", "duplicates.jsonl")
    }


@pytest.mark.parametrize("resolution", [4, 8, 12, 32])
def test_the_pixels_are_those_that_training_reads_from_the_folder(
    tmp_path: Path, resolution: int
) -> None:
    """So that a run on the packed set is the run on the folder it was made of."""
    folder = photos(tmp_path / "photos")
    turned = Image.Exif()
    turned[0x0112] = 6
    write_files(folder, {
        "a/turned.jpg": saved(Image.radial_gradient("L").resize((200, 90)), "JPEG", exif=turned),
        "b.webp": picture(9, (40, 30), "WEBP"),
        "clear.png": saved(Image.new("RGBA", (9, 9), (255, 0, 0, 100))),
        "cmyk.jpg": saved(Image.new("CMYK", (9, 9), (9, 99, 0, 5)), "JPEG"),
        "palette.png": saved(Image.linear_gradient("L").convert("P")),
    })  # fmt: skip
    manifest = quickly(folder, tmp_path / "out", resolution)
    dataset = ImageFolderDataset(folder, resolution)
    assert manifest["digest"] == dataset.digest and len(dataset) == 12
    files = [str(file.relative_to(folder)) for file in dataset.files]
    assert names_of(tmp_path / "out") == files


def test_the_bytes_are_the_same_whatever_the_number_of_workers(tmp_path: Path) -> None:
    folder = write_files(photos(tmp_path / "photos", 90), {"bad.png": b"?", "c.png": picture(3)})
    quickly(folder, tmp_path / "one", shard_images=32)
    prepare(folder, tmp_path / "two", 8, workers=2, shard_images=32)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_found_is_written_and_duplicates_and_skipped(tmp_path: Path) -> None:
    folder = write_files(photos(tmp_path / "photos", 5), {
        "bad.jpg": b"<html>", "zz.png": picture(0), "notes.txt": b"no image",
        "same_pixels.bmp": picture(1, format="BMP"),
    })  # fmt: skip
    manifest = quickly(folder, tmp_path / "out")
    counts = [manifest[fate] for fate in ("found", "written", "duplicates", "skipped")]
    assert counts == [8, 5, 2, 1]
    assert lines_of(tmp_path / "out" / "duplicates.jsonl") == [
        {"file": "same_pixels.bmp", "index": 6, "of": "b/001.png"},
        {"file": "zz.png", "index": 7, "of": "a/000.png"},
    ]
    (skipped,) = lines_of(tmp_path / "out" / "skipped.jsonl")
    assert skipped["file"] == "bad.jpg" and "HTML" in skipped["reason"]


# --- going on -----------------------------------------------------------------------------------


class StoppedError(Exception):
    """As good as a kill where nothing is cleaned up for the sake of the next run."""


def stop_after(count: int):
    def on_progress(done: int, expected: int | None) -> None:
        if done >= count:
            raise StoppedError

    return on_progress


@given(stops=st.lists(st.integers(1, 12), max_size=3), shard_images=st.integers(1, 13))
def test_a_run_stopped_anywhere_ends_with_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], shard_images: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("stopped")
    folder = write_files(photos(tmp_path / "photos", 9), {
        "a/bad.png": b"", "b/again.png": picture(2), "c.png": b"?",
    })  # fmt: skip
    how = {"labels": "none", "shard_images": shard_images}
    quickly(folder, tmp_path / "whole", 4, **how)
    for stop in stops:
        with pytest.raises(StoppedError):
            quickly(folder, tmp_path / "out", 4, on_progress=stop_after(stop), **how)
    quickly(folder, tmp_path / "out", 4, **how)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


KILLED = """
import os, signal, sys
from pathlib import Path
from facegan.data.prepare import prepare

def on_progress(done, expected):
    if done == 10:
        os.kill(os.getpid(), signal.SIGKILL)

prepare(Path(sys.argv[1]), Path(sys.argv[2]), 8, workers=1, shard_images=4, on_progress=on_progress)
"""


def test_a_killed_run_does_no_finished_work_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two shards of four are done at ten images: the second run decodes from the ninth."""
    folder, out = photos(tmp_path / "photos", 14), tmp_path / "out"
    died = subprocess.run([sys.executable, "-c", KILLED, folder, out], check=False)
    assert died.returncode == -signal.SIGKILL
    assert not (out / "dataset.json").exists()
    before = {path: path.stat().st_mtime_ns for path in out.glob("images/0*.npy")}
    assert len(before) == 2
    decoded = []
    real = prepare.__globals__["prepare_all"]

    def watched(tasks, *rest):
        return real((decoded.append(task.index) or task for task in tasks), *rest)

    monkeypatch.setitem(prepare.__globals__, "prepare_all", watched)
    quickly(folder, out, shard_images=4)
    assert decoded == list(range(8, 14))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    quickly(folder, tmp_path / "whole", shard_images=4)
    assert files_of(out) == files_of(tmp_path / "whole")


def test_what_is_there_already_is_not_made_again(tmp_path: Path) -> None:
    folder, out = photos(tmp_path / "photos"), tmp_path / "out"
    quickly(folder, out)
    before = files_of(out)
    assert quickly(folder, out)["already_there"]
    assert files_of(out) == before


def test_a_source_that_has_changed_is_reported(tmp_path: Path) -> None:
    """What is there would be said to be made of it, and it is not."""
    folder = photos(tmp_path / "photos")
    quickly(folder, tmp_path / "out")
    with pytest.raises(StoppedError):
        quickly(folder, tmp_path / "half", shard_images=2, on_progress=stop_after(5))
    write_files(folder, {"a/0.png": picture(99)})
    for out, how in (("out", {}), ("half", {"shard_images": 2})):
        with pytest.raises(DatasetError, match="have changed since"):
            quickly(folder, tmp_path / out, **how)


def test_other_options_than_those_of_what_is_there_are_refused(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos")
    quickly(folder, tmp_path / "out")
    with pytest.raises(DatasetError, match="resolution is 8, not 16"):
        quickly(folder, tmp_path / "out", 16)
    with pytest.raises(StoppedError):
        quickly(folder, tmp_path / "half", on_progress=stop_after(1))
    with pytest.raises(DatasetError, match="another, unfinished data set"):
        quickly(folder, tmp_path / "half", crop="ffhq")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    other = write_files(tmp_path / "other", {"thesis.tex": b"x"})
    with pytest.raises(DatasetError, match="is not empty"):
        quickly(photos(tmp_path / "photos"), other)
    assert files_of(other) == {"thesis.tex": b"x"}


def test_two_processes_cannot_prepare_one_folder(tmp_path: Path) -> None:
    folder, out = photos(tmp_path / "photos"), tmp_path / "out"

    def again(done: int, expected: int | None) -> None:
        with pytest.raises(DatasetError, match="Another process"):
            quickly(folder, out)

    quickly(folder, out, on_progress=again)


# --- refusals -----------------------------------------------------------------------------------


def test_a_disk_that_takes_no_more_is_reported_and_the_run_goes_on_later(tmp_path: Path) -> None:
    """A file system of its own, of 64 KB: the 33 KB of shards fit, those of twice that do not."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        folder = photos(tmp_path / "photos", 60)
        with pytest.raises(DatasetError, match="is full") as message:
            quickly(folder, disk / "out", 32, shard_images=4)
        assert "finished shards are kept" in message.value.hint
        kept = sorted(p.name for p in (disk / "out/images").glob("0*.npy"))
        assert kept
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        assert quickly(folder, disk / "out", 32, shard_images=4)["written"] == 60
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(("how", "message"), [
    ({"resolution": 3}, "4 to 4096"), ({"crop": "celebA"}, "Did you mean celeba"),
    ({"labels": "Smiling"}, "CelebA"), ({"shard": (2, 2)}, "must be 0 to 1"),
])  # fmt: skip
def test_a_value_out_of_range_is_refused(tmp_path: Path, how: dict, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        quickly(photos(tmp_path / "photos"), tmp_path / "out", **how)
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_source_without_a_usable_image_leaves_nothing(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "photos", {"notes.txt": b"x"})
    with pytest.raises(DatasetError, match="holds no images"):
        quickly(folder, tmp_path / "out")
    write_files(folder, {"a.jpg": b""})
    with pytest.raises(DatasetError, match=r"None of the 1 images .* a\.jpg: it is empty"):
        quickly(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    write_files(folder, {"b.png": picture(1)})
    assert quickly(folder, tmp_path / "out")["written"] == 1


# --- labels -------------------------------------------------------------------------------------


def test_folders_are_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "pets", {
        "dog/1.png": picture(1), "cat/2.png": picture(2), "ёж/x/3.png": picture(3),
        "dog/4.png": picture(4), "5.png": picture(5),
    })  # fmt: skip
    manifest = quickly(folder, tmp_path / "out", labels="folders")
    assert manifest["class_names"] == ["cat", "dog", "ёж"]
    assert manifest["labels"] == "labels.npy"
    labels = np.load(tmp_path / "out" / "labels.npy", allow_pickle=False)
    assert labels.dtype == np.int64 and labels.tolist() == [0, 1, 1, 2]
    (skipped,) = lines_of(tmp_path / "out" / "skipped.jsonl")
    assert "not in a folder" in skipped["reason"]


@pytest.mark.parametrize("form", [dict, list])
def test_labels_come_from_a_dataset_json_in_either_form(tmp_path: Path, form: type) -> None:
    folder = photos(tmp_path / "photos", 3)
    pairs = [["a/000.png", 1], ["b/001.png", 0]]
    labels = {"labels": form(pairs), "class_names": ["old", "young"]}
    write_files(folder, {"dataset.json": json.dumps(labels).encode()})
    manifest = quickly(folder, tmp_path / "out")
    assert manifest["class_names"] == ["old", "young"]
    assert np.load(tmp_path / "out" / "labels.npy").tolist() == [1, 0]
    assert names_of(tmp_path / "out", "skipped.jsonl") == ["a/002.png"]
    assert "labels" not in quickly(folder, tmp_path / "bare", labels="none")


@pytest.mark.parametrize(("manifest", "message"), [
    (b"{", "cannot be read"), (b'{"labels": {"a/000.png": -1}}', "Count from 0"),
    (b'{"labels": [["a/000.png", 0], ["a/000.png", 1]]}', "two labels"),
    (b'{"labels": {"a/000.png": 0}, "class_names": ["x", "x"]}', "two classes have the same name"),
    (b'{"labels": {"a/000.png": 7}, "class_names": ["x"]}', "last class is 0"),
    (b'{"labels": 3}', "neither a mapping"),
])  # fmt: skip
def test_damaged_labels_are_refused(tmp_path: Path, manifest: bytes, message: str) -> None:
    folder = write_files(photos(tmp_path / "photos", 2), {"dataset.json": manifest})
    with pytest.raises(DatasetError) as error:
        quickly(folder, tmp_path / "out")
    assert message in str(error.value)


def test_two_folders_that_read_alike_are_refused(tmp_path: Path) -> None:
    """é as one sign and as two: a class each on the disk, one to whoever reads the names."""
    folder = write_files(tmp_path / "x", {"e\u0301/1.png": picture(1), "\u00e9/2.png": picture(2)})
    with pytest.raises(DatasetError, match="Two classes have one name"):
        quickly(folder, tmp_path / "out", labels="folders")


def test_toy_faces_are_prepared_with_their_labels_and_without_their_label_maps(
    tmp_path: Path,
) -> None:
    from facegan.data.toy_faces import write_toy_faces

    write_toy_faces(tmp_path / "toy", 24, 8, label_maps=True, workers=1, labels="glasses")
    manifest = quickly(tmp_path / "toy", tmp_path / "out")
    assert manifest["class_names"] == ["none", "clear", "dark"] and manifest["written"] == 24
    dataset = ImageFolderDataset(tmp_path / "toy", 8)
    assert manifest["digest"] == dataset.digest and dataset.labels is not None
    assert np.load(tmp_path / "out" / "labels.npy").tolist() == dataset.labels.tolist()


def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    write_files(tmp_path / "secret", {"a.png": picture(1)})
    said = {"format": "facegan-dataset", "images_folder": "../secret"}
    folder = write_files(photos(tmp_path / "x"), {"dataset.json": json.dumps(said).encode()})
    with pytest.raises(DatasetError, match="outside its own folder"):
        quickly(folder, tmp_path / "out")


# --- no torch -----------------------------------------------------------------------------------


def test_preparing_loads_no_torch_and_no_boto3(tmp_path: Path) -> None:
    """A process that decodes starts in a tenth of a second, a hundred times on a large machine."""
    program = (
        "import sys; from pathlib import Path; from facegan.data.prepare import prepare; "
        "prepare(Path(sys.argv[1]), Path(sys.argv[2]), 8, workers=1); "
        "assert not {'torch', 'boto3', 'cv2'} & set(sys.modules)"
    )
    folder = photos(tmp_path / "photos", 2)
    subprocess.run([sys.executable, "-c", program, folder, tmp_path / "out"], check=True)
    assert pixels_of(tmp_path / "out").shape == (2, 8, 8, 3)
