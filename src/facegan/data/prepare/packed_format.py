"""The packed format: what files a prepared data set is made of, and how its manifest is read."""

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
SHARD_BYTES = 2**27  # of pixels: what a kill can cost, and what one file holds


def shard_name(number: int) -> str:
    """Where a shard lies: ``images/00012.npy``."""
    return f"images/{number:05d}.npy"


def images_per_shard(resolution: int) -> int:
    """How many images a shard holds, but for the last."""
    return max(SHARD_BYTES // (resolution * resolution * 3), 1)


def load_manifest(folder: Path) -> dict[str, Any]:
    """Return the folder's dataset.json, of any program; empty where there is none.

    Raises:
        DatasetError: it cannot be read, or is no JSON.
    """
    file = folder / MANIFEST
    try:
        if file.exists() and not file.is_file():
            raise ValueError("it is no regular file")
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
    """The manifest of a prepared data set.

    Raises:
        DatasetError: there is none, or it is of another kind or newer.
    """
    manifest = load_manifest(folder)
    if not (folder / MANIFEST).exists():
        raise not_prepared_error(describe_path(folder))
    if manifest.get("format") != FORMAT:
        raise DatasetError(f"{folder / MANIFEST} is not of the format {FORMAT!r}.")
    if manifest.get("kind") == "streamed":
        raise DatasetError(
            f"{folder} holds a streamed data set, and a packed one is needed here.",
            "Name the packed one that it was made of.",
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
    """The folders and manifests of a data set's companions, by name.

    Args:
        folder: The data set's.
        manifest: Its manifest.
        aligned: Those that have an image for each of its images; or those that do not.

    Raises:
        DatasetError: one is missing, or no data set in a folder below.
    """
    found = {}
    for name, facts in manifest.get("companions", {}).items():
        below = facts.get("folder")
        if not isinstance(below, str) or PurePosixPath(below).name != below or "\\" in below:
            raise DatasetError(f"{folder / MANIFEST}: the companion {name} is in no folder below.")
        if facts.get("aligned", False) is aligned:
            found[name] = (folder / below, read_packed(folder / below))
    return found


def numbers_by_path(file: Path | str, labels: Any, hint: str) -> dict[str, int]:
    """The labels that a manifest gives images, in either form, as one mapping.

    Args:
        file: The manifest, for the error message.
        labels: ``{"a.png": 0, …}`` or ``[["a.png", 0], …]``.
        hint: How they are written.

    Raises:
        DatasetError: they are neither, an image has two, or one is no whole number from 0.
    """
    pairs = list(labels.items()) if isinstance(labels, dict) else labels
    if not isinstance(pairs, list) or not all(map(is_pair, pairs)):
        message = "labels is no mapping and no list of pairs"
        if isinstance(pairs, list):
            wrong = next(pair for pair in pairs if not is_pair(pair))
            message += f": it holds {brief(wrong)}"
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
    """Whether it is a path with its label."""
    return isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], str)


def brief(value: Any) -> str:
    """A value in a few signs."""
    message = "null" if value is None else repr(value)
    return message if len(message) <= 60 else message[:60] + "…"


def number_of_label(file: Path | str, path: str, label: Any, hint: str) -> int:
    """Return the class that a label names: a whole number from 0, or a vector with a single 1.

    Raises:
        DatasetError: it is something else, which the message names.
    """
    numbers = label if isinstance(label, list) else [label]
    if is_vector := all(type(number) in (int, float) for number in numbers):
        if label is numbers and sorted(numbers) == [0] * (len(numbers) - 1) + [1]:
            return int(numbers.index(1))
        if label is not numbers and label >= 0 and label % 1 == 0:
            return int(label)
    kind = ""
    if label is numbers:
        kind = ", a vector that is not of a single 1" if is_vector else ", which is no vector"
        if all(type(number) in (int, float) and number in (0, 1) for number in numbers):
            kind = f", a vector with {numbers.count(1)} ones: several attributes at once, or none"
    raise DatasetError(
        f"{file}: the label of {printable(path)} is {brief(label)}{kind}.", f"Count from 0. {hint}"
    )


def check_resolution(folder: Path, packed: int, asked: int | None) -> None:
    """Refuse another resolution than that of the pixels on the disk.

    Raises:
        DatasetError: it is another.
    """
    if asked not in (None, packed):
        raise DatasetError(
            f"The data set in {folder} is packed at {packed} px, not at {asked}.",
            f"Use it at {packed} px, or prepare the images again: facegan data prepare SOURCE "
            f"--out DIR --resolution {asked}.",
        )


@contextmanager
def npy_faults(file: Path) -> Iterator[None]:
    """Around every reading of a .npy file: a header of any damage is a ValueError, a pipe too."""
    if file.exists() and not file.is_file():
        raise ValueError("it is no regular file")
    try:
        yield
    except (OSError, ValueError):
        raise
    except Exception as cause:  # NumPy's parser of Python literals raises whatever it meets
        raise ValueError(f"its header is damaged ({first_line(cause)})") from cause


def load_labels(file: Path) -> Any:
    """The array in a .npy file, never unpickled.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    with npy_faults(file):
        return np.load(file, allow_pickle=False)


def open_shard(file: Path, images: int, resolution: int, channels: int = 3) -> Pixels:
    """A shard's pixels uint8 (n, R, R, channels), mapped into memory: they are not read yet.

    Raises:
        DatasetError: it is missing, short, or of another shape or type than it should be.
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
        raise DatasetError(f"The shard {file} holds more than its header says.", AGAIN)
    return pixels.view(np.ndarray)  # a memmap's own indexing takes longer


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file with one of them, in JSON, a line.

    Raises:
        DatasetError: it cannot be read, or a line is something else.
    """
    try:
        with path.open("rb") as stream:
            for line in stream:
                yield json.loads(line)
    except (OSError, ValueError) as cause:
        raise DatasetError(f"{path} cannot be read: {cause}.") from cause


def to_line(record: dict[str, Any]) -> bytes:
    """A record as a line: pure ASCII, so that no name, in any script, can break it."""
    return json.dumps(record).encode() + b"\n"
