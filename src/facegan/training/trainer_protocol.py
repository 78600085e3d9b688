"""The type of a trainer for the modules that the trainer imports."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from facegan.gans import Batch, Gan, Phase, Terms
from facegan.training.augment import AugmentProbability
from facegan.training.distributed.process_group import ProcessGroup


class TrainerProtocol(Protocol):
    """What evaluation, micro-batch search and state checks use of a ``Trainer``."""

    gan: Gan
    group: ProcessGroup
    device: torch.device
    batch_size: int
    phases: tuple[Phase, ...]
    optimizers: dict[str, torch.optim.Adam]
    augment_probability: AugmentProbability
    evaluation: Any  # an Evaluation, or None
    images_seen: int
    stop_requested: bool

    @property
    def kimg(self) -> float: ...
    @property
    def own_images(self) -> int: ...
    @property
    def images_at_last_tick(self) -> int: ...
    @property
    def has_trained_all(self) -> bool: ...
    def begin(self, phase: Phase) -> list[torch.optim.Adam]: ...
    def compute(self, phase: Phase, batch: Batch) -> Terms: ...
    def draw_pixels(self, *inputs: Tensor, player: str | None = None) -> Tensor: ...
    def stateful_modules(self) -> dict[str, nn.Module]: ...
