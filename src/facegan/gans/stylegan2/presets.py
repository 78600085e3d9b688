"""Presets of StyleGAN2: NVIDIA's `auto` rules at four resolutions, and small ones for CPUs.

The rules are those of the ADA paper's code for one GPU (arXiv:2006.06676, appendix C, its
`--cfg=auto`); Karras et al.'s first configuration had 8 mapping layers.
"""

from dataclasses import dataclass, replace

from facegan.hyperparameters.setting import Preset, setting

PATH_BATCH_SHRINK = 2  # path lengths are measured on half a batch


def largest_group(count: int, limit: int) -> int:
    """Return the largest divisor of `count` that is at most `limit`."""
    return max(size for size in range(1, min(count, limit) + 1) if count % size == 0)


def r1_gamma(resolution: int, batch_size: int) -> float:
    """Return R1's weight by the rule of thumb 0.0002 resolution² / batch size.

    It is not an optimum: if quality matters, try several times more and less.
    """
    return 0.0002 * resolution**2 / batch_size


@dataclass(frozen=True, kw_only=True)
class Stylegan2Preset(Preset):
    """Hyperparameters of a StyleGAN2."""

    latent_dim: int = setting("width of a latent vector", default=512, low=1, high=4096)
    style_dim: int = setting("width of w", default=512, low=1, high=4096)
    mapping_layers: int = setting("layers from z to w", default=2, low=1, high=16)
    mapping_rate: float = setting(
        "the mapping's learning rate, as a share of the others'", default=0.01, low=1e-6, high=1
    )
    channel_base: int = setting(
        "channels of a layer times its side, below max_channels", default=16384, low=8, high=131072
    )
    max_channels: int = setting("channels of the widest layers", default=512, low=1, high=2048)
    noise_inputs: bool = setting("random noise is added in every layer", default=True)
    minibatch_stddev_group: int = setting(
        "images compared with one another by the discriminator", default=4, low=1, high=65536
    )
    style_mixing: float = setting(
        "share of the training fakes with two faces' styles", default=0.9, low=0, high=1
    )
    r1_gamma: float = setting(
        "R1's weight; 0 takes 0.0002 resolution² / batch size", default=0.0, low=0, high=1e6
    )
    r1_interval: int = setting("steps from one R1 to the next", default=16, low=1, high=1024)
    path_length_weight: float = setting(
        "weight of the path lengths' regularisation; 0 leaves it out", default=2.0, low=0, high=1e6
    )
    path_length_interval: int = setting(
        "steps from one path length regularisation to the next", default=4, low=1, high=1024
    )
    learning_rate: float = setting("Adam's step", default=0.0025, low=0, high=1)
    beta1: float = setting("Adam's momentum", default=0.0, low=0, high=0.9999)
    beta2: float = setting("Adam's second-moment decay", default=0.99, low=0, high=0.99999)

    def width_at(self, side: int) -> int:
        """Return the channels of maps with that side."""
        return max(min(self.channel_base // side, self.max_channels), 1)


def paper(resolution: int) -> Stylegan2Preset:
    """Return the `auto` preset for a resolution below 512 px on one GPU."""
    batch_size = min(4096 // resolution, 32)
    return Stylegan2Preset(
        about=f"the ADA paper's choices for one GPU, adaptive augmentation, {resolution} px",
        recipe={
            "batch_size": batch_size,
            "total_kimg": 25000.0,
            "ema_half_life_kimg": batch_size * 10 / 32,
            "augment": "blit,geom,recolor",  # "bgc" in the paper's figure 4
            "augment_probability": "adaptive",
            "augment_filter": "wavelet",
        },
    )


PRESETS = {
    **{f"paper{resolution}": paper(resolution) for resolution in (32, 64, 128, 256)},
    "toy32": Stylegan2Preset(
        about="good faces in minutes on two CPU cores, at 32 px; also 16 and 64",
        latent_dim=64,
        style_dim=64,
        channel_base=512,
        max_channels=128,
        noise_inputs=False,
        style_mixing=0.0,
        path_length_weight=0.0,
        r1_gamma=0.5,
        r1_interval=4,
        learning_rate=0.01,
        recipe={"batch_size": 16, "total_kimg": 200.0, "ema_half_life_kimg": 4.0},
    ),
    "tiny": Stylegan2Preset(
        about="seconds on a CPU, for tests and first tries; it draws blobs",
        latent_dim=16,
        style_dim=16,
        channel_base=256,
        max_channels=16,
        recipe={"batch_size": 16, "total_kimg": 1.0, "ema_half_life_kimg": 0.1},
    ),
}
PRESETS["tiny-conditional"] = replace(
    PRESETS["tiny"],
    about="tiny, with the classes of a labelled data set",
    conditional=True,
)
