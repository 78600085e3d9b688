"""The facts that a run records in run.json: settings, hardware, versions and identity."""

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
from facegan.training.checkpoint import one_line
from facegan.training.precision import describe_hardware
from facegan.training.state_check import first_fault
from facegan.training.trainer import Trainer

logger = logging.getLogger(__name__)

# Facts that decide how sums are rounded
ROUNDING = ("hardware", "threads", "computed_in", "images_at_once")


def describe(trainer: Trainer) -> dict[str, Any]:
    """Return a run's settings, hardware and versions."""
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
    """Log a warning if a resumed run cannot be bit-identical to an uninterrupted one."""
    now = describe(trainer)["training"]
    for name in ROUNDING:
        if name in before and before[name] != now.get(name):
            logger.warning(
                "The run was started with %s %s, now it is %s: sums are rounded differently.",
                *(name.replace("_", " "), before[name], now.get(name)),
            )


def identity(trainer: Trainer, run: str | None) -> dict[str, Any]:
    """Return what every checkpoint of a run has in common: id, family, preset, fixed settings.

    Args:
        trainer: The run's trainer.
        run: The run's id; None for runs made before there were ids.
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
    """A part of run.json; unknown keys are allowed."""

    model_config = ConfigDict(strict=True, extra="allow")


class PlanFacts(Facts):
    """The RunSpec that the run was started with."""

    __pydantic_extra__: dict[str, Text | bool | int | float | None]
    family: Text
    preset: Text
    resolution: Annotated[int, Field(ge=1, le=2**16)] = 1
    data: Text = ""


class DatasetFacts(Facts):
    """The data set's name, digest and number of images."""

    name: str
    digest: str
    images: int


class RunFacts(Facts):
    """The parts of run.json that a resumed run reads."""

    run: Text | None = None  # the id; older runs have none
    plan: PlanFacts
    dataset: DatasetFacts
    settings: dict[str, Any] = {}
    training: dict[str, Any] = {}
    verified: list[str] = []


def read_run_facts(file: Path) -> dict[str, Any]:
    """Return the content of a run.json with its types checked; raise RunError if it is damaged."""
    try:
        facts = read_json(file)
        RunFacts.model_validate(facts)
    except FileNotFoundError as cause:
        raise RunError(
            f"{file.parent} holds no run to resume: it has no {file.name}.",
            "Start it without --resume.",
        ) from cause
    except (OSError, ValueError) as cause:
        reason = first_fault(cause) if isinstance(cause, ValidationError) else one_line(cause)
        raise RunError(
            f"{file.parent} holds no run to resume: {file.name} is damaged ({reason}).",
            f"Put {file.name} back from a copy, or start a new run in another folder.",
        ) from cause
    return facts
