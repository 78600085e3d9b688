"""Converts a packed data set to a streamed one in random order, for `facegan data stream`.

Training shuffles a streamed set only within windows of a few shards. So images are shuffled once
here, by a recorded seed, each within its split; no shard holds images of two splits. One shard is
in memory at a time. A shard appears once it is complete; the same command resumes after the last
one.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from facegan.data.manifest import read_manifest
from facegan.data.packed_files import (
    Numbers,
    PackedManifest,
    PackedPixels,
    Shard,
    read_label_numbers,
)
from facegan.data.prepare.packed_format import (
    DUPLICATES,
    LABELS,
    MANIFEST,
    SKIPPED,
    SOURCES,
    read_packed,
)
from facegan.data.prepare.workspace import find_finished, locked_folder
from facegan.data.prepare.writer import STATE, atomic_file, encode_manifest
from facegan.data.splits import read_splits
from facegan.data.streamed import SHARD_BYTES, StreamedDataset, load_webdataset, write_tar
from facegan.errors import DatasetError
from facegan.files import file_digest, write_atomic

OnProgress = Callable[[int, int | None], object]


def stream_packed(
    packed: Path,
    out: Path,
    seed: int = 0,
    images_per_shard: int | None = None,
    on_progress: OnProgress = lambda done, expected: None,
) -> dict[str, Any]:
    """Write a packed data set as a streamed one; the packed one is kept.

    Args:
        packed: A folder that ``facegan data prepare`` made.
        out: The folder to create, or to continue with.
        seed: The seed of the order of the images.
        images_per_shard: The maximum number of images per file; None: 64 MiB of pixels.
        on_progress: Called with the number of images done, and expected.

    Returns:
        The manifest.

    Raises:
        DatasetError: the packed set is damaged or has companions, the folder holds something else,
            the disk is full, or webdataset is not installed.
    """
    load_webdataset()
    read_packed(packed)  # raises the clearest error if it is not a packed data set
    pixels = PackedPixels.open(packed)
    manifest = pixels.manifest
    if manifest.companions or manifest.channels != 3:
        raise DatasetError(
            f"{packed} has companions or label maps, which streamed data sets do not support.",
            "Train on the packed data set.",
        )
    side = manifest.resolution
    size = images_per_shard or max(SHARD_BYTES // (side * side * 3), 1)
    plan = {"resolution": side, "streamed_from": manifest.digest, "order_seed": seed,
            "images_per_shard": size}  # fmt: skip
    if finished := find_finished(out, plan):
        return {**finished, "already_there": True}
    with locked_folder(out, plan):
        pixels.verify()  # damaged pixels must not get a new, valid digest
        order = shuffled(manifest, seed, packed)
        digest, shards = write_shards(out, pixels, order, size, on_progress)
        write_lists(packed, out, order, manifest)
        facts = {
            **manifest.facts,
            "kind": "streamed",
            "digest": digest,
            "protocol": {**(manifest.facts.get("protocol") or {}), **plan},
            "shards": [vars(shard) for shard in shards],
        }
        write_atomic(out / MANIFEST, encode_manifest(facts))
        shutil.rmtree(out / STATE, ignore_errors=True)
    return facts


def segments(manifest: PackedManifest, folder: Path) -> Iterator[tuple[int, int]]:
    """Yield the ranges between the ends of all splits; one range without splits."""
    splits = read_splits(manifest, folder)
    ends = sorted({0, manifest.images, *(end for span in splits.values() for end in span)})
    yield from pairwise(ends)


def shuffled(manifest: PackedManifest, seed: int, folder: Path) -> Numbers:
    """Return the new order of the images, shuffled within each split."""
    order = np.arange(manifest.images)
    for number, (start, stop) in enumerate(segments(manifest, folder)):
        # default_rng may change with NumPy versions; PCG64 and this use of it do not.
        keys = np.random.Generator(np.random.PCG64([seed, number])).random(stop - start)
        order[start:stop] = start + np.argsort(keys, kind="stable")
    return order


def write_shards(
    out: Path, pixels: PackedPixels, order: Numbers, size: int, on_progress: OnProgress
) -> tuple[str, list[Shard]]:
    """Write the missing shards; return the digest of all pixels in order, and all shards.

    When a shard is complete, its entry is saved; the entry counts only if the shard matches it.
    """
    whole, shards = hashlib.sha256(), list[Shard]()
    for start, stop in segments(pixels.manifest, pixels.folder):
        for first in range(start, stop, size):
            images = pixels.read(order[first : min(first + size, stop)])
            whole.update(images.data)
            entry = out / STATE / f"{len(shards):05d}.json"
            shard = finished_shard(out, entry)
            if shard is None:
                (out / "images").mkdir(exist_ok=True)
                shard = write_tar(out, len(shards), first, images)
                write_atomic(entry, json.dumps(vars(shard)).encode())
            shards.append(shard)
            on_progress(first + len(images), len(order))
    return whole.hexdigest(), shards


def finished_shard(out: Path, entry: Path) -> Shard | None:
    """Return the shard that a killed run had finished; None if it had not."""
    try:
        shard = Shard(**json.loads(entry.read_bytes()))
        return shard if file_digest(out / shard.file) == shard.sha256 else None
    except (OSError, ValueError, TypeError):
        return None


def write_lists(packed: Path, out: Path, order: Numbers, manifest: PackedManifest) -> None:
    """Write labels and names in the new order, and copy the lists of dropped images."""
    numbers = read_label_numbers(packed, manifest)
    if numbers is not None:
        with atomic_file(out / LABELS) as stream:
            np.save(stream, numbers[order], allow_pickle=False)
    if (packed / SOURCES).exists():
        reorder_lines(packed / SOURCES, out / SOURCES, order)
    for name in (SKIPPED, DUPLICATES):
        if (packed / name).exists():
            with (packed / name).open("rb") as source, atomic_file(out / name) as stream:
                shutil.copyfileobj(source, stream)


def reorder_lines(source: Path, target: Path, order: Numbers) -> None:
    """Copy a file's lines in another order; only their offsets are in memory.

    Raises:
        DatasetError: the number of lines differs from the number of images.
    """
    with source.open("rb") as lines:
        ends = np.cumsum(np.fromiter((len(line) for line in lines), np.int64))
        if len(ends) != len(order):
            raise DatasetError(f"{source} names {len(ends)} images, not {len(order)}.")
        with atomic_file(target) as stream:
            for index in order.tolist():
                lines.seek(int(ends[index - 1]) if index else 0)
                stream.write(lines.readline())


def check_streamed(folder: Path) -> tuple[dict[str, Any], list[str], dict[str, int]]:
    """Read every byte of a streamed data set.

    Returns:
        The manifest, an empty list of problems, and the number of images of each class.

    Raises:
        DatasetError: a shard is missing or damaged, and the message names it; or the labels are
            malformed.
    """
    data = StreamedDataset(folder)
    data.verify()
    return read_manifest(folder), [], dict(data.classes)
