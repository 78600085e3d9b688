"""A generator behind arrays: latents in, uint8 pictures out, the same ones in any company."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facegan.artifact import Artifact, ModelCard
from facegan.errors import RequestError
from facegan.synthesis.classes import Class, choose_labels
from facegan.synthesis.latents import latents_of_seeds

# Kernels of different batch sizes round differently, which can move a pixel by one level. Every
# call therefore runs in chunks of this one size, the last one padded.
CHUNK = 8


def to_pixels(images: Tensor) -> Tensor:
    """Float images (N, 3, H, W) in [-1, 1] → uint8 (N, H, W, 3), rounded to the nearest level."""
    levels = ((images.float().clamp(-1, 1) + 1) * 127.5).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def in_chunks(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """What a function makes of N rows each, run on chunks of one size."""
    count = len(inputs[0])
    padding = CHUNK * max(1, math.ceil(count / CHUNK)) - count
    padded = [torch.cat([x, x.new_zeros(padding, *x.shape[1:])]) for x in inputs]
    chunks = zip(*(x.split(CHUNK) for x in padded), strict=True)
    return torch.cat([function(*chunk) for chunk in chunks])[:count]


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
        classes: Sequence[Class] | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Draw one face a seed, or one a latent.

        Args:
            seeds: N whole numbers, 0 … 2**32 - 1; the same seed gives the same face always.
            latents: (N, latent_dim) finite numbers, instead of seeds.
            truncation_psi: 1 is the model as it is; families without truncation take no other.
            classes: Of a conditional model, by number or name: one a face, or one for all. None
                leaves each face to its seed, which then names a class too.

        Returns:
            uint8 images (N, H, W, 3).

        Raises:
            RequestError: both or neither of seeds and latents, a wrong width, a number that is not
                finite, a seed out of range, a psi that the family cannot honour, classes that the
                model does not know, or none for latents of a conditional one.
        """
        self.check_truncation(truncation_psi)
        if (seeds is None) == (latents is None):
            raise RequestError("Ask with either seeds or latents.")
        if seeds is not None:
            inputs = latents_of_seeds(self.artifact, seeds)
        else:
            inputs = self.check_latents(np.asarray(latents))
        labels = choose_labels(self.artifact, len(inputs), seeds, classes)
        return self.draw(inputs, labels, truncation_psi)

    def class_names(
        self, count: int, seeds: Sequence[int] | None, classes: Sequence[Class] | None
    ) -> tuple[str, ...] | None:
        """The class of each of `count` faces that :meth:`generate` draws; None if it has none.

        Raises:
            RequestError: as :meth:`generate`.
        """
        labels = choose_labels(self.artifact, count, seeds, classes)
        known = tuple(self.artifact.classes)
        return None if labels is None else tuple(known[label] for label in labels.tolist())

    @torch.inference_mode()
    def mix(
        self,
        seeds: Sequence[int],
        others: Sequence[int],
        layers: Sequence[int] | None = None,
        truncation_psi: float = 1.0,
        classes: Sequence[Class] | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Faces of each of N seeds with some layers' styles of each of M others.

        Style mixing (arXiv:1812.04948, section 3.1): early layers carry pose and shape, late ones
        colours and texture. Without layers every face is its seed's; with all, the other's.

        Args:
            seeds: N ≥ 1 seeds.
            others: M ≥ 1 seeds.
            layers: Which layers follow the others, 0 … `style_layers` - 1; None is the finer half.
            truncation_psi: As for :meth:`generate`, on all seeds.
            classes: As for :meth:`generate`: one for all, or N and then M.

        Returns:
            uint8 images (N, M, H, W, 3).

        Raises:
            RequestError: the family has no styles, a layer or seed is out of range, or as
                :meth:`generate`.
        """
        self.check_truncation(truncation_psi)
        follows = self.check_layers(layers)
        everyone = [*seeds, *others]
        latents = latents_of_seeds(self.artifact, everyone)
        labels = choose_labels(self.artifact, len(everyone), everyone, classes)
        ws = self.run(self.artifact.generator.styles, latents, labels, truncation_psi)
        own, theirs = ws[: len(seeds), None], ws[None, len(seeds) :]
        mixed = torch.where(follows[:, None], theirs, own)  # (N, M, layers, style_dim)
        synthesis: Any = self.artifact.generator.synthesis
        pixels = in_chunks(lambda ws: to_pixels(synthesis(ws)), mixed.flatten(0, 1)).numpy()
        return pixels.reshape(len(seeds), len(others), *pixels.shape[1:])

    @property
    def style_layers(self) -> int:
        """How many layers of the generator take a style of their own.

        Raises:
            RequestError: the family has no styles.
        """
        if not self.artifact.has_style_mixing:
            raise RequestError(
                f"The family {self.card.family!r} has no styles to mix.",
                "Leave mixing out, or take a model of a family that paints by styles.",
            )
        synthesis: Any = self.artifact.generator.synthesis
        return int(synthesis.layers)

    def check_layers(self, layers: Sequence[int] | None) -> Tensor:
        """Which layers (layers,) are named, as booleans; the finer half where None."""
        count = self.style_layers
        chosen = range(count // 2, count) if layers is None else layers
        for layer in chosen:
            if not 0 <= layer < count:
                raise RequestError(
                    f"The layer {layer} is out of range.",
                    f"Layers run from 0, the coarsest, to {count - 1}, the finest.",
                )
        follows = torch.zeros(count, dtype=torch.bool)
        follows[list(chosen)] = True
        return follows

    def check_truncation(self, truncation_psi: float) -> None:
        """Refuse a psi that the family cannot honour."""
        if truncation_psi != 1.0 and not self.artifact.has_truncation:
            raise RequestError(
                f"The family {self.card.family!r} has no truncation.",
                "Leave truncation_psi out, or set it to 1.",
            )

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
    def draw(
        self, latents: Tensor, labels: Tensor | None = None, truncation_psi: float = 1.0
    ) -> npt.NDArray[np.uint8]:
        """Latents (N, latent_dim) and labels (N,), already checked → uint8 images (N, H, W, 3)."""
        images = self.run(self.artifact.generator, latents, labels, truncation_psi, to_pixels)
        return images.numpy()

    def run(
        self,
        network: Any,
        latents: Tensor,
        labels: Tensor | None,
        truncation_psi: float,
        after: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> Tensor:
        """What the generator, or its styles, make of latents, given what the family takes."""
        options = {} if truncation_psi == 1.0 else {"truncation_psi": truncation_psi}
        if labels is None:
            return in_chunks(lambda z: after(network(z, **options)), latents)
        return in_chunks(lambda z, c: after(network(z, labels=c, **options)), latents, labels)
