"""A job's figures over time: those its run wrote into S3, else CloudWatch's, else the last ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from facegan.cloud.absent import NO_OBJECT
from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.job_status import Description
from facegan.cloud.s3_place import Place
from facegan.errors import CloudError
from facegan.files import parse_json
from facegan.tick_line import TICK_METRICS, read_tick

NAMESPACE = "/aws/sagemaker/TrainingJobs"
MAX_BYTES = 64 << 20  # a tick is some 500 bytes
OF_TIME = ("kimg", "train_seconds", "time")  # where a tick is, not how it goes


@dataclass(frozen=True)
class Curves:
    """Figures over how far a run had come.

    Args:
        source: Where they are from, for people.
        along: What the first number of a point is, with its unit: "kimg", "minutes".
        points: name → (how far, value), rising; finite.
    """

    source: str
    along: str
    points: Mapping[str, Sequence[tuple[float, float]]]


def curves_of(aws: Aws, job: Description) -> Curves:
    """The best figures that can be had of a job.

    Raises:
        CloudError: they cannot be read, or there are none yet.
    """
    for look in (written_curves, watched_curves, last_figures):
        found = look(aws, job)
        if found and found.points:
            return found
    hint = "The first come with its first tick; `facegan cloud attach` shows how far it is."
    raise CloudError(f"The job {job['TrainingJobName']} has no figures yet.", hint)


def written_curves(aws: Aws, job: Description) -> Curves | None:
    """What the run itself has written, tick by tick: metrics.jsonl in its checkpoint folder."""
    address = job.get("CheckpointConfig", {}).get("S3Uri")
    if not address:
        return None
    own = f"{job['TrainingJobName']}/" if job.get("TuningJobArn") else ""  # its part of the folder
    place = Place.read(address).at(f"{own}metrics.jsonl")
    try:
        answer = aws.ask(
            Call("s3", "GetObject", {"Bucket": place.bucket, "Key": place.prefix}, str(place))
        )
    except CloudError as error:
        if error.code in NO_OBJECT or error.code.startswith("AccessDenied"):
            return None
        raise
    points: dict[str, list[tuple[float, float]]] = {}
    for line in answer["Body"].read(MAX_BYTES).decode(errors="replace").splitlines():
        for name, at in tick_points(line).items():
            points.setdefault(name, []).append(at)
    return Curves(str(place), "kimg", points)


def tick_points(line: str) -> dict[str, tuple[float, float]]:
    """A line of metrics.jsonl as a point a figure; none of a line that is cut short."""
    try:
        tick = read_tick(parse_json(line))
    except ValueError:
        return {}
    return {name: (tick["kimg"], value) for name, value in tick.items() if name not in OF_TIME}


def watched_curves(aws: Aws, job: Description) -> Curves | None:
    """What CloudWatch has read from the job's lines: a value a minute, kept for fifteen months."""
    start = job.get("TrainingStartTime") or job.get("CreationTime")
    if start is None:
        return None
    names = [name for name in TICK_METRICS if name not in OF_TIME]
    end = job.get("TrainingEndTime") or job.get("LastModifiedTime") or start
    request = {
        "MetricDataQueries": [
            query(number, name, job["TrainingJobName"]) for number, name in enumerate(names)
        ],
        "StartTime": start - timedelta(minutes=1),
        "EndTime": end + timedelta(minutes=10),
        "ScanBy": "TimestampAscending",
    }
    points: dict[str, list[tuple[float, float]]] = {}
    asked = Call("cloudwatch", "GetMetricData", request, job["TrainingJobName"])
    for found in aws.pages(asked, "MetricDataResults"):
        name = names[int(found["Id"].removeprefix("m"))]
        for moment, value in zip(found["Timestamps"], found["Values"], strict=True):
            minutes = (moment - start).total_seconds() / 60
            points.setdefault(name, []).append((minutes, value))
    return Curves("CloudWatch", "minutes", points)


def query(number: int, name: str, job: str) -> dict[str, Any]:
    """One figure of a job as CloudWatch is asked for it."""
    metric = {
        "Namespace": NAMESPACE,
        "MetricName": name,
        "Dimensions": [{"Name": "TrainingJobName", "Value": job}],
    }
    stat = {"Metric": metric, "Period": 60, "Stat": "Average"}
    return {"Id": f"m{number}", "MetricStat": stat}


def last_figures(_: Aws, job: Description) -> Curves:
    """The last values alone, which SageMaker keeps with the job."""
    points = {
        one["MetricName"]: [(0.0, float(one["Value"]))]
        for one in job.get("FinalMetricDataList", ())
        if math.isfinite(one["Value"])
    }
    return Curves("SageMaker's last values", "the end", points)
