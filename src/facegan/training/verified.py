"""Verifies the digests of packed data once, and again only after its files changed."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from facegan.data.packed_files import PackedPixels

# Resolution of file systems' clocks: a newer file may still change without a new time.
SETTLED_SECONDS = 2.0


class VerifiedData:
    """The data sets whose digests were verified, as fingerprints of their files.

    Args:
        known: Fingerprints from run.json, of data verified before.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self.known = set(known)
        self.seen: list[str] = []

    def check(self, dataset: Any, on_progress: Callable[[int], object] = lambda done: None) -> None:
        """Raise DatasetError if shards of a packed data set are damaged.

        Others need no check: a folder's digest is of its decoded pixels, and a streamed shard is
        verified whenever it is read.

        Args:
            dataset: Any data set, or a split of one.
            on_progress: Called after every shard with its number of images.
        """
        pixels = getattr(getattr(dataset, "whole", dataset), "pixels", None)
        if not isinstance(pixels, PackedPixels):
            return
        mark, changed = fingerprint(pixels)
        if mark not in self.known:
            pixels.verify(on_progress)
        if fingerprint(pixels)[0] == mark and time.time() - changed > SETTLED_SECONDS:
            self.seen.append(mark)


def fingerprint(pixels: PackedPixels) -> tuple[str, float]:
    """Return a hash that changes with any file of a data set, and when the last one changed.

    It includes the files' change times (ctime), which cannot be set, and differ in a copy.
    """
    shards = pixels.manifest.shards
    stats = [(pixels.folder / shard.file).stat() for shard in shards]
    rows = [
        [shard.file, shard.sha256, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns]
        for shard, s in zip(shards, stats, strict=True)
    ]
    text = json.dumps([pixels.manifest.digest, rows])
    changed = max(max(s.st_mtime, s.st_ctime) for s in stats)
    return hashlib.sha256(text.encode()).hexdigest(), changed
