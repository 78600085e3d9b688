"""Estimates a run's memory before it starts, and advises what to do when memory runs out."""

import contextlib
from collections.abc import Iterator

import torch

from facegan.cgroups import memory_limit
from facegan.errors import RunError, is_out_of_memory
from facegan.gans import Gan
from facegan.gans.batch_split import micro_batch_sizes
from facegan.gans.memory import GIB, TrainingMemory, describe_memory, find_memory
from facegan.hyperparameters.training import TrainingConfig
from facegan.training.distributed.process_group import ProcessGroup
from facegan.training.precision import choose_device, choose_dtype
from facegan.training.trainer import Trainer

PRECISION = {"bfloat16": "bf16", "float32": "fp32"}


def refuse_what_cannot_fit(gan: Gan, config: TrainingConfig, group: ProcessGroup) -> None:
    """Raise RunError if a GPU cannot hold even the smallest micro-batch."""
    device = choose_device(config.device, group)
    need = need_of(gan)
    if need is None or device.type != "cuda":
        return
    batch = config.completed_by(gan.preset).batch_size or 0
    sizes = micro_batch_sizes(gan.family, gan.preset, batch, group.size)
    needed = need.bytes(sizes[-1], precision_of(choose_dtype(config.precision, device)))
    if needed > (capacity := memory_of(device)):
        raise RunError(
            f"{gan.family.name} {gan.preset_name} needs about {needed / GIB:.1f} GiB for "
            f"{sizes[-1]} of {batch} images at once, and {device} has {capacity / GIB:.1f} GiB.",
            "Choose a GPU with more memory, or a smaller resolution or preset.",
        )


def memory_line(trainer: Trainer) -> str:
    """Return what a run needs and what its device has; empty where that is unknown."""
    gan = trainer.gan
    need = need_of(gan)
    if need is None:
        return ""
    return describe_memory(
        need,
        micro_batch_sizes(gan.family, gan.preset, trainer.batch_size, trainer.group.size),
        trainer.micro_batch,
        precision_of(trainer.dtype),
        str(trainer.device) if trainer.device.type == "cuda" else "this machine",
        memory_of(trainer.device),
    )


def need_of(gan: Gan) -> TrainingMemory | None:
    """Return what a GAN's preset needs at its resolution; None where it was not counted."""
    return find_memory(gan.family, gan.preset_name, gan.preset, gan.image_shape[-1])


def precision_of(dtype: torch.dtype) -> str:
    """Return the name of a precision as in the memory table."""
    return PRECISION[str(dtype).removeprefix("torch.")]


def memory_of(device: torch.device) -> float:
    """Return the bytes of a GPU, or of this machine or container."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[1])
    return float(memory_limit())


@contextlib.contextmanager
def fitting_memory(trainer: Trainer) -> Iterator[None]:
    """Turn running out of memory into a RunError that suggests a micro-batch that fits."""
    try:
        yield
    except (RuntimeError, MemoryError) as cause:
        if not is_out_of_memory(cause):
            raise
        side = trainer.gan.image_shape[-1]
        raise RunError(
            f"The memory of {trainer.device} does not hold a step of {trainer.micro_batch} images "
            f"of {side} px at once.",
            advice(trainer),
        ) from cause


def advice(trainer: Trainer) -> str:
    """Return how to make a run fit without changing its result."""
    gan, group = trainer.gan, trainer.group
    sizes = [
        size
        for size in micro_batch_sizes(gan.family, gan.preset, trainer.batch_size, group.size)
        if size < trainer.micro_batch
    ]
    need = need_of(gan)
    halves = [size for size in sizes if size <= trainer.micro_batch / 2] or sizes
    best = halves[0] if halves else None
    if need and halves:
        capacity = memory_of(trainer.device)
        best = need.largest_fitting(halves, precision_of(trainer.dtype), capacity) or halves[-1]
    if best:
        return f"Resume it with micro_batch {best}: smaller passes, the same result."
    if reason := gan.family.needs_whole_batch(gan.preset):
        return (
            f"Share the batch among more processes, each with a GPU: {gan.family.name} cannot "
            f"train in micro-batches, because {reason}."
        )
    return "Not even the smallest micro-batch fits: take a device with more memory."
