"""Real or generated: a picture of the data set beside a face of the model, and who was right."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol


class Reals(Protocol):
    """The pictures of a data set."""

    def __len__(self) -> int:
        """How many there are, at least one."""
        ...

    def png(self, index: int) -> bytes:
        """One of them, of the model's resolution, as a PNG."""
        ...


OpenReals = Callable[[int], Reals]  # at a resolution; raises DatasetError


@dataclass(frozen=True)
class Round:
    """Two pictures of one question. Their names and places tell nothing.

    Attributes:
        left: A PNG.
        right: Another.
        real_is_left: Which one is the data set's.
        seed: Of the other.
    """

    left: Path
    right: Path
    real_is_left: bool
    seed: int


@dataclass(frozen=True)
class Score:
    """How a visitor does."""

    right: int = 0
    asked: int = 0

    def with_answer(self, is_right: bool) -> "Score":
        """The score after one more answer."""
        return replace(self, right=self.right + is_right, asked=self.asked + 1)

    @property
    def told(self) -> str:
        """A line for people: half right is a coin's score."""
        if not self.asked:
            return "Which one is a picture of the data set?"
        share = f"{self.right} of {self.asked} right"
        return share + (" (a coin gets half)." if self.asked >= 5 else ".")


def lay_out(real: bytes, fake: bytes, seed: int, folder: Path, chance: random.Random) -> Round:
    """A round's two pictures, in an order of chance, under names that do not tell them apart."""
    folder.mkdir(parents=True, exist_ok=True)
    real_is_left = chance.random() < 0.5
    stem = f"{chance.getrandbits(64):016x}"
    left, right = folder / f"{stem}-left.png", folder / f"{stem}-right.png"
    left.write_bytes(real if real_is_left else fake)
    right.write_bytes(fake if real_is_left else real)
    return Round(left, right, real_is_left, seed)
