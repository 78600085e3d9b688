"""Cleans the names that packers wrote into archives; every reader of names takes them from here.

A clean name is a path below the source: parts joined by ``/``, no ``.`` and no empty part, letters
in Unicode's form NFC. What is not UTF-8 stays as bytes, as Python has it from a Linux disk (half
surrogate pairs, which ``os.fsencode`` turns back): such a name can be listed, and never be a class.
"""

import codecs
import logging
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from facegan.errors import ConfigError, pluralize
from facegan.image_files import has_image_suffix

log = logging.getLogger(__name__)

LEAVES = "its path leaves the archive"
AGAIN = "another file of this name comes before it in the archive"
ZERO = "its name holds a zero byte"
UTF8_FLAG = 0x800
UNICODE_PATH = 0x7075  # an extra field of zips: the name in UTF-8, and the CRC of the other one
WINDOWS = (0, 6, 10, 11, 14)  # "version made by" of file systems where no name holds a backslash
UNIX = (3, 19)


def clean_name(name: str, parts_by_backslash: bool = False) -> tuple[str, str]:
    """Return a member's clean name, and why it is not read (empty where it is).

    Args:
        name: As the archive has it, decoded.
        parts_by_backslash: Whether a backslash parts folders; elsewhere it is a letter like others.
    """
    name, zero, _ = name.partition("\0")
    problem = LEAVES if escapes(name) else ZERO if zero else ""
    parts = name.replace("\\", "/").split("/") if parts_by_backslash else name.split("/")
    clean = "/".join(part for part in parts if part not in ("", "."))
    return nfc(clean), problem


def escapes(name: str) -> bool:
    """Return whether a path would leave the folder that an archive is unpacked to."""
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or parts[0].endswith(":")


def nfc(text: str) -> str:
    """Return a text with each accented letter as one sign, as most systems write it."""
    return unicodedata.normalize("NFC", text)


def match_key(name: str) -> str:
    """Return what names of different origin are compared by: dataset.json's, partners', files'."""
    return clean_name(name, parts_by_backslash=True)[0]


def zip_names(path: str, infos: Sequence[zipfile.ZipInfo], encoding: str | None) -> list[str]:
    """Return the names in a zip, decoded and with folders parted by ``/``, in the order of `infos`.

    Args:
        path: The zip's, for messages.
        infos: Its directory.
        encoding: How names are written of which the zip does not say it; None: in UTF-8 if that is
            certain, else they stay bytes.
    """
    unmarked = [raw for info in infos if (raw := unmarked_name(info)) is not None]
    is_utf8 = all(map(is_utf8_text, unmarked))
    names = [zip_name(info, encoding, is_utf8) for info in infos]
    if unknown := [name for name in names if is_undecoded(name)]:
        log.warning(
            "%s does not say how %s are written, the first %s: they stay bytes. "
            "Say it by --name-encoding, as cp437, cp932, gbk or utf-8.",
            path,
            pluralize(len(unknown), "name"),
            ascii(unknown[0]),
        )
    if uses_backslashes(names):
        return [backslashes_to_slashes(name) for name in names]  # made elsewhere, but as on Windows
    return [
        backslashes_to_slashes(name) if info.create_system in WINDOWS else name
        for info, name in zip(infos, names, strict=True)
    ]


def uses_backslashes(names: Iterable[str]) -> bool:
    """Return whether no name has a slash and every image's a backslash: it parts folders."""
    return all("/" not in name and ("\\" in name or not has_image_suffix(name)) for name in names)


def backslashes_to_slashes(name: str) -> str:
    """Return a name with backslashes as slashes; of bytes one may be half of a letter."""
    return name if is_undecoded(name) else name.replace("\\", "/")


def unmarked_name(info: zipfile.ZipInfo) -> bytes | None:
    """Return the bytes of a name whose encoding a zip does not tell; None where it is known."""
    if info.flag_bits & UTF8_FLAG or info.orig_filename.isascii() or unicode_path(info) is not None:
        return None
    return info.orig_filename.encode("cp437")  # as zipfile has decoded it, byte by byte


def zip_name(info: zipfile.ZipInfo, encoding: str | None, is_utf8: bool) -> str:
    """Return a member's name by what the zip says of it, or else by what is certain."""
    raw = unmarked_name(info)
    if raw is None:
        return unicode_path(info) or info.orig_filename
    if encoding is None and is_utf8 and info.create_system in UNIX:
        return raw.decode("utf-8")
    return decoded(raw, encoding or "ascii")


def decoded(raw: bytes, encoding: str) -> str:
    """Return bytes as a text; those that are not of the encoding come through as bytes."""
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return raw.decode("ascii", "surrogateescape")


def unicode_path(info: zipfile.ZipInfo) -> str | None:
    """Return the name in a member's Info-ZIP Unicode Path field; None where none fits its name."""
    if info.flag_bits & UTF8_FLAG:
        return None
    for kind, field in extra_fields(info.extra):
        if kind == UNICODE_PATH and len(field) > 5 and field[0] == 1:
            (crc,) = struct.unpack("<L", field[1:5])
            if crc == zlib.crc32(info.orig_filename.encode("cp437")) and is_utf8_text(field[5:]):
                return field[5:].decode("utf-8")
    return None


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and content of each extra field of a zip's member."""
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        yield kind, extra[4 : 4 + length]
        extra = extra[4 + length :]


def is_utf8_text(raw: bytes) -> bool:
    """Return whether bytes are UTF-8."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def is_undecoded(name: str) -> bool:
    """Return whether a name holds bytes of which nobody knows the letters."""
    return any("\ud800" <= letter <= "\udfff" for letter in name)


def check_encoding(encoding: str) -> None:
    """Refuse what is no encoding of texts.

    Raises:
        ConfigError: it names some.
    """
    try:
        codecs.lookup(encoding)
        b"a".decode(encoding)
    except (LookupError, UnicodeError, ValueError):
        raise ConfigError(
            f"{encoding!a} is no encoding of names.", "As cp437, cp850, cp932, gbk or utf-8."
        ) from None


def common_folders(names: Iterable[str]) -> list[str]:
    """Return the folders that hold all files, outermost first, each with a slash at its end.

    The look ends with the first name that lies in no folder of the others.
    """
    common: list[str] | None = None
    for name in names:
        folders = name.split("/")[:-1]
        pairs = zip(folders if common is None else common, folders, strict=False)
        common = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
        if not common:
            break
    shared = common or []
    return ["/".join(shared[: depth + 1]) + "/" for depth in range(len(shared))]
