"""What every data set is to the trainer: a digest, a shape, and uint8 images by index."""

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

OrderOfEpoch = Callable[[int, int, int], Tensor]


class Dataset(Protocol):
    """Images of one resolution. Formats (folders, packed or streamed shards) are its bodies."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(3, H, W) of every image."""

    @property
    def digest(self) -> str:
        """sha256 of the pixels, in order: what a checkpoint and a model card name the data by."""

    @property
    def labels(self) -> Tensor | None:
        """int64 (N,): each image's class, by its place in ``classes``; None without labels."""

    @property
    def classes(self) -> Mapping[str, int]:
        """How many images are of each class, in the order of the labels; empty without labels."""

    def __len__(self) -> int:
        """How many images there are."""

    def read(self, indices: Tensor) -> Tensor:
        """The uint8 images (N, 3, H, W) at N indices."""


@lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, length: int) -> Tensor:
    """The order of one pass over the data: a permutation that depends on seed and epoch alone."""
    return torch.randperm(length, generator=random_numbers(seed, epoch))


def random_numbers(*names: int) -> torch.Generator:
    """Random numbers named by whole numbers: the same names give the same numbers.

    The names are hashed, because torch's CPU generator reads no more than 32 bits of a seed.
    """
    digest = hashlib.sha256(repr(names).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))


def order_of(
    seed: int, first: int, count: int, length: int, of_epoch: OrderOfEpoch = epoch_order
) -> Tensor:
    """Which images come first-th … (first + count - 1)-th in a run, as indices (count,).

    A function of its arguments and of nothing else: a resumed run, and one split over processes,
    reads the very same images. Every image comes once before any comes twice.

    Args:
        seed: The run's.
        first: How many images came before.
        count: How many are wanted.
        length: How many there are.
        of_epoch: The order of one pass, from the seed, the epoch and the length.
    """
    positions = torch.arange(first, first + count)
    pieces = [
        of_epoch(seed, int(epoch), length)[positions[positions // length == epoch] % length]
        for epoch in (positions // length).unique()
    ]
    return torch.cat(pieces)


def reading_order(dataset: Dataset, seed: int, first: int, count: int) -> Tensor:
    """The same for a data set: in any order where it can be read so, else in an order of its own.

    A format that can only be read in sequence has a method ``order(seed, first, count)``, which
    must give what :func:`order_of` promises.
    """
    own = getattr(dataset, "order", None)
    found: Tensor = own(seed, first, count) if own else order_of(seed, first, count, len(dataset))
    return found


def to_float(images: Tensor) -> Tensor:
    """uint8 images → float32 in [-1, 1]: the one place where that is done.

    In place after the first copy: fresh memory costs more than the arithmetic (20 ms of a batch of
    128 at 64 px, against 1 to 3 ms).
    """
    return images.to(torch.float32, copy=True).div_(127.5).sub_(1.0)
