"""Finds the largest micro-batch that fits a GPU by trial, without changing the run."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from facegan.errors import RunError, is_out_of_memory
from facegan.gans.batch_split import micro_batch_sizes
from facegan.gans.data_parallel import BatchSlice
from facegan.gans.example_batch import example_batch
from facegan.training.micro_batches import MicroBatches
from facegan.training.trainer_protocol import TrainerProtocol

logger = logging.getLogger(__name__)

SPARE = 0.03  # of a GPU's memory, for fragmentation in a long run


def find_micro_batch(trainer: TrainerProtocol) -> int:
    """Return the images of the largest micro-batch that fits every process's GPU; on a CPU, all.

    Raises:
        RunError: not even the smallest fits.
    """
    gan, device = trainer.gan, trainer.device
    sizes = micro_batch_sizes(gan.family, gan.preset, trainer.batch_size, trainer.group.size)
    if device.type != "cuda":
        logger.info(
            "micro_batch auto: memory is not measured on a CPU, so each process computes its %d "
            "images at once. Set a number to use less memory.",
            sizes[0],
        )
        return sizes[0]
    found = largest_that_fits(sizes, lambda size: all_fit(trainer, size))
    if found is None:
        raise RunError(
            f"{gan.family.name} {gan.preset_name} at {gan.image_shape[-1]} px does not fit "
            f"{device}: not even {sizes[-1]} of the {trainer.batch_size} images of a step at once.",
            "Choose a GPU with more memory, or a smaller resolution or preset.",
        )
    logger.info("micro_batch auto: %s holds %d of %d images at once.", device, found, sizes[0])
    return found


def largest_that_fits(sizes: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """Return the first size that fits, of sizes in descending order; each try at least halves."""
    rest = list(sizes)
    while rest:
        if fits(rest[0]):
            return rest[0]
        rest = [size for size in rest if size <= rest[0] / 2] or rest[1:]
    return None


def all_fit(trainer: TrainerProtocol, size: int) -> bool:
    """Return whether a micro-batch fits every process's GPU; all processes must call this."""
    is_small_enough = fits(trainer, size)
    if trainer.device.type == "cuda":
        torch.cuda.empty_cache()
    return not trainer.group.any(not is_small_enough)


def fits(trainer: TrainerProtocol, size: int) -> bool:
    """Try every phase on two micro-batches of noise, with the memory of a whole step allocated."""
    rows = min(2 * size, trainer.own_images)
    try:
        with unchanged(trainer), holding(future_moments(trainer)):
            batch = example_batch(trainer.gan, rows, trainer.device, trainer.kimg)
            batch_slice = BatchSlice(0, 1, rows)
            for phase in trainer.phases:
                trainer.begin(phase)
                parts = MicroBatches(trainer.gan, batch, batch_slice, rows // size, trainer.device)
                parts.backward(phase, trainer.compute)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


@contextmanager
def unchanged(trainer: TrainerProtocol) -> Iterator[None]:
    """Restore random numbers and buffers afterwards, and clear gradients."""
    players = trainer.gan.players.values()
    buffers = [(buffer, buffer.clone()) for player in players for buffer in player.buffers()]
    try:
        with torch.random.fork_rng([trainer.device] if trainer.device.type == "cuda" else []):
            yield
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
        for optimizer in trainer.optimizers.values():
            optimizer.zero_grad(set_to_none=True)


@contextmanager
def holding(tensors: list[Tensor]) -> Iterator[None]:
    """Keep tensors in memory until the end of the block."""
    try:
        yield
    finally:
        tensors.clear()


def future_moments(trainer: TrainerProtocol) -> list[Tensor]:
    """Allocate as much as the moments that Adam creates at the first step, and some to spare."""
    device = trainer.device
    parameters = [
        parameter
        for optimizer in trainer.optimizers.values()
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter not in optimizer.state
    ]
    moments = [torch.empty_like(parameter) for parameter in parameters for _ in range(2)]
    if device.type == "cuda":
        spare = int(SPARE * torch.cuda.mem_get_info(device)[1])
        moments.append(torch.empty(spare, dtype=torch.uint8, device=device))
    return moments
