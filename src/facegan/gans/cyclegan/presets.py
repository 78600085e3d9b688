"""Presets of CycleGAN: the paper's, and small ones for CPUs."""

from dataclasses import dataclass, replace

from facegan.errors import ConfigError
from facegan.gans.schedules import linear_decay
from facegan.gans.shapes import check_multiple, check_patch_side
from facegan.hyperparameters.setting import Preset, setting

DISCRIMINATORS = ("discriminator_A", "discriminator_B")  # named by the domain that they judge
SMALLEST_SIDE = 8  # reflection needs a pixel beside the edge, of maps of a quarter of the side too


@dataclass(frozen=True, kw_only=True)
class CycleganPreset(Preset):
    """Hyperparameters of a CycleGAN."""

    latent_dim: int = 0  # it has none
    width: int = setting(
        "channels of the generators next to the image", default=64, low=1, high=1024
    )
    blocks: int = setting("residual blocks of each generator", default=9, low=1, high=64)
    kernel: int = setting(
        "side of the generators' first and last convolutions, odd", default=7, low=1, high=15
    )
    norm: str = setting(
        "normalise each image by itself (instance), with a learnt scale (own), or maps over the "
        "batch",
        default="instance",
        choices=("instance", "own", "batch"),
    )
    resampling: str = setting(
        "halve and double maps by 3x3 convolutions, transposed ones to double (paper), or by 4x4 "
        "convolutions and by nearest neighbours, without checkerboards (smooth)",
        default="smooth",
        choices=("paper", "smooth"),
    )
    discriminator_width: int = setting(
        "channels of the discriminators next to the image", default=64, low=1, high=1024
    )
    patch_halvings: int = setting(
        "halvings of the discriminators, which judge patches of 1, 16, 34, 70, 142 or 286 px",
        default=3,
        low=0,
        high=5,
    )
    pool_size: int = setting(
        "earlier fakes of each direction that the discriminators are trained on, too; 0: none",
        default=50,
        low=0,
        high=10_000,
    )
    jitter: bool = setting(
        "enlarge images by 286/256, and crop each at a random place", default=False
    )
    cycle_weight: float = setting(
        "weight of the L1 distance of an image to itself after both directions",
        default=10.0,
        low=0,
        high=1e6,
    )
    identity_weight: float = setting(
        "share of cycle_weight by which a generator keeps images of its target; 0: off, and faster",
        default=0.5,
        low=0,
        high=1e6,
    )
    learning_rate: float = setting("Adam's step, generators", default=2e-4, low=0, high=1)
    discriminator_learning_rate: float = setting(
        "Adam's step, discriminators", default=2e-4, low=0, high=1
    )
    beta1: float = setting("Adam's momentum", default=0.5, low=0, high=0.9999)
    beta2: float = setting("Adam's second-moment decay", default=0.999, low=0, high=0.99999)
    schedule_kimg: float = setting(
        "thousands of images over which Adam's steps fall to 0, from the middle on; 0: constant",
        default=0.0,
        low=0,
        high=1e6,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel % 2 == 0:
            raise ConfigError(
                f"kernel is {self.kernel}.", f"It must be odd, such as {self.kernel + 1}."
            )

    def rate_left(self, kimg: float) -> float:
        """Return the share of the learning rates that is left after `kimg` thousand images."""
        return linear_decay(kimg, self.schedule_kimg)


def check_sides(preset: CycleganPreset, image_shape: tuple[int, ...]) -> None:
    """Raise ConfigError for a shape that one of the networks cannot take."""
    check_multiple("cyclegan", "a ResNet generator of two halvings", 4, image_shape)
    side = image_shape[-1]
    if side < SMALLEST_SIDE:
        raise ConfigError(
            f"cyclegan's generators cannot pad images of {side} px by reflection.",
            f"Choose a resolution of at least {SMALLEST_SIDE} px.",
        )
    check_patch_side("cyclegan", preset.patch_halvings, side)


# 1,000 images and 200 epochs, as horse2zebra.
RECIPE = {"batch_size": 1, "total_kimg": 200.0, "ema_half_life_kimg": 0.0, "mirror": True}
PRESETS = {
    "toy32": CycleganPreset(
        about="day to night and back in minutes on two CPU cores, at 32 px; 16 to 64 px",
        width=16,
        blocks=2,
        kernel=3,
        discriminator_width=16,
        patch_halvings=2,
        norm="batch",
        pool_size=0,
        identity_weight=0.0,
        learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta2=0.99,
        schedule_kimg=40.0,
        recipe={"batch_size": 16, "total_kimg": 40.0, "ema_half_life_kimg": 1.0},
    ),
    "paper128": CycleganPreset(
        about="the paper's networks and recipe for 1,000 images, 128 px; for GPUs",
        blocks=6,
        resampling="paper",
        jitter=True,
        schedule_kimg=200.0,
        recipe=RECIPE,
    ),
    "paper256": CycleganPreset(
        about="the paper's networks and recipe for 1,000 images, 256 px; for GPUs",
        resampling="paper",
        jitter=True,
        schedule_kimg=200.0,
        recipe=RECIPE,
    ),
    "tiny": CycleganPreset(
        about="seconds on a CPU, for tests and first tries; it draws blobs",
        width=4,
        blocks=1,
        kernel=3,
        discriminator_width=4,
        patch_halvings=2,
        pool_size=10,
        jitter=True,
        learning_rate=2e-3,
        discriminator_learning_rate=2e-3,
        recipe={"batch_size": 16, "total_kimg": 1.0, "ema_half_life_kimg": 0.1},
    ),
}
PRESETS["toy64"] = replace(PRESETS["toy32"], about="the same at 64 px, a block more", blocks=3)
