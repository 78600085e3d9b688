"""Random data for any family, made from what it declares: data sets, batches, network inputs."""

import torch
from torch import Tensor

from facegan.gans import Batch, Gan
from facegan.model_inputs import input_names

MAP_CLASSES = {"sky": "#a0c0ff", "hair": "#604020", "skin": "#f0c0a0", "shirt": "#208040"}


class Rows:
    """A data set of uint8 images or label maps (N, C, H, W) in memory."""

    labels = None

    def __init__(self, rows: Tensor, digest: str = "rows") -> None:
        self.rows, self.digest, self.classes = rows, digest, {}
        self.image_shape = tuple(rows.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: Tensor) -> Tensor:
        return self.rows[indices]


def random_companions(count: int, side: int) -> dict[str, Rows]:
    """Return every companion that a data set of `count` images can have; unpaired has one less."""
    generator = torch.Generator().manual_seed(0)

    def rows(number: int, channels: int, values: int) -> Tensor:
        shape = number, channels, side, side
        return torch.randint(values, shape, generator=generator, dtype=torch.uint8)

    return {
        "paired": Rows(rows(count, 3, 256), "paired"),
        "label_maps": Rows(rows(count, 1, len(MAP_CLASSES)), "label maps"),
        "unpaired": Rows(rows(count - 1, 3, 256), "unpaired"),
    }


def a_batch(gan: Gan, count: int = 8) -> Batch:
    """Return a step's batch of random images, latents and companions, as the trainer's."""
    generator = torch.Generator().manual_seed(1)
    shape = count, *gan.image_shape
    batch: Batch = {
        "reals": torch.rand(shape, generator=generator) * 2 - 1,
        "generator": generator,
        "kimg": 0.0,
    }
    if gan.preset.latent_dim:
        batch["latents"] = gan.sample_latents(count, generator)
    if gan.classes:
        batch["labels"] = torch.randint(len(gan.classes), (count,), generator=generator)
    for name in gan.family.companions(gan.preset):
        if name == "label_maps":
            sides = count, *gan.image_shape[1:]
            batch[name] = torch.randint(len(gan.map_classes), sides, generator=generator)
        else:
            batch[name] = torch.rand(shape, generator=generator) * 2 - 1
    return batch


def network_inputs(gan: Gan, count: int = 4) -> list[Tensor]:
    """Return random inputs of the served network, in the order of its arguments."""
    batch, family, preset = a_batch(gan, count), gan.family, gan.preset
    needed = input_names(it for it in family.inputs(preset) if not it.optional)
    return [batch[family.source(preset, name)] for name in needed]
