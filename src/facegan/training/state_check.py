"""Checks that a saved state fits a trainer, before any of it is loaded."""

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
    """A pydantic model that converts no types."""

    model_config = ConfigDict(strict=True)


class TallyNumbers(Strict):
    """The sums of the tick in progress."""

    images: NonNegativeInt
    seconds: Seconds
    waited: Seconds = 0.0
    counts: dict[str, NonNegativeInt]


class EvaluationNumbers(Strict):
    """The metrics of the last and the best evaluation."""

    last: dict[str, Figure]
    best: dict[str, Figure] | None
    protocol: dict[str, Any]


class StateNumbers(Strict):
    """All numbers of a trainer's state."""

    images_seen: NonNegativeInt
    train_seconds: Seconds
    tally: TallyNumbers
    evaluation: EvaluationNumbers | None = None


def check_state(trainer: TrainerProtocol, tensors: Tensors, numbers: Mapping[str, Any]) -> None:
    """Check that a state is complete and fits the trainer, which stays unchanged.

    Raises:
        ValueError: a number or tensor is missing, unknown, or has the wrong type or shape.
        NotOfThisRun: another version of facegan made it, with other networks.
        RunError: the run was evaluated by another protocol.
    """
    try:
        found = StateNumbers.model_validate(dict(numbers))
    except ValidationError as cause:
        raise ValueError(first_fault(cause)) from None
    if found.tally.images > found.images_seen or found.images_seen % trainer.batch_size:
        raise ValueError(f"{found.images_seen} images are not a whole number of batches")
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
            weights = trainer.gan.served_weights()
            expected |= {f"best/{name}": value for name, value in weights.items()}
            best = set()
    check_networks(set(expected), set(tensors))
    check_names(set(expected), set(tensors) - best)
    for name, value in expected.items():
        check_tensor(name, tensors[name], value)


def moments_in(trainer: TrainerProtocol, tensors: Tensors) -> dict[str, Tensor | None]:
    """Return examples of the moments that the optimisers must have, for parameters with a step."""
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
    """Raise NotOfThisRun if players' tensors have other names, as after a change of networks."""
    changed = sorted(name for name in expected ^ found if name.startswith("player."))
    if changed:
        raise NotOfThisRun(
            f"was made by a version of facegan with other networks (tensor {changed[0]}), which "
            "alone can continue the run"
        )


def check_names(expected: set[str], found: set[str]) -> None:
    """Raise ValueError if tensors are missing or unknown."""
    for what, names in (("missing", expected - found), ("unknown here", found - expected)):
        if names:
            shown = ", ".join(sorted(names)[:3])
            raise ValueError(f"{len(names)} tensors are {what} ({shown})")


def check_tensor(name: str, found: Tensor, like: Tensor | None) -> None:
    """Raise ValueError unless a tensor is finite and has the example's type and shape.

    Without an example it must be a single number.
    """
    if like is None:
        if found.numel() != 1:
            raise ValueError(f"the tensor {name} is {tuple(found.shape)}, not one number")
        if not is_finite(found):
            raise ValueError(f"the tensor {name} is {found.item()}")
    elif found.shape != like.shape or found.dtype != like.dtype:
        raise ValueError(
            f"the tensor {name} is {found.dtype} {tuple(found.shape)}, "
            f"not {like.dtype} {tuple(like.shape)}"
        )
    elif not is_finite(found):
        raise ValueError(f"the tensor {name} holds numbers that are not finite")


def is_finite(tensor: Tensor) -> bool:
    """Return whether all of a tensor's numbers are real and finite."""
    return not tensor.is_complex() and bool(tensor.isfinite().all())


def first_fault(error: ValidationError) -> str:
    """Return the first validation error as one line, with its location."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
