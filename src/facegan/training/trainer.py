"""One loop for every family: for each phase due, unfreeze its player, sum its terms, step."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from facegan.data import Dataset, order_of, random_numbers, to_float
from facegan.errors import ConfigError
from facegan.gans import Batch, Gan, Phase
from facegan.training.augment import Augment, Strength, parse_policy
from facegan.training.checkpoint import Tensors, flatten_optimizer, restore_optimizer
from facegan.training.config import TrainingConfig
from facegan.training.ema import MovingAverage
from facegan.training.precision import choose_device, choose_dtype
from facegan.training.tally import Tally, refuse_broken_weights

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

    Raises:
        ConfigError: the shapes of GAN and data differ, or the device or precision is not there.
    """

    def __init__(
        self,
        gan: Gan,
        dataset: Dataset,
        config: TrainingConfig | None = None,
        on_tick: Callable[["Trainer", Mapping[str, float]], None] | None = None,
        on_step: Callable[["Trainer"], None] | None = None,
    ) -> None:
        if tuple(dataset.image_shape) != tuple(gan.image_shape):
            raise ConfigError(
                f"The data is {dataset.image_shape}, the GAN makes {gan.image_shape}."
            )
        self.gan, self.dataset = gan, dataset
        asked = config or TrainingConfig()
        self.config = asked.completed_by(gan.preset)
        self.ema_is_scheduled = asked.ema_half_life_kimg is None  # a wish goes before a schedule
        self.batch_size, self.total_images = self.sizes()
        self.device = choose_device(self.config.device)
        self.dtype = choose_dtype(self.config.precision, self.device)
        self.phases = gan.family.phases(gan.preset)
        for player in gan.players.values():
            player.to(self.device).train()
        self.optimizers = self.build_optimizers()
        self.strength = self.build_augmentation()
        self.averages = self.build_averages()
        self.images_seen = 0
        self.train_seconds = 0.0
        self.stop_requested = False
        self.on_tick, self.on_step = on_tick, on_step
        self.tally = Tally()

    def sizes(self) -> tuple[int, int]:
        """Images a step, and images in all: whole batches."""
        batch_size, total_kimg = self.config.batch_size, self.config.total_kimg
        if batch_size is None or total_kimg is None:
            raise ConfigError("The preset has no recipe.", "Give batch_size and total_kimg.")
        return batch_size, math.ceil(total_kimg * 1000 / batch_size) * batch_size

    def build_optimizers(self) -> dict[str, torch.optim.Adam]:
        """One Adam a player, as the family wants it."""
        return {
            name: torch.optim.Adam(
                self.gan.players[name].parameters(),
                lr=adam.learning_rate,
                betas=(adam.beta1, adam.beta2),
                eps=adam.epsilon,
                fused=True,
            )
            for name, adam in self.gan.family.optimizers(self.gan.preset).items()
        }

    def build_averages(self) -> dict[str, MovingAverage]:
        """A moving average of every player that will be served, where the recipe wants one."""
        half_life = self.config.ema_half_life_kimg or 0.0
        names = self.gan.family.generators if half_life > 0 else ()
        averages = {name: MovingAverage(self.gan.players[name], half_life) for name in names}
        self.gan.averages.update({name: average.module for name, average in averages.items()})
        return averages

    def build_augmentation(self) -> Strength:
        """Put the augmentation before every judge; what is returned says how strong it is."""
        config, gan = self.config, self.gan
        wish = config.augment_probability if parse_policy(config.augment) else 0.0
        how = wish, config.augment_target, config.augment_speed_kimg
        strength = Strength(gan, *how, self.device)
        augment = Augment(config.augment, strength.probability)
        for name in gan.family.judges:
            augment.stand_before(gan.players[name])
        return strength

    # --- the loop -------------------------------------------------------------------------------

    @property
    def kimg(self) -> float:
        """Thousands of images seen."""
        return self.images_seen / 1000

    @property
    def is_finished(self) -> bool:
        """Whether the images or the minutes are used up."""
        minutes = self.config.max_minutes
        out_of_time = minutes is not None and self.train_seconds >= minutes * 60
        return self.images_seen >= self.total_images or out_of_time

    def stop(self) -> None:
        """Ask the run to end after the step in progress; safe in a signal handler."""
        self.stop_requested = True

    def run(self) -> None:
        """Train until the images or the minutes are used up, or :meth:`stop` was called.

        Raises:
            TrainingDiverged: a loss term or a weight is not finite.
        """
        tick_images = (self.config.tick_kimg or 1.0) * 1000
        while not (self.is_finished or self.stop_requested):
            ticks_before = self.images_seen // tick_images
            started = time.perf_counter()
            self.step()
            elapsed = time.perf_counter() - started
            self.train_seconds += elapsed
            self.tally.add_step(self.batch_size, elapsed)
            if self.on_step:
                self.on_step(self)
            if self.images_seen // tick_images > ticks_before or self.is_finished:
                self.tick()

    def step(self) -> None:
        """One step: every phase that is due, then the averages."""
        number = self.images_seen // self.batch_size
        batch = self.next_batch(number)
        self.follow_schedules()
        with seeded_networks(self.config.seed, number):
            for phase in self.phases:
                if number % phase.every == 0:
                    self.update(phase, batch)
        self.tally.add_terms(self.strength.look(batch, number))
        self.images_seen += self.batch_size
        for name, average in self.averages.items():
            average.update(self.gan.players[name], self.batch_size, self.images_seen)

    def follow_schedules(self) -> None:
        """Take rates and half-lives from the family, as functions of the images seen."""
        family, preset = self.gan.family, self.gan.preset
        for name, adam in family.optimizers(preset, self.kimg).items():
            group = self.optimizers[name].param_groups[0]
            group["lr"], group["betas"] = adam.learning_rate, (adam.beta1, adam.beta2)
        self.strength.follow_schedule(self.kimg)
        half_life = family.ema_half_life_kimg(preset, self.kimg)
        if half_life is not None and self.ema_is_scheduled:
            for average in self.averages.values():
                average.follow(half_life)

    def next_batch(self, number: int) -> Batch:
        """The inputs of a step, a function of the seed and the step's number alone."""
        generator = random_numbers(self.config.seed, number, STEP)
        indices = order_of(self.config.seed, self.images_seen, self.batch_size, len(self.dataset))
        latents = self.gan.sample_latents(self.batch_size, generator)
        return {
            "reals": to_float(self.dataset.read(indices).to(self.device)),
            "latents": latents.to(self.device),
            "generator": generator,
            "kimg": self.kimg,
        }

    def update(self, phase: Phase, batch: Batch) -> None:
        """One player's update; the others stand still."""
        for name, player in self.gan.players.items():
            player.requires_grad_(name == phase.player)
        optimizer = self.optimizers[phase.player]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32):
            terms = phase.loss(self.gan, batch)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        self.tally.add_terms(terms)

    def tick(self) -> None:
        """Close the tally, refuse what is not finite, tell whoever listens."""
        figures = self.figures()
        self.tally = Tally()
        if self.on_tick:
            self.on_tick(self, figures)

    def figures(self) -> dict[str, float]:
        """What the tally says so far.

        Raises:
            TrainingDiverged: a loss term or a weight is not finite.
        """
        figures = self.tally.figures(self.kimg)
        refuse_broken_weights(self.gan.players, self.kimg)
        return figures

    # --- state ----------------------------------------------------------------------------------

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """All that a resumed run needs: tensors by name, and plain numbers."""
        tensors: Tensors = {}
        for name, module in self.stateful_modules().items():
            tensors.update({f"{name}/{key}": value for key, value in module.state_dict().items()})
        for name, optimizer in self.optimizers.items():
            tensors.update(flatten_optimizer(f"optimizer.{name}", optimizer))
        tensors.update({f"augment/{name}": t for name, t in self.strength.state().items()})
        sums, tally = self.tally.state()
        tensors.update({f"tally/{name}": total for name, total in sums.items()})
        numbers = {"images_seen": self.images_seen, "train_seconds": self.train_seconds}
        return tensors, {**numbers, "tally": tally}

    def load_state(self, tensors: Tensors, numbers: Mapping[str, Any]) -> None:
        """Take up where :meth:`state` left off.

        Raises:
            RunError: the tensors are not those of this family and preset.
        """
        for name, module in self.stateful_modules().items():
            module.load_state_dict(below(name, tensors))
        for name, optimizer in self.optimizers.items():
            restore_optimizer(f"optimizer.{name}", optimizer, tensors)
        self.strength.load_state(below("augment", tensors))
        self.images_seen = int(numbers["images_seen"])
        self.train_seconds = float(numbers["train_seconds"])
        sums = {name: total.to(self.device) for name, total in below("tally", tensors).items()}
        self.tally = Tally.from_state(sums, numbers["tally"])

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
def seeded_networks(seed: int, number: int) -> Iterator[None]:
    """Random numbers that networks draw themselves (noise, mixing) follow the step too.

    Afterwards torch's global generators are as they were.
    """
    with torch.random.fork_rng():
        torch.manual_seed(random_numbers(seed, number, NETWORKS).initial_seed())
        yield


def sample_images(trainer: Trainer, latents: Tensor) -> Tensor:
    """What the averaged generator makes of fixed latents: float (N, 3, H, W), on the CPU."""
    generator = trainer.gan.generator_ema
    was_training = generator.training
    with torch.no_grad():
        images: Tensor = generator.eval()(latents.to(trainer.device)).float().cpu()
    generator.train(was_training)
    return images
