"""Refuses a saved state that does not fit a trainer, before anything of it is loaded."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError
from torch import Tensor

from facegan.training.checkpoint import NotOfThisRun, Tensors
from facegan.training.trainer_protocol import TrainerProtocol

Figure = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[Figure, Field(ge=0)]
MOMENTS = ("exp_avg", "exp_avg_sq")


class Strict(BaseModel):
    """Numbers as JSON has them: nothing is taken for another type."""

    model_config = ConfigDict(strict=True)


class TallyNumbers(Strict):
    """Of the tick in progress."""

    images: NonNegativeInt
    seconds: Seconds
    waited: Seconds = 0.0
    counts: dict[str, NonNegativeInt]


class EvaluationNumbers(Strict):
    """Of what was evaluated."""

    last: dict[str, Figure]
    best: dict[str, Figure] | None
    protocol: dict[str, Any]


class StateNumbers(Strict):
    """All numbers of a state that a trainer reads."""

    images_seen: NonNegativeInt
    train_seconds: Seconds
    tally: TallyNumbers
    evaluation: EvaluationNumbers | None = None


def check_state(trainer: TrainerProtocol, tensors: Tensors, numbers: Mapping[str, Any]) -> None:
    """Refuse what is not the whole state of such a trainer; the trainer stays as it is.

    Raises:
        ValueError: a number or tensor is missing, unknown, or of another type or shape.
        NotOfThisRun: the networks are another version's.
        RunError: the run was evaluated by another protocol.
    """
    try:
        found = StateNumbers.model_validate(dict(numbers))
    except ValidationError as cause:
        raise ValueError(faults(cause)) from None
    if found.tally.images > found.images_seen or found.images_seen % trainer.batch_size:
        raise ValueError(f"{found.images_seen} images are not so many whole batches")
    expected: dict[str, Tensor | None] = {f"tally/{name}": None for name in found.tally.counts}
    for name, module in trainer.stateful_modules().items():
        expected |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    expected |= {
        f"augment/{name}": value for name, value in trainer.augment_probability.state().items()
    }
    expected |= moments_in(trainer, tensors)
    best = {name for name in tensors if name.startswith("best/")}
    if trainer.evaluation:
        if found.evaluation is None:
            raise ValueError("evaluation is missing")
        trainer.evaluation.check_state(found.evaluation.protocol, found.evaluation.best)
        if found.evaluation.best:
            weights = trainer.gan.generator_ema.state_dict()
            expected |= {f"best/{name}": value for name, value in weights.items()}
            best = set()
    check_networks(set(expected), set(tensors))
    check_names(set(expected), set(tensors) - best)
    for name, value in expected.items():
        check_tensor(name, tensors[name], value)


def moments_in(trainer: TrainerProtocol, tensors: Tensors) -> dict[str, Tensor | None]:
    """Return what the optimisers' saved moments must be like, of all parameters that have some."""
    expected: dict[str, Tensor | None] = {}
    for name, optimizer in trainer.optimizers.items():
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for index, parameter in enumerate(parameters):
            prefix = f"optimizer.{name}/{index}"
            if f"{prefix}/step" in tensors:
                expected |= {f"{prefix}/step": None}
                expected |= {f"{prefix}/{moment}": parameter for moment in MOMENTS}
    return expected


def check_networks(expected: set[str], found: set[str]) -> None:
    """Refuse players whose tensors have other names: an older version's, of other networks.

    Raises:
        NotOfThisRun: it names one.
    """
    changed = sorted(name for name in expected ^ found if name.startswith("player."))
    if changed:
        raise NotOfThisRun(
            f"was made by a version of facegan with other networks (tensor {changed[0]}), which "
            "alone can continue the run"
        )


def check_names(expected: set[str], found: set[str]) -> None:
    """Refuse tensors of which some are missing or unknown.

    Raises:
        ValueError: it names a few.
    """
    for what, names in (("missing", expected - found), ("unknown here", found - expected)):
        if names:
            shown = ", ".join(sorted(names)[:3])
            raise ValueError(f"{len(names)} tensors are {what} ({shown})")


def check_tensor(name: str, found: Tensor, like: Tensor | None) -> None:
    """Refuse a tensor of another type or shape; without an example, all but one number.

    Raises:
        ValueError: it is another.
    """
    if like is None:
        if found.numel() != 1:
            raise ValueError(f"the tensor {name} is {tuple(found.shape)}, not one number")
        if not has_sense(found):
            raise ValueError(f"the tensor {name} is {found.item()}")
    elif found.shape != like.shape or found.dtype != like.dtype:
        raise ValueError(
            f"the tensor {name} is {found.dtype} {tuple(found.shape)}, "
            f"not {like.dtype} {tuple(like.shape)}"
        )
    elif not has_sense(found):
        raise ValueError(f"the tensor {name} holds numbers that are not finite")


def has_sense(tensor: Tensor) -> bool:
    """Whether all of a tensor's numbers are real and finite."""
    return not tensor.is_complex() and bool(tensor.isfinite().all())


def faults(error: ValidationError) -> str:
    """Return the first thing that is wrong, in a line: where, and what."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
