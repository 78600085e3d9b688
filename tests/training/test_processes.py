"""Real processes: they train one run together, and end together."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch
from free_ports import free_port
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from shared_run import RUNS, train_all

from facegan.artifact import load_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.errors import ConfigError, DatasetError, RunError
from facegan.gans import FAMILIES
from facegan.gans.batch_split import check_batch
from facegan.training.checkpoint import TENSORS_NAME, list_checkpoints
from facegan.training.distributed.dataset import check_unprepared
from facegan.training.distributed.launcher import Cluster, launch, prepare_environment
from facegan.training.distributed.process_group import ProcessGroup

TINY = ["--preset", "tiny", "--tick-kimg", "0.08", "--precision", "fp32"]


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """Restore the environment that a launcher changes."""
    with mock.patch.dict(os.environ):
        yield


def test_processes_change_nothing_but_the_last_bits(tmp_path: Path) -> None:
    """Every family, in double precision: weights, averages, moments, buffers and loss terms.

    Two processes with micro-batches, too, are compared with one process without.
    """
    file = tmp_path / "two.safetensors"
    program = Path(__file__).with_name("shared_run.py")
    assert launch([sys.executable, str(program), str(file)], 2)
    two, one = load_file(file), train_all()
    assert two.keys() == one.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-8, atol=1e-11, msg=name)
    assert {name.split("/")[0] for name in one} == set(RUNS)


def test_a_killed_stopped_and_resumed_run_equals_an_uninterrupted_one(
    images_dir: Path, tmp_path: Path
) -> None:
    """kill -9 of a process; SIGTERM to the launcher; torchrun for the uninterrupted run."""
    out, quiet = tmp_path / "out", tmp_path / "quiet"
    two = ["--total-kimg", "1000", "--processes", "2"]
    first = start("train", "--data", images_dir, "--out", out, *TINY, *two)
    wait_for_tick(out, 1)
    os.kill(workers_of(first)[1], signal.SIGKILL)
    killed = time.monotonic()
    complaint = first.communicate(timeout=60)[1]
    assert first.returncode == 4 and time.monotonic() - killed < 20
    assert "Rank 1 on localhost was killed by SIGKILL." in complaint and "--resume" in complaint
    assert "Traceback" not in complaint and "frame #" not in complaint

    second = start("train", "--out", out, "--resume", *two)
    wait_for_tick(out, len(ticks(out)) + 1)
    second.send_signal(signal.SIGTERM)
    said, complaint = second.communicate(timeout=60)
    assert second.returncode == 0 and "Stopped at" in said, complaint

    images = list_checkpoints(out / "checkpoints")[-1].name.removeprefix("kimg-")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m",
                "facegan.cli", "train"]  # fmt: skip
    words = ["--data", images_dir, "--out", quiet, *TINY, "--total-kimg", images]
    subprocess.run([*torchrun, *map(str, words)], check=True, capture_output=True)
    assert state_of(out) == state_of(quiet)
    assert ticks(out) == ticks(quiet)[: len(ticks(out))]


def start(*words: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "facegan.cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ticks(out: Path) -> list[dict[str, float]]:
    """Return a run's log lines without their times."""
    file = out / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    timed = {"images_per_second", "wait_share", "train_seconds", "time"}
    return [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines]


def wait_for_tick(out: Path, count: int) -> None:
    """Wait until a number of ticks have their checkpoint."""
    until = time.monotonic() + 120
    while len(ticks(out)) < count or not list_checkpoints(out / "checkpoints"):
        assert time.monotonic() < until, "no tick came"
        time.sleep(0.02)


def workers_of(process: "subprocess.Popen[str]") -> list[int]:
    """Return the processes that a launcher has started, by rank."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return sorted(int(child) for child in children.split())


def state_of(out: Path) -> dict[str, bytes]:
    """Return the last checkpoint without the sums of an unfinished tick."""
    tensors = load_file(list_checkpoints(out / "checkpoints")[-1] / TENSORS_NAME)
    return {k: v.numpy().tobytes() for k, v in tensors.items() if not k.startswith("tally/")}


# --- hosts --------------------------------------------------------------------------------------

HOSTS = ["127.0.0.1", "127.0.0.2", "localhost"]
PROGRAM = Path(__file__).parents[2] / "container" / "training" / "train.py"


def test_three_hosts_with_unequal_shards_train_as_one_with_all_images(
    images_dir: Path, tmp_path: Path
) -> None:
    """41, 0 and 23 images, as from ShardedByS3Key, with SageMaker's configuration files."""
    os.environ |= {"FACEGAN_MEETING_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    images = sorted(images_dir.iterdir())
    shards = [images[:41], [], images[41:]]
    jobs = [start_host(tmp_path / host, host, shard)
            for host, shard in zip(HOSTS, shards, strict=True)]  # fmt: skip
    assert [job.wait(timeout=120) for job in jobs] == [0, 0, 0]
    leader = tmp_path / HOSTS[0]
    alone = tmp_path / "alone"
    words = ["--data", images_dir, "--out", alone, *TINY, "--total-kimg", "0.03"]
    assert run_safely(facegan, ["train", *map(str, words), "--batch-size", "15"]) == 0
    facts = [json.loads((run / "run.json").read_text())["dataset"]
             for run in (alone, leader / "checkpoints")]  # fmt: skip
    assert facts[0]["digest"] == facts[1]["digest"] and facts[1]["images"] == 64
    one, three = (load_artifact(path).generator.state_dict()
                  for path in (alone / "model", leader / "model"))  # fmt: skip
    for name, value in one.items():
        torch.testing.assert_close(three[name], value, rtol=1e-3, atol=1e-4)
    assert not (tmp_path / HOSTS[2] / "model").exists()


def start_host(base: Path, host: str, images: list[Path]) -> "subprocess.Popen[bytes]":
    """Start one host of a training job, with its own /opt/ml."""
    config, data = base / "input" / "config", base / "input" / "data" / "training"
    config.mkdir(parents=True), data.mkdir(parents=True)
    for image in images:
        shutil.copy(image, data)
    cluster = {"hosts": HOSTS, "current_host": host}
    requested = {"preset": "tiny", "total_kimg": "0.03", "batch_size": "15", "precision": "fp32",
             "processes": "1"}  # fmt: skip
    (config / "resourceconfig.json").write_text(json.dumps(cluster))
    (config / "hyperparameters.json").write_text(json.dumps(requested))
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base)}
    return subprocess.Popen([sys.executable, PROGRAM], env=environment)


