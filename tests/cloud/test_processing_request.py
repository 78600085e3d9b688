"""The request of a Processing job, and its command on two hosts, each a process of its own."""

import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from api_model import complaints
from PIL import Image

from facegan.cli.__main__ import facegan, run_safely
from facegan.cloud.processing_request import ProcessingJob
from facegan.data.prepare import check, merge, prepare
from facegan.errors import ConfigError, DatasetError

JOB: dict[str, Any] = {
    "name": "faces64",
    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/facegan-training:1",
    "role": "arn:aws:iam::123456789012:role/facegan",
    "output": "s3://bucket/parts",
    "instance_type": "ml.m5.xlarge",
}
WISH: dict[str, Any] = JOB | {"pictures": "s3://bucket/photos", "resolution": 8}
LOCAL: dict[str, Any] = WISH | {
    "image": "facegan-training:local",
    "instance_type": "local",
    "pictures": "file:///data/photos",
    "output": "file:///data/parts",
}
MOST: dict[str, Any] = WISH | {
    "options": ("--labels", "folders"), "instance_count": 2, "is_sharded": True, "volume_gb": 100,
    "max_run_seconds": 60, "environment": {"A": "1"}, "tags": {"project": "faces"},
}  # fmt: skip


@pytest.mark.parametrize("job", [
    ProcessingJob.preparing(**WISH), ProcessingJob.preparing(**MOST),
    ProcessingJob.merging(**JOB, parts="s3://bucket/parts"),
], ids=["least", "most", "merging"])  # fmt: skip
def test_the_request_is_one_that_the_api_takes(job: ProcessingJob) -> None:
    assert complaints("CreateProcessingJob", job.request()) == ""


def test_everything_that_was_asked_for_is_in_the_request() -> None:
    request = ProcessingJob.preparing(**MOST).request()
    assert request["AppSpecification"]["ContainerArguments"][-4:] == [
        "--shard", "auto", "--labels", "folders",
    ]  # fmt: skip
    (given,) = request["ProcessingInputs"]
    assert given["S3Input"]["S3DataDistributionType"] == "ShardedByS3Key"
    assert request["ProcessingResources"]["ClusterConfig"] == {
        "InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 100,
    }  # fmt: skip
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 60}
    assert request["NetworkConfig"] == {"EnableNetworkIsolation": True}
    assert request["Environment"] == {"A": "1"}
    assert request["Tags"] == [{"Key": "project", "Value": "faces"}]


def test_local_mode_is_sent_what_aws_would_be_but_for_places_image_and_type() -> None:
    cloud, local = (ProcessingJob.preparing(**wish).request() for wish in (WISH, LOCAL))
    texts = [json.dumps(request, sort_keys=True) for request in (cloud, local)]
    for name in ("image", "pictures", "output"):
        texts = [text.replace(WISH[name], "…").replace(LOCAL[name], "…") for text in texts]
    assert texts[0].replace('"ml.m5.xlarge"', '"local"') == texts[1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "a_b"}, "The processing job is named 'a_b'"),
        ({"image": ""}, "The image is ''"),
        ({"role": "me"}, "The role is 'me'"),
        ({"pictures": "file:///data"}, "only local mode reads this machine's files"),
        ({"output": "bucket"}, "output is 'bucket'"),
        ({"instance_type": "m5"}, "instance type is 'm5'"),
        ({"instance_count": 101}, "instance_count is 101. It must be from 1 to 100."),
        ({"volume_gb": 0}, "volume_gb is 0"),
        ({"max_run_seconds": 777601}, "max_run_seconds is 777601"),
        ({"environment": {"A": "x" * 257}}, "at most 256 characters"),
        ({"options": ("--labels", "x" * 257)}, "The option 'xxx"),
        ({"options": ("x",) * 100}, "The command has 108 words"),
    ],
)
def test_what_the_service_would_refuse_is_refused_here(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ProcessingJob.preparing(**WISH | change)
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_only_one_host_merges() -> None:
    with pytest.raises(ConfigError, match="instance_count of a merging job is 2"):
        ProcessingJob.merging(**JOB, parts="s3://bucket/parts", instance_count=2)


# --- its command, on hosts ----------------------------------------------------------------------


def make_photos(folder: Path, count: int = 9) -> Path:
    for number in range(count):
        file = folder / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (10, 12, 3), np.uint8)
        stream = BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        file.write_bytes(stream.getvalue())
    return folder


def in_container(words: list[str], base: Path) -> list[str]:
    return [word.replace("/opt/ml", str(base)) for word in words]


