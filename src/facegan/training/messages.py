"""Messages of a run: data and settings at its start, results and next steps at its end."""

import sys
from functools import partial
from typing import Any

from facegan.model_inputs import example_options
from facegan.name_lists import quoted
from facegan.training.data_size import advice_on_size
from facegan.training.distributed.process_group import ProcessGroup
from facegan.training.evaluation import Evaluation
from facegan.training.memory_advice import memory_line
from facegan.training.run_folder import RunFolder
from facegan.training.step_time import step_seconds
from facegan.training.trainer import Trainer

echo = partial(print, flush=True)  # a job's log shows each line when it is printed
SLOW_STEP = 5.0  # seconds; a run has thousands of steps
MIRRORED = (
    "Half of the time each image is shown mirrored. Where left and right matter (text, signs), add "
    "--mirror off."
)


def print_start(trainer: Trainer, folder: RunFolder, data: str) -> None:
    """Print the data, networks, length and hardware of a run."""
    gan, dataset = trainer.gan, trainer.dataset
    side = gan.image_shape[-1]
    sizes = [
        f"{name} {sum(p.numel() for p in player.parameters()):,} parameters"
        for name, player in gan.players.items()
    ]
    numeric = str(trainer.dtype).removeprefix("torch.")
    length = f"{trainer.total_images / 1000:g} kimg in batches of {trainer.batch_size}"
    echo(f"{len(dataset):,} images of {side} px from {data}{of_split(dataset)}")
    if trainer.config.mirror:
        echo(MIRRORED)
    if advice := advice_on_size(len(dataset), trainer.config.augment):
        echo(advice)
    echo(f"{gan.family.name} {gan.preset_name}: {', '.join(sizes)}")
    if gan.classes:
        shares = ", ".join(f"{quoted(name)} {count:,}" for name, count in gan.classes.items())
        echo(f"{len(gan.classes)} classes: {shortened(shares)}")
    echo(f"{length}, {numeric} on {trainer.device}{among(trainer.group)}")
    if trainer.micro_batch < trainer.own_images:
        passes = trainer.own_images // trainer.micro_batch
        echo(f"Micro-batches: {passes} of {trainer.micro_batch} images per step")
    if line := memory_line(trainer):
        echo(line)
    echo(f"Curves: tensorboard --logdir {folder.tensorboard}")
    warn_of_slow_steps(trainer)


def warn_of_slow_steps(trainer: Trainer) -> None:
    """Print a warning if a run on a CPU will take days, as large networks do."""
    if (seconds := step_seconds(trainer)) >= SLOW_STEP:
        hours = seconds * trainer.total_images / trainer.batch_size / 3600
        length = f"{hours:,.0f} hours" if hours < 72 else f"{hours / 24:,.0f} days"
        echo(
            f"A step takes about {seconds:.0f} s on this processor, the whole run about {length}. "
            "Stop it with Ctrl-C, and choose a smaller preset or resolution, or a GPU.",
            file=sys.stderr,
        )


def of_split(dataset: Any) -> str:
    """Return which of the data's splits is used, if it has splits."""
    if not (split := getattr(dataset, "split", None)):
        return ""
    others = ", ".join(name for name in dataset.splits if name != split)
    return f": the split {split} ({others or 'no others'} left out; --split all takes all)"


def among(group: ProcessGroup) -> str:
    """Return the number of processes, if there are several."""
    hosts = len(set(group.hosts))
    on = f" on {hosts} hosts" if hosts > 1 else ""
    return f", shared by {group.size} processes{on}" if group.size > 1 else ""


def print_finished(trainer: Trainer, folder: RunFolder) -> None:
    """Print that a resumed run has nothing left to train, and how to extend it."""
    reached, more = [], []
    if trainer.images_seen >= trainer.total_images:
        reached.append(f"{trainer.kimg:g} of {trainer.total_images / 1000:g} kimg")
        more.append(f"--total-kimg {2 * max(trainer.kimg, trainer.total_images / 1000):g}")
    minutes = trainer.config.max_minutes
    if minutes is not None and trainer.train_seconds >= minutes * 60:
        reached.append(f"{trainer.train_seconds:.0f} of {minutes * 60:.0f} s")
        more.append(f"--max-minutes {max(2 * minutes, trainer.train_seconds / 30, 30):g}")
    echo(f"Already finished ({', '.join(reached)}). Give more: {' '.join(more)}.")
    echo(f"Model: {folder.archive}")


def print_stopped(trainer: Trainer, folder: RunFolder) -> None:
    """Print where a run was stopped, and how to resume it."""
    echo(
        f"Stopped at {trainer.kimg:.1f} kimg. Go on with: "
        f"facegan train --out {folder.path} --resume"
    )


def print_end(trainer: Trainer, folder: RunFolder) -> None:
    """Print the length of a finished run, its metrics and the next command."""
    echo(
        f"Trained {trainer.kimg:.1f} kimg in {trainer.train_seconds:.0f} s. Model: {folder.archive}"
    )
    if trainer.evaluation:
        print_best(trainer.evaluation, folder)
    options = example_options(trainer.gan.family.inputs(trainer.gan.preset))
    echo(f"Look: {folder.samples}; draw: facegan generate {folder.archive} {options}")


def print_best(evaluation: Evaluation, folder: RunFolder) -> None:
    """Print the metrics of the last and the best generator."""
    card = evaluation.card()
    name = evaluation.judged_by
    echo(
        f"{name} {card['last'][name]:.4g} at the end; best {card['best'][name]:.4g} "
        f"at {card['best']['kimg']:.1f} kimg: {folder.best_archive}"
    )


def shortened(text: str, limit: int = 200) -> str:
    """Return a text, shortened to fit a line or two."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
