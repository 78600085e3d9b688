"""Writes one shard, a .npy file that is renamed into place once it is complete and synced."""

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from facegan.data.prepare.packed_format import shard_name
from facegan.files import file_digest


def npy_header(images: int, resolution: int, channels: int) -> bytes:
    """Return the header of a version 1 .npy file.

    NumPy pads it, so its length does not depend on the number of images.
    """
    shape = (images, resolution, resolution, channels)
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


class ShardFile:
    """A shard to which images are appended one by one; only one is in memory."""

    def __init__(self, folder: Path, number: int, resolution: int, channels: int) -> None:
        self.name, self.images = shard_name(number), 0
        self.shape = (resolution, channels)
        self.path = folder / self.name
        self.partial = self.path.with_name(f".{self.path.name}.partial")
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        self.stream = self.partial.open("wb")
        self.stream.write(npy_header(0, *self.shape))

    def append(self, pixels: bytes) -> None:
        """Append one image."""
        self.stream.write(pixels)
        self.images += 1

    def commit(self) -> dict[str, Any]:
        """Complete the file, rename it into place, and return its manifest entry."""
        header = npy_header(self.images, *self.shape)
        assert len(header) == len(npy_header(0, *self.shape))
        self.stream.seek(0)
        self.stream.write(header)
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()
        sha256 = file_digest(self.partial)
        os.replace(self.partial, self.path)
        return {"file": self.name, "images": self.images, "sha256": sha256}

    def discard(self) -> None:
        """Close and delete the unfinished file."""
        with contextlib.suppress(OSError):  # flushing the buffer fails on a full disk
            self.stream.close()
        self.partial.unlink(missing_ok=True)
