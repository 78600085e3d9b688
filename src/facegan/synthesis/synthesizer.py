"""A generator behind arrays: latents in, uint8 pictures out, the same ones in any company."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facegan.artifact import Artifact, ModelCard
from facegan.errors import RequestError
from facegan.synthesis.latents import latents_of_seeds

# Kernels of different batch sizes round differently, which can move a pixel by one level. Every
# call therefore runs in chunks of this one size, the last one padded.
CHUNK = 8


def to_pixels(images: Tensor) -> Tensor:
    """Float images (N, 3, H, W) in [-1, 1] → uint8 (N, H, W, 3), rounded to the nearest level."""
    levels = ((images.float().clamp(-1, 1) + 1) * 127.5).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class Synthesizer:
    """Draws faces with an artifact's generator; safe to share between threads."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.artifact.card

    def generate(
        self,
        seeds: Sequence[int] | None = None,
        latents: npt.ArrayLike | None = None,
        truncation_psi: float = 1.0,
    ) -> npt.NDArray[np.uint8]:
        """Draw one face a seed, or one a latent.

        Args:
            seeds: N whole numbers, 0 … 2**32 - 1; the same seed gives the same face always.
            latents: (N, latent_dim) finite numbers, instead of seeds.
            truncation_psi: 1 is the model as it is; families without truncation take no other.

        Returns:
            uint8 images (N, H, W, 3).

        Raises:
            RequestError: both or neither of seeds and latents, a wrong width, a number that is not
                finite, a seed out of range, a psi that the family cannot honour.
        """
        if truncation_psi != 1.0 and not self.artifact.has_truncation:
            raise RequestError(
                f"The family {self.card.family!r} has no truncation.",
                "Leave truncation_psi out, or set it to 1.",
            )
        if (seeds is None) == (latents is None):
            raise RequestError("Ask with either seeds or latents.")
        if seeds is not None:
            return self.draw(latents_of_seeds(self.artifact, seeds), truncation_psi)
        return self.draw(self.check_latents(np.asarray(latents)), truncation_psi)

    def check_latents(self, latents: npt.NDArray[np.generic]) -> Tensor:
        """Latents as a float32 tensor (N, latent_dim), or the reason why they are none."""
        width = self.card.latent_dim
        if latents.ndim != 2 or latents.shape[1] != width or latents.dtype.kind not in "fiu":
            raise RequestError(
                f"Latents of shape {latents.shape} and type {latents.dtype} do not fit the model.",
                f"It takes numbers of shape (N, {width}).",
            )
        with np.errstate(over="ignore"):  # a float64 too large for float32 is refused below
            narrow = latents.astype(np.float32)
        if not np.isfinite(narrow).all():
            raise RequestError("The latents hold NaN or infinite numbers.")
        return torch.from_numpy(narrow)

    @torch.inference_mode()
    def draw(self, latents: Tensor, truncation_psi: float = 1.0) -> npt.NDArray[np.uint8]:
        """Latents (N, latent_dim), already checked → uint8 images (N, H, W, 3)."""
        count = len(latents)
        padded = torch.cat([latents, latents.new_zeros(-count % CHUNK, latents.shape[1])])
        options = {} if truncation_psi == 1.0 else {"truncation_psi": truncation_psi}
        chunks = padded.split(CHUNK)
        pixels = [to_pixels(self.artifact.generator(chunk, **options)) for chunk in chunks]
        if not pixels:
            _, height, width = self.card.image_shape
            return np.empty((0, height, width, 3), np.uint8)
        return torch.cat(pixels)[:count].numpy()
