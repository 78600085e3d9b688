"""The contract between a family of GANs and everything that trains, saves or serves it.

A family is its networks, its losses and its presets. It declares *phases* over any number of named
*players*; the trainer runs the phases and never learns the family's name.

A family's names, presets and limits are read without torch, so that a mistyped one is refused
before torch is imported; its networks import it when they are built.
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
# "generator" (the step's random numbers, for latents), "kimg" (thousands of images seen before the
# step), in a conditional game "labels" (int64 (N,), of the reals), and whatever one phase leaves
# for the next: tensors with one row per image. The loss that teaches a judge leaves its verdicts,
# "real_logits" and "fake_logits": see :func:`record_logits`.
Batch = dict[str, Any]
Terms = dict[str, "Tensor"]


def record_logits(batch: Batch, real_logits: Tensor, fake_logits: Tensor) -> None:
    """Leave in the batch how real the discriminator took reals and fakes to be.

    Logits (N,) as its own loss takes them: above 0 where it is right about a real and wrong about a
    fake. Adaptive augmentation and the warnings about a lost game go by their signs.
    """
    batch["real_logits"], batch["fake_logits"] = real_logits.detach(), fake_logits.detach()


@dataclass(frozen=True)
class Adam:
    """A player's optimiser: Adam (Kingma & Ba, arXiv:1412.6980)."""

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float = 1e-8


@dataclass(frozen=True)
class Phase:
    """One player's update: which player, how often, and the terms it minimises."""

    player: str
    loss: Callable[[Gan, Batch], Terms]  # named scalar terms; their sum is minimised
    every: int = 1  # 16 = lazy regularisation, as in StyleGAN2 (arXiv:1912.04958, section 3.1)
    second_order: bool = False  # the terms hold gradients, so they are derived twice
    # The terms use what update_running_mean returns, so micro-batches are computed twice: the first
    # time only for the whole batch's means.
    needs_batch_means: bool = False


class Family(ABC):
    """What a family must say of itself. One instance a family, named ``FAMILY`` in its folder."""

    name: str
    paper: str
    presets: Mapping[str, Preset]
    # Resolution → the preset for it where none is named.
    default_presets: Mapping[int, str]
    # Players whose moving average is kept, saved and served; the first is *the* generator.
    generators: tuple[str, ...] = ("generator",)
    # Players that tell reals from fakes: what they see may be augmented.
    discriminators: tuple[str, ...] = ("discriminator",)
    has_truncation: bool = False
    # The averages' half-life is at most this share of the images seen, unless a schedule says it.
    # (The ADA paper has 0.05 of runs of 25,000 kimg; runs of minutes gain by looking further back.)
    ema_ramp_up: float = 0.2
    # Gradients that are not finite are replaced: one bad step does not end a run.
    replaces_nan_gradients: bool = False
    # Networks of a conditional preset take `labels` (int64 (N,)) after latents or images.
    has_classes: bool = False
    # The generator has `styles`, as `forward` but → (N, layers, style_dim), and `synthesis`, which
    # makes images of them.
    has_style_mixing: bool = False

    def default_preset(self, resolution: int) -> str:
        """The preset for images of that side, where none is named.

        Raises:
            ConfigError: the family has none; it says for which it has, and which there are.
        """
        if resolution not in self.default_presets:
            sides = ", ".join(map(str, sorted(self.default_presets)))
            raise ConfigError(
                f"{self.name} has no default preset for {resolution} px (it has for {sides}).",
                f"Name one by preset: {', '.join(self.presets)}.",
            )
        return self.default_presets[resolution]

    def check_shape(self, preset: Any, image_shape: tuple[int, ...]) -> None:
        """Refuse images that the family's pyramid of doublings cannot make; builds nothing.

        Raises:
            ConfigError: it says which resolutions the family makes.
        """
        pyramid(self.name, getattr(preset, "base_size", 4), image_shape)

    @abstractmethod
    def build_players(self, preset: Any, image_shape: tuple[int, ...]) -> dict[str, nn.Module]:
        """Every player, freshly initialised from torch's global generator."""

    @abstractmethod
    def build_generator(self, preset: Any, image_shape: tuple[int, ...]) -> nn.Module:
        """The served player: latents (N, latent_dim) → images (N, 3, H, W), -1 black, 1 white.

        Values may lie outside [-1, 1]; whoever makes pixels clamps them.
        In eval mode it draws no random numbers. Where the family has truncation, its ``forward``
        takes ``truncation_psi``; where the preset is conditional, ``labels``. While training,
        networks may draw from torch's global generator, through ``gans/data_parallel.py``; the
        trainer seeds it for every step.
        """

    @abstractmethod
    def optimizers(self, preset: Any, kimg: float = 0.0) -> dict[str, Adam]:
        """One optimiser a player, with its settings at a moment of the run."""

    def ema_half_life_kimg(self, preset: Any, kimg: float) -> float | None:
        """The averages' half-life at a moment of the run; None leaves it to the configuration."""
        return None

    def augment_probability(self, preset: Any, kimg: float) -> float | None:
        """How likely an image is augmented at a moment of the run; None: there is no schedule."""
        return None

    def images_together(self, preset: Any, batch_size: int) -> int:
        """A part of a batch (a process's, a micro-batch) must hold a multiple of so many images."""
        return 1

    def needs_whole_batch(self, preset: Any) -> str:
        """Why micro-batches would not be exact, as "because …" goes on; empty where they are."""
        return ""

    @abstractmethod
    def phases(self, preset: Any) -> tuple[Phase, ...]:
        """The updates of one step, in their order."""

    @abstractmethod
    def sample_latents(self, preset: Any, count: int, generator: torch.Generator) -> Tensor:
        """`count` latents (N, latent_dim) from the family's distribution."""


@dataclass
class Gan:
    """The players of one game, with all that is needed to train and to save them."""

    family: Family
    preset_name: str
    preset: Any
    image_shape: tuple[int, ...]  # (3, H, W)
    players: dict[str, nn.Module]
    averages: dict[str, nn.Module] = field(default_factory=dict)  # kept by the trainer
    # name → pictures of the data, in the order of the labels; empty in an unconditional game
    classes: Mapping[str, int] = field(default_factory=dict)

    @property
    def generator_ema(self) -> nn.Module:
        """The averaged generator where a trainer has kept one, the generator itself otherwise."""
        name = self.family.generators[0]
        return self.averages.get(name, self.players[name])

    def sample_latents(
        self, count: int, generator: torch.Generator, device: torch.device | None = None
    ) -> Tensor:
        """`count` latents (N, latent_dim): in a step, this process's of those of all processes.

        They are drawn on the CPU.
        """
        from facegan.devices import to_device
        from facegan.gans.data_parallel import draw

        drawn = draw(lambda rows: self.family.sample_latents(self.preset, rows, generator), count)
        return drawn if device is None else to_device(drawn, device)

    def sample_labels(self, count: int, generator: torch.Generator) -> Tensor | None:
        """`count` labels (N,), classes as frequent as in the data; None if unconditional."""
        from facegan.gans.labels import draw_labels

        return draw_labels(self.classes, count, generator) if self.classes else None
