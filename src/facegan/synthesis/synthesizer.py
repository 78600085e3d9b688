"""The interface of a loaded model: seeds or latents in, uint8 images out, the same in any batch."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facegan.errors import RequestError
from facegan.model_files import ModelCard
from facegan.synthesis.backend import Backend
from facegan.synthesis.batch_sizes import BatchSizes
from facegan.synthesis.classes import Class, choose_labels
from facegan.synthesis.examples import example_batch
from facegan.synthesis.input_batch import Array, InputBatch, Labels, Latents, Pixels
from facegan.synthesis.latents import interpolation_path, latents_of_seeds
from facegan.synthesis.request_check import (
    as_array,
    check_counts,
    check_interpolation,
    check_sources,
    check_taken,
    choose_direction,
    choose_seeds,
    in_order,
    spread,
)

if TYPE_CHECKING:
    from facegan.artifact import Artifact


class Synthesizer:
    """Generates images with a model; safe to share between threads on a CPU.

    Args:
        model: An artifact, which torch runs on the CPU; or a backend, as
            :func:`open_synthesizer` chooses it.
    """

    def __init__(self, model: "Artifact | Backend") -> None:
        self.backend: Backend = torch_backend(model) if hasattr(model, "generator") else model
        self.card: ModelCard = self.backend.card
        self.takes_sources = bool(self.card.network_inputs)  # images or label maps

    @property
    def batch_sizes(self) -> BatchSizes:
        """The batch sizes in use."""
        return self.backend.batch_sizes

    def enable_concurrency(self) -> int:
        """Expect calls from several threads; return how many threads are worthwhile."""
        return self.backend.enable_concurrency()

    def generate(
        self,
        seeds: Sequence[int] | None = None,
        latents: npt.ArrayLike | None = None,
        truncation_psi: float = 1.0,
        classes: Sequence[Class] | None = None,
        *,
        images: npt.ArrayLike | None = None,
        label_maps: npt.ArrayLike | None = None,
        styles: npt.ArrayLike | None = None,
        direction: str | None = None,
    ) -> Pixels:
        """Generate images from what the model takes: one per seed or latent, image or label map.

        Of several inputs each is there once, for all, or as often as the others: one label map and
        M seeds make M images, N maps and one seed N, N maps and N seeds N pairs.

        Args:
            seeds: N integers, 0 … 2**32 - 1; a seed always gives the same image. For label maps
                without seeds, latents and styles it is 0.
            latents: (N, latent_dim) finite floats, instead of seeds.
            truncation_psi: 1 is no truncation; some families support nothing else.
            classes: For a conditional model, by index or name: one per image, or one for all. None
                derives each image's class from its seed.
            images: uint8 (N, H, W, 3), of the model's side, for a model that translates images.
            label_maps: Integers (N, H, W), the class of each pixel, for a model that paints them.
            styles: uint8 (N, H, W, 3), images whose style replaces seeds, if there is an encoder.
            direction: Which way images are translated; None is the model's first.

        Returns:
            uint8 images (N, H, W, 3).

        Raises:
            RequestError: an input that the model does not take, or lacks; both or neither of seeds
                and latents; a wrong shape or type, numbers of inputs that do not fit together, a
                number that is not finite, a seed or a map's class out of range, a psi that the
                family does not support, unknown classes or directions, or no classes for latents
                of a conditional model.
        """
        batch = self.prepare_batch(
            seeds,
            latents,
            truncation_psi,
            classes,
            images=images,
            label_maps=label_maps,
            styles=styles,
            direction=direction,
        )
        return self.generate_batch(batch)

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
        images: npt.ArrayLike | None = None,
        label_maps: npt.ArrayLike | None = None,
        styles: npt.ArrayLike | None = None,
        direction: str | None = None,
    ) -> InputBatch:
        """Check what is requested against the model; nothing is generated yet.

        Args:
            seeds: As for :meth:`generate`, as are latents, psi and classes.
            latents: Instead of seeds.
            truncation_psi: For all images.
            classes: One per image or one for all; for an interpolation, one for all.
            interpolate: Frames from each of K seeds or latents to the next:
                (K - 1) * interpolate + 1 images, of one label map if the model takes them.
            mix: M other seeds whose styles the N images take: N * M images, seed by seed.
            mix_layers: As for :meth:`mix`.
            images: As for :meth:`generate`, as are label maps, styles and direction.
            label_maps: Each pixel's class.
            styles: Instead of seeds.
            direction: For all images.

        Raises:
            RequestError: as :meth:`generate` and :meth:`mix`; or an interpolation of fewer than two
                seeds or latents, between classes, or of several label maps.
        """
        card = self.card
        if truncation_psi != 1.0 and not self.backend.has_truncation:
            raise RequestError(
                f"The family {card.family!r} has no truncation.",
                "Leave truncation_psi out, or set it to 1.",
            )
        pixels = {"images": images, "label_maps": label_maps, "styles": styles}
        sources: dict[str, Array] = {}
        way = None
        is_plain = images is label_maps is styles is direction is None
        if self.takes_sources or not is_plain:
            drawn = {"seeds": seeds, "latents": latents, "interpolate": interpolate, "mix": mix}
            check_taken(card, {**pixels, **drawn})
            way, sources = choose_direction(card, direction), check_sources(card, pixels)
            seeds = choose_seeds(card, seeds, latents, sources)
        elif (seeds is None) == (latents is None):
            raise RequestError("Ask with either seeds or latents.")
        if mix is not None:
            return self.mixed_batch(seeds, mix, mix_layers, truncation_psi, classes, sources)
        arrays = dict(sources)
        if seeds is not None:
            arrays["latents"] = latents_of_seeds(card, seeds)
        elif latents is not None:
            arrays["latents"] = self.check_latents(as_array(latents))
        labels = input_labels = None
        if card.classes or classes is not None:
            labels = input_labels = choose_labels(card, check_counts(arrays), seeds, classes)
        if interpolate is not None:
            check_interpolation(arrays)
            arrays["latents"], labels = interpolated(arrays["latents"], labels, interpolate)
        if labels is not None:
            arrays["labels"] = labels
        if sources:
            arrays = in_order(card, spread(arrays, check_counts(arrays)))
        return InputBatch(arrays, truncation_psi, direction=way, input_labels=input_labels)

    def class_names(self, batch: InputBatch) -> tuple[str, ...] | None:
        """Return the class name of each of a batch's inputs; None if unconditional."""
        if batch.input_labels is None:
            return None
        return tuple(self.card.classes[label][0] for label in batch.input_labels.tolist())

    def mix(
        self,
        seeds: Sequence[int],
        others: Sequence[int],
        layers: Sequence[int] | None = None,
        truncation_psi: float = 1.0,
        classes: Sequence[Class] | None = None,
    ) -> Pixels:
        """Generate images of each of N seeds with some layers' styles of each of M others.

        Style mixing (arXiv:1812.04948, section 3.1): early layers carry pose and shape, late ones
        colours and texture. With no layers every image is its seed's; with all, the other's.

        Args:
            seeds: N ≥ 1 seeds.
            others: M ≥ 1 seeds.
            layers: Layers that follow the others, 0 … `style_layers` - 1; None is the finer half.
            truncation_psi: As for :meth:`generate`, for all seeds.
            classes: As for :meth:`generate`: one for all, or N and then M.

        Returns:
            uint8 images (N, M, H, W, 3).

        Raises:
            RequestError: the family has no styles, a layer or seed is out of range, or as
                :meth:`generate`.
        """
        pixels = self.generate_batch(
            self.prepare_batch(seeds, None, truncation_psi, classes, mix=others, mix_layers=layers)
        )
        return pixels.reshape(len(seeds), len(others), *pixels.shape[1:])

    def mixed_batch(
        self,
        seeds: Sequence[int] | None,
        others: Sequence[int],
        layers: Sequence[int] | None,
        truncation_psi: float,
        classes: Sequence[Class] | None,
        sources: Mapping[str, Array],
    ) -> InputBatch:
        """Pair each of N seeds with each of M others: N * M samples, seed by seed."""
        chosen = self.check_layers(layers)
        for name in sources:
            raise RequestError(f"mix: mixes the styles of seeds alone, without {name}.")
        if seeds is None:
            raise RequestError("Styles are mixed of seeds, not of latents.", "Give seeds.")
        all_seeds = [*seeds, *others]
        latents = latents_of_seeds(self.card, all_seeds)
        labels = choose_labels(self.card, len(all_seeds), all_seeds, classes)
        pairs = np.array(list(product(range(len(seeds)), range(len(seeds), len(all_seeds)))))
        arrays: dict[str, Array] = {"latents": latents[pairs]}
        if labels is not None:
            arrays["labels"] = labels[pairs]
        return InputBatch(arrays, truncation_psi, chosen, input_labels=labels)

    @property
    def style_layers(self) -> int:
        """How many layers of the generator take a style of their own; RequestError if none do."""
        if not (layers := self.backend.style_layers):
            raise RequestError(
                f"The family {self.card.family!r} has no styles to mix.",
                "Leave mixing out, or use a model of a family with styles, such as stylegan2.",
            )
        return layers

    def check_layers(self, layers: Sequence[int] | None) -> tuple[int, ...]:
        """Return the layers to mix, sorted, each once; None is the finer half."""
        count = self.style_layers
        chosen = range(count // 2, count) if layers is None else layers
        for layer in chosen:
            if not 0 <= layer < count:
                raise RequestError(
                    f"The layer {layer} is out of range.",
                    f"Layers run from 0, the coarsest, to {count - 1}, the finest.",
                )
        return tuple(sorted(set(chosen)))

    def check_latents(self, latents: npt.NDArray[np.generic]) -> Latents:
        """Return latents as float32 (N, latent_dim); raise RequestError if they do not fit."""
        width = self.card.latent_dim
        if latents.dtype.kind in "iu":
            raise RequestError(
                f"An array of integers ({latents.dtype}) is not latents.",
                f"Send floats of shape (N, {width}).",
            )
        if latents.ndim != 2 or latents.shape[1] != width or latents.dtype.kind != "f":
            raise RequestError(
                f"Latents of shape {latents.shape} and type {latents.dtype} do not fit the model.",
                f"It takes numbers of shape (N, {width}).",
            )
        with np.errstate(over="ignore"):  # a float64 too large for float32 is refused below
            narrow = latents.astype(np.float32)
        if not np.isfinite(narrow).all():
            raise RequestError("The latents hold NaN or infinite numbers.")
        return narrow

    def example_batch(self, count: int = 1) -> InputBatch:
        """Return N rows of inputs that the model takes, always the same: to warm it up."""
        return example_batch(self.card, count)

    def generate_batch(self, batch: InputBatch) -> Pixels:
        """Generate N ≥ 1 uint8 images (N, H, W, 3), on the calling thread."""
        return self.backend.generate(batch)


def interpolated(
    keyframes: Latents, labels: Labels | None, frames: int
) -> tuple[Latents, Labels | None]:
    """Return the latents between keyframes (K, latent_dim), and a label for each."""
    if len(keyframes) < 2 or frames < 1:
        raise RequestError(
            "An interpolation leads from one image to another.",
            "Give two or more seeds or latents, and one frame or more.",
        )
    path = interpolation_path(keyframes, frames)
    if labels is None:
        return path, None
    if len(np.unique(labels)) > 1:
        raise RequestError("An interpolation is of one class.", "Give classes, one for all.")
    return path, np.repeat(labels[:1], len(path))


def torch_backend(artifact: Any) -> Backend:
    """Return the torch backend of an artifact."""
    from facegan.synthesis.torch_backend import TorchBackend  # torch, which graphs do without

    return TorchBackend(artifact)
