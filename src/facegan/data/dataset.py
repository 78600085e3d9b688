"""The interface of every data set: a digest, a shape, and uint8 images by index."""

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Pixels = npt.NDArray[np.uint8]
OrderOfEpoch = Callable[[int, int, int], Tensor]


class Dataset(Protocol):
    """Images of one resolution, from a folder, packed shards or streamed shards."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(3, H, W) of every image."""

    @property
    def digest(self) -> str:
        """sha256 of the pixels, in order; identifies the data in checkpoints and model cards."""

    @property
    def labels(self) -> Tensor | None:
        """int64 (N,): each image's class, an index into ``classes``; None without labels."""

    @property
    def classes(self) -> Mapping[str, int]:
        """Class → number of images, in the order of the labels; empty without labels."""

    def __len__(self) -> int:
        """Return the number of images."""

    def read(self, indices: Tensor) -> Tensor:
        """Return the uint8 images (N, 3, H, W) at N indices."""


class InMemoryImages:
    """Images in memory, or in a mapped file: the reading half of a :class:`Dataset`.

    Attributes:
        images: uint8 (N, H, W, 3).
    """

    images: Pixels

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(3, H, W) of every image."""
        return (3, *self.images.shape[1:3])

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Tensor:
        """Return the uint8 images (N, 3, H, W) at N indices."""
        return torch.from_numpy(self.images[indices.numpy()]).permute(0, 3, 1, 2)


@lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, length: int) -> Tensor:
    """Return the order of one epoch: a permutation that depends only on seed and epoch."""
    return torch.randperm(length, generator=random_numbers(seed, epoch))


def random_numbers(*names: int) -> torch.Generator:
    """Return a generator seeded by a sequence of integers.

    They are hashed, because torch's CPU generator uses at most 32 bits of a seed.
    """
    digest = hashlib.sha256(repr(names).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))


def order_of(
    seed: int, first: int, count: int, length: int, of_epoch: OrderOfEpoch = epoch_order
) -> Tensor:
    """Return the indices (count,) of the images at positions first … first + count - 1.

    The result depends only on the arguments, so a resumed run, or one split over processes, reads
    the same images. Every image comes once per epoch.

    Args:
        seed: The run's seed.
        first: The number of images before.
        count: The number of images to return.
        length: The number of images in the data set.
        of_epoch: Returns the order of one epoch, from the seed, the epoch and the length.
    """
    positions = torch.arange(first, first + count)
    pieces = [
        of_epoch(seed, int(epoch), length)[positions[positions // length == epoch] % length]
        for epoch in (positions // length).unique()
    ]
    return torch.cat(pieces)


def reading_order(dataset: Dataset, seed: int, first: int, count: int) -> Tensor:
    """Return the same for a data set, which may define its own order.

    A format that can only be read sequentially has a method ``order(seed, first, count)`` with the
    guarantees of :func:`order_of`.
    """
    own = getattr(dataset, "order", None)
    found: Tensor = own(seed, first, count) if own else order_of(seed, first, count, len(dataset))
    return found


def to_float(images: Tensor) -> Tensor:
    """Convert uint8 images to float32 in [-1, 1]; no other place does.

    It works in place after the first copy: allocating memory takes longer than the arithmetic
    (20 ms for a batch of 128 at 64 px, against 1 to 3 ms).
    """
    return images.to(torch.float32, copy=True).div_(127.5).sub_(1.0)
