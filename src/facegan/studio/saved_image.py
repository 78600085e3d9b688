"""Generated images as files with captions, and the options that they were generated with."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from facegan.errors import RequestError
from facegan.wire import GeneratedImage, file_names

MAX_SEED = 2**32 - 1


class ClientOptions(TypedDict):
    """:class:`GenerationOptions` as arguments of :class:`facegan.client.FaceClient`."""

    truncation_psi: float
    classes: list[str] | None


@dataclass(frozen=True)
class GenerationOptions:
    """Options for all images of a page.

    Attributes:
        truncation_psi: 1 is no truncation.
        class_name: The class of all images; None derives each from its seed.
    """

    truncation_psi: float = 1.0
    class_name: str | None = None

    @property
    def for_client(self) -> ClientOptions:
        """The options as the client's arguments."""
        return {
            "truncation_psi": round(self.truncation_psi, 3),
            "classes": None if self.class_name is None else [self.class_name],
        }

    @property
    def file_suffix(self) -> str:
        """Distinguishes file names of the same seed with other options."""
        psi = "" if self.truncation_psi == 1 else f"-psi{round(self.truncation_psi, 3):g}"
        if self.class_name is None:
            return psi
        letters = "".join(c if c.isalnum() else "_" for c in self.class_name)
        return f"-{letters[:40]}{psi}"


@dataclass(frozen=True)
class SavedImage:
    """A generated image in a file: the server's bytes, untouched.

    Attributes:
        path: A PNG.
        seed: None for an image between two seeds.
        class_name: None for unconditional models.
        options: What it was generated with.
        mixed_with: The seed whose styles it took.
    """

    path: Path
    seed: int | None
    class_name: str | None = None
    options: GenerationOptions = GenerationOptions()
    mixed_with: int | None = None

    @property
    def caption(self) -> str:
        """The text below the image."""
        psi = self.options.truncation_psi
        parts = [
            "between" if self.seed is None else f"seed {self.seed}",
            f"with {self.mixed_with}" if self.mixed_with is not None else "",
            self.class_name or "",
            "" if psi == 1 else f"psi {psi:g}",
        ]
        return " · ".join(part for part in parts if part)


def save_images(
    images: list[GeneratedImage], options: GenerationOptions, folder: Path
) -> list[SavedImage]:
    """Write images into a folder, named by their seeds and options."""
    names = file_names([image._asdict() for image in images])
    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    for name, image in zip(names, images, strict=True):
        path = folder / f"{Path(name).stem}{options.file_suffix}.png"
        path.write_bytes(image.png)
        saved.append(SavedImage(path, image.seed, image.class_name, options, image.mixed_with))
    return saved


def parse_int(value: object, name: str, lowest: int = 0, highest: int = MAX_SEED) -> int:
    """Return the integer of a field of the page; raise RequestError if it is not one in range."""
    if isinstance(value, (int, float)) and float(value).is_integer() and lowest <= value <= highest:
        return int(value)
    shown = "is empty" if value is None else f"is {value!s}"
    raise RequestError(f"{name} {shown}.", f"Give a whole number from {lowest} to {highest}.")
