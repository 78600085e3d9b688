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

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# Imports inside functions: presets are checked without torch (1.6 s).

# One step's inputs and scratch space: "reals" (N, 3, H, W) in [-1, 1], "latents" (N, latent_dim),
# "generator" (torch.Generator of the step, for latents), "kimg" (thousands of images seen before
# the step), if conditional "labels" (int64 (N,), of the reals), and what one phase stores for the
# next: tensors with one row per image. The discriminator's loss stores "real_logits" and
# "fake_logits": see :func:`record_logits`.
Batch = dict[str, Any]
Terms = dict[str, "Tensor"]


def record_logits(batch: Batch, real_logits: Tensor, fake_logits: Tensor) -> None:
    """Store the discriminator's logits (N,) in the batch: above 0 means "real".

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
    """One update of a step: the player, its loss and how often it runs."""

    player: str
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

    def check_shape(self, preset: Any, image_shape: tuple[int, ...]) -> None:
        """Raise ConfigError if the family cannot generate such images; builds no networks."""
        pyramid(self.name, getattr(preset, "base_size", 4), image_shape)

    @abstractmethod
    def build_players(self, preset: Any, image_shape: tuple[int, ...]) -> dict[str, nn.Module]:
        """Build every player, initialised from torch's global random state."""

    @abstractmethod
    def build_generator(self, preset: Any, image_shape: tuple[int, ...]) -> nn.Module:
        """Build the served player: latents (N, latent_dim) → images (N, 3, H, W), -1 is black.

        Values may lie outside [-1, 1]; they are clamped when pixels are made. In eval mode it draws
        no random numbers. Its ``forward`` takes ``truncation_psi`` if the family has truncation,
        and ``labels`` if the preset is conditional. While training, networks may draw from torch's
        global generator, which the trainer seeds for every step, through ``gans/data_parallel.py``.
        """

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

    @property
    def generator_ema(self) -> nn.Module:
        """Return the averaged generator if a trainer has kept one, else the generator itself."""
        name = self.family.generators[0]
        return self.averages.get(name, self.players[name])

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
