"""Says what a run needs of memory before it starts, and what to do where that runs out."""

import contextlib
from collections.abc import Iterator
from typing import Any

import click

from facegan.errors import RunError, is_out_of_memory

PRECISION = {"bfloat16": "bf16", "float32": "fp32"}


def refuse_what_cannot_fit(gan: Any, config: Any, group: Any) -> None:
    """Refuse networks of which a GPU cannot hold even the smallest micro-batch.

    Raises:
        RunError: says what is needed and what the GPU has.
    """
    from facegan.gans.memory import GIB
    from facegan.training.plan import micro_batch_sizes
    from facegan.training.precision import choose_device, choose_dtype

    device = choose_device(config.device, group)
    need = need_of(gan)
    if need is None or device.type != "cuda":
        return
    batch = config.completed_by(gan.preset).batch_size
    sizes = micro_batch_sizes(gan.family, gan.preset, batch, group.size)
    needed = need.bytes(sizes[-1], precision_of(choose_dtype(config.precision, device)))
    if needed > (capacity := memory_of(device)):
        raise RunError(
            f"{gan.family.name} {gan.preset_name} needs about {needed / GIB:.1f} GiB for "
            f"{sizes[-1]} of {batch} images at once, and {device} has {capacity / GIB:.1f} GiB.",
            "Choose a GPU with more memory, or a smaller resolution or preset.",
        )


def say_memory(trainer: Any) -> None:
    """Print what a run needs and what its device has, in a line; nothing if that is unknown."""
    from facegan.gans.memory import describe_memory
    from facegan.training.plan import micro_batch_sizes

    gan = trainer.gan
    need = need_of(gan)
    if need:
        capacity = memory_of(trainer.device)
        sizes = micro_batch_sizes(gan.family, gan.preset, trainer.batch_size, trainer.group.size)
        click.echo(
            describe_memory(
                need,
                sizes,
                trainer.micro_batch,
                precision_of(trainer.dtype),
                str(trainer.device) if trainer.device.type == "cuda" else "this machine",
                capacity,
            )
        )


def need_of(gan: Any) -> Any:
    """What a GAN's preset needs at its side; None where that was not counted."""
    from facegan.gans.memory import find_memory

    return find_memory(gan.family, gan.preset_name, gan.preset, gan.image_shape[-1])


def precision_of(dtype: Any) -> str:
    """A type of torch as a precision of ours."""
    return PRECISION[str(dtype).removeprefix("torch.")]


def memory_of(device: Any) -> float:
    """The bytes of a GPU, or of this machine, or of the container that this is."""
    import torch

    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[1])
    from facegan.serving.model.memory import memory_limit

    return float(memory_limit())


@contextlib.contextmanager
def fitting_memory(trainer: Any) -> Iterator[None]:
    """Where memory runs out, say so with the micro-batch that needs less: never another recipe.

    Raises:
        RunError: the memory is used up.
    """
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


def advice(trainer: Any) -> str:
    """What makes a run fit that did not, with the same result."""
    from facegan.training.plan import micro_batch_sizes

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
