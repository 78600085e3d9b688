"""Compares packed data with its digests once, and not again while its files stay as they are."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from facegan.data.packed_files import PackedPixels

SETTLED_SECONDS = 2.0  # of clocks of file systems: what was written just now may yet change unseen


class VerifiedData:
    """Which data sets were compared with their digests, by fingerprints of their files.

    Args:
        known: Fingerprints of those that were before, as a run's folder remembers them.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self.known = set(known)
        self.seen: list[str] = []

    def check(self, dataset: Any, on_progress: Callable[[int], object] = lambda done: None) -> None:
        """Refuse a packed data set with damaged shards; others know their pixels by themselves.

        A folder's digest is of the pixels that were decoded; a streamed shard is compared each time
        it is read.

        Args:
            dataset: Any data set, or a split of one.
            on_progress: Called with the number of images of every shard done.

        Raises:
            DatasetError: it names the shards.
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
    """What changes when a file of a data set does, and when the last one did.

    A file's change time cannot be set by hand; of a copy it is another.
    """
    facts = [(one.file, one.sha256, (pixels.folder / one.file).stat())
             for one in pixels.manifest.shards]  # fmt: skip
    rows = [
        [name, sha256, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns]
        for name, sha256, s in facts
    ]
    text = json.dumps([pixels.manifest.digest, rows])
    changed = max(max(s.st_mtime, s.st_ctime) for _, _, s in facts)
    return hashlib.sha256(text.encode()).hexdigest(), changed
