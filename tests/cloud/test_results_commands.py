"""`facegan cloud metrics` and `fetch`: figures from where they are, and a run's folder from S3."""

import gzip
import io
import json
import re
import tarfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from described_jobs import BEGUN, described
from strict_aws import StrictAws, refusal

from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.cloud.results import shape
from facegan.cloud.aws import Aws
from facegan.cloud.downloading import ASIDE, Download, remote_at
from facegan.cloud.figures import tick_points
from facegan.cloud.job_record import UNPACKED, unpack_record
from facegan.cloud.model_registry import card_of
from facegan.cloud.s3_place import Place
from facegan.errors import ArtifactError, CloudError

TICKS = "".join(
    json.dumps({"kimg": k, "generator": 1 / k, "kid_lite0": k / 8, "variety": 0.9,
                "images_per_second": 50, "train_seconds": k, "time": 0.0}) + "\n"
    for k in (1, 2, 4)
) + '{"kimg": 5, "gener'  # fmt: skip
PLACE = Place("my-bucket", "big.bin")


def run(*words: str) -> int:
    return run_safely(facegan, ["cloud", *words])


class Body(io.BytesIO):
    """As botocore's: read at once, or in blocks, after some of which the connection may be lost."""

    def __init__(self, content: bytes, blocks: int | None = None) -> None:
        super().__init__(content)
        self.blocks = blocks

    def read(self, size: int | None = -1, /) -> bytes:
        if self.blocks is None:
            return super().read(size)
        if self.blocks == 0:
            raise ReadTimeoutError(endpoint_url="https://s3")
        self.blocks -= 1
        return super().read(4)


# --- metrics ------------------------------------------------------------------------------------


@pytest.fixture
def ticked(strict: StrictAws) -> StrictAws:
    strict.answers |= {
        "DescribeTrainingJob": described(),
        "GetObject": lambda request: {"Body": Body(TICKS.encode())},
    }
    return strict


