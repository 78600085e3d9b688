"""Training: the trainer, run folders, and checkpoints that resume bit-identically."""

from typing import TYPE_CHECKING, Any

from facegan.hyperparameters.training import TrainingConfig, split_hyperparameters

if TYPE_CHECKING:
    from facegan.training.run_folder import RunFolder
    from facegan.training.trainer import Trainer

__all__ = ["RunFolder", "Trainer", "TrainingConfig", "split_hyperparameters"]


def __getattr__(name: str) -> Any:
    """Import torch's users on first use: hyperparameters are checked without torch."""
    if name == "RunFolder":
        from facegan.training.run_folder import RunFolder

        return RunFolder
    if name == "Trainer":
        from facegan.training.trainer import Trainer

        return Trainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
