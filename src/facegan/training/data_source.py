"""Opens where data lies: a folder, or ``s3://bucket/prefix`` of a streamed data set."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from facegan.data.manifest import MANIFEST
from facegan.data.opening import dataset_kind
from facegan.data.packed_files import read_packed_manifest
from facegan.errors import DatasetError

S3 = "s3://"


@dataclass(frozen=True)
class DataSource:
    """A data set's folder, and how its files that lie elsewhere are opened."""

    folder: Path
    open_file: Callable[[str], IO[bytes]] | None = None


def absolute_source(data: str) -> str:
    """Return the same source by an absolute path; addresses on S3 stay."""
    return data if data.startswith(S3) else str(Path(data).resolve())


@contextmanager
def open_source(data: str) -> Iterator[DataSource]:
    """Open a source of data; of one on S3 the manifest and labels are copied into a folder.

    Region, profile and endpoint are those of AWS's own variables (``AWS_REGION``, ``AWS_PROFILE``,
    ``AWS_ENDPOINT_URL_S3``), which every process of a run inherits.

    Raises:
        CloudError: nothing can be read there.
        DatasetError: it is not a streamed data set.
    """
    if not data.startswith(S3):
        yield DataSource(Path(data))
        return
    try:  # boto3 takes a second to import, and the training image has neither
        from facegan.cloud.aws import Aws
        from facegan.cloud.s3_folder import S3Folder
    except ModuleNotFoundError as cause:
        raise DatasetError(
            f"This facegan has no part that reads {data}.",
            "In a SageMaker job give the data set as a channel, in FastFile mode.",
        ) from cause
    s3_folder = S3Folder(data, Aws())
    with tempfile.TemporaryDirectory(prefix="facegan-s3-") as parent:
        folder = Path(parent, data.rstrip("/").rpartition("/")[2])
        folder.mkdir(parents=True)
        if not s3_folder.copy(MANIFEST, folder):
            raise DatasetError(
                f"{s3_folder.objects.name} holds no {MANIFEST}, so no data set.",
                f"Prepare the images: facegan data prepare {data} --out DIR --resolution 64.",
            )
        if dataset_kind(folder) != "streamed":
            raise DatasetError(
                f"{s3_folder.objects.name} holds a {dataset_kind(folder)} data set; from S3 only "
                "streamed ones are read.",
                "Copy it to a disk, or write it streamed: facegan data stream DIR --out DIR2.",
            )
        if labels := read_packed_manifest(folder).labels_file:
            with s3_folder.open(labels) as stream:
                target = folder / labels
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(stream.read())
        yield DataSource(folder, s3_folder.open)
