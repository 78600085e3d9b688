"""What the page requests of an endpoint: images, interpolations, mixes and animations, as files."""

import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

from facegan.client import FaceClient, Transport
from facegan.errors import ConfigError
from facegan.studio.latency import Latency
from facegan.studio.model_info import ModelInfo, fetch_model_info
from facegan.studio.quiz import OpenRealImages, Question, RealImages, make_question
from facegan.studio.saved_image import GenerationOptions, SavedImage, save_images
from facegan.studio.timeout_transport import TimeoutTransport
from facegan.wire import GeneratedImage

REPLY_BYTES = 6 * 2**20  # the limit of SageMaker's InvokeEndpoint


class Studio:
    """One endpoint, one folder of files, any number of pages.

    All methods raise RequestError and InvocationError, as the client does.

    Args:
        transport: How the endpoint is reached.
        folder: Where files are written; the caller removes it.
        seconds: The timeout of a request.
        open_real_images: Opens the quiz's data set at a resolution; None: no quiz.
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
        if self.real_images is None:
            self.real_images = self.open_real_images(self.model_info().resolution)
        real = self.real_images.png(self.rng.randrange(len(self.real_images)))
        (seed,) = self.random_seeds(1)
        (fake,) = self.client.faces([seed], **options.for_client)
        return make_question(real, fake.png, seed, self.folder / "quiz", self.rng)

    def write(self, name: str, body: bytes) -> Path:
        """Write a reply's bytes into a file of the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        path.write_bytes(body)
        return path


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
