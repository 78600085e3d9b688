"""The images of every tick: samples as a grid, beside their inputs and the true answers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facegan.image_encoding import Pixels, montage
from facegan.training.example_inputs import ExampleInputs, rows_of
from facegan.training.step_batches import network_values
from facegan.training.trainer import Trainer

SAMPLES = 64  # without inputs to show
STRIPS = 32  # samples with their inputs, in three images each
STRIPS_PER_ROW = 4


@dataclass(frozen=True)
class TickImages:
    """Samples of a tick.

    Attributes:
        samples: The generator's images, uint8 (N, 3, H, W).
        grid: One image for people, uint8 (H', W', 3).
    """

    samples: Tensor
    grid: Pixels


class TickSampler:
    """Draws the same samples at every tick: of fixed latents, or of the first images of the data.

    A generator that is given images or label maps is shown in strips: input, output, truth; or of
    a GAN with two directions: input, output, and back again.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.gan = trainer.gan
        self.examples = ExampleInputs(trainer.gan, trainer.dataset)
        if self.examples.source is None:
            self.latents = trainer.gan.sample_latents(SAMPLES, torch.Generator().manual_seed(0))
        else:
            self.inputs = self.examples.inputs(range(STRIPS))

    def draw(self, trainer: Trainer) -> TickImages:
        """Draw the samples with the averaged generator."""
        if self.examples.source is None:
            samples = trainer.draw_pixels(self.latents)
            return TickImages(samples, montage(channels_last(samples)))
        samples = trainer.draw_pixels(*self.inputs)
        if directions := self.gan.family.directions(self.gan.preset):
            rows = [self.cycle(trainer, *ways) for ways in (directions, directions[::-1])]
            strips = torch.cat([row[: STRIPS // 2] for row in rows])
        else:
            columns = [self.shown_inputs(), samples]
            if self.examples.is_aligned:
                columns.append(self.examples.truths(range(STRIPS)))
            strips = torch.stack(columns, 1)
        columns_of_grid = strips.shape[1] * STRIPS_PER_ROW
        return TickImages(samples, montage(channels_last(strips.flatten(0, 1)), columns_of_grid))

    def cycle(self, trainer: Trainer, there: str, back: str) -> Tensor:
        """Return input, output and the output translated back, uint8 (N, 3, 3, H, W)."""
        is_first = there == self.gan.family.directions(self.gan.preset)[0]
        domain = self.examples.source if is_first else self.examples.target
        shown = rows_of(domain, range(STRIPS))
        translated = trainer.draw_pixels(network_values("images", shown), player=there)
        returned = trainer.draw_pixels(network_values("images", translated), player=back)
        return torch.stack([shown, translated, returned], 1)

    def shown_inputs(self) -> Tensor:
        """Return the inputs as images, uint8 (N, 3, H, W); label maps in their colours."""
        images = rows_of(self.examples.source, range(STRIPS))
        return in_colours(images, self.gan.map_classes) if images.shape[1] == 1 else images


def in_colours(maps: Tensor, classes: Mapping[str, str]) -> Tensor:
    """Return label maps (N, 1, H, W) in their classes' colours, uint8 (N, 3, H, W)."""
    palette = [tuple(bytes.fromhex(colour[1:])) for colour in classes.values()]
    return torch.tensor(palette, dtype=torch.uint8)[maps[:, 0].long()].permute(0, 3, 1, 2)


def channels_last(images: Tensor) -> Pixels:
    """Return images (N, 3, H, W) as an array (N, H, W, 3)."""
    return np.asarray(images.permute(0, 2, 3, 1))
