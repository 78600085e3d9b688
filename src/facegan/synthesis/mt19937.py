"""Seeds' random numbers: those that torch's CPU generator draws, without torch.

Both are the Mersenne Twister (MT19937), seeded alike; what is made of its 32-bit words follows
torch's ``aten/src/ATen/core/TransformationHelper.h`` and ``DistributionTemplates.h``. Normal
numbers are computed in float64 and rounded once, so that they are the same on every machine;
torch's own differ in their last bits between processors.
"""

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BLOCK = 16  # from so many normal numbers on, torch makes them in blocks of so many

Words = npt.NDArray[np.uint64]  # (S, count), of 32 bits each
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# numpy's older generator is seeded as MT19937's authors do it, and torch. To make one takes a
# hundred times longer than to seed it again.
TWISTER = np.random.RandomState(0)
IN_USE = threading.Lock()


def raw_words(seeds: Sequence[int], count: int) -> Words:
    """The first words of each of S seeds, 0 … 2**32 - 1."""
    words = np.empty((len(seeds), count), np.uint64)
    with IN_USE:
        for row, seed in zip(words, seeds, strict=True):
            TWISTER.seed(seed)
            row[:] = TWISTER._bit_generator.random_raw(count)
    return words


def uniform(words: Words) -> Floats:
    """``torch.rand``: of each word a multiple of 2**-24 in [0, 1)."""
    return (words & np.uint64(2**24 - 1)).astype(np.float32) * np.float32(2**-24)


def fine(words: Words) -> Doubles:
    """``torch.rand`` in float64: of each pair of words a multiple of 2**-53 in [0, 1)."""
    high, low = words[:, ::2], words[:, 1::2]
    return ((high << np.uint64(32) | low) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53


def words_per_normal(count: int) -> int:
    """How many words so many normal numbers take."""
    if count < BLOCK:
        return 4 * (count + count % 2) // 2
    return count + BLOCK * bool(count % BLOCK)


def normal(words: Words, count: int) -> Floats:
    """``torch.randn(count)`` of each row, within its last places (Box & Muller 1958)."""
    if count < BLOCK:  # of finer uniform numbers, in pairs
        pairs = fine(words).reshape(len(words), -1, 2)
        made = polar(np.log1p(-pairs[..., 1]), pairs[..., 0])
        return np.stack(made, axis=-1).reshape(len(words), -1)[:, :count].astype(np.float32)
    whole = count - count % BLOCK
    if whole == count:
        return in_blocks(words)
    # The last block is drawn anew, and overlaps the one before.
    blocks = in_blocks(np.concatenate([words[:, :whole], words[:, count:]], axis=1))
    return np.concatenate([blocks[:, : count - BLOCK], blocks[:, whole:]], axis=1)


def in_blocks(words: Words) -> Floats:
    """Normal numbers of whole blocks: their first halves make radii, their second ones angles."""
    blocks = uniform(words).astype(np.float64).reshape(len(words), -1, 2, BLOCK // 2)
    made = polar(np.log(1 - blocks[:, :, 0]), blocks[:, :, 1])
    return np.stack(made, axis=2).reshape(len(words), -1).astype(np.float32)


def polar(logs: Doubles, turns: Doubles) -> tuple[Doubles, Doubles]:
    """Two independent normal numbers of each radius (by its logarithm) and each part of a turn."""
    radius, angle = np.sqrt(-2 * logs), 2 * np.pi * turns
    return radius * np.cos(angle), radius * np.sin(angle)
