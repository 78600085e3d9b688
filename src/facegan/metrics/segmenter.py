"""A small network that reads label maps in images, to tell whether a painted image obeys its map.

It is trained on real images and their maps alone. Its score on others of them is the ceiling of
what it can find in painted images.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.files import write_atomic

logger = logging.getLogger(__name__)

WIDTHS = (24, 48, 80)  # channels at the image's side, its half and its quarter
RATE, WEIGHT_DECAY = 4e-3, 1e-3
# A class weighs its share of the pixels to this power. At 0, without weights, the rare classes are
# given up: irises, brows, lips.
BALANCE = -0.5
READ_AT_ONCE = 256


class Segmenter(nn.Module):
    """A U-Net of three levels: uint8 images (N, 3, H, W) → logits (N, classes, H, W).

    Sides are multiples of 4.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.fine = nn.Sequential(layer(3, fine), layer(fine, fine))
        self.middle = nn.Sequential(layer(fine, middle, stride=2), layer(middle, middle))
        self.coarse = nn.Sequential(layer(middle, coarse, stride=2), layer(coarse, coarse))
        self.up_middle = layer(coarse + middle, middle)
        self.up_fine = layer(middle + fine, fine)
        self.classes = nn.Conv2d(fine, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes, H, W) of uint8 images (N, 3, H, W)."""
        pixels = images.float() / 127.5 - 1
        fine = self.fine(pixels.contiguous(memory_format=torch.channels_last))
        middle = self.middle(fine)
        up = F.interpolate(self.coarse(middle), scale_factor=2.0)
        up = F.interpolate(self.up_middle(torch.cat([up, middle], 1)), scale_factor=2.0)
        logits: Tensor = self.classes(self.up_fine(torch.cat([up, fine], 1)))
        return logits

    @torch.no_grad()
    def read(self, images: Tensor) -> Tensor:
        """Return the label maps, uint8 (N, H, W), of uint8 images (N, 3, H, W)."""
        maps = [self(part).argmax(1).to(torch.uint8) for part in images.split(READ_AT_ONCE)]
        return torch.cat(maps)


def layer(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()
    )


def class_weights(maps: Tensor, classes: int) -> Tensor:
    """Return the weight of each class in the loss, whose mean over the maps' pixels is 1."""
    counts = torch.bincount(maps.flatten().long(), minlength=classes)
    shares = counts.clamp(min=1) / counts.sum()  # no infinite weight for a class in no map
    weights = shares**BALANCE
    return weights / (weights * shares).sum()


def train_segmenter(
    images: Tensor,
    maps: Tensor,
    classes: int,
    *,
    steps: int,
    batch_size: int,
    on_step: Callable[[int, Tensor], None] = lambda step, loss: None,
) -> Segmenter:
    """Train a segmenter by balanced cross-entropy, under a one-cycle schedule.

    The same arguments give the same network, on one kind of machine.

    Args:
        images: uint8 (N, 3, H, W), sides multiples of 4.
        maps: Their label maps, uint8 (N, H, W), of classes 0 … `classes` - 1.
        classes: How many there are.
        steps: Of the optimiser.
        batch_size: Images per step, drawn with replacement.
        on_step: Called with each step's number and loss.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        segmenter, weights = Segmenter(classes), class_weights(maps, classes)
        segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.AdamW(segmenter.parameters(), weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        for step in range(steps):
            chosen = torch.randint(len(images), (batch_size,))
            loss = F.cross_entropy(segmenter(images[chosen]), maps[chosen].long(), weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            on_step(step, loss.detach())
    return segmenter.eval()


def cached_segmenter(file: Path | None, classes: int, train: Callable[[], Segmenter]) -> Segmenter:
    """Return the segmenter in a file; if there is none, or it is damaged, train and keep it.

    Args:
        file: Whose name says what the segmenter was trained on; None keeps nothing.
        classes: Its number of classes.
        train: Makes it. That it cannot be written is logged, and no error.
    """
    if file is not None and file.exists():
        segmenter = Segmenter(classes)
        try:
            segmenter.load_state_dict(load_file(file))
            return segmenter.eval()
        except (OSError, RuntimeError, SafetensorError) as cause:
            logger.warning("%s is damaged (%s): the segmenter is trained again.", file, cause)
    segmenter = train()
    if file is not None:
        tensors = {name: tensor.contiguous() for name, tensor in segmenter.state_dict().items()}
        try:
            write_atomic(file, save_tensors(tensors))
        except OSError as cause:
            logger.warning("%s cannot be written (%s): it is not kept.", file, cause.strerror)
    return segmenter
