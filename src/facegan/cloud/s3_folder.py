"""A data set on S3: its small files copied once, its shards read when they are needed."""

import io
import logging
import time
from pathlib import Path
from typing import IO

from facegan.cloud.aws import Aws
from facegan.cloud.s3_pictures import S3Pictures
from facegan.errors import CloudError

logger = logging.getLogger(__name__)

ATTEMPTS, PAUSE_SECONDS = 4, 1.0  # boto3 repeats requests, but not an answer that breaks off


class S3Folder:
    """The objects below a prefix, opened by their names.

    Args:
        address: ``s3://bucket/prefix``.
        aws: Whose S3.

    Raises:
        CloudError: the address names no bucket.
        ConfigError: no bucket could have this name.
    """

    def __init__(self, address: str, aws: Aws) -> None:
        self.objects = S3Pictures(address, aws)

    def open(self, name: str) -> IO[bytes]:
        """An object's bytes, held in memory.

        Raises:
            CloudError: it is gone, or cannot be read; it is named.
        """
        place = self.objects.name + name
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return io.BytesIO(self.objects.read(self.objects.place.below + name))
            except FileNotFoundError as cause:
                raise CloudError(
                    f"{place} cannot be read: there is no such object, or it is archived.",
                    "Copy the data set there whole; it is not to change while a run reads it.",
                ) from cause
            except CloudError as cause:
                is_refusal = getattr(cause.__cause__, "response", None) is not None
                if is_refusal or attempt == ATTEMPTS:
                    raise CloudError(f"{place} cannot be read: {cause.message}", cause.hint) from (
                        cause.__cause__
                    )
                logger.warning("%s: %s Once more.", place, cause.message)
                time.sleep(PAUSE_SECONDS * attempt)
        raise AssertionError("the last attempt returns or raises")

    def copy(self, name: str, folder: Path) -> bool:
        """Copy an object into a folder; whether there is one of that name.

        Raises:
            CloudError: nothing can be read there.
        """
        content = self.objects.find(name)
        if content is not None:
            (folder / name).write_bytes(content)
        return content is not None
