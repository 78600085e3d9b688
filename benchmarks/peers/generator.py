"""What every peer draws with: our DCGAN's generator in plain torch, and the two replies.

The layers, their order and their layout in memory are ours to the last line, so that servers are
compared and not networks. Batches are cut at sixteen images, for larger ones are slower on CPUs.
"""

import io
import os
from itertools import pairwise

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

LATENT_DIM, BASE, MOST = 100, 4, 16
WIDTHS = (512, 256, 128, 64)
TYPES = {"npy": "application/x-npy", "png": "image/png"}


class Generator(nn.Module):
    """Latents (N, 100) → images (N, 3, 64, 64) in [-1, 1] (arXiv:1511.06434)."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(LATENT_DIM, BASE * BASE * WIDTHS[0], bias=False)
        self.start = nn.Sequential(nn.BatchNorm2d(WIDTHS[0]), nn.ReLU())
        blocks: list[nn.Module] = []
        for wide, narrow in pairwise(WIDTHS):
            convolution = nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False)
            blocks += [convolution, nn.BatchNorm2d(narrow), nn.ReLU()]
        self.blocks = nn.Sequential(*blocks)
        self.to_rgb = nn.ConvTranspose2d(WIDTHS[-1], 3, 4, 2, 1, bias=False)

    def forward(self, latents: Tensor) -> Tensor:
        x = self.project(latents).view(-1, BASE, BASE, WIDTHS[0]).permute(0, 3, 1, 2)
        return torch.tanh(self.to_rgb(self.blocks(self.start(x))))


def load_generator() -> Generator:
    """The generator with the weights that the benchmark wrote."""
    generator = Generator()
    generator.load_state_dict(load_file(os.environ["WEIGHTS"]))
    return generator.eval().requires_grad_(False)


def latents_of(seeds: list[int]) -> Tensor:
    """(N, 100), each latent drawn with random numbers of its own."""
    drawn = [torch.randn(1, LATENT_DIM, generator=torch.Generator().manual_seed(s)) for s in seeds]
    return torch.cat(drawn)


@torch.inference_mode()
def draw(generator: nn.Module, latents: Tensor) -> np.ndarray:
    """uint8 images (N, 64, 64, 3)."""
    parts = [to_pixels(generator(part)) for part in latents.split(MOST)]
    return torch.cat(parts).numpy()


def to_pixels(images: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [-1, 1] → uint8 (N, H, W, 3)."""
    levels = ((images.clamp(-1, 1) + 1) * 127.5).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def encode(images: np.ndarray, kind: str) -> bytes:
    """The reply: an array, or one PNG of all images side by side, packed as quickly as ours."""
    stream = io.BytesIO()
    if kind == "npy":
        np.save(stream, images)
    else:
        from PIL import Image  # the environment of other runtimes has none

        picture = Image.fromarray(np.concatenate(list(images), axis=1))
        picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
