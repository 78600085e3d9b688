"""Packed data that is changed, damaged or truncated is refused, before a run or during it."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from facegan.cli.__main__ import facegan, run_safely
from facegan.data import ImageFolderDataset, PackedDataset
from facegan.data import packed_files as formats
from facegan.data.packed_files import PackedPixels, write_packed
from facegan.errors import DatasetError
from facegan.training import Trainer, verified
from facegan.training.checkpoint import TENSORS_NAME, list_checkpoints

WORDS = ["--preset", "tiny", "--batch-size", "8", "--precision", "fp32", "--tick-kimg", "0.008"]
SHARD = "images/00001.npy"


def train(*words: object) -> int:
    return run_safely(facegan, ["train", *map(str, words)])


@pytest.fixture
def data(dataset: ImageFolderDataset, tmp_path: Path) -> Path:
    write_packed(tmp_path / "data", dataset.images[:32, :8, :8], images_per_shard=10)
    return tmp_path / "data"


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Path:
    assert train("--data", data, "--out", tmp_path / "run", *WORDS, "--total-kimg", "0.016") == 0
    return tmp_path / "run"


def change_pixel(data: Path) -> None:
    """Flip one bit of one pixel, in place."""
    with (data / SHARD).open("r+b") as stream:
        stream.seek(-1, 2)
        byte = stream.read(1)[0]
        stream.seek(-1, 2)
        stream.write(bytes([byte ^ 1]))


def change_unseen(data: Path) -> None:
    """Do the same, and restore size and time."""
    before = (data / SHARD).stat()
    change_pixel(data)
    os.utime(data / SHARD, ns=(before.st_atime_ns, before.st_mtime_ns))


def change_with_digest(data: Path) -> None:
    """Do the same, and update the file's digest in the manifest."""
    change_pixel(data)
    manifest = json.loads((data / "dataset.json").read_text())
    digest = hashlib.sha256((data / SHARD).read_bytes()).hexdigest()
    manifest["shards"][1]["sha256"] = digest
    (data / "dataset.json").write_text(json.dumps(manifest))


def exchange(data: Path) -> None:
    """Exchange the names of two shards."""
    one, two = data / SHARD, data / "images/00000.npy"
    one.rename(data / "aside"), two.rename(one), (data / "aside").rename(two)


CHANGES = [change_pixel, change_unseen, change_with_digest, exchange]


@pytest.mark.parametrize("change", CHANGES)
def test_pixels_changed_since_the_start_are_refused(
    data: Path, run: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], None]
) -> None:
    change(data)
    before = [(c, (c / TENSORS_NAME).read_bytes()) for c in list_checkpoints(run / "checkpoints")]
    assert train("--out", run, "--resume", "--total-kimg", "0.032") == 3
    printed = capsys.readouterr().err
    named = SHARD if change is not change_with_digest else "dataset.json"
    assert named in printed and str(data) in printed and "Traceback" not in printed
    assert before == [(c, (c / TENSORS_NAME).read_bytes())
                      for c in list_checkpoints(run / "checkpoints")]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_damaged_pixels_are_refused_at_the_start(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], None],
) -> None:  # fmt: skip
    change(data)
    assert train("--data", data, "--out", tmp_path / "run", *WORDS) == 3
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", range(6, 128, 7))
def test_a_damaged_header_of_a_shard_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: int
) -> None:
    """Any bit of any byte: NumPy parses a Python literal, which fails in many ways."""
    whole = (data / SHARD).read_bytes()
    for bit in (1, 2, 8, 16, 128):
        damaged = bytearray(whole)
        damaged[place] ^= bit
        (data / SHARD).write_bytes(damaged)
        assert train("--data", data, "--out", tmp_path / "run", *WORDS) == 3
        printed = capsys.readouterr().err
        assert SHARD in printed and "Traceback" not in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("file", [SHARD, "dataset.json"])
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda p: p.symlink_to("/dev/zero")],
                         ids=["pipe", "folder", "device"])  # fmt: skip
def test_special_files_do_not_block(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str,
    make: Callable[[Path], object],
) -> None:  # fmt: skip
    (data / file).unlink()
    make(data / file)
    assert train("--data", data, "--out", tmp_path / "run", *WORDS) == 3
    assert str(data / file) in capsys.readouterr().err


@pytest.mark.parametrize("facts", [
    {"protocol": 3}, {"companions": [1]}, {"skipped": "x"}, {"skipped": -1}, {"channels": "x"},
    {"splits": 3}, {"shards": 3}, {"images": 10**30},
], ids=repr)  # fmt: skip
def test_a_wrong_manifest_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], facts: dict[str, object]
) -> None:
    manifest = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps(manifest | facts))
    assert train("--data", data, "--out", tmp_path / "run", *WORDS) == 3
    assert "dataset.json" in capsys.readouterr().err