def test_figures_are_read_from_the_checkpoint_folder(
    ticked: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("metrics", "faces-1") == 0
    told = capsys.readouterr().out
    assert re.search(r"generator +1 +0.25 +0.25 +1 +█▃▁", told)
    assert "kimg 4; from s3://my-bucket/faces/jobs/faces-1/checkpoints/metrics.jsonl" in told
    assert ticked.request("GetObject")["Key"] == "faces/jobs/faces-1/checkpoints/metrics.jsonl"


def test_a_tuned_jobs_figures_are_in_its_own_part_of_the_folder(ticked: StrictAws) -> None:
    ticked.answers["DescribeTrainingJob"] = described(TuningJobArn="arn")
    assert run("metrics", "faces-1") == 0
    key = ticked.request("GetObject")["Key"]
    assert key == "faces/jobs/faces-1/checkpoints/faces-1/metrics.jsonl"


def test_all_points_for_programs(ticked: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("metrics", "faces-1", "--json", "--figure", "kid_lite0") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["along"] == "kimg"
    assert told["points"] == {"kid_lite0": [[1, 0.125], [2, 0.25], [4, 0.5]]}


def test_an_unknown_figure_is_answered_with_the_nearest(
    ticked: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("metrics", "faces-1", "--figure", "kid_lite") == 2
    assert "Did you mean kid_lite0" in " ".join(capsys.readouterr().err.split())


def test_the_removed_drawing_of_curves_names_what_replaces_it(
    strict: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("metrics", "faces-1", "--out", "curves.svg") == 2
    assert "facegan cloud fetch" in " ".join(capsys.readouterr().err.split())


def test_without_a_file_cloudwatch_is_asked(
    ticked: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    ticked.answers["GetObject"] = refusal("NoSuchKey")
    start = BEGUN + timedelta(minutes=3)
    times = [start + timedelta(minutes=it) for it in (1, 2)]
    answer = {"Id": "m0", "Timestamps": times, "Values": [30.0, 40.0]}
    ticked.answers["GetMetricData"] = {"MetricDataResults": [answer]}
    assert run("metrics", "faces-1", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["points"] == {"images_per_second": [[1, 30], [2, 40]]}
    query = ticked.request("GetMetricData")["MetricDataQueries"][0]["MetricStat"]["Metric"]
    assert query == {
        "Namespace": "/aws/sagemaker/TrainingJobs",
        "MetricName": "images_per_second",
        "Dimensions": [{"Name": "TrainingJobName", "Value": "faces-1"}],
    }


def test_else_the_last_values_are_shown(
    ticked: StrictAws, capsys: pytest.CaptureFixture[str]
) -> None:
    last = [{"MetricName": "kid_lite0", "Value": 0.25, "Timestamp": BEGUN}]
    job = described(CheckpointConfig={}, FinalMetricDataList=last)
    ticked.answers |= {"DescribeTrainingJob": job, "GetMetricData": {}}
    assert run("metrics", "faces-1") == 0
    assert "from SageMaker's last values" in capsys.readouterr().out


def test_no_figures_are_said(ticked: StrictAws, capsys: pytest.CaptureFixture[str]) -> None:
    ticked.answers |= {"GetObject": refusal("NoSuchKey"), "GetMetricData": {}}
    assert run("metrics", "faces-1") == 9
    assert "has no figures yet. " in " ".join(capsys.readouterr().err.split()) + " "


@pytest.mark.parametrize("line", ["", "{", "[1]", '{"generator": 1}', '{"kimg": "x"}', "7"])
def test_what_is_no_tick_has_no_points(line: str) -> None:
    assert tick_points(line) == {}


def test_a_long_curve_is_as_wide_as_a_line() -> None:
    assert len(shape(list(range(1000)))) == 32
    assert shape([1, 1]) == "▁▁"


# --- fetch --------------------------------------------------------------------------------------


def archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


RECORD = archive({"run.json": b"{}", "samples/a.png": b"p", "report.html": b"<p>"})
JOBS = "faces/jobs/faces-1/output/"


@pytest.fixture
def made(aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model_dir: Path) -> Aws:
    """A finished job's objects, on moto, which knows of no jobs that made them."""
    s3 = aws.client("s3")
    s3.create_bucket(
        Bucket="my-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    model = (model_dir / "model.tar.gz").read_bytes()
    for name, content in (("model.tar.gz", model), ("output.tar.gz", RECORD)):
        s3.put_object(Bucket="my-bucket", Key=JOBS + name, Body=content)
    monkeypatch.setattr("facegan.cli.cloud.desk.Aws", lambda *_: aws)
    monkeypatch.setattr("facegan.cli.cloud.results.describe", lambda ask, name: described())
    monkeypatch.chdir(tmp_path)
    return aws


def test_a_job_is_fetched_as_a_runs_folder(
    made: Aws, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fetch", "faces-1") == 0
    folder = tmp_path / "runs/faces-1"
    there = sorted(it.name for it in folder.iterdir())
    assert there == ["job.json", "model.tar.gz", "report.html", "run.json", "samples"]
    assert (folder / "samples/a.png").read_bytes() == b"p"
    told = capsys.readouterr().out
    assert "runs/faces-1/report.html: open it" in told
    assert "facegan generate runs/faces-1/model.tar.gz" in told
    assert run("fetch", "faces-1") == 0  # again: the same
    assert "model.tar.gz is there already" in capsys.readouterr().out


def test_a_job_without_a_record_gives_its_model(
    made: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    made.client("s3").delete_object(Bucket="my-bucket", Key=JOBS + "output.tar.gz")
    assert run("fetch", "faces-1", "--out", "here") == 0
    assert "left no record" in capsys.readouterr().out


def test_a_folder_of_something_else_is_left_alone(
    made: Aws, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/mine.txt").write_text("mine")
    assert run("fetch", "faces-1", "--out", "here") == 1
    assert "here holds something else. Name another --out." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (described("InProgress"), "is still running.*cloud attach"),
        (described("Failed", FailureReason="Broken."), "has no model: Failed. Broken.*download s3"),
        (described("Stopped"), "has no model: Stopped.*cloud resume faces-1"),
    ],
)
def test_a_job_without_a_model_is_told(
    strict: StrictAws, capsys: pytest.CaptureFixture[str], job: dict[str, Any], told: str
) -> None:
    strict.answers["DescribeTrainingJob"] = job
    assert run("fetch", "faces-1") == 9
    assert re.search(told, capsys.readouterr().err, re.DOTALL)


def breaking(content: bytes, blocks: int | None) -> Any:
    """An object whose connection is lost after so many blocks of four bytes, each time."""

    def get(request: dict[str, Any]) -> dict[str, Any]:
        start = int(request.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        return {"Body": Body(content[start:], blocks)}

    head = {"ContentLength": len(content), "ETag": '"abc-1"'}
    return StrictAws(HeadObject=head, GetObject=get)


def fetch_one(aws: Any, file: Path) -> bytes:
    remote = remote_at(aws, PLACE, file)
    Download(aws, PLACE, patience=0).fetch([remote], [remote], file)
    return file.read_bytes()


def test_a_connection_may_be_lost_as_often_as_it_brings_something(tmp_path: Path) -> None:
    content = b"0123456789" * 4
    aws = breaking(content, 1)
    assert fetch_one(aws, tmp_path / "f") == content
    ranges = [call.request.get("Range") for call in aws.asked if call.action == "GetObject"]
    assert ranges == [None, *(f"bytes={start}-" for start in range(4, 40, 4))]
    assert [it.name for it in tmp_path.iterdir()] == ["f"]


def test_an_interrupted_fetch_goes_on_by_the_same_command(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="give the same command again"):
        fetch_one(breaking(b"0123456789", 0), tmp_path / "f")
    (partial,) = (tmp_path / ASIDE).iterdir()
    partial.write_bytes(b"01234")
    aws = breaking(b"0123456789", None)
    assert fetch_one(aws, tmp_path / "f") == b"0123456789"
    assert aws.request("GetObject")["Range"] == "bytes=5-"


def test_an_empty_object_is_an_empty_file(tmp_path: Path) -> None:
    assert fetch_one(breaking(b"", None), tmp_path / "f") == b""


def test_a_model_on_s3_tells_its_card_without_staying_here(made: Aws) -> None:
    assert card_of(made, f"s3://my-bucket/{JOBS}model.tar.gz")["family"] == "dcgan"
    with pytest.raises(CloudError, match=r"other\.tar\.gz does not exist.*s3 ls s3://my-bucket/"):
        card_of(made, f"s3://my-bucket/{JOBS}other.tar.gz")


@pytest.mark.parametrize("name", ["../out", "/etc/out"])
def test_a_record_that_would_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "output.tar.gz").write_bytes(archive({"run.json": b"{}", name: b"x"}))
    with pytest.raises(ArtifactError, match="would escape its folder"):
        unpack_record(tmp_path / "output.tar.gz", tmp_path)
    assert [it.name for it in tmp_path.iterdir()] == ["output.tar.gz"]


def test_a_record_replaces_files_by_folders_and_folders_by_files(tmp_path: Path) -> None:
    (tmp_path / "samples").write_text("a file")
    (tmp_path / "run.json").mkdir()
    (tmp_path / "output.tar.gz").write_bytes(archive({"run.json": b"{}", "samples/a.png": b"x"}))
    assert unpack_record(tmp_path / "output.tar.gz", tmp_path) == ["run.json", "samples"]
    assert (tmp_path / "run.json").is_file() and (tmp_path / "samples/a.png").is_file()


def test_a_record_does_not_hold_the_folder_it_is_unpacked_in(tmp_path: Path) -> None:
    (tmp_path / "output.tar.gz").write_bytes(archive({UNPACKED: b"x", "run.json": b"{}"}))
    with pytest.raises(ArtifactError, match="no job writes"):
        unpack_record(tmp_path / "output.tar.gz", tmp_path)
    assert [it.name for it in tmp_path.iterdir()] == ["output.tar.gz"]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "output.tar.gz").write_bytes(gzip.compress(b"x" * 9999)[:-9])
    with pytest.raises(ArtifactError, match=r"is not a readable archive: .*Delete it"):
        unpack_record(tmp_path / "output.tar.gz", tmp_path)
