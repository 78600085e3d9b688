"""The contract between a family of GANs and everything that trains, saves or serves it.

A family is its networks, its losses and its presets. It declares *phases* over any number of named
*players*; the trainer runs the phases and never learns the family's name.
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, get_type_hints

import torch
from torch import Tensor, nn

from facegan.errors import ConfigError, nearest
from facegan.gans.labels import draw_labels
from facegan.gans.sharing import draw

# One step's inputs and scratch space: "reals" (N, 3, H, W) in [-1, 1], "latents" (N, latent_dim),
# "generator" (the step's random numbers, for latents), "kimg" (thousands of images seen before the
# step), in a conditional game "labels" (int64 (N,), of the reals), and whatever one phase leaves
# for the next. The loss that teaches a judge leaves its verdicts, "real_logits" and "fake_logits":
# see :func:`leave_verdicts`.
Batch = dict[str, Any]
Terms = dict[str, Tensor]


def leave_verdicts(batch: Batch, real_logits: Tensor, fake_logits: Tensor) -> None:
    """Leave in the batch how real the discriminator took reals and fakes to be.

    Logits (N,) as its own loss takes them: above 0 where it is right about a real and wrong about a
    fake. Adaptive augmentation and the warnings about a lost game go by their signs.
    """
    batch["real_logits"], batch["fake_logits"] = real_logits.detach(), fake_logits.detach()


def setting(
    help: str,
    *,
    default: Any = dataclasses.MISSING,
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
) -> Any:
    """A hyperparameter: a dataclass field that knows its meaning and its allowed range."""
    facts = {"help": help, "low": low, "high": high, "choices": choices}
    return field(default=default, metadata=facts)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A family's numbers, named and validated at birth. Families add their own fields.

    Raises:
        ConfigError: a value is outside the range its field declares.
    """

    about: str = ""
    # What the trainer does unless it is told otherwise: names and values of TrainingConfig.
    recipe: Mapping[str, Any] = field(default_factory=dict)
    latent_dim: int = setting("width of a latent vector", default=100, low=1, high=4096)
    conditional: bool = setting(
        "learn the classes of a labelled data set apart; some families cannot", default=False
    )
    # How many there are: no wish but a fact of the data, filled in when networks are built.
    classes: int = 0

    def __post_init__(self) -> None:
        for spec in self.hyperparameters():
            check_range(spec, getattr(self, spec.name))

    @classmethod
    def hyperparameters(cls) -> list[dataclasses.Field[Any]]:
        """The fields a user may change, in order: those declared by :func:`setting`."""
        return [spec for spec in dataclasses.fields(cls) if "help" in spec.metadata]

    def replaced(self, changes: Mapping[str, Any]) -> Self:
        """A copy with some hyperparameters changed; values may be strings, as SageMaker sends them.

        Raises:
            ConfigError: an unknown name (the nearest are offered), a value that does not convert.
        """
        types = get_type_hints(type(self))
        known = tuple(spec.name for spec in self.hyperparameters())
        for name in changes:
            if name not in known:
                raise ConfigError(f"Unknown hyperparameter {name!r}.", nearest(name, known))
        converted = {name: convert(name, types[name], raw) for name, raw in changes.items()}
        return dataclasses.replace(self, **converted)

    def as_dict(self) -> dict[str, Any]:
        """The hyperparameters as plain JSON values: what a model card needs to rebuild networks."""
        return {spec.name: getattr(self, spec.name) for spec in self.hyperparameters()}


def check_range(spec: "dataclasses.Field[Any]", value: Any) -> None:
    """Refuse a value outside what the field declares."""
    choices, low, high = (spec.metadata[key] for key in ("choices", "low", "high"))
    if choices and value not in choices:
        raise ConfigError(f"{spec.name} is {value!r}.", nearest(str(value), choices, "choices"))
    if isinstance(value, int | float) and not low <= value <= high:
        raise ConfigError(f"{spec.name} is {value}.", f"It must lie between {low:g} and {high:g}.")


def convert(name: str, kind: type, raw: Any) -> Any:
    """A value of the wanted type from a string, a number or a JSON value.

    Raises:
        ConfigError: the value cannot be read as that type.
    """
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[str(raw).strip().lower()]
        if kind is int and not isinstance(raw, int):
            number = float(raw)
            if not number.is_integer():
                raise ValueError(raw)
            return int(number)
        value = kind(raw)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise ConfigError(f"{name} is {raw!r}.", f"It must be a {kind.__name__}.") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name} is {raw!r}.", "It must be a finite number.")
    return value


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
    loss: Callable[["Gan", Batch], Terms]  # named scalar terms; their sum is minimised
    every: int = 1  # 16 = lazy regularisation, as in StyleGAN2 (arXiv:1912.04958, section 3.1)
    second_order: bool = False  # the terms hold gradients, so they are derived twice


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
    judges: tuple[str, ...] = ("discriminator",)
    has_truncation: bool = False
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

    @abstractmethod
    def build_players(self, preset: Any, image_shape: tuple[int, ...]) -> dict[str, nn.Module]:
        """Every player, freshly initialised from torch's global generator."""

    @abstractmethod
    def build_generator(self, preset: Any, image_shape: tuple[int, ...]) -> nn.Module:
        """The served player: latents (N, latent_dim) → images (N, 3, H, W), -1 black, 1 white.

        Values may lie outside [-1, 1]; whoever makes pixels clamps them.
        In eval mode it draws no random numbers. Where the family has truncation, its ``forward``
        takes ``truncation_psi``; where the preset is conditional, ``labels``. While training,
        networks may draw from torch's global generator, through ``gans/sharing.py``: the trainer
        seeds it for every step.
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
        """A process's part of a batch must hold a multiple of so many images."""
        return 1

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

    def sample_latents(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` latents (N, latent_dim): in a step, this process's of those of all processes."""
        return draw(lambda rows: self.family.sample_latents(self.preset, rows, generator), count)

    def sample_labels(self, count: int, generator: torch.Generator) -> Tensor | None:
        """`count` labels (N,), classes as frequent as in the data; None if unconditional."""
        return draw_labels(self.classes, count, generator) if self.classes else None
