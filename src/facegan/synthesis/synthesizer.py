"""A generator behind arrays: latents in, uint8 pictures out, the same ones in any batch_sizes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facegan.errors import RequestError
from facegan.model_files import ModelCard
from facegan.synthesis.backend import Backend, Pixels
from facegan.synthesis.batch_sizes import BatchSizes
from facegan.synthesis.classes import Class, choose_labels
from facegan.synthesis.latent_batch import Labels, LatentBatch, Latents
from facegan.synthesis.latents import interpolation_path, latents_of_seeds

if TYPE_CHECKING:
    from facegan.artifact import Artifact


class Synthesizer:
    """Draws faces with a model; safe to share between threads on a CPU.

    Args:
        model: An artifact, drawn by torch on the CPU; or what draws, as :func:`open_synthesizer`
            chooses it.
    """

    def __init__(self, model: "Artifact | Backend") -> None:
        self.backend: Backend = torch_backend(model) if hasattr(model, "generator") else model

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.backend.card

    @property
    def batch_sizes(self) -> BatchSizes:
        """How many rows are drawn at once."""
        return self.backend.batch_sizes

    def enable_concurrency(self) -> int:
        """Let several threads draw at the same time; how many of them gain by it."""
        return self.backend.enable_concurrency()

    def generate(
        self,
        seeds: Sequence[int] | None = None,
        latents: npt.ArrayLike | None = None,
        truncation_psi: float = 1.0,
        classes: Sequence[Class] | None = None,
    ) -> Pixels:
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
        return self.generate_batch(self.prepare_batch(seeds, latents, truncation_psi, classes))

    def prepare_batch(
        self,
        seeds: Sequence[int] | None = None,
        latents: npt.ArrayLike | None = None,
        truncation_psi: float = 1.0,
        classes: Sequence[Class] | None = None,
        *,
        interpolate: int | None = None,
        mix: Sequence[int] | None = None,
        mix_layers: Sequence[int] | None = None,
    ) -> LatentBatch:
        """What is to be drawn for a wish, checked against the model; nothing is drawn yet.

        Args:
            seeds: As for :meth:`generate`, and so are latents, psi and classes.
            latents: Instead of seeds.
            truncation_psi: On all of them.
            classes: One a face or one for all; of an interpolation, one for all.
            interpolate: Frames from each of S seeds or latents to the next:
                (S - 1) * interpolate + 1 images.
            mix: M other seeds whose styles the N faces take: N * M images, row by row.
            mix_layers: As for :meth:`mix`.

        Raises:
            RequestError: as :meth:`generate` and :meth:`mix`; or an interpolation of fewer than two
                faces, of seeds that name different classes, or of mixed ones.
        """
        self.check_truncation(truncation_psi)
        if (seeds is None) == (latents is None):
            raise RequestError("Ask with either seeds or latents.")
        if mix is not None:
            return self.mixed_batch(seeds, mix, mix_layers, truncation_psi, classes)
        if seeds is not None:
            inputs = latents_of_seeds(self.card, seeds)
        else:
            inputs = self.check_latents(np.asarray(latents))
        labels = choose_labels(self.card, len(inputs), seeds, classes)
        if interpolate is not None:
            inputs, labels = self.interpolate_latents(inputs, labels, interpolate)
        return LatentBatch(inputs, labels, truncation_psi)

    def interpolate_latents(
        self, keyframes: Latents, labels: Labels | None, frames: int
    ) -> tuple[Latents, Labels | None]:
        """The latents between keyframes (S, latent_dim), and their one label each."""
        if len(keyframes) < 2 or frames < 1:
            raise RequestError(
                "An interpolation leads from one face to another.",
                "Give two or more seeds or latents, and one frame or more.",
            )
        ways = interpolation_path(keyframes, frames)
        if labels is None:
            return ways, None
        if len(np.unique(labels)) > 1:
            raise RequestError("An interpolation is of one class.", "Give classes, one for all.")
        return ways, np.repeat(labels[:1], len(ways))

    def class_names(
        self, count: int, seeds: Sequence[int] | None, classes: Sequence[Class] | None
    ) -> tuple[str, ...] | None:
        """The class of each of `count` faces that :meth:`generate` draws; None if it has none.

        Raises:
            RequestError: as :meth:`generate`.
        """
        labels = choose_labels(self.card, count, seeds, classes)
        known = [name for name, _ in self.card.classes]
        return None if labels is None else tuple(known[label] for label in labels.tolist())

    def mix(
        self,
        seeds: Sequence[int],
        others: Sequence[int],
        layers: Sequence[int] | None = None,
        truncation_psi: float = 1.0,
        classes: Sequence[Class] | None = None,
    ) -> Pixels:
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
        rows = self.prepare_batch(
            seeds, None, truncation_psi, classes, mix=others, mix_layers=layers
        )
        pixels = self.generate_batch(rows)
        return pixels.reshape(len(seeds), len(others), *pixels.shape[1:])

    def mixed_batch(
        self,
        seeds: Sequence[int] | None,
        others: Sequence[int],
        layers: Sequence[int] | None,
        truncation_psi: float,
        classes: Sequence[Class] | None,
    ) -> LatentBatch:
        """Every one of N seeds with every one of M others, N * M pairs row by row."""
        chosen = self.check_layers(layers)
        if seeds is None:
            raise RequestError("Styles are mixed of seeds, not of latents.", "Give seeds.")
        everyone = [*seeds, *others]
        latents = latents_of_seeds(self.card, everyone)
        labels = choose_labels(self.card, len(everyone), everyone, classes)
        pairs = np.array(
            [(own, len(seeds) + other) for own in range(len(seeds)) for other in range(len(others))]
        )
        return LatentBatch(
            latents[pairs], None if labels is None else labels[pairs], truncation_psi, chosen
        )

    @property
    def style_layers(self) -> int:
        """How many layers of the generator take a style of their own.

        Raises:
            RequestError: the family has no styles.
        """
        if not (layers := self.backend.style_layers):
            raise RequestError(
                f"The family {self.card.family!r} has no styles to mix.",
                "Leave mixing out, or take a model of a family that paints by styles.",
            )
        return layers

    def check_layers(self, layers: Sequence[int] | None) -> tuple[int, ...]:
        """Which layers are named, each once and in order; the finer half where None."""
        count = self.style_layers
        chosen = range(count // 2, count) if layers is None else layers
        for layer in chosen:
            if not 0 <= layer < count:
                raise RequestError(
                    f"The layer {layer} is out of range.",
                    f"Layers run from 0, the coarsest, to {count - 1}, the finest.",
                )
        return tuple(sorted(set(chosen)))

    def check_truncation(self, truncation_psi: float) -> None:
        """Refuse a psi that the family cannot honour."""
        if truncation_psi != 1.0 and not self.backend.has_truncation:
            raise RequestError(
                f"The family {self.card.family!r} has no truncation.",
                "Leave truncation_psi out, or set it to 1.",
            )

    def check_latents(self, latents: npt.NDArray[np.generic]) -> Latents:
        """Latents as a float32 (N, latent_dim), or the reason why they are none."""
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
        return narrow

    def generate_batch(self, rows: LatentBatch) -> Pixels:
        """Draw N ≥ 1 rows, on the calling thread → uint8 images (N, H, W, 3)."""
        return self.backend.generate(rows)


def torch_backend(artifact: Any) -> Backend:
    """An artifact on the CPU; torch is imported for it alone."""
    from facegan.synthesis.torch_backend import TorchBackend

    return TorchBackend(artifact)
