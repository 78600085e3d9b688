"""Only one process trains in a run's folder, also after a kill."""

import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from facegan.artifact import load_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.errors import RunError
from facegan.training import run_lock
from facegan.training.run_lock import LOCK_NAME, check_free, locked, refuse_if_locked

WORDS = ["--preset", "tiny", "--resolution", "8", "--batch-size", "8", "--precision", "fp32"]


def train(*words: object) -> int:
    return run_safely(facegan, ["train", *map(str, words)])


def start(*words: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "facegan.cli", "train", *map(str, words)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "WAIT_SECONDS", 0.2)


def test_a_second_trainer_is_refused_and_a_killed_one_leaves_no_lock(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    out, copy = tmp_path / "run", tmp_path / "copy"
    first = start("--data", images_dir, "--out", out, *WORDS, "--total-kimg", 1000,
                  "--tick-kimg", 0.2)  # fmt: skip
    until = time.monotonic() + 60
    while not list(out.glob("checkpoints/kimg-*")):
        assert time.monotonic() < until and first.poll() is None
        time.sleep(0.05)
    for words in (["--data", images_dir, *WORDS], ["--resume"]):
        assert train("--out", out, *words) == 4
        printed = capsys.readouterr().err
        assert (
            f"{out} is in use: pid {first.pid} on host {socket.gethostname()!r} (since" in printed
        )
    shutil.copytree(out, copy)
    first.kill(), first.communicate()
    for run in (copy, out):
        assert train("--out", run, "--resume", "--max-minutes", "0.0001") == 0
        assert f"{run} was left by pid {first.pid}" in caplog.text
        assert (run / "model.tar.gz").exists() and not (run / LOCK_NAME).exists()


def test_of_two_that_start_together_one_trains(images_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--data", images_dir, "--out", out, *WORDS, "--total-kimg", 0.8, "--tick-kimg", 0.08]
    both = [start(*words, "--seed", seed) for seed in (1, 2)]
    printed = [process.communicate(timeout=120)[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 4]
    assert "Traceback" not in "".join(printed)
    seed = codes.index(0) + 1
    assert json.loads((out / "run.json").read_text())["training"]["seed"] == seed
    assert load_artifact(out / "model.tar.gz").card.training["seed"] == seed
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 10


def test_an_unused_folder_is_removed_again(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "new"
    with locked(folder):
        record = json.loads((folder / LOCK_NAME).read_text())
        assert record["pid"] == os.getpid() and record["host"] == socket.gethostname()
        assert abs(record["since"] - time.time()) < 60
        with pytest.raises(RunError, match=rf"in use: pid {os.getpid()} on host"):
            check_free(folder)
    assert list(tmp_path.iterdir()) == []
    folder.mkdir(parents=True)
    with locked(folder):
        pass
    assert list(folder.iterdir()) == []


def test_an_error_releases_the_lock(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(tmp_path):
            raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """Nor does it release it: workers may end before or after their launcher."""
    with locked(tmp_path):
        short = os.fork()
        if not short:
            os._exit(0)
        os.waitpid(short, 0)
        long = os.fork()
        if not long:
            time.sleep(60)
            os._exit(0)
        with pytest.raises(RunError, match="in use"):
            refuse_if_locked(tmp_path)
    try:
        with locked(tmp_path):
            pass
    finally:
        os.kill(long, signal.SIGKILL)
        os.waitpid(long, 0)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"[]",
        b'{"pid": "x"}',
        b"[" * 100_000,
        b"\xff",
        b'{"pid": 1, "host": "h", "since": 1e300}',
        b"x" * 9999,
    ],
)
def test_an_unlocked_file_with_any_content_is_free(
    tmp_path: Path, record: bytes, images_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / LOCK_NAME).write_bytes(record)
    check_free(tmp_path)
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == os.getpid()
    assert ("was left by another process" in caplog.text) == bool(record)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda file: file.symlink_to("/nowhere"),
                                  lambda file: file.symlink_to("/dev/null")],
                         ids=["folder", "pipe", "link", "device"])  # fmt: skip
def test_a_lock_that_is_not_a_file_is_named(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / LOCK_NAME)
    with pytest.raises(RunError, match=r"\.lock is not a file"), locked(tmp_path):
        pytest.fail("it is locked")
    with pytest.raises(RunError, match=r"\.lock is not a file"):
        check_free(tmp_path)


def test_a_held_lock_with_any_content_is_refused(tmp_path: Path) -> None:
    file = tmp_path / LOCK_NAME
    file.write_bytes(b"[1]")
    with file.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="in use: another process"), locked(tmp_path):
            pytest.fail("it is locked")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_logged(
    images_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, code: int,
) -> None:  # fmt: skip
    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    out = tmp_path / "run"
    assert train("--data", images_dir, "--out", out, *WORDS, "--total-kimg", "0.008") == 0
    assert f"The file system of {out} has no locks ({os.strerror(code)})" in caplog.text
    assert not (out / LOCK_NAME).exists()


def test_a_read_only_folder_is_reported_before_images_are_read(
    images_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("facegan.training.run.open_dataset", lambda *_: pytest.fail("read"))
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "run"
    assert train("--data", images_dir, "--out", out, *WORDS) == 4
    assert f"{out} cannot be written: not a directory" in capsys.readouterr().err


def test_the_main_process_owns_the_lock(images_dir: Path, tmp_path: Path) -> None:
    """When the launcher is killed, the processes end and release the lock."""
    out = tmp_path / "run"
    words = ["--data", images_dir, "--out", out, *WORDS, "--total-kimg", 1000, "--processes", 2]
    first = start(*words)
    until = time.monotonic() + 90
    while not (out / "run.json").exists():
        assert time.monotonic() < until and first.poll() is None
        time.sleep(0.05)
    owner = json.loads((out / LOCK_NAME).read_text())["pid"]
    assert owner != first.pid and Path(f"/proc/{owner}").exists()
    first.kill(), first.communicate()
    while Path(f"/proc/{owner}").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    refuse_if_locked(out)
