"""Pictures below an S3 prefix: listed page by page, read by name, with AWS's errors in a line."""

from collections.abc import Callable, Iterator
from functools import partial

from facegan.cloud.aws import Aws, failed
from facegan.cloud.calls import Call
from facegan.cloud.s3_place import Place
from facegan.errors import CloudError

READERS = 32  # at once: a key takes some ten milliseconds, whatever its size
ABSENT = {"NoSuchKey", "404", "NotFound"}
ARCHIVED = "InvalidObjectState"  # in Glacier


class S3Pictures:
    """The objects below a prefix, as names and what reads them.

    Args:
        address: ``s3://bucket/prefix``.
        aws: Whose S3; it gets a connection for every reader.

    Raises:
        CloudError: the address names no bucket, or no region is known.
        ConfigError: no bucket could have this name.
    """

    def __init__(self, address: str, aws: Aws) -> None:
        self.place, self.aws = Place.read(address), aws
        aws.client("s3", max_pool_connections=READERS)

    @property
    def name(self) -> str:
        """The address, as it is understood."""
        return f"s3://{self.place.bucket}/{self.place.below}"

    def streams(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Every key in S3's order, which is that of its bytes, without the prefix.

        Raises:
            CloudError: the bucket cannot be listed.
        """
        for key in self.keys():
            yield key.removeprefix(self.place.below), partial(self.read, key)

    def keys(self) -> Iterator[str]:
        """A page of a thousand is held at a time."""
        request = {"Bucket": self.place.bucket, "Prefix": self.place.below}
        for found in self.aws.pages(Call("s3", "ListObjectsV2", request, self.name), "Contents"):
            if not found["Key"].endswith("/"):  # the console's "folders"
                yield str(found["Key"])

    def read(self, key: str) -> bytes:
        """An object's bytes.

        Raises:
            FileNotFoundError: it is gone, or archived: that picture alone is lost.
            CloudError: nothing can be read (credentials, network).
        """
        from botocore.exceptions import BotoCoreError

        request = {"Bucket": self.place.bucket, "Key": key}
        call = Call("s3", "GetObject", request, f"s3://{self.place.bucket}/{key}")
        try:
            content: bytes = self.aws.ask(call)["Body"].read()
            return content
        except CloudError as error:
            if error.code in ABSENT:
                raise FileNotFoundError("it vanished after it was listed") from error
            if error.code == ARCHIVED:
                raise FileNotFoundError("it is archived (Glacier), and not restored") from error
            raise
        except BotoCoreError as cause:  # while it was read
            raise failed(call, cause) from cause

    def find(self, name: str) -> bytes | None:
        """The bytes of a named object below the prefix; None where there is none."""
        try:
            return self.read(self.place.below + name)
        except FileNotFoundError:
            return None
