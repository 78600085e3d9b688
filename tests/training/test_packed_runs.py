"""Runs on packed shards equal those on the folder, also resumed and with several processes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from bits import assert_same, weights
from free_ports import free_port

from facegan.artifact import load_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.data import ImageFolderDataset, PackedDataset
from facegan.data.opening import single_images
from facegan.data.packed_files import PackedManifest, write_packed
from facegan.errors import ConfigError, DatasetError
from facegan.gans import Gan
from facegan.hyperparameters.run_spec import RunSpec
from facegan.training import Trainer, TrainingConfig
from facegan.training import run as run_module
from facegan.training.data_source import DataSource
from facegan.training.distributed.dataset import is_prepared, prepared_part
from facegan.training.distributed.process_group import ProcessGroup
from facegan.training.gpu_cache import GpuCache
from facegan.training.open_data import open_dataset as open_dataset_at
from facegan.training.run import Run, open_evaluation
from facegan.training.verified import VerifiedData

Build = Callable[..., Gan]
CONFIG = TrainingConfig(total_kimg=0.08, batch_size=8, precision="fp32", tick_kimg=0.04)
TINY = ["--preset", "tiny", "--tick-kimg", "0.032", "--precision", "fp32"]


@pytest.fixture(scope="module")
def packed(dataset: ImageFolderDataset, tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    folder = tmp_path_factory.mktemp("packed") / "data"
    write_packed(folder, dataset.images, [n % 2 for n in range(64)], images_per_shard=13)
    return PackedDataset(folder, 32)


def test_a_run_on_shards_equals_one_on_the_folder_also_resumed(
    tiny_gan: Build, dataset: ImageFolderDataset, packed: PackedDataset
) -> None:
    whole = Trainer(tiny_gan(), dataset, CONFIG)
    whole.run()
    first, second = (Trainer(tiny_gan(), packed, CONFIG) for _ in range(2))
    for _ in range(4):
        first.step()
    second.load_state(*first.state())
    second.run()
    assert_same(weights(whole), weights(second))


def test_cached_images_equal_those_on_the_disk(packed: PackedDataset) -> None:
    resident = GpuCache(packed, torch.device("cpu"))
    indices = torch.tensor([63, 0, 0, 12, 13])
    found, expected = resident.read(indices), packed.read(indices)
    assert torch.equal(found, expected) and found.stride() == expected.stride()


def test_the_gpu_cache_needs_a_gpu(tiny_gan: Build, packed: PackedDataset) -> None:
    config = CONFIG.model_copy(update={"data_on_gpu": "on", "device": "cpu"})
    with pytest.raises(ConfigError, match="computes on cpu"):
        Trainer(tiny_gan(), packed, config)


def test_a_run_on_streamed_shards_resumes_to_the_same_bits(
    tiny_gan: Build, dataset: ImageFolderDataset, tmp_path: Path
) -> None:
    pytest.importorskip("webdataset", reason="the extra `streaming` is not installed")
    from facegan.data.streamed import StreamedDataset, write_streamed

    write_streamed(tmp_path / "data", dataset.images, images_per_shard=6)
    whole, first, second = (
        Trainer(tiny_gan(), StreamedDataset(tmp_path / "data"), CONFIG) for _ in range(3)
    )
    whole.run()
    for _ in range(4):
        first.step()
    second.load_state(*first.state())
    second.run()
    assert_same(weights(whole), weights(second))


# --- the command ----------------------------------------------------------------------------------


def train(*words: object) -> int:
    return run_safely(facegan, ["train", *map(str, words)])


def test_a_run_resumes_on_its_packed_folder(
    images_dir: Path, packed: PackedDataset, tmp_path: Path
) -> None:
    """The digest is of the pixels, so it is the same run."""
    short, out = tmp_path / "short", tmp_path / "out"
    assert train("--data", images_dir, "--out", out, *TINY, "--total-kimg", "0.032") == 0
    resumed = ["--out", out, "--resume", "--data", packed.folder, "--total-kimg", "0.064"]
    assert train(*resumed) == 0
    assert train("--data", packed.folder, "--out", short, *TINY, "--total-kimg", "0.064") == 0
    one, two = ((run / "model" / "generator.safetensors").read_bytes() for run in (out, short))
    assert one == two


def test_another_resolution_is_refused_before_anything_is_made(
    packed: PackedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", packed.folder, "--out", tmp_path / "out", "--resolution", "16"]
    assert train(*words, *TINY) == 3
    assert "packed at 32 px, not at 16" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# --- processes and hosts --------------------------------------------------------------------------

HOSTS = ["127.0.0.1", "localhost"]
PROGRAM = Path(__file__).parents[2] / "container" / "training" / "train.py"


@pytest.fixture
def own_environment() -> Iterator[None]:
    """Restore the environment that a launcher changes."""
    with mock.patch.dict(os.environ):
        yield


def test_hosts_with_parts_of_a_packed_set_fail_with_the_fix(
    packed: PackedDataset, tmp_path: Path, own_environment: None
) -> None:
    """The manifest on one host, shards on the other, as with ShardedByS3Key."""
    os.environ |= {"FACEGAN_MEETING_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    names = sorted(p.relative_to(packed.folder) for p in packed.folder.rglob("*.*"))
    assert names[0] == Path("dataset.json")
    jobs = [start_host(tmp_path / host, host, packed.folder, part)
            for host, part in zip(HOSTS, (names[:1], names[1:]), strict=True)]  # fmt: skip
    assert [job.wait(timeout=120) for job in jobs[::-1]] == [1, 1]
    for host in HOSTS:
        reason = (tmp_path / host / "output" / "failure").read_text()
        assert "is missing on 127.0.0.1. Give every host the whole data set" in reason
        assert "FullyReplicated instead of ShardedByS3Key" in reason and "FastFile" in reason


def start_host(base: Path, host: str, source: Path, names: list[Path]) -> "subprocess.Popen[bytes]":
    """Start one host of a training job, its /opt/ml under a folder of its own."""
    config, data = base / "input" / "config", base / "input" / "data" / "training"
    config.mkdir(parents=True), data.mkdir(parents=True)
    for name in names:
        (data / name).parent.mkdir(exist_ok=True)
        shutil.copy(source / name, data / name)
    requested = {"preset": "tiny", "resolution": "32", "total_kimg": "0.03", "processes": "1"}
    (config / "resourceconfig.json").write_text(json.dumps({"hosts": HOSTS, "current_host": host}))
    (config / "hyperparameters.json").write_text(json.dumps(requested))
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base)}
    return subprocess.Popen([sys.executable, PROGRAM], env=environment)


@dataclass(frozen=True)
class TwoHosts(ProcessGroup):
    """Two hosts whose main processes have reported these folders."""

    parts: tuple[Any, ...] = ()

    def gather_json(self, value: Any) -> list[Any]:
        return list(self.parts)


def two_hosts(*folders: Path) -> TwoHosts:
    return TwoHosts(0, 2, 0, ("algo-1", "algo-2"), tuple(map(prepared_part, folders)))


def test_a_missing_shard_is_named_with_its_host(packed: PackedDataset, tmp_path: Path) -> None:
    shutil.copytree(packed.folder, tmp_path / "a")
    (tmp_path / "a" / "images" / "00002.npy").unlink()
    with pytest.raises(DatasetError, match=r"00002\.npy is missing on algo-2\. Give every host"):
        is_prepared(two_hosts(packed.folder, tmp_path / "a"), tmp_path / "a")


@pytest.mark.parametrize("first", [True, False])
def test_a_host_without_the_packed_set_is_named(
    packed: PackedDataset, tmp_path: Path, first: bool
) -> None:
    folders = (packed.folder, tmp_path) if first else (tmp_path, packed.folder)
    host = "algo-2" if first else "algo-1"
    with pytest.raises(DatasetError, match=rf"dataset\.json is missing on {host}\."):
        is_prepared(two_hosts(*folders), tmp_path)


def test_a_streamed_set_must_be_complete_too(packed: PackedDataset, tmp_path: Path) -> None:
    pytest.importorskip("webdataset", reason="the extra `streaming` is not installed")
    from facegan.data.streaming import stream_packed

    for name in ("a", "b"):
        stream_packed(packed.folder, tmp_path / name, images_per_shard=9)
    assert is_prepared(two_hosts(tmp_path / "a", tmp_path / "b"), tmp_path / "a")
    next((tmp_path / "b").rglob("*.tar")).unlink()
    with pytest.raises(DatasetError, match=r"\.tar is missing on algo-2"):
        is_prepared(two_hosts(tmp_path / "a", tmp_path / "b"), tmp_path / "a")


def test_hosts_with_different_data_sets_are_refused(
    packed: PackedDataset, dataset: ImageFolderDataset, tmp_path: Path
) -> None:
    other: PackedManifest = write_packed(tmp_path / "b", dataset.images[:10])
    assert other.digest != packed.digest
    with pytest.raises(DatasetError, match="on algo-2 is not the one on algo-1"):
        is_prepared(two_hosts(packed.folder, tmp_path / "b"), tmp_path)


def test_two_processes_read_the_shards_that_one_reads(
    packed: PackedDataset, tmp_path: Path, own_environment: None
) -> None:
    runs = tmp_path / "one", tmp_path / "two"
    for run, processes in zip(runs, ("1", "2"), strict=True):
        words = ["--data", packed.folder, "--out", run, *TINY, "--total-kimg", "0.032"]
        assert train(*words, "--processes", processes) == 0
    one, two = (load_artifact(run / "model").generator.state_dict() for run in runs)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4)


def test_a_conditional_preset_is_refused_where_the_first_host_has_no_labels(
    packed: PackedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The classes are read from manifest and labels before the rendezvous."""
    shutil.copytree(packed.folder, tmp_path / "data")
    (tmp_path / "data/labels.npy").unlink()
    words = ["--data", tmp_path / "data", "--out", tmp_path / "out", "--family", "r3gan"]
    assert train(*words, "--preset", "tiny-conditional") == 3
    assert "labels.npy cannot be read" in capsys.readouterr().err
    (tmp_path / "data/dataset.json").unlink()
    assert train(*words, "--preset", "tiny-conditional") == 3
    said = capsys.readouterr().err
    assert "holds no images" in said and "Traceback" not in said, said


