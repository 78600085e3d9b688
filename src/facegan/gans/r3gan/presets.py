"""Presets of R3GAN: the paper's, estimates for faces, and small ones for CPUs."""

import math
from dataclasses import dataclass, replace

from facegan.errors import ConfigError
from facegan.gans.shapes import pyramid
from facegan.hyperparameters.setting import Preset, setting

SMALLEST = 4  # side of the first map and of the last
LATENT_HELP = "width of a latent vector"
GAMMA_HELP = "weight of both gradient penalties"


@dataclass(frozen=True, kw_only=True)
class R3ganPreset(Preset):
    """Hyperparameters of an R3GAN; five change from start to end over ``schedule_kimg``."""

    latent_dim: int = setting(LATENT_HELP, default=64, low=1, high=4096)
    width: int = setting("channels of the wide stages", default=768, low=1, high=8192)
    full_width_resolution: int = setting(
        "the last side as wide as that; each doubling beyond halves the channels",
        default=32,
        low=4,
        high=4096,
    )
    blocks_per_stage: int = setting("residual blocks a resolution", default=2, low=1, high=64)
    expansion: int = setting("how many times wider a block is inside", default=2, low=1, high=16)
    group_width: int = setting(
        "channels a group of the 3x3 convolutions (16: cardinality 96 at width 768)",
        default=16,
        low=1,
        high=8192,
    )
    schedule_kimg: float = setting(
        "thousands of images over which the schedules run", default=20_000.0, low=1e-3, high=1e6
    )
    learning_rate_start: float = setting("Adam's step at first", default=2e-4, low=0, high=1)
    learning_rate_end: float = setting("Adam's step at last", default=5e-5, low=0, high=1)
    beta2_start: float = setting(
        "Adam's second-moment decay at first", default=0.9, low=0, high=0.99999
    )
    beta2_end: float = setting(
        "Adam's second-moment decay at last", default=0.99, low=0, high=0.99999
    )
    gamma_start: float = setting(f"{GAMMA_HELP} at first", default=2.0, low=0, high=1e6)
    gamma_end: float = setting(f"{GAMMA_HELP} at last", default=0.2, low=0, high=1e6)
    ema_half_life_start_kimg: float = setting(
        "half-life of the average at first", default=0.0, low=0, high=1e6
    )
    ema_half_life_end_kimg: float = setting(
        "half-life of the average at last", default=500.0, low=0, high=1e6
    )
    augment_probability_start: float = setting(
        "augment_probability at first, where that is scheduled", default=0.0, low=0, high=1
    )
    augment_probability_end: float = setting(
        "augment_probability at last, where that is scheduled", default=0.3, low=0, high=1
    )

    def scheduled(self, start: float, end: float, kimg: float) -> float:
        """Return a value on half a cosine from start to end over ``schedule_kimg``."""
        progress = min(kimg / self.schedule_kimg, 1.0)
        return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2

    def learning_rate(self, kimg: float) -> float:
        """Return Adam's step after `kimg` thousand images."""
        return self.scheduled(self.learning_rate_start, self.learning_rate_end, kimg)

    def beta2(self, kimg: float) -> float:
        """Return Adam's second-moment decay after `kimg` thousand images."""
        return self.scheduled(self.beta2_start, self.beta2_end, kimg)

    def gamma(self, kimg: float) -> float:
        """Return the penalties' weight after `kimg` thousand images."""
        return self.scheduled(self.gamma_start, self.gamma_end, kimg)

    def ema_half_life(self, kimg: float) -> float:
        """Return the average's half-life, in kimg, after `kimg` thousand images."""
        return self.scheduled(self.ema_half_life_start_kimg, self.ema_half_life_end_kimg, kimg)

    def augment_probability(self, kimg: float) -> float:
        """Return the probability of augmentation after `kimg` thousand images."""
        return self.scheduled(self.augment_probability_start, self.augment_probability_end, kimg)


def widths_from(preset: R3ganPreset, image_shape: tuple[int, ...]) -> list[int]:
    """Return the channels at 4, 8, 16 … pixels, up to the image's side."""
    sides = pyramid("r3gan", SMALLEST, image_shape)
    return [width_at(preset, side) for side in sides]


