"""The quiz: its questions (which of two images is real?) and its score."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from facegan.studio.drawings import Pixels


class RealImages(Protocol):
    """The images of a data set."""

    def __len__(self) -> int:
        """How many there are, at least one."""
        ...

    def png(self, index: int) -> bytes:
        """Return one of them as a PNG, at the model's resolution."""
        ...

    def label_map(self, index: int) -> Pixels | None:
        """Return the class of each of its pixels, uint8 (H, W); None without label maps."""
        ...


OpenRealImages = Callable[[int], RealImages]  # at a resolution; raises DatasetError


@dataclass(frozen=True)
class Question:
    """The two images of a question; their names and order do not reveal the answer.

    Attributes:
        left: A PNG.
        right: Another.
        real_is_left: Which one is from the data set.
        seed: The generated one's.
    """

    left: Path
    right: Path
    real_is_left: bool
    seed: int


@dataclass(frozen=True)
class Score:
    """A visitor's score."""

    right: int = 0
    asked: int = 0

    def with_answer(self, is_right: bool) -> "Score":
        """Return the score after one more answer."""
        return replace(self, right=self.right + is_right, asked=self.asked + 1)

    @property
    def summary(self) -> str:
        """One line of text."""
        if not self.asked:
            return "Which image is from the data set?"
        share = f"{self.right} of {self.asked} right"
        return share + (" (guessing gets half)." if self.asked >= 5 else ".")


def make_question(
    real: bytes, fake: bytes, seed: int, folder: Path, rng: random.Random
) -> Question:
    """Write a question's images in random order, under names that do not tell them apart."""
    folder.mkdir(parents=True, exist_ok=True)
    real_is_left = rng.random() < 0.5
    stem = f"{rng.getrandbits(64):016x}"
    left, right = folder / f"{stem}-left.png", folder / f"{stem}-right.png"
    left.write_bytes(real if real_is_left else fake)
    right.write_bytes(fake if real_is_left else real)
    return Question(left, right, real_is_left, seed)
