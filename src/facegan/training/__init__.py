"""The game: phases over players, ticks, checkpoints that resume to the same bits."""

from facegan.training.config import TrainingConfig, split_hyperparameters
from facegan.training.run_folder import RunFolder
from facegan.training.trainer import Trainer

__all__ = ["RunFolder", "Trainer", "TrainingConfig", "split_hyperparameters"]