# --- splits ---------------------------------------------------------------------------------------


def test_a_run_uses_the_split_train_prints_it_and_resumes_on_it_alone(
    packed: PackedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    images = packed.read(torch.arange(64)).permute(0, 2, 3, 1).numpy()
    write_packed(data, images, splits={"train": [0, 48], "test": [48, 64]})
    words = ["--data", data, "--out", out, *TINY, "--batch-size", "8"]
    assert train(*words, "--total-kimg", "0.032", "--split", "tset") == 3
    assert "Did you mean test?" in capsys.readouterr().err and not out.exists()
    assert train(*words, "--total-kimg", "0.032") == 0
    assert "48 images of 32 px" in (said := capsys.readouterr().out)
    assert "the split train (test left out; --split all takes all)" in said
    facts = json.loads((out / "run.json").read_text())["dataset"]
    assert (facts["split"], facts["images"]) == ("train", 48) and facts["digest"] != packed.digest
    assert load_artifact(out / "model").card.dataset["split"] == "train"
    more = ["--out", out, "--resume", "--total-kimg", "0.064"]
    assert train(*more, "--split", "test") == 2
    assert "split=train" in capsys.readouterr().err
    write_packed(tmp_path / "other", images, splits={"train": [0, 40]})
    assert train(*more, "--data", tmp_path / "other") == 4
    assert "The data is not what" in capsys.readouterr().err
    assert train(*more) == 0


def test_a_run_is_evaluated_against_another_split_of_its_data(
    tiny_gan: Build, packed: PackedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = packed.read(torch.arange(64)).permute(0, 2, 3, 1).numpy()
    write_packed(tmp_path / "data", images, splits={"train": [0, 48], "test": [48, 64]})
    seen: dict[str, Any] = {}
    gan = tiny_gan()
    monkeypatch.setattr(run_module, "Evaluation", lambda gan, images, config, **more: (
        seen.update(more, images=images)))  # fmt: skip
    place = DataSource(tmp_path / "data")
    dataset, config = open_dataset_at(place, 32), TrainingConfig(evaluate_kimg=1)
    for split, images_seen in (("test", 16), (None, 48), ("all", 64)):
        run = Run(spec=RunSpec(evaluate_split=split), out="")
        open_evaluation(run, gan, config, dataset, DataSource(Path()), VerifiedData())
        assert len(seen["images"]) == seen["about"]["images"] == images_seen
    spec = RunSpec(evaluate_data=str(tmp_path / "data"), evaluate_split="test")
    open_evaluation(Run(spec=spec, out=""), gan, config, packed, place, VerifiedData())
    assert seen["about"]["split"] == "test"


def test_a_report_shows_only_images_of_the_runs_split(
    packed: PackedDataset, tmp_path: Path
) -> None:
    images = packed.read(torch.arange(64)).permute(0, 2, 3, 1).numpy()
    write_packed(tmp_path / "data", images, splits={"train": [0, 48], "test": [48, 64]})
    places, read = single_images(tmp_path / "data", 32, "test")
    assert len(places) == 16 and (read(places[0]) == images[48]).all()
    assert len(single_images(tmp_path / "data", 32)[0]) == 64


def test_an_unknown_evaluation_split_is_refused_before_the_run(
    packed: PackedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", packed.folder, "--out", tmp_path / "out", *TINY, "--evaluate-split", "test"]
    assert train(*words, "--evaluate-kimg", "1") == 3
    assert "has no splits" in capsys.readouterr().err
    assert train(*words) == 2
    assert "Set how often" in capsys.readouterr().err and not (tmp_path / "out").exists()
