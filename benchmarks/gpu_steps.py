"""Check of bench_gpu.py: images per second and peak memory of training steps.

The trainer is the one of ``facegan train``, on random images that lie in memory. A figure is the
mean over whole periods of the family's phases (StyleGAN2's regularisation comes every 16th step).
"""

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from gpu_checks import NOT_RUN, Cells, Network, describe_failure
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.data import random_numbers
from facegan.gans import build_gan
from facegan.gans.r3gan import networks as r3gan
from facegan.training import Trainer, TrainingConfig
from facegan.training import trainer as loop

SECONDS_A_STEP = 3.0  # where the recipe's batch would take longer, a part of it is measured
IMAGES = 256  # of the data set
FIGURES = ("first_step_seconds", "images_per_second", "peak_gib")  # of a compiled step
WARM_UPS = {"on": 1, "cuda-graphs": 3}  # steps before the clock: the first ones record graphs


class RandomImages:
    """Random uint8 images in memory."""

    digest, labels, classes = "random", None, {}

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        self.image_shape = image_shape
        shape = (IMAGES, *image_shape)
        self.images = torch.randint(256, shape, generator=random_numbers(0), dtype=torch.uint8)

    def __len__(self) -> int:
        return IMAGES

    def read(self, indices: Tensor) -> Tensor:
        """Return the images at these indices."""
        return self.images[indices]


def measure(
    earlier: dict[str, Cells], network: Network, seconds: float, changes: tuple[str, ...]
) -> Iterator[tuple[str, Any]]:
    """Measure a preset's step as the trainer runs it, then with one choice changed at a time."""
    micro = find_micro_batch(network)
    yield "micro_batch", micro
    batch = choose_batch(network, micro)
    yield "measured_batch", batch
    yield "images_per_second", rate_of(build_trainer(network, batch, micro), seconds)
    yield "peak_gib", peak_gib(network)
    for name in changes:
        rate = rate_changed(network, batch, micro, seconds, CHANGES[name])
        yield f"images_per_second_{name}", rate


def measure_compiled(
    earlier: dict[str, Cells], network: Network, seconds: float
) -> Iterator[tuple[str, Any]]:
    """Measure the same step compiled, and compiled with CUDA graphs.

    The batch and its micro-batches are those of the check of eager steps. CUDA graphs are recorded
    of a whole batch, so theirs is one micro-batch.
    """
    eager = earlier.get(f"steps {network.name}", {})
    batch, micro = (eager.get(cell) for cell in ("measured_batch", "micro_batch"))
    if not (isinstance(batch, int) and isinstance(micro, int)):
        batch = micro = network.batch
    for mode, name in (("on", "compiled"), ("cuda-graphs", "cuda_graphs")):
        size = micro if mode == "cuda-graphs" else batch
        cells = [f"{cell}_{name}" for cell in FIGURES]
        try:
            values = measure_mode(network, size, micro, mode, seconds)
        except Exception as error:
            values = (describe_failure(error),) * len(cells)
        yield from zip(cells, values, strict=True)


def measure_mode(
    network: Network, batch: int, micro: int, mode: str, seconds: float
) -> tuple[Any, ...]:
    """Return the first step's seconds, images per second, and the peak of memory."""
    torch.compiler.reset()
    trainer = build_trainer(network, batch, micro, compile=mode)
    started = time.perf_counter()
    trainer.step()
    wait(trainer.device)
    first = time.perf_counter() - started
    return first, rate_of(trainer, seconds, WARM_UPS[mode]), peak_gib(network)


# --- the trainer --------------------------------------------------------------------------------


def build_trainer(network: Network, batch: int, micro: int | str, **settings: Any) -> Trainer:
    """Build a preset's trainer, once the memory of the one before is free."""
    gc.collect()
    if network.device == "cuda":
        torch.cuda.init()  # before it there is no peak to reset
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    if micro != batch:
        settings["micro_batch"] = micro
    gan = build_gan(network.family, network.preset, network.image_shape, seed=0, **network.numbers)
    config = TrainingConfig(batch_size=batch, total_kimg=1e6, device=network.device, **settings)
    return Trainer(gan, RandomImages(network.image_shape), config)


def find_micro_batch(network: Network) -> int:
    """Return how many images of the recipe's batch ``--micro-batch auto`` computes at once.

    On a CPU that is the whole batch; a dry run takes half, so that it accumulates gradients too.
    """
    found = build_trainer(network, network.batch, "auto").micro_batch
    return found // 2 if network.device == "cpu" else found


def choose_batch(network: Network, micro: int) -> int:
    """Return the batch to measure: the recipe's, or a part of it on a slow device."""
    seconds = micro / rate_of(build_trainer(network, micro, micro), 0.0)
    batch = network.batch
    while batch % (2 * micro) == 0 and batch * seconds / micro > SECONDS_A_STEP:
        batch //= 2
    return batch


@contextmanager
def no_benchmark(trainer: Trainer) -> Iterator[None]:
    """Let cuDNN choose its kernels by rules, instead of timing them once for each shape."""
    with mock.patch.object(loop, "fixed_shapes", nullcontext, create=True):
        yield


@contextmanager
def contiguous_weights(trainer: Trainer) -> Iterator[None]:
    """Lay the weights out as (out, in, height, width), instead of channels-last."""
    for player in trainer.gan.players.values():
        to: Any = player.to  # torch's own types forget this argument
        to(memory_format=torch.contiguous_format)
    yield


@contextmanager
def torch_derivatives(trainer: Trainer) -> Iterator[None]:
    """Let torch derive R3GAN's convolutions: a grouped one by one convolution per group."""
    with mock.patch.object(r3gan, "convolve", convolve_by_torch):
        yield


def convolve_by_torch(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, groups: int
) -> Tensor:
    """Compute what ``facegan.gans.convolution`` does, with torch's own derivatives."""
    return F.conv2d(x, weight, bias, stride, padding, 1, groups)


# What is changed for one figure.
Change = Callable[[Trainer], AbstractContextManager[None]]
CHANGES: dict[str, Change] = {
    "without_cudnn_benchmark": no_benchmark,
    "with_contiguous_weights": contiguous_weights,
    "with_torch_derivatives": torch_derivatives,
}


# --- figures ------------------------------------------------------------------------------------


def rate_changed(
    network: Network, batch: int, micro: int, seconds: float, change: Change
) -> float | str:
    """Return images per second after one change to the trainer; why not where it fails."""
    try:
        trainer = build_trainer(network, batch, micro)
        with change(trainer):
            return rate_of(trainer, seconds)
    except Exception as error:
        return describe_failure(error)


def rate_of(trainer: Trainer, seconds: float, warm_ups: int = 1) -> float:
    """Return images per second, over one period of the phases or more."""
    period = math.lcm(*(phase.every for phase in trainer.phases))
    for _ in range(warm_ups):
        trainer.step()
    wait(trainer.device)
    started, steps = time.perf_counter(), 0
    while not steps or time.perf_counter() - started < seconds:
        for _ in range(period):
            trainer.step()
        wait(trainer.device)
        steps += period
    return steps * trainer.batch_size / (time.perf_counter() - started)


def wait(device: torch.device) -> None:
    """Wait until a GPU has computed what it was sent."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_gib(network: Network) -> float | str:
    """Return the most memory that tensors took since the trainer was built."""
    if network.device == "cpu":
        return f"{NOT_RUN}of GPUs only"
    return torch.cuda.max_memory_allocated() / 2**30
