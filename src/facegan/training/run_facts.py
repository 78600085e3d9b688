"""What a run writes down of itself: its numbers, its hardware, its versions, its name."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from facegan import __version__
from facegan.errors import RunError
from facegan.files import read_json
from facegan.hyperparameters.run_spec import MAY_CHANGE
from facegan.training.checkpoint import plain
from facegan.training.precision import describe_hardware
from facegan.training.state_check import faults
from facegan.training.trainer import Trainer

logger = logging.getLogger(__name__)

# Facts that decide how sums are rounded.
ROUNDING = ("hardware", "threads", "computed_in", "images_at_once")


def describe(trainer: Trainer) -> dict[str, Any]:
    """All the numbers of a run, on what it runs, and the versions that compute it."""
    return {
        "settings": trainer.gan.preset.as_dict(),
        "training": {
            **trainer.config.model_dump(),
            **describe_hardware(trainer.device),
            "computed_in": str(trainer.dtype).removeprefix("torch."),
            "images_at_once": trainer.micro_batch,  # by each process
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


def owner(trainer: Trainer, run: str | None) -> dict[str, Any]:
    """Whose checkpoint it is: run, family, preset, and every setting that may not change in a run.

    Args:
        trainer: The run's.
        run: The run's id; None of a run that is older than ids.
    """
    facts = describe(trainer)
    settings = {**facts["settings"], **trainer.config.model_dump()}
    kept = {name: value for name, value in settings.items() if name not in MAY_CHANGE}
    return {
        **({"run": run} if run else {}),
        "family": trainer.gan.family.name,
        "preset": trainer.gan.preset_name,
        "settings": json.loads(json.dumps(kept)),
    }


# --- run.json -----------------------------------------------------------------------------------

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]


class Facts(BaseModel):
    """A part of run.json; what it says besides is as it may be."""

    model_config = ConfigDict(strict=True, extra="allow")


class PlanFacts(Facts):
    """What was asked for: hyperparameters and all else by name, each a word or a number."""

    __pydantic_extra__: dict[str, Text | bool | int | float | None]
    family: Text
    preset: Text
    resolution: Annotated[int, Field(ge=1, le=2**16)] = 1
    data: Text = ""


class DatasetFacts(Facts):
    """On which pictures."""

    name: str
    digest: str
    images: int


class RunFacts(Facts):
    """All of run.json that a resumed run reads."""

    run: Text | None = None  # the id; older runs have none
    plan: PlanFacts
    dataset: DatasetFacts
    settings: dict[str, Any] = {}
    training: dict[str, Any] = {}
    verified: list[str] = []


def read_run_facts(file: Path) -> dict[str, Any]:
    """All that a run.json says, its types checked.

    Raises:
        RunError: it is missing, cannot be read, or does not describe a run.
    """
    try:
        facts = read_json(file)
        RunFacts.model_validate(facts)
    except FileNotFoundError as cause:
        raise RunError(
            f"{file.parent} holds no run to resume: it has no {file.name}.",
            "Start it without --resume.",
        ) from cause
    except (OSError, ValueError) as cause:
        reason = faults(cause) if isinstance(cause, ValidationError) else plain(cause)
        raise RunError(
            f"{file.parent} holds no run to resume: {file.name} is damaged ({reason}).",
            f"Put {file.name} back from a copy, or start a new run in another folder.",
        ) from cause
    return facts
