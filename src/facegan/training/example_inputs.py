"""Makes samples 0, 1, 2 … and their inputs, for evaluation and for the images of every tick."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from facegan.data import Dataset
from facegan.gans import Family, draw_labels
from facegan.metrics import mean_absolute_difference
from facegan.model_inputs import IMAGE, LABEL_MAP, input_names
from facegan.training.step_batches import network_values

DRAWN_AT_ONCE = 64


class Model(Protocol):
    """A ``Gan`` or an ``Artifact``."""

    @property
    def family(self) -> Family: ...
    @property
    def preset(self) -> Any: ...
    @property
    def classes(self) -> Mapping[str, int]: ...
    def sample_latents(self, count: int, generator: torch.Generator) -> Tensor: ...


class ExampleInputs:
    """Makes the inputs of the served network, in the order of its arguments.

    Sample i has the latents and the label of seed i, and the i-th image or label map of the data,
    which starts again at its end.

    Args:
        model: Declares what its network takes.
        dataset: Images and companions; not read if the network takes latents and labels only.
    """

    def __init__(self, model: Model, dataset: Dataset) -> None:
        self.model, self.dataset = model, dataset
        inputs = model.family.inputs(model.preset)
        self.names = input_names(given for given in inputs if not given.optional)
        self.shown = [given.name for given in inputs if given.kind in (IMAGE, LABEL_MAP)][:1]

    @property
    def source(self) -> Dataset | None:
        """The images or label maps that the network is given; None if it takes neither."""
        family, preset = self.model.family, self.model.preset
        return self.images(family.source(preset, self.shown[0])) if self.shown else None

    @property
    def target(self) -> Dataset:
        """The images that the network's are compared with."""
        return self.images(self.model.family.target(self.model.preset))

    @property
    def is_aligned(self) -> bool:
        """Whether the i-th image of the target is the true answer to the i-th input."""
        return bool(self.shown) and "unpaired" not in self.model.family.companions(
            self.model.preset
        )

    def describe(self, count: int) -> str:
        """Return what samples 0 … count - 1 are made of, for the protocol of metrics."""
        last = count - 1
        seeds = f"seeds 0 to {last}, truncation psi 1" if "latents" in self.names else ""
        if self.source is None:
            return seeds
        what = f"{self.shown[0]} 0 to {min(last, len(self.source) - 1)} (SHA-256 "
        return ", ".join([f"{what}{self.source.digest})", *([seeds] if seeds else [])])

    def images(self, key: str) -> Dataset:
        """Return the data set's own images, or one of its companions."""
        return self.dataset if key == "reals" else getattr(self.dataset, "companions", {})[key]

    def inputs(self, samples: Sequence[int]) -> tuple[Tensor, ...]:
        """Return the network's inputs for samples, one row each."""
        numbers = [torch.Generator().manual_seed(sample) for sample in samples]
        values: dict[str, Tensor] = {}
        for name in self.names:  # latents before labels, which follow in a seed's random numbers
            if name == "latents":
                drawn = [self.model.sample_latents(1, generator) for generator in numbers]
                values[name] = torch.cat(drawn)
            elif name == "labels":
                labels = [draw_labels(self.model.classes, 1, generator) for generator in numbers]
                values[name] = torch.cat(labels)
            else:
                values[name] = network_values(name, rows_of(self.source, samples))
        return tuple(values[name] for name in self.names)

    def truths(self, samples: Sequence[int]) -> Tensor:
        """Return the true answers (N, 3, H, W), uint8, to aligned samples."""
        return rows_of(self.target, samples)

    def request(self, samples: Sequence[int]) -> dict[str, Any]:
        """Return the same inputs as ``Synthesizer.prepare_batch`` takes them."""
        request: dict[str, Any] = {"seeds": list(samples)} if "latents" in self.names else {}
        for name in self.shown:
            images = rows_of(self.source, samples)
            is_map = name == "label_maps"
            request[name] = (images[:, 0] if is_map else images.permute(0, 2, 3, 1)).numpy()
        return request


def rows_of(dataset: Dataset | None, samples: Sequence[int]) -> Tensor:
    """Return the images (N, C, H, W) of samples; after the last comes the first."""
    assert dataset is not None
    return dataset.read(torch.tensor(samples) % len(dataset))


class Fakes:
    """The images of samples 0 … count - 1, drawn in batches as they are asked for.

    Args:
        examples: Where the true images come from.
        count: The number of samples.
        draw: Makes uint8 images (N, 3, H, W) of N samples.
    """

    def __init__(
        self, examples: ExampleInputs, count: int, draw: Callable[[Sequence[int]], Tensor]
    ) -> None:
        self.examples, self.count, self.draw = examples, count, draw
        self.total = 0.0

    def __iter__(self) -> Iterator[Tensor]:
        self.total = 0.0
        for first in range(0, self.count, DRAWN_AT_ONCE):
            samples = range(first, min(first + DRAWN_AT_ONCE, self.count))
            made = self.draw(samples)
            if self.examples.is_aligned:
                truths = self.examples.truths(samples)
                self.total += mean_absolute_difference(made, truths) * len(samples)
            yield made

    def differences(self) -> dict[str, float]:
        """Return `l1`, the mean absolute difference from the true images (0 to 1), once drawn.

        There is none unless the data has a true image for each input.
        """
        return {"l1": self.total / self.count} if self.examples.is_aligned else {}
