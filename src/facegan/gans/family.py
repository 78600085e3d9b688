"""Family and Gan: the interface between a GAN and the code that trains, saves or serves it.

A family has networks, losses and presets. It declares *phases* over any number of named *players*
(its networks); the trainer runs the phases and does not depend on the family.

Names, presets and ranges are checked without torch (1.6 s); networks import it when they are built.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from facegan.errors import ConfigError
from facegan.gans.shapes import pyramid
from facegan.hyperparameters.setting import Preset
from facegan.model_inputs import ModelInput, default_inputs

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# Imports inside functions: presets are checked without torch (1.6 s).

# One step's inputs and scratch space: "reals" (N, 3, H, W) in [-1, 1], "latents" (N, latent_dim)
# of a family that takes them, "generator" (torch.Generator of the step, for latents), "kimg"
# (thousands of images seen before the step), if conditional "labels" (int64 (N,), of the reals),
# the companions that the family declares ("paired" and "unpaired" as the reals, "label_maps" int64
# (N, H, W)), and what one phase stores for the next: tensors with one row per image. The
# discriminator's loss stores "real_logits" and "fake_logits": see :func:`record_logits`.
Batch = dict[str, Any]
Terms = dict[str, "Tensor"]


def record_logits(batch: Batch, real_logits: Tensor, fake_logits: Tensor) -> None:
    """Store the discriminator's logits, (N,) or (N, patches), in the batch: above 0 means "real".

    Adaptive augmentation and the warnings about training failures use their signs.
    """
    batch["real_logits"], batch["fake_logits"] = real_logits.detach(), fake_logits.detach()


@dataclass(frozen=True)
class Adam:
    """Settings of a player's optimiser, Adam (Kingma & Ba, arXiv:1412.6980)."""

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float = 1e-8


@dataclass(frozen=True)
class Phase:
    """One update of a step: its players, their loss and how often it runs.

    Several players share one backward pass, and each has its own optimiser.
    """

    players: tuple[str, ...]
    loss: Callable[[Gan, Batch], Terms]  # named scalar terms; their sum is minimised
    every: int = 1  # 16 = lazy regularisation, as in StyleGAN2 (arXiv:1912.04958, section 3.1)
    second_order: bool = False  # the terms contain gradients, so they are differentiated twice
    # The terms use what update_running_mean returns, so micro-batches are computed twice: the first
    # time only for the whole batch's means.
    needs_batch_means: bool = False


