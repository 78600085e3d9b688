"""The packed format: the files of a prepared data set, and readers of manifest, labels, shards."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from facegan.data.prepare.names import match_key
from facegan.data.prepare.pixels import Pixels
from facegan.data.prepare.skip_report import printable
from facegan.errors import DatasetError, first_line
from facegan.path_kinds import describe_path, no_images_error, not_prepared_error, prepare_command

FORMAT, VERSION, KIND = "facegan-dataset", 2, "packed"
MANIFEST, LABELS = "dataset.json", "labels.npy"
SOURCES, SKIPPED, DUPLICATES = "sources.jsonl", "skipped.jsonl", "duplicates.jsonl"
AGAIN = "Prepare the data set again, or copy it whole."
SHARD_BYTES = 2**27  # of pixels per file; a killed run loses at most one shard


def shard_name(number: int) -> str:
    """Return a shard's path below the folder: ``images/00012.npy``."""
    return f"images/{number:05d}.npy"


def images_per_shard(resolution: int) -> int:
    """Return how many images a shard holds; the last one may hold fewer."""
    return max(SHARD_BYTES // (resolution * resolution * 3), 1)


def load_manifest(folder: Path) -> dict[str, Any]:
    """Return the folder's dataset.json, whichever program wrote it; empty if there is none.

    Raises:
        DatasetError: it cannot be read, or is not JSON.
    """
    file = folder / MANIFEST
    try:
        if file.exists() and not file.is_file():
            raise ValueError("it is not a regular file")
        manifest = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        raise no_images_error(describe_path(folder)) from None
    except OSError as cause:
        raise DatasetError(f"{folder / MANIFEST} cannot be read: {cause.strerror}.") from cause
    except (ValueError, RecursionError) as cause:
        raise DatasetError(f"{folder / MANIFEST} cannot be read: {cause}.") from cause
    return manifest if isinstance(manifest, dict) else {}


def read_packed(folder: Path) -> dict[str, Any]:
    """Return the manifest of a packed data set.

    Raises:
        DatasetError: there is none, or its kind or version is another.
    """
    manifest = load_manifest(folder)
    if not (folder / MANIFEST).exists():
        raise not_prepared_error(describe_path(folder))
    if manifest.get("format") != FORMAT:
        raise DatasetError(f"{folder / MANIFEST} is not of the format {FORMAT!r}.")
    if manifest.get("kind") == "streamed":
        raise DatasetError(
            f"{folder} holds a streamed data set; this command needs a packed one.",
            "Name the packed data set that it was made from.",
        )
    if manifest.get("kind") != KIND:
        raise DatasetError(
            f"{folder} is a folder of images, not a prepared data set.",
            f"Prepare it first: {prepare_command(folder)}.",
        )
    if manifest.get("version") != VERSION:
        raise DatasetError(
            f"{folder / MANIFEST} has version {manifest.get('version')}; this facegan reads "
            f"{VERSION}.",
            "Upgrade facegan, or prepare the data set again.",
        )
    return manifest


def read_companions(
    folder: Path, manifest: dict[str, Any], aligned: bool = True
) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Return the folder and manifest of each of a data set's companions, by name.

    Args:
        folder: The data set's folder.
        manifest: The data set's manifest.
        aligned: True for the companions with one image per image of the data set, False for the
            others.

    Raises:
        DatasetError: a companion is missing, or is not a data set in a subfolder.
    """
    found = {}
    for name, facts in manifest.get("companions", {}).items():
        below = facts.get("folder")
        if not isinstance(below, str) or PurePosixPath(below).name != below or "\\" in below:
            raise DatasetError(
                f"{folder / MANIFEST}: the companion {name} is not in a subfolder.", AGAIN
            )
        if facts.get("aligned", False) is aligned:
            found[name] = (folder / below, read_packed(folder / below))
    return found


def numbers_by_path(file: Path | str, labels: Any, hint: str) -> dict[str, int]:
    """Return a manifest's labels, in either form, as a mapping from path to class number.

    Args:
        file: The manifest, for the error message.
        labels: ``{"a.png": 0, …}`` or ``[["a.png", 0], …]``.
        hint: How to write them, for the error message.

    Raises:
        DatasetError: they have another form, an image has two labels, or a label is not a whole
            number from 0.
    """
    pairs = list(labels.items()) if isinstance(labels, dict) else labels
    if not isinstance(pairs, list) or not all(map(is_pair, pairs)):
        message = "labels is neither a mapping nor a list of pairs"
        if isinstance(pairs, list):
            wrong = next(pair for pair in pairs if not is_pair(pair))
            message += f": it contains {brief(wrong)}"
        raise DatasetError(f"{file}: {message}.", hint)
    found = {match_key(path): label for path, label in pairs}
    if len(found) < len(pairs):
        raise DatasetError(f"{file}: an image has two labels.", "Give each image one.")
    lengths = {len(label) if isinstance(label, list) else None for label in found.values()}
    if len(lengths) > 1:
        sizes = [length for length in lengths if length is not None]
        message = "some labels are vectors and some not" if None in lengths else (
            f"the labels are vectors of different lengths, {min(sizes)} to {max(sizes)}"
        )  # fmt: skip
        raise DatasetError(f"{file}: {message}.", hint)
    return {path: number_of_label(file, path, label, hint) for path, label in found.items()}


def is_pair(pair: Any) -> bool:
    """Return whether this is a path with its label."""
    return isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], str)


def brief(value: Any) -> str:
    """Return a value as text of at most 61 characters."""
    message = "null" if value is None else repr(value)
    return message if len(message) <= 60 else message[:60] + "…"


def number_of_label(file: Path | str, path: str, label: Any, hint: str) -> int:
    """Return the class of a label: a whole number from 0, or the index of a vector's single 1.

    Raises:
        DatasetError: the label is something else.
    """
    numbers = label if isinstance(label, list) else [label]
    if is_vector := all(type(number) in (int, float) for number in numbers):
        if label is numbers and sorted(numbers) == [0] * (len(numbers) - 1) + [1]:
            return int(numbers.index(1))
        if label is not numbers and label >= 0 and label % 1 == 0:
            return int(label)
    kind = ""
    if label is numbers:
        kind = ", a vector without a single 1" if is_vector else ", which is not a vector"
        if all(type(number) in (int, float) and number in (0, 1) for number in numbers):
            kind = f", a vector with {numbers.count(1)} ones: several attributes at once, or none"
    raise DatasetError(
        f"{file}: the label of {printable(path)} is {brief(label)}{kind}.", f"Count from 0. {hint}"
    )


def check_resolution(folder: Path, packed: int, requested: int | None) -> None:
    """Raise DatasetError if another resolution is requested than the pixels have on the disk."""
    if requested not in (None, packed):
        raise DatasetError(
            f"The data set in {folder} is packed at {packed} px, not at {requested}.",
            f"Use it at {packed} px, or prepare the images again: facegan data prepare SOURCE "
            f"--out DIR --resolution {requested}.",
        )


@contextmanager
def npy_faults(file: Path) -> Iterator[None]:
    """Turn any damage of a .npy header, and a file that is not regular, into a ValueError."""
    if file.exists() and not file.is_file():
        raise ValueError("it is not a regular file")
    try:
        yield
    except (OSError, ValueError):
        raise
    except Exception as cause:  # NumPy parses a Python literal, which may raise anything
        raise ValueError(f"its header is damaged ({first_line(cause)})") from cause


def load_labels(file: Path) -> Any:
    """Return the array in a .npy file; pickles are refused.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    with npy_faults(file):
        return np.load(file, allow_pickle=False)


def open_shard(file: Path, images: int, resolution: int, channels: int = 3) -> Pixels:
    """Return a shard's pixels, uint8 (n, R, R, channels), mapped into memory and not read yet.

    Raises:
        DatasetError: the file is missing, too short, or has another shape or type.
    """
    try:
        with npy_faults(file):
            pixels = np.lib.format.open_memmap(file, mode="r")
        size = file.stat().st_size
    except FileNotFoundError:
        raise DatasetError(f"The shard {file} is missing.", AGAIN) from None
    except OSError as cause:
        raise DatasetError(f"The shard {file} cannot be opened: {cause.strerror}.") from cause
    except (ValueError, EOFError) as cause:
        raise DatasetError(f"The shard {file} is damaged: {cause}.", AGAIN) from cause
    expected = (images, resolution, resolution, channels)
    is_ours = pixels.shape == expected and pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    if not is_ours:
        raise DatasetError(
            f"The shard {file} holds {pixels.dtype} {pixels.shape}, not uint8 {expected}.", AGAIN
        )
    if size != pixels.offset + pixels.nbytes:
        raise DatasetError(f"The shard {file} is longer than its header says.", AGAIN)
    return pixels.view(np.ndarray)  # np.memmap is slower to index


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a JSON Lines file.

    Raises:
        DatasetError: it cannot be read, or a line is not JSON.
    """
    try:
        with path.open("rb") as stream:
            for line in stream:
                yield json.loads(line)
    except (OSError, ValueError) as cause:
        raise DatasetError(f"{path} cannot be read: {cause}.") from cause


def to_line(record: dict[str, Any]) -> bytes:
    """Return a record as a JSON line in ASCII, safe for names in any script."""
    return json.dumps(record).encode() + b"\n"
