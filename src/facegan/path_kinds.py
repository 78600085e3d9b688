"""Says what lies at a path, by its content: errors name what was found and the next command.

Nothing is imported here that takes time, nothing is unpacked, and only regular files are opened.
"""

import json
import os
import shlex
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from facegan.errors import DatasetError, did_you_mean, pluralize, reason_of
from facegan.files import open_regular
from facegan.image_files import has_image_suffix, holds_image
from facegan.strict_tar import PEEKED, is_tar, peek_gzip

ARCHIVES = (
    *(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),
    *(".7z", ".rar", ".tar.zst", ".tzst", ".tar.lz4"),
)
MODEL_FILES = ("model_card.json", "generator.safetensors", "model.tar.gz", "code/inference.py")
MAGICS = (  # a file's first bytes → its kind, and what people call it
    (b"PK\x03\x04", "zip", "a zip archive"),
    (b"PK\x05\x06", "zip", "an empty zip archive"),
    (b"7z\xbc\xaf", "packed", "a 7z archive"),
    (b"Rar!", "packed", "a RAR archive"),
    (b"\xfd7zXZ", "tar", "an xz archive"),
    (b"BZh", "tar", "a bzip2 archive"),
    (b"(\xb5/\xfd", "packed", "a zstd archive"),
    (b"\x04\x22\x4d\x18", "packed", "an lz4 archive"),
    (b"\x89HDF", "file", "an HDF5 file"),
    (b"PAR1", "file", "a Parquet file"),
    (b"SQLite format 3", "file", "a database"),
    (b"\x89PNG", "image", "an image"),
    (b"\xff\xd8\xff", "image", "an image"),
    (b"GIF8", "image", "an image"),
    (b"RIFF", "image", "an image"),
    (b"BM", "image", "an image"),
    (b"II*\0", "image", "an image"),
    (b"MM\0*", "image", "an image"),
    (b"\x93NUMPY", "npy", "a NumPy array"),
    (b"\x80\x02", "pickle", "a Python pickle"),
    (b"\x80\x04", "pickle", "a Python pickle"),
)
MAX_ENTRIES = 200_000  # of a folder without images; then it is called a folder, and no more is said
TOY = "facegan data toy --out runs/toy32 --images 20000 --resolution 32"
MAX_HEADS = 20  # files of one suffix that are looked into: are they images under another name?


@dataclass(frozen=True)
class PathInfo:
    """What lies at a path.

    Args:
        path: The path, as it was given.
        kind: A word to decide by: "missing", "unreadable", "special"; of files "zip", "tar",
            "packed", "model", "image", "json", "text", "npy", "pickle", "empty file", "file"; of
            folders "empty folder", "images", "data set", "data set below", "run", "unfinished
            run", "model folder", "runs", "archives", "folder".
        text: The same for people, as "a zip archive".
        inside: A path in it that is worth naming: an archive, a model, a run; or None.
    """

    path: Path
    kind: str
    text: str
    inside: Path | None = None


def describe_path(path: Path | str) -> PathInfo:
    """Say what lies at a path; never fails."""
    path = Path(path)
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            return describe_folder(path)
        if not stat.S_ISREG(facts.st_mode):
            return PathInfo(path, "special", name_special(facts.st_mode))
        return describe_file(path, facts.st_size)
    except (FileNotFoundError, NotADirectoryError):
        return PathInfo(path, "missing", "nothing")
    except (OSError, ValueError) as cause:
        return PathInfo(path, "unreadable", reason_of(cause).lower())


def name_special(mode: int) -> str:
    """What people call a path that is neither a file nor a folder."""
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def describe_file(path: Path, size: int) -> PathInfo:
    """Say what a regular file is."""
    with path.open("rb") as stream:
        head = stream.read(PEEKED)
    if size == 0:
        return PathInfo(path, "empty file", "an empty file")
    if head[:2] == b"\x1f\x8b":
        return describe_gzip(path, head)
    if head[257:262] == b"ustar":
        return PathInfo(path, "tar", "a tar archive")
    if head[4:8] == b"ftyp":
        return PathInfo(path, "image", "an image or a video")
    for magic, kind, text in MAGICS:
        if head.startswith(magic):
            if kind == "zip" and b"data.pkl" in head:
                return PathInfo(path, "pickle", "a PyTorch checkpoint")
            return PathInfo(path, kind, text)
    if path.suffix == ".safetensors":
        return PathInfo(path, "file", "a file of weights")
    if path.suffix == ".onnx":
        return PathInfo(path, "file", "an ONNX graph")
    if zipfile.is_zipfile(path):  # behind a program that unpacks it
        return PathInfo(path, "zip", "a zip archive")
    if is_tar(path):  # of a time before tars were marked
        return PathInfo(path, "tar", "a tar archive")
    return describe_text(path, head)