def lay_out_host(base: Path, request: dict[str, Any], host: str) -> list[str]:
    """What SageMaker writes into a host's container; the command it starts there."""
    count = request["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
    hosts = {"hosts": [f"algo-{k + 1}" for k in range(count)], "current_host": host}
    (base / "config").mkdir(parents=True)
    (base / "config/resourceconfig.json").write_text(json.dumps(hosts))
    told = json.dumps(request).replace("/opt/ml", str(base))
    (base / "config/processingjobconfig.json").write_text(told)
    (base / "processing/output").mkdir(parents=True)
    application = request["AppSpecification"]
    words = [*application["ContainerEntrypoint"], *application["ContainerArguments"]]
    assert words[:2] == ["entry", "python"]  # the image's own
    return [sys.executable, *in_container(words[2:], base)]


def files_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_one_command_on_two_hosts_makes_what_one_machine_does(tmp_path: Path) -> None:
    """Each in a process; their outputs go to one place; the merging job makes one set of it."""
    photos = make_photos(tmp_path / "photos")
    options = ("--labels", "folders", "--workers", "1")
    job = ProcessingJob.preparing(**WISH | {"instance_count": 2, "options": options})
    running = []
    for host in ("algo-1", "algo-2"):
        base = tmp_path / host
        command = lay_out_host(base, job.request(), host)
        (base / "processing/input").mkdir()
        (base / "processing/input/pictures").symlink_to(photos)
        variables = {**os.environ, "SAGEMAKER_BASE_DIR": str(base)}
        running.append(subprocess.Popen(command, env=variables, stdout=subprocess.PIPE))
    assert [process.wait(60) for process in running] == [0, 0]
    for process in running:
        assert process.stdout is not None
        process.stdout.close()
    base = tmp_path / "merging"
    merging = ProcessingJob.merging(**JOB, parts="s3://bucket/parts").request()
    command = lay_out_host(base, merging, "algo-1")
    (base / "processing/input/parts").mkdir(parents=True)
    for host in ("algo-1", "algo-2"):
        (part,) = (tmp_path / host / "processing/output").iterdir()
        part.rename(base / "processing/input/parts" / part.name)
    assert run_safely(facegan, command[3:]) == 0
    prepare(photos, tmp_path / "whole", 8, labels="folders", workers=1)
    assert files_of(base / "processing/output") == files_of(tmp_path / "whole")


@pytest.fixture
def sharded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three hosts' outputs, of whom one got no file; the third not even the folder."""
    options = ("--labels", "folders", "--workers", "1")
    wish = WISH | {"instance_count": 3, "is_sharded": True, "options": options}
    request = ProcessingJob.preparing(**wish).request()
    for number in range(3):
        base = tmp_path / str(number)
        command = lay_out_host(base, request, f"algo-{number + 1}")
        if number == 0:
            make_photos(base / "processing/input/pictures", 5)
        elif number == 1:
            (base / "processing/input/pictures").mkdir(parents=True)
        monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(base))
        assert run_safely(facegan, command[3:]) == 0
        (base / f"processing/output/part-{number:05d}").rename(tmp_path / f"part-{number:05d}")
    return tmp_path


def test_hosts_whose_share_is_empty_leave_empty_parts(
    sharded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are not divided by name once more, merged like others, and said to be empty."""
    parts = [sharded / f"part-{number:05d}" for number in range(3)]
    assert [check(part).manifest["images"] for part in parts] == [5, 0, 0]
    capsys.readouterr()
    assert run_safely(facegan, ["data", "check", str(parts[2])]) == 0
    assert "It is an empty part" in capsys.readouterr().out
    manifest = merge(parts[::-1], sharded / "merged")
    assert manifest["images"] == 5 and manifest["class_names"] == ["a", "b"]
    assert not check(sharded / "merged").problems
    with pytest.raises(DatasetError, match="part 2 is missing"):
        merge(parts[:2], sharded / "other")
    with pytest.raises(DatasetError, match="part 0 is missing"):
        merge(parts[2:], sharded / "other")
    assert not (sharded / "other").exists()


def test_labels_that_only_one_host_was_given_are_not_lost(tmp_path: Path) -> None:
    """A sharded input's dataset.json reaches one host; the others' pictures have no labels."""
    for number in range(2):
        folder = make_photos(tmp_path / str(number) / "photos", 3)
        if number == 0:
            labels = {"a/0.png": 0, "b/1.png": 1, "a/2.png": 0}
            (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
        prepare(folder, tmp_path / f"part-{number}", 8, workers=1, host=(number, 2))
    with pytest.raises(DatasetError, match="labels_from is 'none', not 'manifest'"):
        merge([tmp_path / "part-0", tmp_path / "part-1"], tmp_path / "merged")


def test_training_refuses_an_empty_part_and_says_what_it_is(
    sharded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--out", sharded / "run", "--preset", "tiny", "--resolution", 8]
    code = run_safely(facegan, ["train", "--data", *map(str, [sharded / "part-00001", *words])])
    said = capsys.readouterr().err
    assert code == 3 and "has no images: this part of a data set is empty" in said, said
    assert "facegan data merge" in said and "Traceback" not in said
    assert not (sharded / "run").exists()


def test_on_one_machine_auto_prepares_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path / "nothing"))
    source, out = make_photos(tmp_path / "photos", 3), tmp_path / "out"
    words = ["data", "prepare", source, "--out", out, "--resolution", 8, "--workers", 1, "--shard"]
    assert run_safely(facegan, [*map(str, words), "auto"]) == 0
    assert check(out).manifest["images"] == 3
    for wrong in (["auto", "--of", "2"], ["one", "--of", "2"], ["auto0"]):
        assert run_safely(facegan, [*map(str, words), *wrong]) == 2
