"""Trainer: the training loop of every family of GANs."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from facegan.data import Dataset, random_numbers
from facegan.errors import ConfigError
from facegan.gans import Batch, Gan, Phase, Terms, uniform_labels
from facegan.gans.autocast import autocast
from facegan.gans.batch_split import check_micro_batch
from facegan.gans.data_parallel import use_slice
from facegan.hyperparameters.training import TrainingConfig
from facegan.training.augment import Augment, AugmentProbability, parse_policy
from facegan.training.checkpoint import Tensors, flatten_optimizer, restore_optimizer
from facegan.training.compiled import Compiled
from facegan.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from facegan.training.ema import MovingAverage
from facegan.training.evaluation import Evaluation, Stopped
from facegan.training.metric_accumulator import MetricAccumulator, check_weights_finite
from facegan.training.micro_batch_search import find_micro_batch
from facegan.training.micro_batches import MicroBatches, check_no_batch_norm
from facegan.training.nan_gradients import replace_nan_gradients
from facegan.training.precision import (
    choose_device,
    choose_dtype,
    fixed_shapes,
    place,
    prepare_device,
)
from facegan.training.state_check import check_state
from facegan.training.step_batches import NETWORKS, StepBatches


class Trainer:
    """Trains a GAN on a data set.

    A step runs each phase that is due: unfreeze its players, sum its loss terms, step their
    optimisers.
    The state of a run is its players, averages and optimisers, the augmentation probability, and
    the number of images seen. Step k's latents, images and other random numbers are a function of
    (seed, k), so nothing else must be saved for a resumed run to be bit-identical.

    Args:
        gan: The players from ``build_gan``; they and the averages are changed in place.
        dataset: uint8 images of the GAN's image shape.
        config: The settings; the preset's recipe fills in those that are None.
        on_tick: Called with the metrics after every tick.
        on_step: Called after every step.
        evaluation: Measures quality at ticks; by default, if `evaluate_kimg` is set, against the
            training data.
        group: The processes that share the run; all must make the same calls.

    Raises:
        ConfigError: the shapes or classes of GAN and data differ, the data lacks a companion that
            the family needs, the device or precision is not available, the images do not fit the
            GPU that must hold them, or the batch cannot be divided among the processes.
        MetricError: evaluation is not possible.
    """

    def __init__(
        self,
        gan: Gan,
        dataset: Dataset,
        config: TrainingConfig | None = None,
        on_tick: Callable[["Trainer", Mapping[str, float]], None] | None = None,
        on_step: Callable[["Trainer"], None] | None = None,
        evaluation: Evaluation | None = None,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        if tuple(dataset.image_shape) != tuple(gan.image_shape):
            raise ConfigError(
                f"The data is {dataset.image_shape}, the GAN makes {gan.image_shape}."
            )
        if gan.classes and list(gan.classes) != list(dataset.classes):
            raise ConfigError(
                f"The data's classes are {list(dataset.classes)}, the GAN's {list(gan.classes)}."
            )
        self.gan, self.dataset = gan, dataset
        requested = config or TrainingConfig()
        self.config = requested.completed_by(gan.preset)
        self.ema_is_scheduled = requested.ema_half_life_kimg is None
        self.batch_size, self.total_images = self.sizes()
        self.group, self.batch_slice = group, group.batch_slice(gan, self.batch_size)
        self.check_micro_batch()
        self.device = choose_device(self.config.device, group)
        prepare_device(self.device)
        self.dtype = choose_dtype(self.config.precision, self.device)
        self.phases = gan.family.phases(gan.preset)
        for player in gan.players.values():
            place(player, self.device).train()
        self.optimizers = self.build_optimizers()
        self.augment_probability = self.build_augmentation()
        self.averages = self.build_averages()
        self.compiled = Compiled(self.config.compile, gan.players.values(), self.device)
        self.batches = StepBatches(gan, dataset, self.config, self.batch_slice, self.device)
        self.images_seen = 0
        self.train_seconds = 0.0
        self.stop_requested = self.stop_agreed = False  # in this process; by all of them
        self.on_tick, self.on_step = on_tick, on_step
        self.accumulator = MetricAccumulator()
        if evaluation is None and self.config.evaluate_kimg and group.is_main_process:
            evaluation = Evaluation(gan, dataset, self.config, device=str(self.device))
        self.evaluation = evaluation
        size = self.config.micro_batch or self.own_images
        self.micro_batch = size if isinstance(size, int) else find_micro_batch(self)

    def sizes(self) -> tuple[int, int]:
        """Return the images of a step and of the run, in whole batches."""
        batch_size, total_kimg = self.config.batch_size, self.config.total_kimg
        if batch_size is None or total_kimg is None:
            raise ConfigError("The preset has no recipe.", "Give batch_size and total_kimg.")
        return batch_size, math.ceil(total_kimg * 1000 / batch_size) * batch_size

    def check_micro_batch(self) -> None:
        """Raise ConfigError if micro-batches would change these networks' result."""
        size, family = self.config.micro_batch, self.gan.family
        if size is not None and size != self.own_images:
            check_micro_batch(family, self.gan.preset, self.batch_size, self.group.size, size)
            check_no_batch_norm(self.gan)

    @property
    def own_images(self) -> int:
        """The images of a batch that this process computes."""
        return self.batch_size // self.group.size

    def build_optimizers(self) -> dict[str, torch.optim.Adam]:
        """Return one Adam per player, with the family's settings."""
        return {
            name: torch.optim.Adam(
                self.gan.players[name].parameters(),
                lr=adam.learning_rate,
                betas=(adam.beta1, adam.beta2),
                eps=adam.epsilon,
                fused=self.device.type != "meta",  # meta tensors have no kernels
            )
            for name, adam in self.gan.family.optimizers(self.gan.preset).items()
        }

    def build_averages(self) -> dict[str, MovingAverage]:
        """Return a moving average of every generator, if the half-life is above 0."""
        half_life = self.config.ema_half_life_kimg or 0.0
        names = self.gan.family.generators if half_life > 0 else ()
        ramp_up = self.gan.family.ema_ramp_up
        players = {n: self.gan.players[n] for n in names if n in self.gan.players}
        averages = {n: MovingAverage(player, half_life, ramp_up) for n, player in players.items()}
        self.gan.averages.update({name: average.module for name, average in averages.items()})
        return averages

    def build_augmentation(self) -> AugmentProbability:
        """Augment the input of every discriminator; return the probability's controller."""
        config, gan = self.config, self.gan
        setting = config.augment_probability if parse_policy(config.augment) else 0.0
        controller = AugmentProbability(
            gan, setting, config.augment_target, config.augment_speed_kimg, self.device
        )
        augment = Augment(config.augment, controller.probability, config.augment_filter)
        for name in gan.family.discriminators:
            augment.hook_before(gan.players[name])
        return controller

    # --- the loop -------------------------------------------------------------------------------

    @property
    def kimg(self) -> float:
        """Thousands of images seen."""
        return self.images_seen / 1000

    @property
    def has_trained_all(self) -> bool:
        """Whether the images or the minutes are used up."""
        minutes = self.config.max_minutes
        out_of_time = minutes is not None and self.train_seconds >= minutes * 60
        return self.images_seen >= self.total_images or out_of_time

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to train, and no tick is due."""
        return self.has_trained_all and not self.is_tick_due

    @property
    def is_tick_due(self) -> bool:
        """Whether a tick is due; a run that was stopped during its evaluation resumes with it."""
        tick_images = (self.config.tick_kimg or 1.0) * 1000
        passed = self.images_seen // tick_images > self.images_at_last_tick // tick_images
        return self.accumulator.images > 0 and (passed or self.has_trained_all)

    @property
    def images_at_last_tick(self) -> int:
        """The images seen at the last tick."""
        return self.images_seen - self.accumulator.images

    def stop(self) -> None:
        """End the run, in all processes, after the step in progress; safe in a signal handler."""
        self.stop_requested = True

    def run(self) -> None:
        """Train until the images or the minutes are used up, or :meth:`stop` was called.

        Raises:
            TrainingDiverged: a loss term or a weight is not finite.
            RunError: the processes no longer have the same weights.
        """
        self.check_identical()
        self.sync_stop(0.0)
        while not (self.is_finished or self.stop_agreed):
            if not self.is_tick_due:
                started = time.perf_counter()
                self.step()
                elapsed = time.perf_counter() - started
                if self.on_step:
                    self.on_step(self)
                elapsed = self.sync_stop(elapsed)
                self.train_seconds += elapsed
                self.accumulator.add_step(self.batch_size, elapsed, self.batches.waited)
            if self.is_tick_due:
                self.tick()
                self.sync_stop(0.0)  # a tick takes long, and its callback may have called stop

    def sync_stop(self, seconds: float) -> float:
        """Stop if any process was stopped; return the main process's seconds."""
        self.stop_agreed, seconds = self.group.sync_stop(self.stop_requested, seconds)
        return seconds

    def step(self) -> None:
        """Run every phase that is due, then update the averages."""
        number = self.images_seen // self.batch_size
        self.follow_schedules()
        self.compiled.begin_step()
        networks = seeded_networks(self.config.seed, number, self.device)
        with use_slice(self.batch_slice), networks, fixed_shapes():
            batch = self.next_batch(number)
            for phase in self.phases:
                if number % phase.every == 0:
                    self.update(phase, batch)
            self.accumulator.add_terms(self.augment_probability.update(batch, number))
        self.images_seen += self.batch_size
        for name, average in self.averages.items():
            average.update(self.gan.players[name], self.batch_size, number * self.batch_size)

    def follow_schedules(self) -> None:
        """Set learning rates, betas, half-lives and p from the family's schedules."""
        family, preset = self.gan.family, self.gan.preset
        for name, adam in family.optimizers(preset, self.kimg).items():
            settings = self.optimizers[name].param_groups[0]
            settings["lr"], settings["betas"] = adam.learning_rate, (adam.beta1, adam.beta2)
        self.augment_probability.follow_schedule(self.kimg)
        half_life = family.ema_half_life_kimg(preset, self.kimg)
        if half_life is not None and self.ema_is_scheduled:
            for average in self.averages.values():
                average.follow(half_life)

    def next_batch(self, number: int) -> Batch:
        """Return this process's rows of a step's inputs, a function of seed and step alone."""
        return self.batches.read(number, self.batch_size)

    def update(self, phase: Phase, batch: Batch) -> None:
        """Update a phase's players."""
        optimizers = self.begin(phase)
        terms = self.backward(phase, batch)
        gradients = [w.grad for w in self.gan.weights(phase) if w.grad is not None]
        self.group.all_reduce_mean([*gradients, *terms.values()])
        skip_nan = self.gan.family.replaces_nan_gradients
        if skip_nan:
            replace_nan_gradients(gradients)
        for optimizer in optimizers:
            optimizer.step()
        self.accumulator.add_terms(terms, skip_nan)

    def begin(self, phase: Phase) -> list[torch.optim.Adam]:
        """Unfreeze only a phase's players, and clear their gradients; return their optimisers."""
        for name, player in self.gan.players.items():
            player.requires_grad_(name in phase.players)
        optimizers = [self.optimizers[name] for name in phase.players]
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        return optimizers

    def backward(self, phase: Phase, batch: Batch) -> Terms:
        """Add the phase's gradients to those of its players; return its terms, detached."""
        if (count := self.own_images // self.micro_batch) > 1:
            parts = MicroBatches(self.gan, batch, self.batch_slice, count, self.device)
            return parts.backward(phase, self.compute)
        terms = self.compute(phase, batch)
        torch.stack(list(terms.values())).sum().backward()
        return {name: value.detach().float() for name, value in terms.items()}

    def compute(self, phase: Phase, batch: Batch) -> Terms:
        """Return a phase's loss terms for some rows."""
        with autocast(self.device, self.dtype), self.compiled.during(phase):
            return phase.loss(self.gan, batch)

    def tick(self) -> None:
        """Check that all is finite and identical, evaluate, and call the tick's callback."""
        self.check_identical()
        figures, is_stopped = self.figures(), False
        if self.evaluation and self.evaluation.is_due(self):
            try:
                figures |= self.evaluation.run(self)
            except Stopped:
                is_stopped = True
        if self.group.any(is_stopped):
            return  # the tick is still due, in all processes
        self.accumulator = MetricAccumulator()
        if self.on_tick:
            self.on_tick(self, figures)

    def draw_pixels(self, *inputs: Tensor, player: str | None = None) -> Tensor:
        """Return the averaged generator's images, uint8 (N, 3, H, W) on the CPU.

        Args:
            inputs: What the generator takes, in order; without labels its classes are evenly
                spread.
            player: A served player, instead of the first.
        """
        images = sample_images(self, *inputs, player=player)
        return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)

    def check_identical(self) -> None:
        """Raise RunError if the processes' weights are not bit-identical."""
        if self.group.size > 1:
            weights = [p for player in self.gan.players.values() for p in player.parameters()]
            sums = [w.detach().reshape(-1).view(torch.int32).sum() for w in weights]
            self.group.check_identical(torch.stack(sums).cpu(), "weights")

    def figures(self) -> dict[str, float]:
        """Return the metrics since the last tick.

        Raises:
            TrainingDiverged: a loss term or a weight is not finite.
        """
        figures = self.accumulator.figures(self.kimg)
        check_weights_finite(self.gan.players, self.kimg)
        return figures

    # --- state ----------------------------------------------------------------------------------

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Return what a resumed run needs: tensors by name, and plain numbers."""
        tensors: Tensors = {}
        for name, module in self.stateful_modules().items():
            tensors.update({f"{name}/{key}": value for key, value in module.state_dict().items()})
        for name, optimizer in self.optimizers.items():
            tensors.update(flatten_optimizer(f"optimizer.{name}", optimizer))
        tensors.update(
            {f"augment/{name}": t for name, t in self.augment_probability.state().items()}
        )
        sums, totals = self.accumulator.state()
        tensors.update({f"tally/{name}": total for name, total in sums.items()})
        numbers: dict[str, Any] = {
            "images_seen": self.images_seen,
            "train_seconds": self.train_seconds,
        }
        if self.evaluation:
            best, numbers["evaluation"] = self.evaluation.state()
            tensors.update({f"best/{name}": value for name, value in best.items()})
        return tensors, {**numbers, "tally": totals}

    def load_state(self, tensors: Tensors, numbers: Mapping[str, Any]) -> None:
        """Load what :meth:`state` returned; a state that does not fit changes nothing.

        Raises:
            ValueError: the state does not fit.
            RunError: the run was evaluated by another protocol.
        """
        check_state(self, tensors, numbers)
        for name, module in self.stateful_modules().items():
            module.load_state_dict(below(name, tensors))
        for name, optimizer in self.optimizers.items():
            restore_optimizer(f"optimizer.{name}", optimizer, tensors)
        self.augment_probability.load_state(below("augment", tensors))
        self.images_seen = int(numbers["images_seen"])
        self.train_seconds = float(numbers["train_seconds"])
        sums = {name: total.to(self.device) for name, total in below("tally", tensors).items()}
        self.accumulator = MetricAccumulator.from_state(sums, numbers["tally"])
        if self.evaluation:
            self.evaluation.load_state(below("best", tensors), numbers["evaluation"])

    def stateful_modules(self) -> dict[str, nn.Module]:
        """Return players and averages by their names in checkpoints."""
        players = {f"player.{name}": player for name, player in self.gan.players.items()}
        averages = {f"average.{name}": ema.averaged for name, ema in self.averages.items()}
        return players | averages


def below(name: str, tensors: Tensors) -> Tensors:
    """Return the tensors under ``name/``, without that prefix."""
    prefix = f"{name}/"
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@contextmanager
def seeded_networks(seed: int, number: int, device: torch.device) -> Iterator[None]:
    """Seed the random numbers that networks draw themselves (noise, mixing) by the step.

    torch's global generators are restored afterwards; those of other GPUs are not changed.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(random_numbers(seed, number, NETWORKS).initial_seed())
        yield


def sample_images(trainer: Trainer, *inputs: Tensor, player: str | None = None) -> Tensor:
    """Return an averaged generator's images, float (N, 3, H, W) on the CPU.

    By default a conditional GAN's labels are spread evenly over its classes.
    """
    served, classes = trainer.gan.served, trainer.gan.classes
    generator = served[player] if player else trainer.gan.generator_ema
    if classes and len(inputs) == 1:
        inputs = (*inputs, uniform_labels(classes, len(inputs[0])))
    was_training = generator.training
    with torch.no_grad():
        images: Tensor = generator.eval()(*(x.to(trainer.device) for x in inputs)).float().cpu()
    generator.train(was_training)
    return images