class Family(ABC):
    """A kind of GAN; each has one instance, named ``FAMILY`` in its folder."""

    name: str
    paper: str
    presets: Mapping[str, Preset]
    # Resolution → the preset to use if the user names none.
    default_presets: Mapping[int, str]
    # Players whose moving average is kept, saved and served; the first is *the* generator.
    generators: tuple[str, ...] = ("generator",)
    # The smallest batch: batch norm and comparisons within a batch need two images.
    smallest_batch: int = 2
    # Players that classify images as real or fake; their inputs may be augmented.
    discriminators: tuple[str, ...] = ("discriminator",)
    has_truncation: bool = False
    # Upper limit of the averages' half-life, as a share of the images seen, unless it is scheduled.
    # (The ADA paper has 0.05 in runs of 25,000 kimg; runs of minutes do better with more.)
    ema_ramp_up: float = 0.2
    # Replace gradients that are not finite, so that one bad step does not end a run.
    replaces_nan_gradients: bool = False
    # Networks of a conditional preset take `labels` (int64 (N,)) after latents or images.
    has_classes: bool = False
    # The generator has `styles`, which is `forward` up to w (N, layers, style_dim), and
    # `synthesis`, from w to images.
    has_style_mixing: bool = False

    def default_preset(self, resolution: int) -> str:
        """Return the preset to use for a resolution if the user names none.

        Raises:
            ConfigError: the family has no default at that resolution; all presets are listed.
        """
        if resolution not in self.default_presets:
            sides = ", ".join(map(str, sorted(self.default_presets)))
            raise ConfigError(
                f"{self.name} has no default preset at {resolution} px, only at {sides} px.",
                f"Choose a preset: {', '.join(self.presets)}.",
            )
        return self.default_presets[resolution]

    def inputs(self, preset: Any) -> tuple[ModelInput, ...]:
        """Return what the served network takes, in the order of its arguments.

        ``styles``, images that an encoder turns into latents, are not among the arguments.
        """
        return default_inputs(preset.conditional)

    def companions(self, preset: Any) -> tuple[str, ...]:
        """Return which companions of the data a step needs: "paired", "label_maps", "unpaired"."""
        return ()

    def directions(self, preset: Any) -> tuple[str, ...]:
        """Return the directions that are served, such as ("AtoB", "BtoA"); empty if there is one.

        Each is the name of a served player. A is the domain of the data set's own images, B that
        of its companion.
        """
        return ()

    def source(self, preset: Any, name: str) -> str:
        """Return the key of a step's batch that holds the input `name` of the served network."""
        return "reals" if name == "images" else name

    def target(self, preset: Any) -> str:
        """Return the key of a step's batch that holds images like those the network makes."""
        return "reals"

    def served(self, preset: Any) -> tuple[str, ...]:
        """Return the players that are saved and served, the generator first."""
        return self.generators[:1]

    def check_shape(self, preset: Any, image_shape: tuple[int, ...]) -> None:
        """Raise ConfigError if the family cannot generate such images; builds no networks."""
        pyramid(self.name, getattr(preset, "base_size", 4), image_shape)

    @abstractmethod
    def build_players(self, preset: Any, image_shape: tuple[int, ...]) -> dict[str, nn.Module]:
        """Build every player, initialised from torch's global random state."""

    @abstractmethod
    def build_generator(self, preset: Any, image_shape: tuple[int, ...]) -> nn.Module:
        """Build a generator: its inputs → images (N, 3, H, W), -1 is black.

        Values may lie outside [-1, 1]; they are clamped when pixels are made. In eval mode it draws
        no random numbers. Its ``forward`` takes ``truncation_psi`` if the family has truncation,
        and ``labels`` if the preset is conditional. While training, networks may draw from torch's
        global generator, which the trainer seeds for every step, through ``gans/data_parallel.py``.
        """

    def build_served(self, preset: Any, image_shape: tuple[int, ...]) -> dict[str, nn.Module]:
        """Build the served players by name, each as a generator unless this is overridden."""
        return {name: self.build_generator(preset, image_shape) for name in self.served(preset)}

    @abstractmethod
    def optimizers(self, preset: Any, kimg: float = 0.0) -> dict[str, Adam]:
        """Return one optimiser per player, with its settings after `kimg` thousand images."""

    def ema_half_life_kimg(self, preset: Any, kimg: float) -> float | None:
        """Return the averages' half-life after `kimg`; None leaves it to the configuration."""
        return None

    def augment_probability(self, preset: Any, kimg: float) -> float | None:
        """Return the probability of augmentation after `kimg`; None if it is not scheduled."""
        return None

    def images_together(self, preset: Any, batch_size: int) -> int:
        """Return the group size: each part of a batch must hold a multiple of so many images."""
        return 1

    def needs_whole_batch(self, preset: Any) -> str:
        """Return why micro-batches are not exact, as a clause; empty if they are."""
        return ""

    @abstractmethod
    def phases(self, preset: Any) -> tuple[Phase, ...]:
        """Return the updates of one step, in order."""

    def sample_latents(self, preset: Any, count: int, generator: torch.Generator) -> Tensor:
        """Return `count` latents (N, latent_dim), from N(0, 1) unless the family overrides this."""
        import torch

        return torch.randn(count, preset.latent_dim, generator=generator)


def state_of(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Return the tensors of one network under their names; of several as ``network.tensor``.

    They are those of the networks that :meth:`Family.build_served` builds: spectrally normalised
    weights are divided by their singular values.
    """
    from facegan.gans.spectral_norm import folded_state

    if len(networks) == 1:
        return folded_state(next(iter(networks.values())))
    return {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in folded_state(network).items()
    }


@dataclass
class Gan:
    """The networks of one GAN, with all that is needed to train and to save them."""

    family: Family
    preset_name: str
    preset: Any
    image_shape: tuple[int, ...]  # (3, H, W)
    players: dict[str, nn.Module]
    averages: dict[str, nn.Module] = field(default_factory=dict)  # kept by the trainer
    # name → number of images in the data, in the order of the labels; empty if unconditional
    classes: Mapping[str, int] = field(default_factory=dict)
    # name → colour "#rrggbb" of each class of label maps, in the order of their numbers
    map_classes: Mapping[str, str] = field(default_factory=dict)

    @property
    def served(self) -> dict[str, nn.Module]:
        """Return the served players: averaged if a trainer has kept averages, else themselves."""
        names = self.family.served(self.preset)
        return {name: self.averages.get(name, self.players[name]) for name in names}

    @property
    def generator_ema(self) -> nn.Module:
        """Return the averaged generator if a trainer has kept one, else the generator itself."""
        return next(iter(self.served.values()))

    def weights(self, phase: Phase) -> list[nn.Parameter]:
        """Return the weights that a phase trains."""
        return [weight for name in phase.players for weight in self.players[name].parameters()]

    def served_weights(self) -> dict[str, Tensor]:
        """Return the served players' tensors by name; of several players as ``player.tensor``."""
        return state_of(self.served)

    def sample_latents(
        self, count: int, generator: torch.Generator, device: torch.device | None = None
    ) -> Tensor:
        """Draw `count` latents (N, latent_dim) on the CPU; in a step, this process's rows."""
        from facegan.devices import to_device
        from facegan.gans.data_parallel import draw

        drawn = draw(lambda rows: self.family.sample_latents(self.preset, rows, generator), count)
        return drawn if device is None else to_device(drawn, device)

    def sample_labels(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Draw `count` labels (N,) with the data's class frequencies; None if unconditional."""
        from facegan.gans.labels import draw_labels

        return draw_labels(self.classes, count, generator) if self.classes else None
