"""Says what lies at a path, by its content: errors name what was found and the next command.

Nothing is imported here that takes time, nothing is unpacked, and only regular files are opened.
"""

import gzip
import json
import os
import stat
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from facegan.errors import counted, nearest

IMAGES = (  # what any reader of ours may take for an image, by its name
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".heic", ".heif"),
    *(".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"),
)
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".tar.zst")
MODEL_FILES = ("model_card.json", "generator.safetensors", "model.tar.gz", "code/inference.py")
MAGICS = (  # a file's first bytes → its kind, and what people call it
    (b"PK\x03\x04", "zip", "a zip archive"),
    (b"PK\x05\x06", "zip", "an empty zip archive"),
    (b"7z\xbc\xaf", "packed", "a 7z archive"),
    (b"Rar!", "packed", "a RAR archive"),
    (b"\xfd7zXZ", "tar", "an xz archive"),
    (b"BZh", "tar", "a bzip2 archive"),
    (b"(\xb5/\xfd", "packed", "a zstd archive"),
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
MOST_ENTRIES = (
    200_000  # of a folder without images; then it is called a folder, and no more is said
)
PEEKED = 1 << 16


@dataclass(frozen=True)
class Found:
    """What lies at a path.

    Args:
        path: The path, as it was given.
        kind: A word to decide by: "missing", "unreadable", "special"; of files "zip", "tar",
            "packed", "model", "image", "json", "text", "npy", "pickle", "empty file", "file"; of
            folders "empty folder", "images", "data set", "run", "unfinished run", "model folder",
            "runs", "archives", "folder".
        text: The same for people, as "a zip archive".
        inside: A path in it that is worth naming: an archive, a model, a run; or None.
    """

    path: Path
    kind: str
    text: str
    inside: Path | None = None


def what_is(path: Path | str) -> Found:
    """Say what lies at a path; never fails."""
    path = Path(path)
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            return what_folder_is(path)
        if not stat.S_ISREG(facts.st_mode):
            return Found(path, "special", special_name(facts.st_mode))
        return what_file_is(path, facts.st_size)
    except (FileNotFoundError, NotADirectoryError):
        return Found(path, "missing", "nothing")
    except (OSError, ValueError) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        return Found(path, "unreadable", reason.lower())


def special_name(mode: int) -> str:
    """What people call a path that is neither a file nor a folder."""
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def what_file_is(path: Path, size: int) -> Found:
    """Say what a regular file is."""
    with path.open("rb") as stream:
        head = stream.read(PEEKED)
    if size == 0:
        return Found(path, "empty file", "an empty file")
    if head[:2] == b"\x1f\x8b":
        return what_gzip_is(path)
    if head[257:262] == b"ustar":
        return Found(path, "tar", "a tar archive")
    if head[4:8] == b"ftyp":
        return Found(path, "image", "an image or a video")
    for magic, kind, text in MAGICS:
        if head.startswith(magic):
            if kind == "zip" and b"data.pkl" in head:
                return Found(path, "pickle", "a PyTorch checkpoint")
            return Found(path, kind, text)
    if path.suffix == ".safetensors":
        return Found(path, "file", "a file of weights")
    if path.suffix == ".onnx":
        return Found(path, "file", "an ONNX graph")
    return what_text_is(path, head)


def what_gzip_is(path: Path) -> Found:
    """Say what a compressed file is, by its first bytes alone."""
    try:
        with gzip.open(path) as stream:
            head = stream.read(PEEKED)
    except (OSError, EOFError, zlib.error):
        return Found(path, "tar", "a damaged .gz file")
    if any(name.encode() in head for name in MODEL_FILES):
        return Found(path, "model", "a trained model")
    return Found(path, "tar", "a tar archive" if head[257:262] == b"ustar" else "a .gz file")


def what_text_is(path: Path, head: bytes) -> Found:
    """Say whether a file is JSON, text or neither."""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        if cause.start < len(head) - 4:  # else a letter cut in two
            return Found(path, "file", "a file of an unknown kind")
        text = head[: cause.start].decode("utf-8-sig")
    if "\0" in text:
        return Found(path, "file", "a file of an unknown kind")
    if text.lstrip()[:1] in ("{", "["):
        return Found(path, "json", "a JSON file")
    return Found(path, "text", "a text file")


def what_folder_is(path: Path) -> Found:
    """Say what a folder is: by its own marks, else by what lies in it."""
    names = sorted(entry.name for entry in os.scandir(path))
    if "run.json" in names:
        if "model.tar.gz" in names:
            return Found(path, "run", "a training run", path / "model.tar.gz")
        return Found(path, "unfinished run", "a training run without a model")
    if any((path / name).exists() for name in MODEL_FILES):
        return Found(path, "model folder", "a trained model")
    if "dataset.json" in names and is_data_set(path / "dataset.json"):
        return Found(path, "data set", "a data set")
    if runs := [name for name in names if (path / name / "run.json").is_file()]:
        return Found(path, "runs", f"a folder of {counted(len(runs), 'run')}", path / runs[-1])
    return what_files_are(path)


def is_data_set(manifest: Path) -> bool:
    """Whether a dataset.json is one that facegan wrote."""
    try:
        facts = json.loads(manifest.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and facts.get("format") == "facegan-dataset"


def what_files_are(path: Path) -> Found:
    """Say what the files below a folder are: images if there is one, else of what kinds."""
    kinds: Counter[str] = Counter()
    archive: Path | None = None
    seen = 0
    for parent, _, files in os.walk(path):
        for name in files:
            low = name.lower()
            if low.endswith(IMAGES) and not name.startswith("."):
                return Found(path, "images", "a folder of images")
            if low.endswith(ARCHIVES) and archive is None:
                archive = Path(parent, name)
            kinds[Path(low).suffix or "without a suffix"] += 1
            seen += 1
        if seen > MOST_ENTRIES:
            return Found(path, "folder", "a folder")
    if archive:
        return Found(path, "archives", f"a folder with an archive, {archive.name}", archive)
    if not kinds:
        return Found(path, "empty folder", "an empty folder")
    told = ", ".join(f"{count} {suffix}" for suffix, count in kinds.most_common(3))
    return Found(path, "folder", f"a folder without images ({told})")


def similar_path(path: Path) -> str:
    """A hint that offers a sibling of nearly the same name; empty where there is none."""
    try:
        siblings = [it.name for it in path.absolute().parent.iterdir() if it.name[:1] != "."]
    except OSError:
        return ""
    hint = nearest(path.name, siblings) if siblings else ""
    if not hint.startswith("Did you mean"):
        return ""
    found = hint.removeprefix("Did you mean ").rstrip("?").split(" or ")[0]
    return f"Did you mean {path.with_name(found)}?"
