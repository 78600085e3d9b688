"""Opens the data set in every process of a run: decoded once per host, gathered if hosts differ.

Packed and streamed data sets must be complete on every host; each process maps or reads the files
itself. The first process of a host decodes a folder of images, and the host's other processes see
the same pixels through an unnamed temporary file. If the hosts' folders hold different images
(SageMaker's ShardedByS3Key), every host sends its own to all others at the start. The run then
equals one on a folder with all images, in the order of the hosts.
"""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import torch.distributed as dist

from facegan.data import Dataset, ImageFolderDataset, open_dataset
from facegan.data.dataset import InMemoryImages, Pixels
from facegan.data.image_folder import find_images, iter_images
from facegan.data.manifest import MANIFEST, read_manifest
from facegan.data.opening import dataset_kind
from facegan.data.packed_files import read_packed_manifest
from facegan.data.splits import SplitDataset, select_split
from facegan.data.streamed import OpenFile
from facegan.errors import DatasetError
from facegan.files import file_digest
from facegan.training.distributed.process_group import ProcessGroup

OnProgress = Callable[[int], object]
MESSAGE_BYTES = 2**26  # sent at a time
COMPLETE = (
    "Give every host the whole data set: FullyReplicated instead of ShardedByS3Key. If it is too "
    "large for a disk, use FastFile mode or a streamed data set."
)


def open_on_all(
    group: ProcessGroup,
    folder: Path,
    resolution: int,
    on_progress: OnProgress = lambda done: None,
    labels_from: str = "manifest",
    split: str | None = None,
    open_file: OpenFile | None = None,
) -> Dataset:
    """Return the data set, in every process, from a folder that has the same name on every host.

    Args:
        group: The processes of the run.
        folder: The same data set on every host; or, of a folder of images, a part on each host,
            which may be empty.
        resolution: The side of every image, in pixels.
        on_progress: Called with 1 for every file that this process has decoded.
        labels_from: Where labels are read; a folder that is spread over hosts has none.
        split: Which of the data set's splits; None: `train` if there is one, else all.
        open_file: Opens the shards of a streamed data set that lie elsewhere, the same for all.

    Raises:
        DatasetError: no host has images, a prepared data set is not complete on every host, or the
            hosts have different ones; see :class:`ImageFolderDataset`, :func:`select_split`.
    """
    if open_file or group.size == 1 or is_prepared(group, folder):
        whole: Any = open_dataset(folder, resolution, on_progress, labels_from, open_file)
    else:
        whole = open_folder(group, folder, resolution, on_progress, labels_from)
    found: Dataset | SplitDataset = select_split(whole, split)
    return found


def is_prepared(group: ProcessGroup, folder: Path) -> bool:
    """Return whether the folder is a packed or streamed data set; if so, it is complete everywhere.

    Raises:
        DatasetError: a file is missing on a host, or the hosts have different data sets.
    """
    parts = group.gather_json(prepared_part(folder) if group.is_local_main_process else None)
    digests = {rank: parts[rank]["digest"] for rank in group.local_main_ranks}
    if not any(digests.values()):
        return False
    for rank in group.local_main_ranks if len(digests) > 1 else ():  # opening checks a single host
        if missing := parts[rank]["missing"]:
            raise DatasetError(f"{folder / missing} is missing on {group.hosts[rank]}.", COMPLETE)
        if digests[rank] != digests[0]:
            raise DatasetError(
                f"The data set in {folder} on {group.hosts[rank]} is not the one on "
                f"{group.hosts[0]}.",
                "Give all hosts the same data set; facegan data merge makes one of several parts.",
            )
    return True


def prepared_part(folder: Path) -> dict[str, str | None]:
    """Return the manifest's digest, if this host has a prepared data set, and a missing file."""
    if dataset_kind(folder) == "folder":
        return {"digest": None, "missing": MANIFEST}
    manifest = read_packed_manifest(folder)
    labels = [manifest.labels_file] if manifest.labels_file else []
    files = [*(shard.file for shard in manifest.shards), *labels]
    missing = next((name for name in files if not (folder / name).is_file()), None)
    return {"digest": file_digest(folder / MANIFEST), "missing": missing}


# --- folders of images ----------------------------------------------------------------------------


