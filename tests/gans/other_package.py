"""A distribution outside the package, with families of GANs in it, as pip would install it."""

from pathlib import Path

FAMILY = '''
"""A family of one linear layer per player."""

from dataclasses import dataclass

from facegan.gans import Adam, Family, Phase, Preset
from facegan.hyperparameters.setting import setting


@dataclass(frozen=True, kw_only=True)
class LinePreset(Preset):
    latent_dim: int = setting("width of a latent vector", default=4, low=1, high=64)
    speed: float = setting("Adam's step", default=1e-3, low=0, high=1)


RECIPE = {"batch_size": 8, "total_kimg": 0.016, "ema_half_life_kimg": 0.01}


class Line(Family):
    name = "line"
    paper = "none"
    presets = {"tiny": LinePreset(about="one layer", recipe=RECIPE)}
    default_presets = {8: "tiny", 16: "tiny", 32: "tiny"}

    def build_players(self, preset, image_shape):
        from line_gan.networks import Discriminator, Generator

        return {"generator": Generator(preset, image_shape),
                "discriminator": Discriminator(image_shape)}

    def build_generator(self, preset, image_shape):
        from line_gan.networks import Generator

        return Generator(preset, image_shape)

    def optimizers(self, preset, kimg=0.0):
        adam = Adam(preset.speed, 0.5, 0.99)
        return {"generator": adam, "discriminator": adam}

    def phases(self, preset):
        from line_gan.networks import discriminator_loss, generator_loss

        return Phase(("discriminator",), discriminator_loss), Phase(("generator",), generator_loss)


FAMILY = Line()
'''
NETWORKS = '''
"""Networks and losses."""

import torch
from torch import nn
from torch.nn.functional import softplus

from facegan.gans.family import record_logits


class Generator(nn.Module):
    def __init__(self, preset, image_shape):
        super().__init__()
        self.shape = image_shape
        self.layer = nn.Linear(preset.latent_dim, image_shape[0] * image_shape[1] * image_shape[2])

    def forward(self, latents):
        return torch.tanh(self.layer(latents)).view(-1, *self.shape)


class Discriminator(nn.Module):
    def __init__(self, image_shape):
        super().__init__()
        self.layer = nn.Linear(image_shape[0] * image_shape[1] * image_shape[2], 1)

    def forward(self, images):
        return self.layer(images.flatten(1))[:, 0]


def discriminator_loss(gan, batch):
    fakes = gan.players["generator"](batch["latents"]).detach()
    real, fake = gan.players["discriminator"](batch["reals"]), gan.players["discriminator"](fakes)
    record_logits(batch, real, fake)
    return {"reals": softplus(-real).mean(), "fakes": softplus(fake).mean()}


def generator_loss(gan, batch):
    fakes = gan.players["generator"](batch["latents"])
    return {"adversarial": softplus(-gan.players["discriminator"](fakes)).mean()}
'''


def install(site: Path, package: str, entry_points: dict[str, str]) -> None:
    """Write a distribution's metadata, with entry points of the group facegan.families."""
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[facegan.families]", *lines, ""]))


def install_line(site: Path) -> None:
    """Install the package line-gan, whose family is called line."""
    (site / "line_gan").mkdir(parents=True)
    (site / "line_gan" / "__init__.py").write_text(FAMILY)
    (site / "line_gan" / "networks.py").write_text(NETWORKS)
    install(site, "line_gan", {"line": "line_gan:FAMILY"})
