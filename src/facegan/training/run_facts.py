"""What a run writes down of itself: its numbers, its hardware, its versions, its name."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from facegan import __version__
from facegan.errors import RunError
from facegan.training.precision import describe_hardware
from facegan.training.trainer import Trainer

logger = logging.getLogger(__name__)

ROUNDING = ("hardware", "threads", "computed_in")  # facts that decide how sums are rounded


def describe(trainer: Trainer) -> dict[str, Any]:
    """All the numbers of a run, on what it runs, and the versions that compute it."""
    return {
        "settings": trainer.gan.preset.as_dict(),
        "training": {
            **trainer.config.model_dump(),
            **describe_hardware(trainer.device),
            "computed_in": str(trainer.dtype).removeprefix("torch."),
        },
        "versions": {"facegan": __version__, "torch": torch.__version__},
    }


def warn_of_other_hardware(before: Mapping[str, Any], trainer: Trainer) -> None:
    """Say it where a resumed run cannot end with the very bits of an undisturbed one."""
    now = describe(trainer)["training"]
    for name in ROUNDING:
        if name in before and before[name] != now.get(name):
            logger.warning(
                "The run was started with %s %s, now it is %s: sums are rounded differently.",
                *(name.replace("_", " "), before[name], now.get(name)),
            )


def owner(trainer: Trainer) -> dict[str, str]:
    """Whose checkpoint it is."""
    return {"family": trainer.gan.family.name, "preset": trainer.gan.preset_name}


def check_owner(folder: Path, numbers: Mapping[str, Any], trainer: Trainer) -> None:
    """Refuse a checkpoint of another family or preset.

    Raises:
        RunError: it says whose it is, and whose run this is.
    """
    theirs, ours = {name: numbers.get(name) for name in owner(trainer)}, owner(trainer)
    if None not in theirs.values() and theirs != ours:
        raise RunError(
            f"The checkpoints in {folder} are of {' '.join(map(str, theirs.values()))}, this run "
            f"is {' '.join(ours.values())}.",
            "Give the run its own folder, or start the one that the checkpoints are of.",
        )
