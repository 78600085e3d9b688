"""The page's images: generated ones with their provenance, real ones, all as data: URIs."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from facegan.artifact import Artifact
from facegan.files import read_regular
from facegan.image_encoding import COMPOSITE_TYPE, SOURCE_TYPE, encode_png
from facegan.name_lists import write_names
from facegan.safe_images import open_image
from facegan.synthesis import Synthesizer, interpolation_path, latents_of_seeds

Pixels = npt.NDArray[np.uint8]
MAX_SIDE = 128  # pixels; larger images are made smaller, so that the page can be mailed
GRID_SIDE = 1080
SAMPLES_BYTES = 2**28  # of one file in RUN/samples at most
SAMPLES_GAP = 2  # pixels between the images of RUN/samples


@dataclass(frozen=True)
class EmbeddedImage:
    """A PNG inside the page."""

    png: bytes
    alt: str
    caption: str = ""

    @property
    def uri(self) -> str:
        """The PNG as a data: URI."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


class GeneratedImages:
    """Draws with a run's model and encodes what it drew, with its provenance."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.synthesizer = Synthesizer(artifact)
        card = artifact.card
        self.facts = {
            "facegan:family": card.family,
            "facegan:preset": card.preset,
            "facegan:model_sha256": card.weights_sha256,
        }

    def draw(self, seeds: Sequence[int], class_name: str | None = None) -> Pixels:
        """Draw one image per seed (N, S, S, 3), of at most `MAX_SIDE` pixels a side."""
        classes = None if class_name is None else [class_name]
        return shrink_all(self.synthesizer.generate(seeds, classes=classes))

    def classes(self, seeds: Sequence[int]) -> tuple[str, ...] | None:
        """Return the class of each seed; None if the model is not conditional."""
        if not seeds or not self.artifact.classes:
            return None
        return self.synthesizer.class_names(self.synthesizer.prepare_batch(seeds))

    def interpolate(self, first: int, last: int, steps: int) -> Pixels:
        """Draw images (steps, S, S, 3) from one seed to another, both included, in one class."""
        latents = interpolation_path(latents_of_seeds(self.artifact.card, [first, last]), steps - 1)
        classes = self.classes([first])
        return shrink_all(self.synthesizer.generate(latents=latents, classes=classes))

    def make(self, **request: Any) -> Pixels:
        """Generate images (N, S, S, 3) of what ``Synthesizer.prepare_batch`` takes, full size."""
        return self.synthesizer.generate_batch(self.synthesizer.prepare_batch(**request))

    def encode(
        self,
        pixels: Pixels,
        seeds: Sequence[int] = (),
        classes: Sequence[str] | None = None,
        direction: str | None = None,
        is_composite: bool = False,
    ) -> bytes:
        """Encode a PNG that says by which model and from what it was made.

        Args:
            pixels: (H, W, 3).
            seeds: Where there are some.
            classes: Of the images; None: those of the seeds.
            direction: Of a model that translates both ways.
            is_composite: Whether the model was given other images, of which this one has parts.
        """
        facts = {**self.facts, "facegan:seeds": ",".join(map(str, seeds))}
        if classes := classes or self.classes(seeds):
            facts["facegan:classes"] = write_names(classes)
        if direction:
            facts["facegan:direction"] = direction
        return encode_png(pixels, facts, COMPOSITE_TYPE if is_composite else SOURCE_TYPE)


def shrink_all(images: Pixels) -> Pixels:
    """Shrink images (N, H, W, 3) to at most `MAX_SIDE` pixels a side."""
    return np.stack([shrink(image, MAX_SIDE) for image in images])


def shrink(pixels: Pixels, side: int) -> Pixels:
    """Shrink an image (H, W, 3) to at most `side` pixels a side, antialiased."""
    if max(pixels.shape[:2]) <= side:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def read_grid(file: Path) -> tuple[Pixels, dict[str, str]] | None:
    """Return the pixels and the provenance of a grid in RUN/samples; None if it is unreadable."""
    try:
        with open_image(read_regular(file, SAMPLES_BYTES), ["PNG"]) as image:
            pixels = np.asarray(image.convert("RGB"))
            texts = {str(key): str(text) for key, text in image.info.items()}
    except (OSError, ValueError):
        return None
    return pixels, {key: text for key, text in texts.items() if key.startswith("facegan:")}


def first_row(grid: Pixels, resolution: int) -> Pixels:
    """Return the images (N, R, R, 3) of the top row of a grid in RUN/samples."""
    pitch = resolution + SAMPLES_GAP
    columns = max(1, (grid.shape[1] + SAMPLES_GAP) // pitch)
    starts = range(0, columns * pitch, pitch)
    return np.stack([grid[:resolution, left : left + resolution] for left in starts])


def encode_real(pixels: Pixels) -> bytes:
    """Encode a real image as a PNG without provenance: it was not generated."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()
