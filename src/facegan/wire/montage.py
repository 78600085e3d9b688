"""Arranges faces in one picture, with a thin white gap that keeps them apart."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

GAP = 2  # pixels
WHITE = 255


def montage(
    images: npt.NDArray[np.uint8], layout: str = "grid", columns: int | None = None
) -> npt.NDArray[np.uint8]:
    """One picture of many.

    Args:
        images: uint8 (N, H, W, 3), N ≥ 1.
        layout: "row", "column", or "grid"; "single" is a grid of one.
        columns: Columns of a grid; as square as possible where None.

    Returns:
        uint8 (rows * (H + 2) - 2, columns * (W + 2) - 2, 3); cells left over are white.
    """
    count, height, width, channels = images.shape
    wide = columns_of(count, layout, columns)
    tall = math.ceil(count / wide)
    shape = (tall * wide, height + GAP, width + GAP, channels)
    cells: npt.NDArray[Any] = np.full(shape, WHITE, np.uint8)
    cells[:count, :height, :width] = images
    rows = cells.reshape(tall, wide, height + GAP, width + GAP, channels).swapaxes(1, 2)
    sheet = rows.reshape(tall * (height + GAP), wide * (width + GAP), channels)
    return np.ascontiguousarray(sheet[:-GAP, :-GAP])


def columns_of(count: int, layout: str, columns: int | None) -> int:
    """How many columns `count` images take; never more than there are images."""
    by_layout = {"row": count, "column": 1}
    return min(count, by_layout.get(layout, columns or math.ceil(math.sqrt(count))))
