"""Where a job's things lie in S3: a prefix a project, and in it a folder a job."""

import json

from facegan.cloud.absent import NO_OBJECT
from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.s3_place import Place
from facegan.errors import CloudError

MAX_MANIFEST_BYTES = 2**28


def folder(address: str) -> str:
    """An address with the slash that ends it: without, SageMaker takes its neighbours too.

    A channel is every key that begins with the address: cats, and cats2 as well.
    """
    return address if address.endswith("/") else address + "/"


def jobs_folder(bucket: str, project: str) -> str:
    """The prefix below which SageMaker makes a folder for each of a project's jobs."""
    return f"s3://{bucket}/{project}/jobs"


def checkpoints_of(bucket: str, project: str, job: str) -> str:
    """A job's checkpoint folder, which is its run's."""
    return f"{jobs_folder(bucket, project)}/{job}/checkpoints"


def output_archive(output: str, job: str) -> Place:
    """Where SageMaker puts the files that a job left beside its model."""
    return Place.read(output).at(f"{job}/output/output.tar.gz")


def read_resolution(aws: Aws, address: str) -> int | None:
    """Return the resolution that a data set's dataset.json gives; None where there is no such file.

    Raises:
        CloudError: the file cannot be read.
    """
    place = Place.read(address)
    request = {"Bucket": place.bucket, "Key": f"{place.below}dataset.json"}
    try:
        body = aws.ask(Call("s3", "GetObject", request, address))["Body"].read(MAX_MANIFEST_BYTES)
        found = json.loads(body).get("resolution")
    except CloudError as error:
        if error.code in NO_OBJECT:
            return None
        raise
    except (ValueError, RecursionError, AttributeError):  # the container says what is wrong with it
        return None
    return found if type(found) is int else None


def check_pictures(aws: Aws, address: str) -> None:
    """Refuse a prefix below which nothing lies, before instances are paid that would find that.

    Raises:
        ConfigError: it is no address on S3.
        CloudError: it is empty, or cannot be listed.
    """
    place = Place.read(address)
    prefix = place.below if address.endswith("/") else place.prefix  # a folder, or any beginning
    request = {"Bucket": place.bucket, "Prefix": prefix, "MaxKeys": 1}
    if not aws.ask(Call("s3", "ListObjectsV2", request, address)).get("Contents"):
        hint = f"Upload the data set: `facegan cloud upload DIR {address}`."
        raise CloudError(f"There is nothing at {address}.", hint, "NoSuchKey")
