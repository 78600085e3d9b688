"""Opens a run's pictures for all its processes: decoded once a host, whole where hosts hold shards.

The first process of a host decodes; its others see the same pixels, through a file that has no name
any more. Packed data sets are mapped by each process for itself: the system keeps their pages once.
Where hosts turn out to hold different pictures (SageMaker's ShardedByS3Key), each sends what it has
to all others, once: from then on every process reads any picture, and a run on shards is a run on
one folder that holds them all, in the order of the hosts; packed ones keep their manifest's order.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
import torch.distributed as dist
from torch import Tensor

from facegan.data import Dataset, ImageFolderDataset, open_dataset
from facegan.data.image_folder import Pixels, find_pictures, picture_files
from facegan.data.manifest import read_manifest
from facegan.data.packed_files import MappedRows
from facegan.data.splits import SplitDataset, split_of
from facegan.data.streamed import OpenFile
from facegan.errors import DatasetError
from facegan.training.distributed.process_group import ProcessGroup
from facegan.training.packed_shards import open_packed, packed_part
from facegan.training.pixels import map_on_host, send_pixels
from facegan.training.streamed_shards import open_streamed

OnProgress = Callable[[int], object]
Shard = dict[str, Any]  # what a host tells of its pictures


def open_together(
    group: ProcessGroup,
    folder: Path,
    resolution: int,
    on_progress: OnProgress = lambda done: None,
    labels_from: str = "manifest",
    split: str | None = None,
    open_file: OpenFile | None = None,
) -> Dataset:
    """The pictures, in every process, from a folder that has the same name on every host.

    Args:
        group: Who shares the run.
        folder: The same pictures on every host, or a part of them on each, which may be none.
        resolution: The side of every image, in pixels.
        on_progress: Called with 1 for every file that this process has decoded.
        labels_from: Where labels are read; the pictures of shards have none.
        split: Which of the data set's splits; None: `train` where there is one, else all.
        open_file: Opens the shards of a streamed data set that lie elsewhere, the same for all.

    Raises:
        DatasetError: no host has pictures, or hosts have different ones of a prepared data set; see
            also :class:`ImageFolderDataset`, :func:`open_packed` and :func:`choose_split`.
    """
    if open_file:
        whole: Any = open_dataset(folder, resolution, on_progress, labels_from, open_file)
    else:
        whole = open_whole(group, folder, resolution, on_progress, labels_from)
    found: Dataset | SplitDataset = split_of(whole, split)
    return found


def open_whole(
    group: ProcessGroup, folder: Path, resolution: int, on_progress: OnProgress, labels_from: str
) -> Dataset:
    """The same, whatever splits there are."""
    if group.size == 1:
        return open_dataset(folder, resolution, on_progress, labels_from)
    told = group.gather_json(packed_part(folder) if group.is_local_main_process else None)
    kinds = {part["kind"] for part in told if part and part["manifest"]}
    if "streamed" in kinds:
        return open_streamed(group, folder, resolution, labels_from, told)
    if kinds:
        return open_packed(group, folder, resolution, labels_from, told)
    own = None
    if group.is_local_main_process:
        own = open_own(group, folder, resolution, on_progress, labels_from)
    told = group.gather_json(describe(own, folder) if group.is_local_main_process else None)
    shards = [told[rank] for rank in group.local_main_ranks]
    if not any(shard["length"] for shard in shards):
        find_pictures(folder)  # says that there are none
    if len({shard["digest"] for shard in shards}) > 1:
        check_shards(group, shards, folder)
        return join_shards(group, own, shards, folder, resolution)
    if len(shards) == group.size and own:
        return own
    skipped = {folder / name: reason for name, reason in shards[0]["skipped"].items()}
    images = map_on_host(group, shards[0]["length"], resolution, lambda file: write(own, file))
    return ImageFolderDataset(
        folder, resolution, labels_from=labels_from, read_pixels=lambda *_: (images, skipped)
    )


def open_own(
    group: ProcessGroup, folder: Path, resolution: int, on_progress: OnProgress, labels_from: str
) -> ImageFolderDataset | None:
    """This host's pictures; None where it has none, but others may."""
    others = len(group.local_main_ranks) > 1
    if others and folder.is_dir() and not any(picture_files(folder)):
        return None
    return ImageFolderDataset(folder, resolution, on_progress, labels_from)


def describe(own: ImageFolderDataset | None, folder: Path) -> Shard:
    """What the first process of a host tells the others of its pictures."""
    if own is None:
        return {"digest": "", "length": 0, "skipped": {}, "prepared": False}
    skipped = {str(file.relative_to(folder)): reason for file, reason in own.skipped.items()}
    prepared = bool(read_manifest(folder))
    return {"digest": own.digest, "length": len(own), "skipped": skipped, "prepared": prepared}


def write(own: ImageFolderDataset | None, file: IO[bytes]) -> None:
    """Write a host's pixels."""
    if own is not None:
        file.write(own.images.data)


# --- shards -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JoinedShards:
    """The pictures of all hosts, in the hosts' order, as a data set."""

    folder: Path
    resolution: int
    images: Pixels  # (N, H, W, 3)
    digest: str
    skipped: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(3, H, W) of every image."""
        return (3, self.resolution, self.resolution)

    @property
    def labels(self) -> None:
        """Shards have no labels."""

    @property
    def classes(self) -> dict[str, int]:
        """Shards have no classes."""
        return {}

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Tensor:
        """The uint8 images (N, 3, H, W) at N indices."""
        return torch.from_numpy(self.images[indices.numpy()]).permute(0, 3, 1, 2)

    def describe(self, with_labels: bool = False) -> dict[str, Any]:
        """What a model card says of the data."""
        counts = {"images": len(self), "skipped": self.skipped}
        facts = {"name": self.folder.name, "digest": self.digest, "resolution": self.resolution}
        return {**facts, **counts}


def check_shards(group: ProcessGroup, shards: list[Shard], folder: Path) -> None:
    """Refuse shards of a prepared data set: its manifest is on one host only, and tells of all.

    Raises:
        DatasetError: a host has a manifest.
    """
    for rank, shard in zip(group.local_main_ranks, shards, strict=True):
        if shard["prepared"]:
            raise DatasetError(
                f"The hosts hold different parts of the prepared data set in {folder}; its "
                f"dataset.json is on {group.hosts[rank]}.",
                "Give every host all of it (FullyReplicated), or shard plain pictures.",
            )


def join_shards(
    group: ProcessGroup,
    own: ImageFolderDataset | None,
    shards: list[Shard],
    folder: Path,
    resolution: int,
) -> JoinedShards:
    """Every host's pictures on every host."""
    hosts = dist.new_group(group.local_main_ranks, backend="gloo")  # a call that all make

    def write(file: IO[bytes]) -> None:
        for rank, shard in zip(group.local_main_ranks, shards, strict=True):
            pixels = MappedRows(own.images) if own is not None and rank == group.rank else None
            shape = (shard["length"], resolution, resolution, 3)
            send_pixels(pixels, shape, rank, hosts, file)

    length = sum(shard["length"] for shard in shards)
    images = map_on_host(group, length, resolution, write)
    digest = hashlib.sha256(images.data).hexdigest()
    skipped = sum(len(shard["skipped"]) for shard in shards)
    return JoinedShards(folder, resolution, images, digest, skipped)