def describe_gzip(path: Path, packed: bytes) -> PathInfo:
    """Say what a compressed file is, by its first bytes alone."""
    try:
        head = peek_gzip(packed)
    except zlib.error:
        return PathInfo(path, "tar", "a damaged .gz file")
    if head is None:
        return PathInfo(path, "file", "a .gz file of an unknown kind")
    if any(name.encode() in head for name in MODEL_FILES):
        return PathInfo(path, "model", "a trained model")
    return PathInfo(path, "tar", "a tar archive" if head[257:262] == b"ustar" else "a .gz file")


def describe_text(path: Path, head: bytes) -> PathInfo:
    """Say whether a file is JSON, text or neither."""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        if cause.start < len(head) - 4:  # else a letter cut in two
            return PathInfo(path, "file", "a file of an unknown kind")
        text = head[: cause.start].decode("utf-8-sig")
    if "\0" in text:
        return PathInfo(path, "file", "a file of an unknown kind")
    if text.lstrip()[:1] in ("{", "["):
        return PathInfo(path, "json", "a JSON file")
    return PathInfo(path, "text", "a text file")


def describe_folder(path: Path) -> PathInfo:
    """Say what a folder is: by its own marks, else by what lies in it."""
    names = sorted(entry.name for entry in os.scandir(path))
    if "run.json" in names:
        if "model.tar.gz" in names:
            return PathInfo(path, "run", "a training run", path / "model.tar.gz")
        return PathInfo(path, "unfinished run", "a training run without a model")
    if any((path / name).exists() for name in MODEL_FILES):
        return PathInfo(path, "model folder", "a trained model")
    if "dataset.json" in names and is_facegan_manifest(path / "dataset.json"):
        return PathInfo(path, "data set", "a data set")
    runs = [name for name in names if (path / name / "run.json").is_file()]
    if runs and not holds_other_images(path, runs):
        return PathInfo(path, "runs", f"a folder of {pluralize(len(runs), 'run')}", path / runs[-1])
    return describe_files(path)


def holds_other_images(path: Path, runs: list[str]) -> bool:
    """Whether images lie in a folder beside its runs."""
    for parent, folders, files in os.walk(path):
        if parent == str(path):
            folders[:] = [name for name in folders if name not in runs]
        if any(map(has_image_suffix, files)):
            return True
    return False


def is_facegan_manifest(manifest: Path) -> bool:
    """Whether a dataset.json is one that facegan wrote, or so damaged that its reader must tell."""
    try:
        with open_regular(manifest) as stream:
            facts = json.loads(stream.read())
    except (OSError, ValueError, RecursionError):
        return True
    return isinstance(facts, dict) and facts.get("format") == "facegan-dataset"


def describe_files(path: Path) -> PathInfo:
    """Say what the files below a folder are: images if there is one, else of what kinds."""
    kinds: Counter[str] = Counter()
    archives: list[Path] = []
    data_set: Path | None = None
    seen = 0
    for parent, folders, files in os.walk(path):
        folders.sort()
        if "dataset.json" in files and parent != str(path):
            below = Path(parent)
            if (below / "dataset.json").exists() and is_facegan_manifest(below / "dataset.json"):
                data_set, folders[:] = data_set or below, []
                continue
        for name in files:
            low = name.lower()
            suffix = Path(low).suffix or "without a suffix"
            file = os.path.join(parent, name)  # noqa: PTH118
            if has_image_suffix(name) or (kinds[suffix] < MAX_HEADS and holds_image(file)):
                return PathInfo(path, "images", "a folder of images")
            if low.endswith(ARCHIVES):
                archives.append(Path(file))
            kinds[suffix] += 1
            seen += 1
        if seen > MAX_ENTRIES:
            return PathInfo(path, "folder", "a folder")
    if data_set:
        return PathInfo(path, "data set below", f"a folder with a data set in {data_set}", data_set)
    if archives:
        first, more = min(archives), len(archives) - 1
        text = f"a folder with an archive, {first.name}" + (f", and {more} more" if more else "")
        return PathInfo(path, "archives", text, first)
    if not kinds:
        return PathInfo(path, "empty folder", "an empty folder")
    text = ", ".join(f"{count} {suffix}" for suffix, count in kinds.most_common(3))
    return PathInfo(path, "folder", f"a folder without images ({text})")


# --- what is said of it -------------------------------------------------------------------------


