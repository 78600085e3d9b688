"""Opens a packed data set for all of a run, be its files on every host or spread over them.

SageMaker's ShardedByS3Key gives each host some of the files, whichever they are: the manifest tells
one host of all, and whoever has a shard sends it to the others, once. Shards keep the manifest's
order, so that the run is, to the bit, the one on the whole data set.
"""

from pathlib import Path
from typing import IO, Any

import numpy as np
import torch.distributed as dist

from facegan.data import PackedDataset
from facegan.data.manifest import MANIFEST, check_resolution, read_manifest
from facegan.data.opening import kind_of
from facegan.data.packed_files import (
    MappedRows,
    Numbers,
    PackedManifest,
    PackedPixels,
    damaged_shards,
    read_label_numbers,
)
from facegan.errors import DatasetError
from facegan.files import file_digest
from facegan.training.distributed.process_group import ProcessGroup
from facegan.training.pixels import map_on_host, send_pixels

Part = dict[str, Any]  # what a host has of a packed data set


def packed_part(folder: Path) -> Part:
    """What a host has: its kind, a manifest of shards or None, and which files may be a set's.

    Raises:
        DatasetError: there is a manifest that cannot be read.
    """
    kind = kind_of(folder)
    manifest = read_manifest(folder) if kind != "folder" else None
    found = [*folder.glob("*.npy"), *folder.glob("images/*.npy"), *folder.glob("images/*.tar")]
    return {
        "kind": kind,
        "manifest": manifest,
        "files": [f.relative_to(folder).as_posix() for f in found],
    }


def open_packed(
    group: ProcessGroup, folder: Path, resolution: int, labels_from: str, told: list[Part | None]
) -> PackedDataset:
    """The data set, in every process: pixels of every host in the memory of each.

    Args:
        group: Who shares the run.
        folder: Its name on every host.
        resolution: The side of every image, in pixels.
        labels_from: Where labels are read.
        told: What the first process of each host has, by rank.

    Raises:
        DatasetError: hosts have different manifests, or no host has some shard; it is named.
    """
    manifest, owners = agree(group, folder, resolution, told)
    if owners is None:
        return PackedDataset(folder, resolution, labels_from)
    pixels = join_shards(group, folder, manifest, owners)
    numbers = join_labels(group, folder, manifest, owners)
    return PackedDataset(folder, resolution, labels_from, pixels, numbers)


def agree(
    group: ProcessGroup, folder: Path, resolution: int, told: list[Part | None]
) -> tuple[PackedManifest, dict[str, int] | None]:
    """What the data set is, and the first rank that has each file of it.

    Args:
        group: Who shares the run.
        folder: Its name on every host.
        resolution: The side of every image, in pixels.
        told: What the first process of each host has, by rank.

    Returns:
        No ranks where each host opens its own folder: it has all, or it is alone, and then opening
        names what is missing.

    Raises:
        DatasetError: hosts have different manifests, or no host has some shard; it is named.
    """
    parts = {rank: part for rank in group.local_main_ranks if (part := told[rank])}
    manifest = the_manifest(group, folder, parts)
    check_resolution(folder, manifest.resolution, resolution)
    is_whole = all(part["manifest"] and not missing(manifest, part) for part in parts.values())
    if is_whole or len(parts) == 1:
        return manifest, None
    return manifest, find_owners(group, folder, manifest, parts)


def the_manifest(group: ProcessGroup, folder: Path, parts: dict[int, Part]) -> PackedManifest:
    """The one manifest that some host has, or several alike.

    Raises:
        DatasetError: hosts have different ones; or it is not what it should be.
    """
    found = {rank: part["manifest"] for rank, part in parts.items() if part["manifest"]}
    first, *others = found
    for rank in others:
        if found[rank] != found[first]:
            raise DatasetError(
                f"The {MANIFEST} in {folder} on {group.hosts[rank]} is another than that on "
                f"{group.hosts[first]}.",
                "Give all hosts one data set; facegan data merge makes one of several.",
            )
    return PackedManifest.from_facts(found[first], folder / MANIFEST)


def missing(manifest: PackedManifest, part: Part) -> set[str]:
    """The files that a host does not have."""
    return set(files_of(manifest)) - set(part["files"])


def files_of(manifest: PackedManifest) -> list[str]:
    """All files of a data set but its manifest, shards in order."""
    labels = [manifest.labels_file] if manifest.labels_file else []
    return [*(shard.file for shard in manifest.shards), *labels]


def find_owners(
    group: ProcessGroup, folder: Path, manifest: PackedManifest, parts: dict[int, Part]
) -> dict[str, int]:
    """The first rank that has each file.

    Raises:
        DatasetError: none has one.
    """
    owners = {}
    for name in files_of(manifest):
        having = [rank for rank, part in parts.items() if name in part["files"]]
        if not having:
            hosts = ", ".join(group.hosts[rank] for rank in parts)
            raise DatasetError(
                f"{folder / name} is on none of the hosts {hosts}.",
                "Give the channel the whole data set: every object below its S3 prefix.",
            )
        owners[name] = having[0]
    return owners


def join_shards(
    group: ProcessGroup, folder: Path, manifest: PackedManifest, owners: dict[str, int]
) -> PackedPixels:
    """Every shard's pixels on every host, in the manifest's order."""
    hosts = dist.new_group(group.local_main_ranks, backend="gloo")  # a call that all make
    side = manifest.resolution

    def write(file: IO[bytes]) -> None:
        for shard in manifest.shards:
            owner = owners[shard.file]
            own = None
            if owner == group.rank:
                if file_digest(folder / shard.file) != shard.sha256:
                    raise damaged_shards(folder, [shard.file])
                own = manifest.open_shard(folder, shard)
            send_pixels(own, (shard.images, side, side, 3), owner, hosts, file)

    images = map_on_host(group, manifest.images, side, write)
    return PackedPixels(folder, manifest, [MappedRows(images.view(np.ndarray))])


def join_labels(
    group: ProcessGroup, folder: Path, manifest: PackedManifest, owners: dict[str, int]
) -> Numbers | None:
    """The labels, from whoever has them; None where the data set has none."""
    if manifest.labels_file is None:
        return None
    owner = owners[manifest.labels_file]
    own = read_label_numbers(folder, manifest) if group.rank == owner else None
    return np.frombuffer(
        group.broadcast(own.tobytes() if own is not None else b"", owner), np.int64
    )