@pytest.mark.parametrize("name", [3, None, "", "\0", "x" * 9999, "\ud800", "caf\udce9"], ids=ascii)
def test_a_run_accepts_data_of_any_name(data: Path, tmp_path: Path, name: object) -> None:
    """A name that a card or run.json could not hold would fail hours later."""
    manifest = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps(manifest | {"name": name}))
    out = tmp_path / "run"
    assert train("--data", data, "--out", out, *WORDS, "--total-kimg", "0.008") == 0
    assert train("--out", out, "--resume", "--total-kimg", "0.016") == 0


def test_another_resolution_than_the_packed_one_is_refused_without_torch(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "facegan.training.run.complete_spec", lambda *_: pytest.fail("it needs torch")
    )
    words = ["--data", data, "--out", tmp_path / "run", "--resolution", 16]
    assert train(*words) == 3
    assert "is packed at 8 px, not at 16" in capsys.readouterr().err


def test_held_out_pixels_are_verified_too(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = Path(shutil.copytree(data, tmp_path / "held-out"))
    change_pixel(held_out)
    words = ["--evaluate-data", held_out, "--evaluate-kimg", 1, "--evaluate-samples", 8]
    assert train("--data", data, "--out", tmp_path / "run", *WORDS, *words) == 3
    assert f"{held_out} are damaged: {SHARD}" in capsys.readouterr().err


def test_unchanged_files_are_verified_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    whole = PackedPixels.verify
    monkeypatch.setattr(
        PackedPixels, "verify", lambda self, *rest: (seen.append(self.folder), whole(self, *rest))
    )
    out = tmp_path / "run"
    monkeypatch.setattr(verified, "SETTLED_SECONDS", 60)  # new files may change unseen
    assert train("--data", data, "--out", out, *WORDS, "--total-kimg", "0.008") == 0
    assert json.loads((out / "run.json").read_text())["verified"] == []
    monkeypatch.setattr(verified, "SETTLED_SECONDS", -1)
    assert train("--out", out, "--resume", "--total-kimg", "0.016") == 0
    assert len(seen) == 2
    assert train("--out", out, "--resume", "--total-kimg", "0.024") == 0
    assert len(seen) == 2
    time.sleep(0.01)
    (data / SHARD).touch()
    assert train("--out", out, "--resume", "--total-kimg", "0.032") == 0
    assert len(seen) == 3


# --- while it is read -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1000])
@pytest.mark.parametrize("max_open", [256, 0])
def test_a_shard_truncated_while_open_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch, size: int, max_open: int
) -> None:
    """A mapped file would kill this process by SIGBUS."""
    monkeypatch.setattr(formats, "MAX_OPEN_SHARDS", max_open)
    packed = PackedDataset(data)
    before = packed.read(torch.arange(32))
    os.truncate(data / SHARD, size)
    assert torch.equal(packed.read(torch.tensor([9, 20])), before[[9, 20]])
    with pytest.raises(DatasetError, match=rf"{SHARD} cannot be read: it was truncated"):
        packed.read(torch.tensor([19]))


def test_a_run_with_a_truncated_shard_fails_and_resumes_with_a_restored_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    whole, step = (data / SHARD).read_bytes(), Trainer.step

    def cutting(trainer: Trainer) -> None:
        if trainer.images_seen == 16:
            os.truncate(data / SHARD, 200)
        step(trainer)

    out, words = tmp_path / "run", [*WORDS, "--total-kimg", "0.04"]
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", cutting)
        assert train("--data", data, "--out", out, *words) == 3
    printed = capsys.readouterr().err
    assert f"{SHARD} cannot be read: it was truncated while in use" in printed
    assert "Traceback" not in printed
    assert train("--out", out, "--resume") == 3  # still short: named before a step
    (data / SHARD).write_bytes(whole)
    assert train("--out", out, "--resume") == 0
    assert train("--data", data, "--out", tmp_path / "quiet", *words) == 0
    one, two = ((p / "model" / "generator.safetensors").read_bytes()
                for p in (out, tmp_path / "quiet"))  # fmt: skip
    assert one == two


def test_a_changed_shard_of_a_stream_is_refused_when_it_is_read(data: Path, tmp_path: Path) -> None:
    """The tar and its images are valid; only the digest differs."""
    pytest.importorskip("webdataset", reason="the extra `streaming` is not installed")
    from facegan.data.streamed import StreamedDataset, write_streamed, write_tar

    images = np.asarray(PackedDataset(data).read(torch.arange(32)).permute(0, 2, 3, 1))
    write_streamed(tmp_path / "stream", images, images_per_shard=10)
    found = StreamedDataset(tmp_path / "stream").read(torch.arange(32))
    assert torch.equal(found.permute(0, 2, 3, 1), torch.from_numpy(images))
    images[15] ^= 1
    write_tar(tmp_path / "stream", 1, 10, images[10:20])
    with pytest.raises(DatasetError, match=r"damaged: images/00001\.tar"):
        StreamedDataset(tmp_path / "stream").read(torch.tensor([12]))