def open_folder(
    group: ProcessGroup, folder: Path, resolution: int, on_progress: OnProgress, labels_from: str
) -> Dataset:
    """Return a folder's images, or those of all hosts if they differ."""
    own = None
    if group.is_local_main_process:
        others = len(group.local_main_ranks) > 1
        is_empty = folder.is_dir() and not any(iter_images(folder))
        if not (others and is_empty):
            own = ImageFolderDataset(folder, resolution, on_progress, labels_from)
    parts = group.gather_json(folder_part(own, folder) if group.is_local_main_process else None)
    parts = [parts[rank] for rank in group.local_main_ranks]
    if not any(part["length"] for part in parts):
        find_images(folder)  # raises: there are none
    if len({part["digest"] for part in parts}) > 1:
        check_unprepared(group, parts, folder)
        return gather_images(group, own, parts, folder, resolution)
    if len(parts) == group.size and own:
        return own
    skipped = {folder / name: reason for name, reason in parts[0]["skipped"].items()}

    def write(file: IO[bytes]) -> None:
        if own is not None:
            file.write(own.images.data)

    images = map_on_host(group, parts[0]["length"], resolution, write)
    return ImageFolderDataset(
        folder, resolution, labels_from=labels_from, read_pixels=lambda *_: (images, skipped)
    )


def folder_part(own: ImageFolderDataset | None, folder: Path) -> dict[str, Any]:
    """Return the digest, count and skipped files of a host's images, for the other hosts."""
    if own is None:
        return {"digest": "", "length": 0, "skipped": {}, "prepared": False}
    skipped = {str(file.relative_to(folder)): reason for file, reason in own.skipped.items()}
    prepared = bool(read_manifest(folder))
    return {"digest": own.digest, "length": len(own), "skipped": skipped, "prepared": prepared}


def check_unprepared(group: ProcessGroup, parts: list[dict[str, Any]], folder: Path) -> None:
    """Raise DatasetError if a host's part has a manifest: it describes all images, not the part."""
    for rank, part in zip(group.local_main_ranks, parts, strict=True):
        if part["prepared"]:
            raise DatasetError(
                f"The hosts hold different parts of the prepared data set in {folder}; its "
                f"{MANIFEST} is on {group.hosts[rank]}.",
                "Give every host all of it (FullyReplicated), or shard plain images.",
            )


@dataclass(frozen=True)
class GatheredImages(InMemoryImages):
    """The images of all hosts, in the hosts' order, as a data set without labels."""

    folder: Path
    resolution: int
    images: Pixels  # (N, H, W, 3)
    digest: str
    skipped: int

    @property
    def labels(self) -> None:
        """None: the parts have no labels."""

    @property
    def classes(self) -> dict[str, int]:
        """Empty: the parts have no classes."""
        return {}

    def describe(self, with_labels: bool = False) -> dict[str, Any]:
        """Return the data's facts for a model card."""
        counts = {"images": len(self), "skipped": self.skipped}
        facts = {"name": self.folder.name, "digest": self.digest, "resolution": self.resolution}
        return {**facts, **counts}


def gather_images(
    group: ProcessGroup,
    own: ImageFolderDataset | None,
    parts: list[dict[str, Any]],
    folder: Path,
    resolution: int,
) -> GatheredImages:
    """Return every host's images, on every host."""
    hosts = dist.new_group(group.local_main_ranks, backend="gloo")  # every process must call this
    step = max(MESSAGE_BYTES // (resolution * resolution * 3), 1)

    def write(file: IO[bytes]) -> None:
        for rank, part in zip(group.local_main_ranks, parts, strict=True):
            for first in range(0, part["length"], step):
                count = min(step, part["length"] - first)
                block = torch.empty(count, resolution, resolution, 3, dtype=torch.uint8)
                if own is not None and rank == group.rank:
                    block = torch.from_numpy(own.images[first : first + count].copy())  # writable
                dist.broadcast(block, rank, group=hosts)
                file.write(block.numpy().data)

    images = map_on_host(group, sum(part["length"] for part in parts), resolution, write)
    digest = hashlib.sha256(images.data).hexdigest()
    skipped = sum(len(part["skipped"]) for part in parts)
    return GatheredImages(folder, resolution, images, digest, skipped)


def map_on_host(
    group: ProcessGroup, length: int, resolution: int, write: Callable[[IO[bytes]], None]
) -> Pixels:
    """Return pixels (N, H, W, 3) that the first process of each host writes, mapped by all."""
    path = ""
    try:
        if group.is_local_main_process:
            path = write_temporary(write)
        paths = group.gather_json(path)
        shape = (length, resolution, resolution, 3)
        images = np.memmap(paths[group.local_main_rank], np.uint8, "r", shape=shape)
        group.barrier()
    finally:
        if path:
            Path(path).unlink()
    return images


def write_temporary(write: Callable[[IO[bytes]], None]) -> str:
    """Write a temporary file and return its path."""
    with tempfile.NamedTemporaryFile(prefix="facegan-pixels-", delete=False) as file:
        try:
            write(file)
        except OSError as cause:
            Path(file.name).unlink()
            raise DatasetError(
                f"The pixels cannot be written to {file.name}: {cause.strerror}.",
                "Name another folder for temporary files by the variable TMPDIR.",
            ) from cause
    return file.name
