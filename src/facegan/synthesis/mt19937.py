"""The random numbers of torch's CPU generator (MT19937), computed by NumPy.

Both seed the Mersenne Twister alike; how 32-bit words become numbers follows torch's
``aten/src/ATen/core/TransformationHelper.h`` and ``DistributionTemplates.h``. Normal numbers are
computed in float64 and rounded once, so that they are the same on every machine; torch's own
differ in their last bits between processors.
"""

import threading
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

BLOCK = 16  # torch generates this many or more normal numbers in blocks of this size

Words = npt.NDArray[np.uint64]  # (S, count), of 32 bits each
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# NumPy's older interface seeds MT19937 as its authors and torch do. Reseeding one generator is a
# hundred times faster than creating another.
BITS = np.random.MT19937()
SEEDER = np.random.RandomState(BITS)
LOCK = threading.Lock()


def raw_words(seeds: Sequence[int], count: int) -> Words:
    """Return the first `count` words of each of S seeds, 0 … 2**32 - 1."""
    words = np.empty((len(seeds), count), np.uint64)
    with LOCK:
        for row, seed in zip(words, seeds, strict=True):
            SEEDER.seed(seed)
            row[:] = BITS.random_raw(count)
    return words


def uniform(words: Words) -> Floats:
    """Return ``torch.rand``: a multiple of 2**-24 in [0, 1) from each word."""
    return (words & np.uint64(2**24 - 1)).astype(np.float32) * np.float32(2**-24)


def uniform64(words: Words) -> Doubles:
    """Return ``torch.rand`` in float64: a multiple of 2**-53 in [0, 1) from each pair of words."""
    high, low = words[:, ::2], words[:, 1::2]
    return ((high << np.uint64(32) | low) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53


@lru_cache(maxsize=64)
def words_per_normal(count: int) -> int:
    """Return how many words :func:`normal` needs for `count` numbers."""
    if count < BLOCK:
        return 4 * (count + count % 2) // 2
    return count + BLOCK * bool(count % BLOCK)


def normal(words: Words, count: int) -> Floats:
    """Return ``torch.randn(count)`` for each row of words, up to its last bits (Box & Muller 1958).

    Few numbers are made from pairs of float64 ones; others in blocks, whose first half gives radii,
    the second one angles. A last block that is not whole is generated again, and overlaps.
    """
    rows, rest = len(words), count % BLOCK
    if count < BLOCK:
        pairs, axis = uniform64(words).reshape(rows, -1, 2), -1
        logs, turns = np.log1p(-pairs[..., 1]), pairs[..., 0]
    else:
        whole = np.concatenate([words[:, : count - rest], words[:, count:]], axis=1)
        units = (whole & np.uint64(2**24 - 1)).astype(np.float64) * 2.0**-24
        blocks, axis = units.reshape(rows, -1, 2, BLOCK // 2), 2
        logs, turns = np.log(1 - blocks[:, :, 0]), blocks[:, :, 1]
    radius, angle = np.sqrt(-2 * logs), 2 * np.pi * turns
    numbers = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis)
    numbers = numbers.reshape(rows, -1).astype(np.float32)
    if count < BLOCK or not rest:
        return numbers[:, :count]
    return np.concatenate([numbers[:, : count - BLOCK], numbers[:, count - rest :]], axis=1)
