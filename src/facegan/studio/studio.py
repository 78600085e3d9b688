"""What the page requests of an endpoint: images, interpolations, mixes and animations, as files."""

import random
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from facegan.client import FaceClient, Transport
from facegan.errors import ConfigError
from facegan.studio.drawings import Pixels, colour_map, mean_difference, snap_to_classes
from facegan.studio.latency import Latency
from facegan.studio.model_info import ModelInfo, fetch_model_info
from facegan.studio.quiz import OpenRealImages, Question, RealImages, make_question
from facegan.studio.saved_image import GenerationOptions, SavedImage, save_images
from facegan.studio.timeout_transport import TimeoutTransport
from facegan.wire import (
    JSON,
    GeneratedImage,
    GenerateRequest,
    ModelSignature,
    decode_sources,
    open_sources,
    parse_images,
)

REPLY_BYTES = 6 * 2**20  # the limit of SageMaker's InvokeEndpoint


@dataclass(frozen=True)
class Translation:
    """An image as a model translates it: the server's bytes, untouched.

    Attributes:
        there: A PNG.
        back: A PNG of the translation of that, by a model with two directions.
        difference: The mean absolute difference of source and `back`, in levels of 0 to 255.
    """

    there: Path
    back: Path | None = None
    difference: float | None = None