def test_shards_of_a_prepared_data_set_are_refused_on_the_host_with_its_manifest() -> None:
    shards = [{"prepared": False}, {"prepared": True}]
    with pytest.raises(DatasetError, match=r"dataset\.json is on algo-2"):
        check_unprepared(ProcessGroup(0, 2, 0, ("algo-1", "algo-2")), shards, Path("data"))


# --- the batch ----------------------------------------------------------------------------------


def test_an_indivisible_batch_is_refused_with_the_nearest_divisible_ones(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", images_dir, "--out", tmp_path / "out", "--preset", "tiny", "--processes", 3]
    assert run_safely(facegan, ["train", *map(str, words)]) == 2
    printed = capsys.readouterr().err
    assert "batch of 16 images cannot be divided among 3 processes" in printed
    assert "--batch-size to 15 or 18" in printed
    assert not (tmp_path / "out").exists()


@given(batch=st.integers(2, 200), processes=st.integers(1, 12))
def test_suggested_batches_are_divisible(batch: int, processes: int) -> None:
    for family in FAMILIES.values():
        preset = family.presets["tiny"]
        try:
            check_batch(family, preset, batch, processes)
        except ConfigError as refusal:
            smaller, larger = re.search(r"to (?:(\d+) or )?(\d+),", refusal.hint).groups()
            assert int(smaller or 0) < batch < int(larger)
            for size in (smaller, larger):
                check_batch(family, preset, int(size or larger), processes)
        else:
            assert batch % processes == 0


# --- the launcher -------------------------------------------------------------------------------


def run_two(program: str) -> bool:
    """Launch two processes of a small program, in which r is the rank."""
    program = f"import os, time; r = int(os.environ['RANK']); {program}"
    return launch([sys.executable, "-c", program], 2)


def test_a_rank_that_dies_at_start_is_named_and_ends_the_other() -> None:
    started = time.monotonic()
    with pytest.raises(RunError, match="Rank 1 on localhost failed with exit code 3"):
        run_two("time.sleep(60 * (1 - r)); os._exit(3)")
    assert time.monotonic() - started < 20


def test_the_cause_is_reported_and_not_its_consequences() -> None:
    """Rank 1 fails by itself but ends last; rank 0 fails because of it and ends first."""
    say = ("import signal; from pathlib import Path; from facegan.errors import *; "
           "from facegan.training.distributed.error_file import write_error as tell; "
           "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
           "file = Path(os.environ['TORCHELASTIC_ERROR_FILE']); time.sleep(0.5 * (1 - r)); "
           "tell(file, DatasetError('No images.', 'Draw some.') if r else PeerLost('Gone.')); "
           "time.sleep(2 * r); os._exit(1)")  # fmt: skip
    with pytest.raises(DatasetError, match=r"No images\. Draw some\."):
        run_two(say)


@pytest.mark.parametrize(("interface", "named"), [("lo", "lo"), ("ethwe", None)])
def test_an_existing_network_interface_is_set_for_torch(
    monkeypatch: pytest.MonkeyPatch, interface: str, named: str | None
) -> None:
    """SageMaker's exists; the SDK's ModelTrainer names ethwe in local mode, where it is eth0."""
    monkeypatch.setattr(os, "environ", {})
    prepare_environment(1, Cluster(("algo-1", "algo-2"), 0, interface, 7777))
    assert os.environ.get("GLOO_SOCKET_IFNAME") == os.environ.get("NCCL_SOCKET_IFNAME") == named


@pytest.mark.parametrize(
    ("hosts", "data", "expected"),
    [(1, "/data", "attempts:0"), (1, "s3://bucket/data", None), (2, "/data", None)],
)
def test_dns_is_off_on_a_single_host(
    monkeypatch: pytest.MonkeyPatch, hosts: int, data: str, expected: str | None
) -> None:
    """torch asks for the name of every address that it connects to, 127.0.0.1 too."""
    monkeypatch.setattr(os, "environ", {})
    cluster = Cluster(tuple(f"algo-{number}" for number in range(hosts)))
    prepare_environment(2, cluster, ["worker", json.dumps({"data": data})])
    assert os.environ.get("RES_OPTIONS") == expected


def test_processes_share_the_cores() -> None:
    os.environ.pop("OMP_NUM_THREADS", None)
    cores = len(os.sched_getaffinity(0))
    assert run_two(f"assert int(os.environ['OMP_NUM_THREADS']) == max({cores} // 2, 1)")
