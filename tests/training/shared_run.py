"""A program for several processes: trains each family's `tiny` preset in double precision.

In float64 only mistakes make a difference; in float32 GANs amplify rounding by thousands in a few
steps.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from safetensors.torch import save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a program, it finds what tests share

from example_data import MAP_CLASSES, random_companions

from facegan.environment import WorkerEnvironment
from facegan.gans import FAMILIES, build_gan
from facegan.training import Trainer, TrainingConfig, step_batches
from facegan.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from facegan.training.distributed.rendezvous import exit_process, join_process_group

CONFIG = TrainingConfig(total_kimg=0.04, batch_size=8, precision="fp32", device="cpu")
AUGMENTED = CONFIG.model_copy(
    update={"augment": "color,translation,cutout", "augment_probability": 0.5, "mirror": True}
)


class Noise:
    """Twenty images of noise, so that 40 images are two epochs, with every companion."""

    image_shape, digest = (3, 32, 32), "noise"
    images = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8,
                           generator=torch.Generator().manual_seed(0))  # fmt: skip
    companions = random_companions(20, 32)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Tensor:
        return self.images[indices]


@contextmanager
def in_float64() -> Iterator[None]:
    """Replace float32 by float64 everywhere."""
    torch.set_default_dtype(torch.float64)
    with (
        mock.patch.object(Tensor, "float", Tensor.double),
        mock.patch.object(step_batches, "to_float", lambda images: images.double() / 127.5 - 1),
    ):
        yield
    torch.set_default_dtype(torch.float32)


# name → family, configuration, changes of the preset, images of a micro-batch
RUNS: dict[str, tuple[str, TrainingConfig, dict[str, Any], int | None]] = {
    **{name: (name, CONFIG, {}, None) for name in FAMILIES},
    "r3gan+": ("r3gan", AUGMENTED, {}, None),
    "r3gan-micro": ("r3gan", AUGMENTED, {}, 2),
    "stylegan2-micro": (
        "stylegan2",
        CONFIG,
        {"minibatch_stddev_group": 2, "path_length_interval": 2},
        2,
    ),
    "spade-oasis": ("spade", AUGMENTED, {"discriminator": "segmenting"}, None),
    "pix2pix-micro": ("pix2pix", AUGMENTED, {"norm": "own", "halvings": 3}, 2),
    "cyclegan-micro": ("cyclegan", AUGMENTED, {"pool_size": 0}, 2),
}


def train_all(group: ProcessGroup = SINGLE_PROCESS) -> dict[str, Tensor]:
    """Return every run's state after five steps, with loss terms; micro-batches in groups only."""
    found: dict[str, Tensor] = {}
    with in_float64():
        for name, (family, config, numbers, micro_batch) in RUNS.items():
            gan = build_gan(family, "tiny", (3, 32, 32), seed=0, map_classes=MAP_CLASSES, **numbers)
            size = micro_batch if group.size > 1 else None
            run = Trainer(
                gan, Noise(), config.model_copy(update={"micro_batch": size}), group=group
            )
            for _ in range(5):
                run.step()
            run.check_identical()
            found |= {f"{name}/{key}": value for key, value in run.state()[0].items()}
    return found


def main() -> None:
    environment = WorkerEnvironment.from_mapping(os.environ)
    assert environment
    with join_process_group(environment, lambda error: 1) as group:
        found = train_all(group)
        if group.is_main_process:
            save_file({k: v.contiguous() for k, v in found.items()}, Path(sys.argv[1]))
    exit_process(0)


if __name__ == "__main__":
    main()
