"""What a visitor wishes and gets: how faces are to look, and faces as files with their captions."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from facegan.errors import RequestError
from facegan.wire import GeneratedImage, file_names

MAX_SEED = 2**32 - 1


class LookWish(TypedDict):
    """A look in the client's words."""

    truncation_psi: float
    classes: list[str] | None


@dataclass(frozen=True)
class Look:
    """How all faces of a page are to look.

    Attributes:
        truncation_psi: 1 is the model as it is.
        class_name: The class of all; None leaves each face to its seed.
    """

    truncation_psi: float = 1.0
    class_name: str | None = None

    @property
    def wish(self) -> LookWish:
        """The same in the client's words."""
        psi = round(self.truncation_psi, 3)
        return {
            "truncation_psi": psi,
            "classes": None if self.class_name is None else [self.class_name],
        }

    @property
    def mark(self) -> str:
        """What tells files of this look from others of the same seed."""
        psi = "" if self.truncation_psi == 1 else f"-psi{round(self.truncation_psi, 3):g}"
        kind = "" if self.class_name is None else f"-{safe(self.class_name)}"
        return kind + psi


@dataclass(frozen=True)
class Portrait:
    """One face in a file: the server's bytes, untouched.

    Attributes:
        path: A PNG.
        seed: None of a face between two.
        class_name: None where the model has none.
        look: How it was wished.
        mixed_with: The seed whose styles it took.
    """

    path: Path
    seed: int | None
    class_name: str | None = None
    look: Look = Look()
    mixed_with: int | None = None

    @property
    def caption(self) -> str:
        """What stands under it."""
        psi = self.look.truncation_psi
        parts = [
            "between" if self.seed is None else f"seed {self.seed}",
            f"with {self.mixed_with}" if self.mixed_with is not None else "",
            self.class_name or "",
            "" if psi == 1 else f"psi {psi:g}",
        ]
        return " · ".join(part for part in parts if part)


def save_faces(faces: list[GeneratedImage], look: Look, folder: Path) -> list[Portrait]:
    """Faces as files of a folder, named by their seeds and looks."""
    names = file_names([face._asdict() for face in faces])
    folder.mkdir(parents=True, exist_ok=True)
    portraits = []
    for name, face in zip(names, faces, strict=True):
        path = folder / f"{Path(name).stem}{look.mark}.png"
        path.write_bytes(face.png)
        portraits.append(Portrait(path, face.seed, face.class_name, look, face.mixed_with))
    return portraits


def whole(value: object, name: str, least: int = 0, most: int = MAX_SEED) -> int:
    """A whole number of a field of the page.

    Raises:
        RequestError: it is empty, no whole number, or out of range.
    """
    if isinstance(value, (int, float)) and float(value).is_integer() and least <= value <= most:
        return int(value)
    shown = "is empty" if value is None else f"is {value!s}"
    raise RequestError(f"{name} {shown}.", f"Give a whole number from {least} to {most}.")


def safe(name: str) -> str:
    """A class's name as a part of a file's."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)[:40]
