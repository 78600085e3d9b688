"""Pixels that the processes of a host share, and that hosts send one another."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import torch.distributed as dist

from facegan.data.image_folder import Pixels
from facegan.data.packed_files import Rows
from facegan.errors import DatasetError
from facegan.training.distributed.process_group import ProcessGroup

MESSAGE_BYTES = 2**26  # sent at a time


def map_on_host(
    group: ProcessGroup, length: int, resolution: int, write: Callable[[IO[bytes]], None]
) -> Pixels:
    """Pixels (N, H, W, 3) that the first process of each host writes, and all of the host see.

    Raises:
        DatasetError: they cannot be written.
    """
    path = ""
    try:
        if group.is_local_main_process:
            path = write_atomic(write)
        paths = group.gather_json(path)
        shape = (length, resolution, resolution, 3)
        images = np.memmap(paths[group.local_main_rank], np.uint8, "r", shape=shape)
        group.barrier()
    finally:
        if path:
            Path(path).unlink()
    return images


def write_atomic(write: Callable[[IO[bytes]], None]) -> str:
    """Write a temporary file; its path."""
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


def send_pixels(
    own: Rows | None, shape: tuple[int, ...], source: int, group: Any, file: IO[bytes]
) -> None:
    """Pixels go from one host to all, and into each one's file.

    Args:
        own: They themselves, where this process is the source.
        shape: Theirs, (N, H, W, 3).
        source: The rank that has them.
        group: Those who send and receive.
        file: Where they are written.
    """
    length, *image = shape
    step = max(MESSAGE_BYTES // int(np.prod(image)), 1)
    for first in range(0, length, step):
        count = min(step, length - first)
        block = torch.empty(count, *image, dtype=torch.uint8)
        if own is not None:
            block = torch.from_numpy(own.read_rows(first, count))
        dist.broadcast(block, source, group=group)
        file.write(block.numpy().data)
