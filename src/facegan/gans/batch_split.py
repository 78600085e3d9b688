"""Checks how a batch is divided among processes and micro-batches, so that results are equal."""

from itertools import count
from typing import Any

from facegan.errors import ConfigError
from facegan.gans.family import Family


def check_batch(family: Family, preset: Any, batch_size: int, processes: int) -> None:
    """Raise ConfigError if a batch cannot be divided among processes, with the nearest sizes."""

    if batch_size < family.smallest_batch:
        raise ConfigError(
            f"batch_size is {batch_size}.",
            f"{family.name} needs {family.smallest_batch} images or more.",
        )

    def divides(size: int) -> bool:
        together = family.images_together(preset, size) if processes > 1 else 1
        return size % (processes * together) == 0

    if divides(batch_size):
        return
    smaller = next((size for size in range(batch_size, 0, -1) if divides(size)), None)
    larger = next(size for size in count(batch_size) if divides(size))
    raise ConfigError(
        f"A batch of {batch_size} images cannot be divided among {processes} processes.",
        f"Set batch_size to {f'{smaller} or ' if smaller else ''}{larger}, or change the number of "
        "processes.",
    )


def micro_batch_sizes(family: Family, preset: Any, batch_size: int, processes: int) -> list[int]:
    """Return every exact micro-batch size, the largest (a process's part of the batch) first.

    A size divides a process's part, and is a multiple of the family's group of images.
    """
    own = batch_size // processes
    together = family.images_together(preset, batch_size)
    smaller = () if family.needs_whole_batch(preset) else range(own - 1, 0, -1)
    return [own, *(size for size in smaller if own % size == 0 and size % together == 0)]


def check_micro_batch(
    family: Family, preset: Any, batch_size: int, processes: int, size: int | str | None
) -> None:
    """Raise ConfigError if a micro-batch is not exact; it says why and names the nearest sizes."""
    own = batch_size // processes
    if size is None or size == own:
        return
    if reason := family.needs_whole_batch(preset):
        raise ConfigError(
            f"{family.name} cannot train in micro-batches: {reason}.", "Leave micro_batch out."
        )
    sizes = micro_batch_sizes(family, preset, batch_size, processes)
    if not isinstance(size, int) or size in sizes:
        return
    whole = f"the batch of {own} images"
    if processes > 1:
        whole = f"the {own} images of the batch that each of {processes} processes holds"
    if size > own:
        message = f"micro_batch is {size}, more than {whole}."
    elif own % size:
        message = f"micro_batch is {size}, which does not divide {whole}."
    else:
        message = (
            f"micro_batch is {size}, which splits the groups of "
            f"{family.images_together(preset, batch_size)} images that {family.name} needs whole."
        )
    near = [max((it for it in sizes if it < size), default=None),
            min((it for it in sizes if it > size), default=None)]  # fmt: skip
    offer = " or ".join(str(it) for it in near if it is not None)
    raise ConfigError(message, f"Set micro_batch to {offer}.")
