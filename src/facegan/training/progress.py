"""Reports a run's progress: a bar, a log line per tick, curves, sample images, checkpoints."""

import json
import logging
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from torch import Tensor
from tqdm import tqdm

from facegan.image_encoding import save_png
from facegan.tick_line import tick_line
from facegan.training.io_errors import as_run_error
from facegan.training.monitor import SampleDiversity, TrainingMonitor
from facegan.training.run_folder import RunFolder
from facegan.training.sample_images import TickSampler
from facegan.training.tensorboard_writer import open_tensorboard
from facegan.training.trainer import Trainer

logger = logging.getLogger(__name__)

BAR_FORMAT = (
    "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} kimg [{elapsed}<{remaining}{postfix}]"
)


class ProgressReporter:
    """A trainer's callbacks, installed as a context manager.

    The checkpoint is written last, so that after a kill no checkpoint is ahead of its log lines
    and images.
    """

    def __init__(self, folder: RunFolder, trainer: Trainer) -> None:
        self.folder, self.trainer = folder, trainer
        self.sampler = TickSampler(trainer)
        target = self.sampler.examples.target
        self.monitor, self.diversity = TrainingMonitor(), SampleDiversity(target)
        self.tensorboard = open_tensorboard(folder.tensorboard, trainer.images_at_last_tick)
        self.bar = tqdm(
            total=trainer.total_images / 1000,
            initial=trainer.kimg,
            desc="Training",
            bar_format=BAR_FORMAT,
            disable=None,  # no bar without a terminal: logs get the tick lines
        )

    def __enter__(self) -> Self:
        self.trainer.on_step, self.trainer.on_tick = self.step, self.tick
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.close()
        if self.tensorboard:
            self.tensorboard.close()
        if error is None and not self.trainer.is_finished:  # stopped, perhaps between two ticks
            self.trainer.figures()  # raises if training has diverged
            self.folder.save_state(self.trainer)

    def step(self, trainer: Trainer) -> None:
        """Update the bar."""
        self.bar.update(trainer.kimg - self.bar.n)

    def tick(self, trainer: Trainer, figures: Mapping[str, float]) -> None:
        """Write a tick's images, metrics and checkpoint."""
        figures = {**figures, **self.diversity.figures(self.draw_samples())}
        losses = {name: value for name, value in figures.items() if name != "kimg"}
        shown = {name: f"{value:.3g}" for name, value in losses.items()}
        rate, _ = shown.pop("images_per_second"), shown.pop("wait_share")
        self.bar.set_postfix_str(" ".join([f"{rate} images/s", *map("=".join, shown.items())]))
        logger.info("%s", tick_line(figures))
        self.append(figures)
        if self.tensorboard:
            for name, value in losses.items():
                self.tensorboard.add_scalar(name, value, trainer.images_seen)
        for warning in self.monitor.check(figures):
            logger.warning("%s", warning)
        if trainer.evaluation and trainer.evaluation.is_best_now(trainer):
            self.folder.save_best(trainer)
        self.folder.save_state(trainer)

    def append(self, figures: Mapping[str, float]) -> None:
        """Append a line to metrics.jsonl."""
        line = json.dumps(
            {**figures, "train_seconds": self.trainer.train_seconds, "time": round(time.time(), 3)}
        )
        with as_run_error(self.folder.metrics_file), self.folder.metrics_file.open("a") as stream:
            stream.write(line + "\n")

    def draw_samples(self) -> Tensor:
        """Save the tick's samples as a grid; return them, uint8 (N, 3, H, W)."""
        drawn = self.sampler.draw(self.trainer)
        facts = {
            "facegan:family": self.trainer.gan.family.name,
            "facegan:preset": self.trainer.gan.preset_name,
            "facegan:kimg": f"{self.trainer.kimg:.3f}",
        }
        name = f"kimg-{self.trainer.kimg:012.3f}.png"
        with as_run_error(self.folder.samples / name):
            save_png(self.folder.samples / name, drawn.grid, facts)
        return drawn.samples