def width_at(preset: R3ganPreset, side: int) -> int:
    """Return the channels at a side: the full width, halved per doubling of the full-width side."""
    width = preset.width // max(1, side // preset.full_width_resolution)
    if width == 0 or width * preset.expansion % preset.group_width:
        raise ConfigError(
            f"{width} channels at {side} px, times an expansion of {preset.expansion}, "
            f"cannot be divided into groups of {preset.group_width}.",
            "Choose another width, expansion or group_width.",
        )
    return width


# Schedules end after 20,000 kimg, but the authors trained until FID no longer fell: 250,000 kimg
# on CIFAR-10, 1,000,000 on ImageNet (the paper's table 9, as quoted in issues 18 and 19 of
# github.com/brownvc/R3GAN). The number for FFHQ was not found: 150,000 is our guess.
# The recipe's half-life only switches the average on: the schedule replaces its value.
RECIPE = {
    "batch_size": 256,
    "total_kimg": 150_000.0,
    "ema_half_life_kimg": 500.0,
    "mirror": True,  # as every training command that the paper's authors publish
    "augment": "blit,geom,recolor:0.5,cutout",
    "augment_probability": "scheduled",
    "augment_filter": "wavelet",
}

PRESETS = {
    "paper32": R3ganPreset(
        about="the paper's CIFAR-10 network and schedules, without classes; 32 px",
        gamma_start=0.05,
        gamma_end=0.005,
        ema_half_life_end_kimg=5000.0,
        augment_probability_end=0.55,
        recipe={
            **RECIPE,
            "batch_size": 512,
            "total_kimg": 250_000.0,
            "ema_half_life_kimg": 5000.0,
        },
    ),
    "faces32": R3ganPreset(
        about="paper64 without its last stage, with a quarter of its gamma; gamma and length are "
        "guesses",
        gamma_start=0.5,
        gamma_end=0.05,
        recipe=RECIPE,
    ),
    "paper64": R3ganPreset(
        about="the paper's FFHQ-64 network and schedules, the length is a guess; 64 px",
        gamma_start=2.0,
        gamma_end=0.2,
        recipe=RECIPE,
    ),
    "faces128": R3ganPreset(
        about="between paper64 and paper256, with the mean gamma; gamma and length are guesses",
        gamma_start=17.0,
        gamma_end=1.7,
        recipe=RECIPE,
    ),
    "paper256": R3ganPreset(
        about="the paper's FFHQ-256 network and schedules, the length is a guess; 256 px",
        gamma_start=150.0,
        gamma_end=15.0,
        recipe=RECIPE,
    ),
    "toy32": R3ganPreset(
        about="good faces in minutes on two CPU cores, at 32 px; also 16 and 64",
        width=128,
        full_width_resolution=4,
        blocks_per_stage=1,
        expansion=1,
        group_width=8,
        schedule_kimg=200.0,
        learning_rate_start=4e-3,
        learning_rate_end=1e-3,
        gamma_start=1.0,
        gamma_end=1.0,
        ema_half_life_end_kimg=4.0,
        recipe={"batch_size": 32, "total_kimg": 200.0, "ema_half_life_kimg": 4.0},
    ),
    "tiny": R3ganPreset(
        about="seconds on a CPU, for tests and first tries; it draws blobs",
        latent_dim=16,
        width=8,
        full_width_resolution=1024,
        blocks_per_stage=1,
        group_width=4,
        schedule_kimg=1.0,
        learning_rate_start=2e-3,
        learning_rate_end=5e-4,
        gamma_start=0.5,
        gamma_end=0.05,
        ema_half_life_end_kimg=0.1,
        recipe={"batch_size": 16, "total_kimg": 1.0, "ema_half_life_kimg": 0.1},
    ),
}
PRESETS["paper32-conditional"] = replace(
    PRESETS["paper32"],
    about="the paper's CIFAR-10 network and schedules, with classes; 32 px",
    conditional=True,
)
PRESETS["tiny-conditional"] = replace(
    PRESETS["tiny"],
    about="tiny, with the classes of a labelled data set",
    conditional=True,
)
