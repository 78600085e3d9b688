"""Which files are images: by their suffix, or by their first bytes whatever they are called."""

import os
import re
import stat

# Phones write HEIC: it is found, and named as what cannot be read where the extra is missing.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".png", ".apng", ".webp"),
    *(".avif", ".heic", ".heif", ".hif"),
    *(".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
HEAD = 32  # bytes that tell what a file is
# Whose content begins as an image's, and is not what an image's name promises: raw files of
# cameras hold a small preview, thumbnails one frame of a film.
NOT_IMAGES = (
    *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".pef"),
    *(".srw", ".raf", ".raw", ".3fr", ".iiq", ".erf", ".kdc", ".dcr", ".mos", ".mrw", ".x3f"),
    *(".thm", ".svs", ".ndpi", ".scn", ".lsm"),
)
BRANDS = (  # of ISO's media files: AVIF, HEIF
    *(b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"mif1", b"msf1"),
)
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
SUFFIX = re.compile(r"\.[a-z0-9_!-]*[a-z][a-z0-9_!-]*$")


def has_image_suffix(name: str) -> bool:
    """Whether a file is one to look into, by its name."""
    return name.lower().endswith(SUFFIXES)


def suffix_of(name: str) -> str:
    """A file's suffix in lower case, at most twelve signs; empty where it has none."""
    found = SUFFIX.search(name.rpartition("/")[2].lower()[-12:])
    return found[0] if found else ""


def is_image_head(head: bytes) -> bool:
    """Whether a file that is called something else is an image, by its first bytes."""
    if head[:3] == b"\xff\xd8\xff" or head[:8] == b"\x89PNG\r\n\x1a\n":
        return True
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    if head[:6] in (b"GIF87a", b"GIF89a") or head[:4] in (b"II*\0", b"MM\0*"):
        return True
    if head[:2] == b"BM":
        return int.from_bytes(head[14:18], "little") in BMP_HEADERS
    return head[4:8] == b"ftyp" and head[8:12] in BRANDS


def read_head(path: str) -> bytes:
    """A plain file's first bytes; nothing where it is something else or cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            return b""
        with open(path, "rb", buffering=0) as stream:
            return stream.read(HEAD)
    except OSError:
        return b""


def holds_image(path: str) -> bool:
    """Whether a file would be looked into as an image, by its name or its first bytes."""
    if has_image_suffix(path):
        return True
    return suffix_of(path) not in NOT_IMAGES and is_image_head(read_head(path))
