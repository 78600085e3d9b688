"""TrainingConfig: the trainer's hyperparameters, with types and ranges, read also from strings."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from facegan.errors import ConfigError
from facegan.hyperparameters.aliases import unknown_hyperparameter
from facegan.hyperparameters.augment_policy import NOTHING, parse_policy, reads_between_pixels
from facegan.hyperparameters.setting import KINDS, Preset, convert, must_be

FEWEST_SAMPLES = 4  # metrics.MIN_SAMPLES, which needs torch to be read; a test compares them
WHOLE_NUMBERS = ("batch_size", "seed", "keep_checkpoints", "evaluate_samples")
ADAPTIVE_ONLY = ("augment_target", "augment_speed_kimg")


def read_probability(value: Any) -> float | str:
    """Parse a probability, or the name of the rule that sets one."""
    if value in ("adaptive", "scheduled"):
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if 0 <= number <= 1:
        return number
    hint = "It must be a number from 0 to 1, adaptive or scheduled."
    raise ConfigError(f"augment_probability is {value!r}.", hint)


def read_micro_batch(value: Any) -> int | str | None:
    """Parse a number of images, or "auto"."""
    if value is None or value == "auto":
        return cast(str | None, value)
    try:
        size = convert("micro_batch", int, value)
    except ConfigError:
        size = 0
    if size >= 1:
        return int(size)
    raise ConfigError(f"micro_batch is {value!r}.", "It must be a number of images, or auto.")


class TrainingConfig(BaseModel):
    """How long, how fast and how carefully to train. ``None`` means the preset's own value."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    total_kimg: float | None = Field(
        None, gt=0, le=1e6, description="thousands of images to train on"
    )
    batch_size: int | None = Field(None, ge=1, le=65536, description="images per step")
    micro_batch: Annotated[int | str | None, PlainValidator(read_micro_batch)] = Field(
        None,
        description="images that each process computes at once: gradients are accumulated to the "
        "whole batch, with the same result and less memory; auto: what fits the GPU (default: the "
        "process's whole part of the batch)",
    )
    ema_half_life_kimg: float | None = Field(
        None, ge=0, description="half-life of the generator's moving average; 0: no average"
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="random seed of weights, latents and the data's order"
    )
    max_minutes: float | None = Field(
        None, gt=0, description="stop after this many minutes of training, whatever the kimg"
    )
    tick_kimg: float | None = Field(
        None,
        gt=0,
        description="kimg between log lines, sample grids and checkpoints "
        "(default: a twentieth of total_kimg)",
    )
    keep_checkpoints: int = Field(2, ge=1, le=1000, description="how many checkpoints to keep")
    mirror: bool = Field(
        False,
        description="mirror each image (left and right) half of the time; leave it off for text, "
        "signs and asymmetric scenes",
    )
    augment: str = Field(
        NOTHING,
        description="augment the discriminator's input, for small data sets: any of "
        "color,translation,cutout (DiffAugment) and blit,geom,recolor (ADA)",
    )
    augment_probability: Annotated[float | str, PlainValidator(read_probability)] = Field(
        1.0,
        description="probability of each of these for an image: 0 to 1, adaptive (ADA: by the "
        "discriminator's overfitting) or scheduled (by the family)",
    )
    augment_target: float = Field(
        0.6, gt=-1, lt=1, description="adaptive: target for the mean sign of the reals' logits"
    )
    augment_speed_kimg: float = Field(
        500.0, gt=0, description="adaptive: kimg in which the probability can go from 0 to 1"
    )
    augment_filter: Literal["bicubic", "wavelet"] = Field(
        "bicubic",
        description="how blit and geom resample: wavelet as in the ADA paper, bicubic at less cost",
    )
    evaluate_kimg: float | None = Field(
        None,
        ge=0,
        description="kimg between evaluations (KID, FD, precision and recall), which happen at "
        "the next tick and at the end; 0: never",
    )
    evaluate_samples: int = Field(
        2000,
        ge=FEWEST_SAMPLES,
        le=1_000_000,
        description="number of images that an evaluation generates, and maximum number of real "
        "images it uses; inception with 50000 uses all real images, as papers do",
    )
    evaluate_extractor: Literal["lite0", "inception"] = Field(
        "lite0", description="lite0 is embedded; inception (FID as published) is downloaded"
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bf16 if the hardware supports it"
    )
    compile: Literal["off", "on", "cuda-graphs"] = Field(
        "off",
        description="torch.compile the networks, except in updates with gradient penalties "
        "(r3gan's discriminator, stylegan2's regularisers): a minute at the start, faster steps "
        "on GPUs; needs a compiler",
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 …")
    data_on_gpu: Literal["auto", "on", "off"] = Field(
        "auto",
        description="keep all images in the GPU's memory; auto: if they take at most a "
        "quarter of its free memory",
    )

    @field_validator("*", mode="before")
    @classmethod
    def refuse_switch(cls, value: Any, about: ValidationInfo) -> Any:
        """Raise ConfigError for true or false where a number or a text is meant."""
        if isinstance(value, bool) and about.field_name != "mirror":
            raise ConfigError(f"{about.field_name} is {value}.", "It is not a switch.")
        return value

    @field_validator(*WHOLE_NUMBERS, mode="before")
    @classmethod
    def read_whole(cls, value: Any, about: ValidationInfo) -> Any:
        """Parse a whole number in any spelling: 10, "10", "1e1", "10.0"."""
        return value if value is None else convert(str(about.field_name), int, value)

    @field_validator("mirror", mode="before")
    @classmethod
    def read_switch(cls, value: Any) -> Any:
        """Parse a switch in any spelling: on, "true", "0"."""
        return convert("mirror", bool, value)

    @field_validator("augment")
    @classmethod
    def check_augment(cls, policy: str) -> str:
        """Raise ConfigError for a policy that cannot be parsed."""
        parse_policy(policy)
        return policy

    @classmethod
    def from_hyperparameters(cls, values: Mapping[str, Any]) -> Self:
        """Return a configuration from names and values, the values possibly strings.

        Raises:
            ConfigError: an unknown name (the nearest are offered) or a value out of range.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as cause:
            raise config_error(cause.errors()[0], tuple(cls.model_fields)) from None

    def completed_by(self, preset: Preset) -> Self:
        """Fill in the preset's recipe where nothing is set.

        Raises:
            ConfigError: a setting would change nothing.
        """
        named = self.model_dump(exclude_unset=True, exclude_none=True)
        merged = self.from_hyperparameters({**preset.recipe, **named})
        refuse_unused(named, merged)
        if merged.tick_kimg is None and merged.total_kimg is not None:
            return merged.model_copy(update={"tick_kimg": merged.total_kimg / 20})
        return merged


def refuse_unused(named: Iterable[str], config: TrainingConfig) -> None:
    """Raise ConfigError for the first setting that is named but would change nothing."""
    for name in named:
        if reason := unused_reason(name, config):
            raise ConfigError(*reason)


def unused_reason(name: str, config: TrainingConfig) -> tuple[str, str] | None:
    """Return why a setting would change nothing in a run, and what it needs; None if it would."""
    if name.startswith("augment_") and not parse_policy(config.augment):
        hint = "Say what is to be done by augment, such as blit,geom,recolor."
        return f"{name} is given, but nothing is augmented.", hint
    if name == "micro_batch" and config.compile == "cuda-graphs":
        return (
            "micro_batch is given, but CUDA graphs are recorded for a whole batch.",
            "Use --compile on or off, or leave micro_batch out.",
        )
    if name == "augment_filter" and not reads_between_pixels(config.augment):
        hint = "Leave it out, or augment by blit or geom."
        return f"{name} is given, but nothing reads between pixels.", hint
    if name in ADAPTIVE_ONLY and config.augment_probability != "adaptive":
        hint = "Give augment_probability=adaptive, or leave it out."
        return f"{name} is given, but augmentation is not adaptive.", hint
    return None


def config_error(problem: Any, known: tuple[str, ...]) -> ConfigError:
    """Return one of pydantic's errors as a sentence."""
    name, value = ".".join(str(part) for part in problem["loc"]), problem["input"]
    if problem["type"] == "extra_forbidden":
        return unknown_hyperparameter(name, known)
    if problem["type"].startswith(("float_", "finite")):
        return ConfigError(f"{name} is {value!r}.", must_be(KINDS[float], value))
    if problem["type"] == "string_type":
        return ConfigError(f"{name} is {value!r}.", must_be(KINDS[str], value))
    hint = problem["msg"].replace("Input should be", "It must be")
    return ConfigError(f"{name} is {value!r}.", f"{hint}.")


def split_hyperparameters(
    preset: Preset,
    values: Mapping[str, Any],
    also: tuple[str, ...] = (),
    images: int | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split hyperparameters into the preset's (networks, losses, optimisers) and the trainer's.

    Args:
        preset: The preset.
        values: By name, possibly strings.
        also: Further names worth offering for a mistyped one.
        images: How many the data set has, if known: hints convert epochs by it.

    Raises:
        ConfigError: an unknown name; the nearest are offered.
    """
    of_preset = {spec.name for spec in preset.hyperparameters()}
    of_trainer = set(TrainingConfig.model_fields)
    for name, value in values.items():
        if name not in of_preset | of_trainer:
            known = (*sorted(of_preset), *sorted(of_trainer), *also)
            batch = values.get("batch_size", preset.recipe.get("batch_size"))
            raise unknown_hyperparameter(name, known, value, images, batch)
    numbers = {name: value for name, value in values.items() if name in of_preset}
    return numbers, {name: value for name, value in values.items() if name in of_trainer}
