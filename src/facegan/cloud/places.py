"""Where a job's things lie in S3: a prefix a project, and in it a folder a job."""

from dataclasses import dataclass

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.errors import CloudError, ConfigError


@dataclass(frozen=True)
class Place:
    """An address in S3, in the two parts that S3's API takes."""

    bucket: str
    key: str

    @classmethod
    def of(cls, address: str) -> "Place":
        """Read ``s3://bucket/key``.

        Raises:
            ConfigError: it is none.
        """
        bucket, _, key = address.removeprefix("s3://").partition("/")
        if not address.startswith("s3://") or not bucket:
            raise ConfigError(f"{address!r} is no address in S3.", "Write s3://bucket/prefix.")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> "Place":
        return Place(self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"))


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
    return Place.of(output) / f"{job}/output/output.tar.gz"


def check_pictures(aws: Aws, address: str) -> None:
    """Refuse a prefix below which nothing lies, before instances are paid that would find that.

    Raises:
        CloudError: it is empty, or cannot be listed.
    """
    place = Place.of(address)
    request = {"Bucket": place.bucket, "Prefix": place.key, "MaxKeys": 1}
    if not aws.ask(Call("s3", "ListObjectsV2", request, address)).get("Contents"):
        hint = f"Upload the data set: `facegan cloud upload DIR {address}`."
        raise CloudError(f"There is nothing at {address}.", hint, "NoSuchKey")
