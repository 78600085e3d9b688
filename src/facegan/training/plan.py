"""What a run was asked to be, and all the numbers that comes to."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from facegan.errors import ConfigError
from facegan.gans import Family, find_family, find_preset
from facegan.hyperparameters.training import TrainingConfig, split_hyperparameters

PLAN_NAME = "run.json"
IDENTITY = ("family", "preset", "resolution")
# Of a plan; all else in it are hyperparameters.
PLAN_ONLY = ("data", "evaluate_data", "evaluate_split", "labels", "split", *IDENTITY)
# What may differ when a run is resumed: how far it goes and how it is told, not what it computes.
# The data may have moved; that it is the same is checked by its digest.
MAY_CHANGE = {
    "total_kimg",
    "max_minutes",
    "tick_kimg",
    "keep_checkpoints",
    "micro_batch",
    "device",
    "data",
    "data_on_gpu",
    "evaluate_data",
}


def resolve_plan(
    plan: Mapping[str, Any], also: tuple[str, ...] = (), images: int | None = None
) -> tuple[dict[str, Any], TrainingConfig]:
    """A plan's changes of its preset's numbers, and the trainer's configuration.

    Args:
        plan: ``family``, ``preset`` and hyperparameters, the values possibly strings.
        also: Further names worth offering for a mistyped one.
        images: How many the data set has, where that is known.

    Raises:
        ConfigError: an unknown name (the nearest are offered) or a value out of range.
    """
    preset = find_preset(find_family(plan["family"]), plan["preset"])
    given = {name: value for name, value in plan.items() if name not in PLAN_ONLY}
    numbers, loop = split_hyperparameters(preset, given, also, images)
    preset.replaced(numbers)
    return numbers, TrainingConfig.from_hyperparameters(loop)


def settings_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting a plan comes to, by name: the preset's where the plan is silent.

    Raises:
        ConfigError: as :func:`resolve_plan`.
    """
    numbers, config = resolve_plan(plan)
    preset = find_preset(find_family(plan["family"]), plan["preset"]).replaced(numbers)
    return {
        "family": plan["family"],
        "preset": plan["preset"],
        "resolution": int(plan["resolution"]),
        "labels": plan.get("labels", "manifest"),
        "split": plan.get("split", "train, if there is one"),
        **preset.as_dict(),
        **config.completed_by(preset).model_dump(),
    }


def check_batch(family: Family, preset: Any, batch_size: int, processes: int) -> None:
    """Refuse a batch that so many processes cannot share.

    Raises:
        ConfigError: the batch cannot be divided as the family needs it; the nearest that can are
            named.
    """

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
    """Every exact size of a micro-batch, the largest first: the whole part of a process.

    A size divides a process's part of the batch and parts no images that must be seen together.
    """
    own = batch_size // processes
    together = family.images_together(preset, batch_size)
    smaller = () if family.needs_whole_batch(preset) else range(own - 1, 0, -1)
    return [own, *(size for size in smaller if own % size == 0 and size % together == 0)]


def check_micro_batch(
    family: Family, preset: Any, batch_size: int, processes: int, size: int | str | None
) -> None:
    """Refuse a micro-batch that a process's part of the batch cannot be cut into exactly.

    Raises:
        ConfigError: says why not, and the nearest sizes that are exact.
    """
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
        told = f"micro_batch is {size}, more than {whole}."
    elif own % size:
        told = f"micro_batch is {size}, which does not divide {whole}."
    else:
        told = (
            f"micro_batch is {size}, which splits the groups of "
            f"{family.images_together(preset, batch_size)} images that {family.name} needs whole."
        )
    near = [max((it for it in sizes if it < size), default=None),
            min((it for it in sizes if it > size), default=None)]  # fmt: skip
    offer = " or ".join(str(it) for it in near if it is not None)
    raise ConfigError(told, f"Set micro_batch to {offer}.")