class Studio:
    """One endpoint, one folder of files, any number of pages.

    All methods raise RequestError and InvocationError, as the client does.

    Args:
        transport: How the endpoint is reached.
        folder: Where files are written; the caller removes it.
        seconds: The timeout of a request.
        open_real_images: Opens the data set of quiz and label maps at a resolution; None: none.
        rng: For random seeds and the quiz.
    """

    def __init__(
        self,
        transport: Transport,
        folder: Path,
        seconds: float = 30.0,
        open_real_images: OpenRealImages | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.folder = folder
        self.latency = Latency()
        self.client = FaceClient(TimeoutTransport(transport, seconds, self.latency.add))
        self.open_real_images = open_real_images
        self.rng = rng or random.Random()
        self.cached_info: ModelInfo | None = None
        self.real_images: RealImages | None = None

    def model_info(self) -> ModelInfo:
        """Return what is known of the model; requested once."""
        self.cached_info = self.cached_info or fetch_model_info(self.client)
        return self.cached_info

    def generate(self, seeds: Sequence[int], options: GenerationOptions) -> list[SavedImage]:
        """Generate one image per seed, in as few requests as the endpoint's limits allow."""
        images: list[GeneratedImage] = []
        for some in self.split_requests(seeds):
            images += self.client.faces(some, **options.for_client)
        return save_images(images, options, self.folder)

    def split_requests(self, seeds: Sequence[int]) -> list[Sequence[int]]:
        """Split seeds so that even images that do not compress fit into a reply."""
        info = self.model_info()
        image_bytes = info.resolution**2 * 3 * 4 // 3 + 500  # base64, and what JSON adds
        size = max(1, min(info.max_images, REPLY_BYTES // image_bytes))
        return [seeds[start : start + size] for start in range(0, len(seeds), size)]

    def interpolate(
        self, first: int, last: int, frames: int, options: GenerationOptions
    ) -> list[SavedImage]:
        """Generate `frames` + 1 images from one seed to another, both included."""
        options = self.with_one_class(first, options)
        images = self.client.faces([first, last], interpolate=frames, **options.for_client)
        folder = self.folder / f"way-{first}-{last}-{frames}{options.file_suffix}"
        return save_images(images, options, folder)

    def animate(
        self, first: int, last: int, frames: int, frame_ms: int, options: GenerationOptions
    ) -> Path:
        """Generate an animated WebP from one seed to another and back."""
        options = self.with_one_class(first, options)
        body = self.client.animation(
            [first, last, first], frame_ms=frame_ms, interpolate=frames, **options.for_client
        )
        name = f"morph-{first}-{last}-{frames}-{frame_ms}ms{options.file_suffix}.webp"
        return self.write(name, body)

    def interpolation_strip(
        self, keyframes: Sequence[int], frames: int, options: GenerationOptions
    ) -> Path:
        """Generate an interpolation through seeds, side by side in one PNG."""
        options = self.with_one_class(keyframes[0], options)
        columns = (len(keyframes) - 1) * frames + 1
        body = self.client.grid(keyframes, columns, interpolate=frames, **options.for_client)
        name = "-".join(map(str, keyframes))
        return self.write(f"walk-{name}-{frames}{options.file_suffix}.png", body)

    def mix(
        self,
        rows: Sequence[int],
        columns: Sequence[int],
        layers: Sequence[int],
        options: GenerationOptions,
    ) -> list[list[SavedImage]]:
        """Mix each of the rows' seeds with some layers' styles of each of the columns'."""
        images = self.client.faces(rows, mix=columns, mix_layers=layers, **options.for_client)
        saved = save_images(images, options, self.folder / f"mix-{layers[0]}-{layers[-1]}")
        width = len(columns)
        return [saved[start : start + width] for start in range(0, len(saved), width)]

    def with_one_class(self, seed: int, options: GenerationOptions) -> GenerationOptions:
        """Return options with a class, which interpolations need: the seed's if none is chosen."""
        if options.class_name is not None or not self.model_info().classes:
            return options
        (image,) = self.client.faces([seed], **options.for_client)
        return GenerationOptions(options.truncation_psi, image.class_name)

    def paint(self, drawing: Pixels, seeds: Sequence[int]) -> list[SavedImage]:
        """Generate one image per seed from a drawing (H, W, 3) in the classes' colours.

        Colours become those of the nearest class. A model without latents has no seeds.
        """
        info = self.model_info()
        label_map = snap_to_classes(drawing, info.map_classes)
        chosen = seeds if "latents" in info.inputs else None
        images = self.client.faces(chosen, label_maps=label_map)
        folder = self.folder / f"map-{sha256(label_map.tobytes()).hexdigest()[:12]}"
        return save_images(images, GenerationOptions(), folder)

    def start_map(self) -> bytes:
        """Return a label map to paint on, as a PNG in the classes' colours.

        It is a random one of the data set, or all of class 0 if that has no label maps.

        Raises:
            DatasetError: the data set cannot be opened at the model's resolution.
        """
        info = self.model_info()
        label_map = None
        if self.open_real_images is not None:
            reals = self.real_images_of(self.open_real_images)
            label_map = reals.label_map(self.rng.randrange(len(reals)))
        if label_map is None:
            label_map = np.zeros((info.resolution, info.resolution), np.uint8)
        return colour_map(label_map, info.map_classes)

    def translate(self, source: bytes, direction: str | None) -> Translation:
        """Translate an image; and the result back, if the model has two directions.

        The first of them is the default.
        """
        info = self.model_info()
        direction = direction or next(iter(info.directions), None)
        there = self.translate_once(source, direction)
        name = f"{sha256(source).hexdigest()[:12]}-{direction or 'translated'}"
        path = self.write(f"{name}.png", there)
        others = [other for other in info.directions if other != direction]
        if not others:
            return Translation(path)
        back = self.translate_once(there, others[0])
        given, returned = (squared(image, info.resolution) for image in (source, back))
        difference = mean_difference(given, returned)
        return Translation(path, self.write(f"{name}-back.png", back), difference)

    def translate_once(self, source: bytes, direction: str | None) -> bytes:
        """Return the translation of an image's bytes as a PNG."""
        request = GenerateRequest(images=[source], direction=direction)
        (image,) = parse_images(self.client.invoke(request, JSON))
        return image.png

    def random_seeds(self, count: int) -> list[int]:
        """Return random seeds, small enough to remember."""
        return [self.rng.randrange(100_000) for _ in range(count)]

    def new_question(self, options: GenerationOptions) -> Question:
        """Return a question of the quiz: a real image and a generated one.

        Raises:
            DatasetError: the data set cannot be opened at the model's resolution.
        """
        if self.open_real_images is None:
            raise ConfigError("There is no data set for the quiz.", "Start with --data FOLDER.")
        reals = self.real_images_of(self.open_real_images)
        real = reals.png(self.rng.randrange(len(reals)))
        (seed,) = self.random_seeds(1)
        (fake,) = self.client.faces([seed], **options.for_client)
        return make_question(real, fake.png, seed, self.folder / "quiz", self.rng)

    def real_images_of(self, open_real_images: OpenRealImages) -> RealImages:
        """Return the data set at the model's resolution; opened once."""
        self.real_images = self.real_images or open_real_images(self.model_info().resolution)
        return self.real_images

    def write(self, name: str, body: bytes) -> Path:
        """Write a reply's bytes into a file of the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        path.write_bytes(body)
        return path


def squared(image: bytes, side: int) -> Pixels:
    """Return an image as the endpoint prepares it: its centre square (side, side, 3)."""
    opened = open_sources(GenerateRequest(images=[image]))
    pixels: Pixels = decode_sources(opened, ModelSignature(side=side))["images"][0]
    return pixels


def zip_files(files: Sequence[Path], archive: Path) -> Path:
    """Put image files into a zip, untouched."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for file in files:
            opened.write(file, file.name)
    return archive


def add_image(kept: Sequence[SavedImage], image: SavedImage) -> list[SavedImage]:
    """Return favourites with one more image, unless it is among them."""
    return list(kept) if image in kept else [*kept, image]


def layer_groups(style_layers: int) -> dict[str, list[int]]:
    """Return names for thirds of a generator's layers (arXiv:1812.04948, figure 3)."""
    first, second = style_layers // 3, 2 * style_layers // 3
    groups = {
        "coarse: pose and shape": range(0, first),
        "middle: features": range(first, second),
        "fine: colours": range(second, style_layers),
        "the finer half": range(style_layers // 2, style_layers),
    }
    return {name: list(layers) for name, layers in groups.items() if layers}
