"""One loop for every family: for each phase due, unfreeze its player, sum its terms, step."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from facegan.data import (
    Dataset,
    mirror_rows,
    mirrored_in_step,
    random_numbers,
    reading_order,
    to_float,
)
from facegan.devices import to_device
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
from facegan.training.gpu_cache import cache_on_gpu
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

STEP, NETWORKS = 0, 1  # what a step's random numbers are for


class Trainer:
    """Plays a GAN's game on a data set.

    The state of a run is its players, averages and optimisers, the strength of its augmentation,
    and one number: the images seen.
    Step k's latents, images and other random numbers are a function of (seed, k), so that nothing
    else needs to be saved for a resumed run to end with the same bits.

    Args:
        gan: The players, as ``build_gan`` made them; trained in place, its averages kept current.
        dataset: uint8 images of the GAN's image shape.
        config: What to do; the preset's recipe fills in what it leaves open.
        on_tick: Called with the tick's figures after every tick, while the trainer stands still.
        evaluation: Measures quality at ticks; without one, where the configuration asks for it,
            against the data itself.
        group: The processes that share the run; whatever one calls, all must call.

    Raises:
        ConfigError: the shapes or classes of GAN and data differ, the device or precision is not
            there, the pictures shall be on a GPU that cannot hold them, or the batch cannot be
            divided among the processes.
        MetricError: evaluation was asked for, and cannot be done.
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
        asked = config or TrainingConfig()
        self.config = asked.completed_by(gan.preset)
        self.ema_is_scheduled = asked.ema_half_life_kimg is None  # a wish goes before a schedule
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
        self.gpu_cache = cache_on_gpu(dataset, self.device, self.config.data_on_gpu)
        self.images_seen = 0
        self.train_seconds = 0.0
        self.waited = 0.0  # for the pictures of the step in progress
        self.stop_requested = self.stop_agreed = False  # here, and by all processes
        self.on_tick, self.on_step = on_tick, on_step
        self.accumulator = MetricAccumulator()
        if evaluation is None and self.config.evaluate_kimg and group.is_main_process:
            evaluation = Evaluation(dataset, self.config, device=str(self.device))
        self.evaluation = evaluation
        size = self.config.micro_batch or self.own_images
        self.micro_batch = size if isinstance(size, int) else find_micro_batch(self)

    def sizes(self) -> tuple[int, int]:
        """Images a step, and images in all: whole batches."""
        batch_size, total_kimg = self.config.batch_size, self.config.total_kimg
        if batch_size is None or total_kimg is None:
            raise ConfigError("The preset has no recipe.", "Give batch_size and total_kimg.")
        return batch_size, math.ceil(total_kimg * 1000 / batch_size) * batch_size

    def check_micro_batch(self) -> None:
        """Refuse a micro-batch that is not exact for these networks."""
        size, family = self.config.micro_batch, self.gan.family
        if size is not None and size != self.own_images:
            check_micro_batch(family, self.gan.preset, self.batch_size, self.group.size, size)
            check_no_batch_norm(self.gan)

    @property
    def own_images(self) -> int:
        """Images of a batch that this process computes."""
        return self.batch_size // self.group.size

    def build_optimizers(self) -> dict[str, torch.optim.Adam]:
        """One Adam a player, as the family wants it."""
        return {
            name: torch.optim.Adam(
                self.gan.players[name].parameters(),
                lr=adam.learning_rate,
                betas=(adam.beta1, adam.beta2),
                eps=adam.epsilon,
                fused=self.device.type != "meta",  # which has no kernels, only shapes
            )
            for name, adam in self.gan.family.optimizers(self.gan.preset).items()
        }

    def build_averages(self) -> dict[str, MovingAverage]:
        """A moving average of every player that will be served, where the recipe wants one."""
        half_life = self.config.ema_half_life_kimg or 0.0
        names = self.gan.family.generators if half_life > 0 else ()
        ramp_up = self.gan.family.ema_ramp_up
        players = {name: self.gan.players[name] for name in names}
        averages = {n: MovingAverage(player, half_life, ramp_up) for n, player in players.items()}
        self.gan.averages.update({name: average.module for name, average in averages.items()})
        return averages

    def build_augmentation(self) -> AugmentProbability:
        """Put the augmentation before every judge; what is returned says how strong it is."""
        config, gan = self.config, self.gan
        wish = config.augment_probability if parse_policy(config.augment) else 0.0
        how = wish, config.augment_target, config.augment_speed_kimg
        strength = AugmentProbability(gan, *how, self.device)
        augment = Augment(config.augment, strength.probability, config.augment_filter)
        for name in gan.family.discriminators:
            augment.stand_before(gan.players[name])
        return strength

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
        """Whether nothing is left to train, and no tick to be made."""
        return self.has_trained_all and not self.owes_tick

    @property
    def owes_tick(self) -> bool:
        """Whether a tick is due; a run that was stopped while it was evaluated resumes with it."""
        tick_images = (self.config.tick_kimg or 1.0) * 1000
        passed = self.images_seen // tick_images > self.images_at_last_tick // tick_images
        return self.accumulator.images > 0 and (passed or self.has_trained_all)

    @property
    def images_at_last_tick(self) -> int:
        """How many images had been seen when the last tick was made."""
        return self.images_seen - self.accumulator.images

    def stop(self) -> None:
        """Ask the run to end after the step in progress; safe in a signal handler.

        All processes end after the same step, whichever was asked.
        """
        self.stop_requested = True

    def run(self) -> None:
        """Train until the images or the minutes are used up, or :meth:`stop` was called.

        Raises:
            TrainingDiverged: a loss term or a weight is not finite.
            RunError: the processes no longer have the same weights.
        """
        self.check_identical()
        self.agree(0.0)
        while not (self.is_finished or self.stop_agreed):
            if not self.owes_tick:
                started = time.perf_counter()
                self.step()
                elapsed = time.perf_counter() - started
                if self.on_step:
                    self.on_step(self)
                elapsed = self.agree(elapsed)
                self.train_seconds += elapsed
                self.accumulator.add_step(self.batch_size, elapsed, self.waited)
            if self.owes_tick:
                self.tick()
                self.agree(0.0)  # a tick takes long, and its listener may have asked to stop

    def agree(self, seconds: float) -> float:
        """Learn whether any process was asked to stop; returns the leader's seconds."""
        self.stop_agreed, seconds = self.group.sync_stop(self.stop_requested, seconds)
        return seconds

    def step(self) -> None:
        """One step: every phase that is due, then the averages."""
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
        """Take rates and half-lives from the family, as functions of the images seen."""
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
        """The inputs of a step, a function of the seed and the step's number alone: own rows."""
        generator = random_numbers(self.config.seed, number, STEP)
        order = reading_order(self.dataset, self.config.seed, self.images_seen, self.batch_size)
        indices = self.batch_slice.rows(order)
        mirrored = None
        if self.config.mirror:
            whole = mirrored_in_step(self.config.seed, self.images_seen, order, len(self.dataset))
            mirrored = self.batch_slice.rows(whole)
        batch = {
            "reals": to_float(self.next_reals(indices, mirrored)),
            "latents": self.gan.sample_latents(self.own_images, generator, self.device),
            "generator": generator,
            "kimg": self.kimg,
        }
        if self.gan.classes and self.dataset.labels is not None:
            batch["labels"] = to_device(self.dataset.labels[indices], self.device)
        return batch

    def next_reals(self, indices: Tensor, mirrored: Tensor | None = None) -> Tensor:
        """Return the uint8 images (N, 3, H, W) at N indices, on the device; note the time it takes.

        Args:
            indices: Which images of the data set.
            mirrored: Which of these are mirrored, booleans (N,); None for none.
        """
        started = time.perf_counter()
        if self.gpu_cache:
            reals = self.gpu_cache.read(indices)
        else:
            reals = to_device(self.dataset.read(indices), self.device)
        if mirrored is not None:
            reals = mirror_rows(reals, to_device(mirrored, self.device))
        self.waited = time.perf_counter() - started
        return reals

    def update(self, phase: Phase, batch: Batch) -> None:
        """One player's update; the others stand still."""
        optimizer = self.begin(phase)
        terms = self.derive(phase, batch)
        slopes = [p.grad for p in self.gan.players[phase.player].parameters() if p.grad is not None]
        self.group.all_reduce_mean([*slopes, *terms.values()])
        goes_on = self.gan.family.replaces_nan_gradients
        if goes_on:
            replace_nan_gradients(slopes)
        optimizer.step()
        self.accumulator.add_terms(terms, skip_nan=goes_on)

    def begin(self, phase: Phase) -> torch.optim.Adam:
        """Unfreeze a phase's player alone, without gradients; return its optimiser."""
        for name, player in self.gan.players.items():
            player.requires_grad_(name == phase.player)
        optimizer = self.optimizers[phase.player]
        optimizer.zero_grad(set_to_none=True)
        return optimizer

    def derive(self, phase: Phase, batch: Batch) -> Terms:
        """Add a phase's gradients over the own rows to its player's; return its terms, detached."""
        if (count := self.own_images // self.micro_batch) > 1:
            parts = MicroBatches(self.gan, batch, self.batch_slice, count, self.device)
            return parts.derive(phase, self.compute)
        terms = self.compute(phase, batch)
        torch.stack(list(terms.values())).sum().backward()
        return {name: value.detach().float() for name, value in terms.items()}

    def compute(self, phase: Phase, batch: Batch) -> Terms:
        """A phase's terms on some rows."""
        with autocast(self.device, self.dtype), self.compiled.during(phase):
            return phase.loss(self.gan, batch)

    def tick(self) -> None:
        """Close the tally, refuse what is not finite or not alike, evaluate, tell who listens."""
        self.check_identical()
        figures, is_stopped = self.figures(), False
        if self.evaluation and self.evaluation.is_due(self):
            try:
                figures |= self.evaluation.run(self)
            except Stopped:
                is_stopped = True
        if self.group.any(is_stopped):
            return  # the tick is still owed, by all processes
        self.accumulator = MetricAccumulator()
        if self.on_tick:
            self.on_tick(self, figures)

    def draw_pixels(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the averaged generator makes of latents, as uint8 (N, 3, H, W) on the CPU."""
        images = sample_images(self, latents, labels)
        return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)

    def check_identical(self) -> None:
        """Refuse to go on where the processes' weights are no longer the same bits.

        Raises:
            RunError: they are not; a process is named.
        """
        if self.group.size > 1:
            weights = [p for player in self.gan.players.values() for p in player.parameters()]
            sums = [w.detach().reshape(-1).view(torch.int32).sum() for w in weights]
            self.group.check_identical(torch.stack(sums).cpu(), "weights")

    def figures(self) -> dict[str, float]:
        """What the tally says so far.

        Raises:
            TrainingDiverged: a loss term or a weight is not finite.
        """
        figures = self.accumulator.figures(self.kimg)
        check_weights_finite(self.gan.players, self.kimg)
        return figures

    # --- state ----------------------------------------------------------------------------------

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """All that a resumed run needs: tensors by name, and plain numbers."""
        tensors: Tensors = {}
        for name, module in self.stateful_modules().items():
            tensors.update({f"{name}/{key}": value for key, value in module.state_dict().items()})
        for name, optimizer in self.optimizers.items():
            tensors.update(flatten_optimizer(f"optimizer.{name}", optimizer))
        tensors.update(
            {f"augment/{name}": t for name, t in self.augment_probability.state().items()}
        )
        sums, tally = self.accumulator.state()
        tensors.update({f"tally/{name}": total for name, total in sums.items()})
        numbers: dict[str, Any] = {
            "images_seen": self.images_seen,
            "train_seconds": self.train_seconds,
        }
        if self.evaluation:
            best, numbers["evaluation"] = self.evaluation.state()
            tensors.update({f"best/{name}": value for name, value in best.items()})
        return tensors, {**numbers, "tally": tally}

    def load_state(self, tensors: Tensors, numbers: Mapping[str, Any]) -> None:
        """Take up where :meth:`state` left off; what does not fit changes nothing.

        Raises:
            ValueError: they are not the state of such a trainer.
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
        """Players and averages under the names they are saved by."""
        players = {f"player.{name}": player for name, player in self.gan.players.items()}
        averages = {f"average.{name}": ema.averaged for name, ema in self.averages.items()}
        return players | averages


def below(name: str, tensors: Tensors) -> Tensors:
    """The tensors under ``name/``, without it."""
    prefix = f"{name}/"
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@contextmanager
def seeded_networks(seed: int, number: int, device: torch.device) -> Iterator[None]:
    """Random numbers that networks draw themselves (noise, mixing) follow the step too.

    Afterwards torch's global generators are as they were; other GPUs than the one are not touched.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(random_numbers(seed, number, NETWORKS).initial_seed())
        yield


def sample_images(trainer: Trainer, latents: Tensor, labels: Tensor | None = None) -> Tensor:
    """What the averaged generator makes of fixed latents: float (N, 3, H, W), on the CPU.

    A conditional game shows its classes evenly where no labels (N,) are given.
    """
    generator, classes = trainer.gan.generator_ema, trainer.gan.classes
    inputs = [latents]
    if classes:
        inputs.append(uniform_labels(classes, len(latents)) if labels is None else labels)
    was_training = generator.training
    with torch.no_grad():
        images: Tensor = generator.eval()(*(x.to(trainer.device) for x in inputs)).float().cpu()
    generator.train(was_training)
    return images
