"""Presets of Pix2Pix: the paper's, and small ones for CPUs."""

from dataclasses import dataclass, replace

from facegan.errors import ConfigError
from facegan.gans.schedules import linear_decay
from facegan.gans.shapes import check_multiple, check_patch_side
from facegan.hyperparameters.setting import Preset, setting

MOST_HALVINGS = 8


@dataclass(frozen=True, kw_only=True)
class Pix2pixPreset(Preset):
    """Hyperparameters of a Pix2Pix."""

    latent_dim: int = 0  # it has none
    source: str = setting(
        "what images are made from: paired images, or label maps",
        default="images",
        choices=("images", "label_maps"),
    )
    direction: str = setting(
        "from the companion to the data set's image (BtoA), or from the image to its companion "
        "(AtoB)",
        default="BtoA",
        choices=("AtoB", "BtoA"),
    )
    halvings: int = setting(
        "halvings of the U-Net; 0: as often as the side can be halved, at most 8 times",
        default=0,
        low=0,
        high=MOST_HALVINGS,
    )
    width: int = setting(
        "channels of the generator next to the image", default=64, low=1, high=1024
    )
    discriminator_width: int = setting(
        "channels of the discriminator next to the image", default=64, low=1, high=1024
    )
    patch_halvings: int = setting(
        "halvings of the discriminator: 0 to 5 judge patches of 1, 16, 34, 70, 142 or 286 px",
        default=3,
        low=0,
        high=5,
    )
    norm: str = setting(
        "normalise maps over the batch; each image by itself (instance); or by itself with a "
        "learnt scale (own)",
        default="batch",
        choices=("batch", "instance", "own"),
    )
    resampling: str = setting(
        "double maps by transposed convolutions (paper), or by nearest neighbours and a "
        "convolution, without checkerboards (smooth)",
        default="smooth",
        choices=("paper", "smooth"),
    )
    dropout: float = setting(
        "share of the inner maps' numbers set to 0 in training; never when served",
        default=0.5,
        low=0,
        high=0.95,
    )
    jitter: bool = setting(
        "enlarge source and image by 286/256, and crop both at the same random place",
        default=False,
    )
    l1_weight: float = setting(
        "weight of the L1 distance to the true image", default=100.0, low=0, high=1e6
    )
    learning_rate: float = setting("Adam's step, generator", default=2e-4, low=0, high=1)
    discriminator_learning_rate: float = setting(
        "Adam's step, discriminator", default=2e-4, low=0, high=1
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
        if self.source == "label_maps" and self.direction == "AtoB":
            raise ConfigError(
                "direction is AtoB, but images cannot be made into label maps.",
                "Set direction to BtoA, or source to images and prepare the data with --paired.",
            )

    @property
    def source_channels(self) -> int:
        """Channels of a source: one per class of label maps, three of images."""
        return self.map_classes if self.source == "label_maps" else 3

    def rate_left(self, kimg: float) -> float:
        """Return the share of the learning rates that is left after `kimg` thousand images."""
        return linear_decay(kimg, self.schedule_kimg)


def count_halvings(preset: Pix2pixPreset, image_shape: tuple[int, ...]) -> int:
    """Return the halvings of the U-Net for a shape.

    Raises:
        ConfigError: it cannot take images of that shape; the sides that it can take are named.
    """
    halvings, side = preset.halvings, image_shape[-1]
    check_multiple(
        "pix2pix", f"a U-Net of {halvings or 3} halvings", 2 ** (halvings or 3), image_shape
    )
    return halvings or min(side.bit_length() - 1, MOST_HALVINGS)


def check_sides(preset: Pix2pixPreset, image_shape: tuple[int, ...]) -> None:
    """Raise ConfigError for a shape that one of the networks cannot take."""
    count_halvings(preset, image_shape)
    check_patch_side("pix2pix", preset.patch_halvings, image_shape[-1])


PRESETS = {
    "toy32": Pix2pixPreset(
        about="good faces from sketches or label maps in minutes on two CPU cores; 16 to 64 px",
        width=16,
        discriminator_width=32,
        patch_halvings=2,
        dropout=0.0,
        learning_rate=1e-3,
        discriminator_learning_rate=1e-3,
        beta2=0.99,
        schedule_kimg=120.0,
        recipe={"batch_size": 32, "total_kimg": 120.0, "ema_half_life_kimg": 2.0},
    ),
    "paper256": Pix2pixPreset(
        about="the paper's network and recipe for 400 pairs (facades), 256 px; for GPUs. A batch "
        "is one image, normalised by itself, in training and when served",
        halvings=8,
        norm="own",
        resampling="paper",
        jitter=True,
        schedule_kimg=80.0,
        recipe={
            "batch_size": 1,
            "total_kimg": 80.0,
            "ema_half_life_kimg": 0.0,
            "mirror": True,
        },
    ),
    "tiny": Pix2pixPreset(
        about="seconds on a CPU, for tests and first tries; it draws blobs",
        width=4,
        discriminator_width=4,
        patch_halvings=2,
        jitter=True,
        learning_rate=2e-3,
        discriminator_learning_rate=2e-3,
        recipe={"batch_size": 16, "total_kimg": 1.0, "ema_half_life_kimg": 0.1},
    ),
}
PRESETS["toy64"] = replace(PRESETS["toy32"], about="the same at 64 px")
PRESETS["tiny-maps"] = replace(
    PRESETS["tiny"], about="tiny, from the label maps of a data set", source="label_maps"
)
