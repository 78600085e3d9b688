"""The game: phases over players, ticks, checkpoints that resume to the same bits."""

from typing import TYPE_CHECKING, Any

from facegan.hyperparameters.training import TrainingConfig, split_hyperparameters

if TYPE_CHECKING:
    from facegan.training.run_folder import RunFolder
    from facegan.training.trainer import Trainer

__all__ = ["RunFolder", "Trainer", "TrainingConfig", "split_hyperparameters"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for: names and numbers are checked without."""
    if name == "RunFolder":
        from facegan.training.run_folder import RunFolder

        return RunFolder
    if name == "Trainer":
        from facegan.training.trainer import Trainer

        return Trainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