def next_command(found: PathInfo, resolution: int = 64) -> str:
    """The command that takes what was found; empty where none of ours does.

    Args:
        found: What lies at a path.
        resolution: What images would be prepared at.
    """
    path, inside = shlex.quote(str(found.path)), shlex.quote(str(found.inside or found.path))
    match found.kind:
        case "zip" | "tar" | "images":
            return f"Prepare it first: {prepare_command(found.path, resolution)}."
        case "archives":
            return next_command(describe_path(found.inside or found.path), resolution)
        case "packed":
            return "It is not read here. Unpack it, then name the folder."
        case "image":
            folder = shlex.quote(str(found.path.absolute().parent))
            return f"Name the folder that it lies in: {folder}."
        case "data set":
            return f"Train on it: facegan train --data {path} --out runs/first."
        case "data set below":
            return f"Name that folder: {inside}."
        case "runs":
            return f"Name one of them, as {inside}."
        case "packed data set":
            return "Unpack it, then name the folder that its dataset.json lies in."
        case "model" | "model folder":
            return (
                f"Generate images with it: facegan generate {path} --seeds 0-15 --out images.png."
            )
        case "run":
            return f"Its model: {inside}. Its page: facegan report {path}."
        case "unfinished run":
            return f"Continue it: facegan train --out {path} --resume."
    return ""


def prepare_command(source: Path, resolution: int = 64) -> str:
    """The command that makes a data set of an archive or of a folder of images."""
    out = f"{source.absolute().name.split('.')[0] or 'images'}-{resolution}"
    quoted = shlex.quote(str(source))
    return f"facegan data prepare {quoted} --out {shlex.quote(out)} --resolution {resolution}"


def no_images_error(
    found: PathInfo,
    resolution: int = 64,
    wanted: str = "a folder of images",
    there: Iterable[str] = (),
) -> DatasetError:
    """What is said of a path where images are needed and none are: what it is, the next command.

    Args:
        found: What lies there.
        resolution: What images would be prepared at.
        wanted: What can be named instead.
        there: Lines that say what its files are, where that is known better.
    """
    path, found, lines = found.path, describe_zip(found), list(there)
    named = f"Name {wanted}, or make one: {TOY}."
    hint = "" if found.kind == "runs" else next_command(found, resolution)  # a run has no images
    hint = hint or named
    message = f"{path} is {found.text}, not {wanted}."
    if found.kind == "missing":
        message, hint = f"{path} does not exist.", similar_path(path) or named
    elif found.kind == "unreadable":
        message, hint = f"{path} cannot be read: {found.text}.", "Check its permissions."
    elif found.kind == "empty folder":
        message, hint = f"{path} is an empty folder: it holds no images.", f"Make some: {TOY}."
    elif found.kind in ("images", "data set"):  # all of them by-products, for instance
        message, hint = f"{path} holds no images.", ""
    elif found.kind == "folder" and lines:
        message = f"{path} holds no images."
    elif found.kind in ("archives", "folder", "data set below"):
        message = f"{path} is {found.text}: it holds no images."
    return DatasetError(message, "\n".join(filter(None, [*lines, hint])))


def not_prepared_error(found: PathInfo) -> DatasetError:
    """What is said of a path where a prepared data set is needed and there is none."""
    if found.kind in ("images", "folder"):
        message = f"{found.path} is {found.text}, not a prepared data set (no dataset.json)."
        return DatasetError(message, next_command(found) or "Name what facegan data prepare made.")
    return no_images_error(found, wanted="a prepared data set")


def describe_zip(found: PathInfo) -> PathInfo:
    """The same of what is no zip; of a zip what it holds, by the names in it."""
    if found.kind != "zip":
        return found
    try:
        with zipfile.ZipFile(found.path) as archive:
            names = [name.replace("\\", "/") for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return replace(found, kind="file", text="a damaged zip archive")
    lasts = {name.rpartition("/")[2] for name in names}
    if "model_card.json" in lasts:
        return replace(found, kind="file", text="a zip archive of a trained model")
    if any(name.endswith("images/00000.npy") for name in names):
        return replace(found, kind="packed data set", text="a zip archive of a prepared data set")
    if not (images := sum(map(has_image_suffix, names))):
        return replace(found, kind="file", text="a zip archive without images")
    labels = " and a dataset.json" if "dataset.json" in lasts else ""
    return replace(found, text=f"a zip archive of {pluralize(images, 'image')}{labels}")


def similar_path(path: Path) -> str:
    """A hint that offers a sibling of nearly the same name; empty where there is none."""
    try:
        siblings = [it.name for it in path.absolute().parent.iterdir() if it.name[:1] != "."]
    except OSError:
        return ""
    hint = did_you_mean(path.name, siblings) if siblings else ""
    if not hint.startswith("Did you mean"):
        return ""
    found = hint.removeprefix("Did you mean ").rstrip("?").split(" or ")[0]
    return f"Did you mean {path.with_name(found)}?"


def refuse_data(found: PathInfo, resolution: int = 64, wanted: str = "a folder of images") -> None:
    """Refuse a path that is neither a folder of images nor a data set.

    Raises:
        DatasetError: it says what was found there, and the next command.
    """
    if found.kind not in ("images", "data set"):
        raise no_images_error(found, resolution, wanted)
