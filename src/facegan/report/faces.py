"""The page's pictures: generated ones that say so, real ones as they are, all as data: URIs."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from facegan.artifact import Artifact
from facegan.files import read_regular
from facegan.name_lists import write_names
from facegan.pictures import encode_png
from facegan.report.markup import Markup, element
from facegan.safe_images import open_image
from facegan.synthesis import Synthesizer, interpolation_path, latents_of_seeds

Pixels = npt.NDArray[np.uint8]
FACE_SIDE = 128  # larger faces are made smaller, so that the page stays one that can be mailed
GRID_SIDE = 1080
SAMPLES_BYTES = 2**28  # of one file in RUN/samples at most
SAMPLES_GAP = 2  # between the faces of RUN/samples
PIXELATED_BELOW = 96  # smaller pictures are shown with their pixels, not smoothed


class Gallery:
    """Draws with a run's model, and remembers which one it was."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.synthesizer = Synthesizer(artifact)
        card = artifact.card
        self.facts = {
            "facegan:family": card.family,
            "facegan:preset": card.preset,
            "facegan:model_sha256": card.weights_sha256,
        }

    def draw(self, seeds: Sequence[int], kind: str | None = None) -> Pixels:
        """One face a seed (N, S, S, 3), of at most `FACE_SIDE` pixels; of one class if asked."""
        faces = self.synthesizer.generate(seeds, classes=None if kind is None else [kind])
        return np.stack([shrink(face, FACE_SIDE) for face in faces])

    def kinds(self, seeds: Sequence[int]) -> tuple[str, ...] | None:
        """The classes that seeds name; None where the model is not conditional."""
        return self.synthesizer.class_names(len(seeds), seeds, None)

    def between(self, first: int, last: int, steps: int) -> Pixels:
        """Faces (steps, S, S, 3) on the way from one seed to another, both ends included.

        A conditional model keeps to the class of the first.
        """
        ends = latents_of_seeds(self.artifact.card, [first, last])
        latents = interpolation_path(ends, steps - 1)
        drawn = self.synthesizer.generate(latents=latents, classes=self.kinds([first]))
        return np.stack([shrink(face, FACE_SIDE) for face in drawn])

    def encode(
        self, pixels: Pixels, seeds: Sequence[int] = (), kinds: Sequence[str] | None = None
    ) -> bytes:
        """A PNG that says it is generated, by which model and from which seeds and classes."""
        facts = {**self.facts, "facegan:seeds": ",".join(map(str, seeds))}
        named = kinds or self.kinds(seeds)
        if named:
            facts["facegan:classes"] = write_names(named)
        return encode_png(pixels, facts)


def shrink(pixels: Pixels, side: int) -> Pixels:
    """A picture (H, W, 3) no wider or higher than `side`, antialiased."""
    if max(pixels.shape[:2]) <= side:
        return pixels
    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def read_grid(file: Path) -> tuple[Pixels, dict[str, str]] | None:
    """A picture of RUN/samples and what it says of itself; None where it cannot be read."""
    try:
        with open_image(read_regular(file, SAMPLES_BYTES), ["PNG"]) as picture:
            pixels = np.asarray(picture.convert("RGB"))
            said = {str(key): str(text) for key, text in picture.info.items()}
    except (OSError, ValueError):
        return None
    return pixels, {key: text for key, text in said.items() if key.startswith("facegan:")}


def first_faces(grid: Pixels, resolution: int, count: int) -> Pixels:
    """The top row's first faces (N, R, R, 3) of a grid of RUN/samples."""
    pitch = resolution + SAMPLES_GAP
    columns = max(1, min(count, (grid.shape[1] + SAMPLES_GAP) // pitch))
    starts = range(0, columns * pitch, pitch)
    return np.stack([grid[:resolution, left : left + resolution] for left in starts])


def encode_real(pixels: Pixels) -> bytes:
    """A PNG of a real picture: it says nothing, as it was not generated."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def image(png: bytes, alt: str, **attributes: object) -> Markup:
    """An ``img`` that carries its PNG inside."""
    uri = "data:image/png;base64," + base64.b64encode(png).decode()
    return element("img", src=uri, alt=alt, **attributes)


def smoothing(resolution: int) -> str | None:
    """The class of pictures whose faces are too small to be smoothed when enlarged."""
    return "pixels" if resolution < PIXELATED_BELOW else None
