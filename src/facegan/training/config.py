"""The trainer's hyperparameters: typed, bounded, and read from strings as SageMaker sends them."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from facegan.errors import ConfigError, nearest
from facegan.gans import Preset
from facegan.metrics import FEWEST


class TrainingConfig(BaseModel):
    """How long, how fast and how carefully to train. ``None`` means the preset's own value."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    total_kimg: float | None = Field(
        None, gt=0, le=1e6, description="thousands of images to train on"
    )
    batch_size: int | None = Field(None, ge=2, le=65536, description="images a step")
    ema_half_life_kimg: float | None = Field(
        None, ge=0, description="half-life of the generator's moving average; 0 keeps none"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of weights, latents and the data's order")
    max_minutes: float | None = Field(
        None, gt=0, description="stop after so much training time, whatever the kimg"
    )
    tick_kimg: float | None = Field(
        None,
        gt=0,
        description="a log line, a sample grid and a checkpoint every so often "
        "(default: a twentieth of total_kimg)",
    )
    keep_checkpoints: int = Field(2, ge=1, le=1000, description="how many checkpoints to keep")
    augment: str = Field(
        "",
        description="what the discriminator sees, jittered: any of color,translation,cutout; "
        "for small data sets",
    )
    augment_probability: float = Field(
        1.0, ge=0, le=1, description="how likely each image is augmented"
    )
    evaluate_kimg: float | None = Field(
        None,
        ge=0,
        description="KID, FD, precision and recall at the first tick after every so many kimg, "
        "and at the end; 0: never",
    )
    evaluate_samples: int = Field(
        2000,
        ge=FEWEST,
        le=1_000_000,
        description="how many faces an evaluation draws, and how many pictures it takes at most",
    )
    evaluate_extractor: Literal["lite0", "inception"] = Field(
        "lite0", description="lite0 is embedded; inception (FID as published) is downloaded"
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bf16 where the processor has it in hardware"
    )
    compile: Literal["off", "on", "cuda-graphs"] = Field(
        "off",
        description="torch.compile the networks: a minute at the start, quicker steps on GPUs",
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 …")

    @classmethod
    def from_hyperparameters(cls, values: Mapping[str, Any]) -> Self:
        """A configuration from names and values, the values possibly strings.

        Raises:
            ConfigError: an unknown name (the nearest are offered) or a value out of range.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as cause:
            raise config_error(cause.errors()[0], tuple(cls.model_fields)) from None

    def completed_by(self, preset: Preset) -> Self:
        """The same with the preset's recipe where nothing was asked for."""
        given = {name: value for name, value in self if value is not None}
        merged = self.from_hyperparameters({**preset.recipe, **given})
        if merged.tick_kimg is None and merged.total_kimg is not None:
            return merged.model_copy(update={"tick_kimg": merged.total_kimg / 20})
        return merged


def config_error(problem: Any, known: tuple[str, ...]) -> ConfigError:
    """One of pydantic's findings as a sentence."""
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return ConfigError(f"Unknown hyperparameter {name!r}.", nearest(name, known))
    return ConfigError(f"{name} is {problem['input']!r}.", f"{problem['msg']}.")


def split_hyperparameters(
    preset: Preset, values: Mapping[str, Any], also: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort names into the preset's (networks, losses, optimisers) and the trainer's.

    Args:
        preset: Knows the first kind.
        values: By name, possibly strings.
        also: Further names worth offering for a mistyped one.

    Raises:
        ConfigError: a name that neither knows; the nearest of all are offered.
    """
    of_preset = {spec.name for spec in preset.hyperparameters()}
    of_trainer = set(TrainingConfig.model_fields)
    for name in values:
        if name not in of_preset | of_trainer:
            hint = nearest(name, (*of_preset, *of_trainer, *also), "hyperparameters")
            raise ConfigError(f"Unknown hyperparameter {name!r}.", hint)
    numbers = {name: value for name, value in values.items() if name in of_preset}
    return numbers, {name: value for name, value in values.items() if name in of_trainer}
