"""Presets of SPADE, called GauGAN in its demonstrations, and of OASIS, its successor."""

from dataclasses import dataclass, replace

from facegan.errors import ConfigError
from facegan.gans.schedules import linear_decay
from facegan.hyperparameters.setting import Preset, setting

MIDDLE = 2  # the paper's blocks of the widest maps after the first


@dataclass(frozen=True, kw_only=True)
class SpadePreset(Preset):
    """Hyperparameters of a SPADE (GauGAN) or an OASIS."""

    latent_dim: int = setting(
        "width of a latent vector; 0: a label map has one image", default=256, low=0, high=4096
    )
    latent_at: str = setting(
        "where the latent enters: the first maps (SPADE), or every pixel of the label map (OASIS)",
        default="start",
        choices=("start", "pixels"),
    )
    encoder: bool = setting(
        "train an encoder, so that an image can give its style instead of a seed", default=False
    )
    width: int = setting("generator channels next to the image", default=64, low=1, high=1024)
    widest: int = setting("most channels of a generator's block", default=1024, low=1, high=8192)
    doublings: int = setting(
        "how often the generator doubles its first maps' sides", default=5, low=1, high=10
    )
    middle_blocks: int = setting(
        "generator blocks after the first that keep its width", default=MIDDLE, low=1, high=8
    )
    hidden: int = setting(
        "channels between a label map and the gains it modulates with",
        default=128,
        low=1,
        high=1024,
    )
    discriminator: str = setting(
        "patch: real or fake, by patches (SPADE); segmenting: each pixel's class or fake (OASIS)",
        default="patch",
        choices=("patch", "segmenting"),
    )
    discriminator_width: int = setting(
        "discriminator channels next to the image", default=64, low=1, high=1024
    )
    discriminator_scales: int = setting(
        "patch discriminators, each on images of half the side", default=2, low=1, high=4
    )
    discriminator_halvings: int = setting(
        "how often a patch discriminator halves the sides", default=3, low=1, high=6
    )
    encoder_width: int = setting("encoder channels next to the image", default=64, low=1, high=1024)
    encoder_norm: bool = setting(
        "instance norm in the encoder (the paper's), which removes much of an image's colours",
        default=True,
    )
    generator_learning_rate: float = setting(
        "Adam's step, generator and encoder", default=1e-4, low=0, high=1
    )
    discriminator_learning_rate: float = setting(
        "Adam's step, discriminator", default=4e-4, low=0, high=1
    )
    beta1: float = setting("Adam's momentum", default=0.0, low=0, high=0.9999)
    beta2: float = setting("Adam's second-moment decay", default=0.9, low=0, high=0.99999)
    feature_matching_weight: float = setting(
        "weight of the distance of discriminator features; patch only",
        default=10.0,
        low=0,
        high=1e4,
    )
    perceptual_weight: float = setting(
        "weight of the distance of lite0 features, in the place of the paper's VGG; 0: not used",
        default=0.0,
        low=0,
        high=1e4,
    )
    kl_weight: float = setting(
        "weight of an image's KL divergence of styles from N(0, 1)", default=0.2, low=0, high=1e4
    )
    label_mix_weight: float = setting(
        "weight of LabelMix (OASIS); segmenting only", default=10.0, low=0, high=1e4
    )
    share_fakes: bool = setting(
        "one batch of fakes serves both players' updates (quicker; changes the algorithm)",
        default=False,
    )
    schedule_kimg: float = setting(
        "thousands of images over which Adam's steps fall to 0, from the middle on; 0: constant",
        default=0.0,
        low=0,
        high=1e6,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder and (self.latent_dim == 0 or self.latent_at == "pixels"):
            raise ConfigError(
                "An encoder makes latents for the generator's first maps.",
                "Set latent_dim above 0 and latent_at to start, or leave encoder out.",
            )

    @property
    def condition_channels(self) -> int:
        """Channels that modulate the generator: the classes, and the latent if at each pixel."""
        return self.map_classes + (self.latent_dim if self.latent_at == "pixels" else 0)

    def rate_left(self, kimg: float) -> float:
        """Return the share of the learning rates that is left after `kimg` thousand images."""
        return linear_decay(kimg, self.schedule_kimg)


def check_side(preset: SpadePreset, image_shape: tuple[int, ...]) -> int:
    """Return the side of the generator's first maps; ConfigError if it cannot make such images."""
    channels, height, width = image_shape
    factor: int = 2**preset.doublings
    if channels != 3 or height != width or height % factor:
        raise ConfigError(
            f"spade cannot generate images of {width}x{height} with {channels} channels.",
            f"It generates square RGB images of {factor}, {2 * factor}, {3 * factor} … pixels: "
            "choose one of these as resolution, prepare the data at one, or change doublings.",
        )
    return height // factor


SPADE_RECIPE = {"batch_size": 32, "total_kimg": 1000.0, "ema_half_life_kimg": 20.0}
PRESETS = {
    "toy32": SpadePreset(
        about="good faces in minutes on two CPU cores, at 32 px, with styles",
        latent_dim=32,
        encoder=True,
        width=32,
        widest=96,
        doublings=3,
        middle_blocks=1,
        hidden=16,
        discriminator_width=24,
        discriminator_halvings=2,
        encoder_width=24,
        encoder_norm=False,
        generator_learning_rate=1e-3,
        discriminator_learning_rate=2e-3,
        beta2=0.99,
        kl_weight=0.02,
        share_fakes=True,
        schedule_kimg=40.0,
        recipe={"batch_size": 8, "total_kimg": 40.0, "ema_half_life_kimg": 1.0},
    ),
    "tiny": SpadePreset(
        about="seconds on a CPU, for tests and first tries; it draws blobs",
        latent_dim=8,
        encoder=True,
        width=4,
        widest=8,
        doublings=3,
        middle_blocks=1,
        hidden=4,
        discriminator_width=4,
        discriminator_halvings=2,
        encoder_width=4,
        generator_learning_rate=4e-4,
        discriminator_learning_rate=4e-4,
        recipe={"batch_size": 16, "total_kimg": 1.0, "ema_half_life_kimg": 0.1},
    ),
    "paper256": SpadePreset(
        about="the paper's network with styles, lite0 in the place of VGG; 256 px, for GPUs",
        encoder=True,
        perceptual_weight=10.0,
        recipe=SPADE_RECIPE,
    ),
    "oasis256": SpadePreset(
        about="OASIS: a segmenting discriminator, LabelMix, no features; 256 px, for GPUs",
        latent_dim=64,
        latent_at="pixels",
        middle_blocks=1,
        discriminator="segmenting",
        beta2=0.999,
        recipe={"batch_size": 20, "total_kimg": 4000.0, "ema_half_life_kimg": 138.0},
    ),
}
PRESETS["toy64"] = replace(
    PRESETS["toy32"],
    about="the same at 64 px",
    doublings=4,
    discriminator_halvings=3,
)
