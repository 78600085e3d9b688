"""Presets of DCGAN: the article's, and a fast one for laptops."""

from dataclasses import dataclass

from facegan.hyperparameters.setting import Preset, setting


@dataclass(frozen=True, kw_only=True)
class DcganPreset(Preset):
    """Hyperparameters of a DCGAN."""

    layout: str = "paper"  # "paper" or "article"
    base_size: int = 4  # side of the generator's first map
    latent_distribution: str = setting(
        "what latents are drawn from", default="normal", choices=("normal", "uniform")
    )
    conv_dim: int = setting("generator channels next to the image", default=64, low=1, high=1024)
    discriminator_conv_dim: int = setting(
        "discriminator channels next to the image", default=64, low=1, high=1024
    )
    discriminator_batch_norm: bool = setting("batch norm in the discriminator", default=True)
    self_modulation: bool = setting(
        "the latent scales and shifts every layer's channels (arXiv:1810.01365)", default=False
    )
    generator_learning_rate: float = setting("Adam's step, generator", default=2e-4, low=0, high=1)
    discriminator_learning_rate: float = setting(
        "Adam's step, discriminator", default=2e-4, low=0, high=1
    )
    beta1: float = setting("Adam's momentum", default=0.5, low=0, high=0.9999)
    beta2: float = setting("Adam's second-moment decay", default=0.999, low=0, high=0.99999)
    real_target: float = setting(
        "what the discriminator is trained to output for reals; 0.9 is label smoothing",
        default=1.0,
        low=0.5,
        high=1,
    )
    share_fakes: bool = setting(
        "one batch of fakes serves both players' updates (quicker; changes the algorithm)",
        default=False,
    )


PRESETS = {
    "article32": DcganPreset(
        about="the article's network and recipe, 32 px: uniform latents, Adam 2e-4, batches of 128",
        layout="article",
        base_size=2,
        latent_distribution="uniform",
        recipe={"batch_size": 128, "total_kimg": 2026.0, "ema_half_life_kimg": 0.0},
    ),
    "toy32": DcganPreset(
        about="good faces in minutes on two CPU cores, at 32 px; also 64",
        self_modulation=True,
        generator_learning_rate=6e-4,
        discriminator_learning_rate=6e-4,
        beta2=0.99,
        real_target=0.9,
        share_fakes=True,
        recipe={"batch_size": 32, "total_kimg": 120.0, "ema_half_life_kimg": 8.0},
    ),
    "tiny": DcganPreset(
        about="seconds on a CPU, for tests and first tries; it draws blobs",
        latent_dim=16,
        conv_dim=8,
        discriminator_conv_dim=8,
        recipe={"batch_size": 16, "total_kimg": 1.0, "ema_half_life_kimg": 0.1},
    ),
}
