"""Where data lies: a folder, or ``s3://bucket/prefix`` that a streamed data set is read from."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from facegan.errors import DatasetError

S3 = "s3://"


@dataclass(frozen=True)
class Place:
    """A folder, and how files of it are opened that do not lie in it."""

    folder: Path
    open_file: Callable[[str], IO[bytes]] | None = None


def absolute(data: str) -> str:
    """The same place, whatever the working folder is."""
    return data if data.startswith(S3) else str(Path(data).resolve())


@contextmanager
def reached(data: str) -> Iterator[Place]:
    """A place that can be opened: of one on S3 the manifest and labels, copied into a folder.

    Region, profile and endpoint are those of AWS's own variables (``AWS_REGION``, ``AWS_PROFILE``,
    ``AWS_ENDPOINT_URL_S3``), which every process of a run inherits.

    Raises:
        CloudError: nothing can be read there.
        DatasetError: there is no streamed data set.
    """
    if not data.startswith(S3):
        yield Place(Path(data))
        return
    try:
        from facegan.cloud.aws import Aws
        from facegan.cloud.s3_folder import S3Folder
    except ModuleNotFoundError as cause:  # the training image has no such room
        raise DatasetError(
            f"This facegan has no part that reads {data}.",
            "In a SageMaker job give the data set as a channel, in FastFile mode.",
        ) from cause
    from facegan.data.manifest import MANIFEST
    from facegan.data.opening import kind_of
    from facegan.data.packed_files import read_packed_manifest

    there = S3Folder(data, Aws())
    with tempfile.TemporaryDirectory(prefix="facegan-s3-") as parent:
        folder = Path(parent, data.rstrip("/").rpartition("/")[2])
        folder.mkdir(parents=True)
        if not there.copy(MANIFEST, folder):
            raise DatasetError(
                f"{there.objects.name} holds no {MANIFEST}, so no data set.",
                f"Prepare the pictures: facegan data prepare {data} --out DIR --resolution 64.",
            )
        if kind_of(folder) != "streamed":
            raise DatasetError(
                f"{there.objects.name} holds a {kind_of(folder)} data set; from S3 only streamed "
                "ones are read.",
                "Copy it to a disk, or write it streamed: facegan data stream DIR --out DIR2.",
            )
        if labels := read_packed_manifest(folder).labels_file:
            with there.open(labels) as stream:
                target = folder / labels
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(stream.read())
        yield Place(folder, there.open)
