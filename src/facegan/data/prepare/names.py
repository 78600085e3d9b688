"""Cleans the file names in archives and folders.

A clean name is a path below the source: parts joined by ``/``, no ``.`` and no empty part, in
Unicode's NFC. Bytes that are not UTF-8 stay lone surrogates, as Python reads them from a Linux disk
(``os.fsencode`` turns them back): such a name can be listed, but cannot be a class.
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
AGAIN = "an earlier file in the archive has the same name"
ZERO = "its name contains a zero byte"
UTF8_FLAG = 0x800
UNICODE_PATH = 0x7075  # a zip's extra field: the name in UTF-8, and the CRC of the plain name
WINDOWS = (0, 6, 10, 11, 14)  # "version made by" of systems whose names hold no backslash
UNIX = (3, 19)


def clean_name(name: str, parts_by_backslash: bool = False) -> tuple[str, str]:
    """Return a member's clean name, and why it is not read (empty where it is).

    Args:
        name: The name in the archive, decoded.
        parts_by_backslash: Whether a backslash separates folders; if not, it is a plain letter.
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
    """Return a text in NFC: each accented letter is one code point."""
    return unicodedata.normalize("NFC", text)


def match_key(name: str) -> str:
    """Return the key by which names of different origin (a manifest, a partner) are compared."""
    return clean_name(name, parts_by_backslash=True)[0]


def zip_names(path: str, infos: Sequence[zipfile.ZipInfo], encoding: str | None) -> list[str]:
    """Return the names in a zip, decoded and with ``/`` between folders, in the order of `infos`.

    Args:
        path: The zip's path, for messages.
        infos: Its directory.
        encoding: The encoding of names that the zip does not declare; None: UTF-8 if that is
            certain, else they stay bytes.
    """
    unmarked = [raw for info in infos if (raw := unmarked_name(info)) is not None]
    is_utf8 = all(map(is_utf8_text, unmarked))
    names = [zip_name(info, encoding, is_utf8) for info in infos]
    if unknown := [name for name in names if is_undecoded(name)]:
        log.warning(
            "%s does not declare the encoding of %s, the first %s; they stay bytes. "
            "Add --name-encoding, for example cp437, cp932, gbk or utf-8.",
            path,
            pluralize(len(unknown), "name"),
            ascii(unknown[0]),
        )
    if uses_backslashes(names):
        return [backslashes_to_slashes(name) for name in names]  # written as on Windows
    return [
        backslashes_to_slashes(name) if info.create_system in WINDOWS else name
        for info, name in zip(infos, names, strict=True)
    ]


def uses_backslashes(names: Iterable[str]) -> bool:
    """Return whether backslashes separate folders: no name has a slash, each image's has one."""
    return all("/" not in name and ("\\" in name or not has_image_suffix(name)) for name in names)


def backslashes_to_slashes(name: str) -> str:
    """Return a name with slashes for backslashes; not if undecoded: 0x5C may be half a letter."""
    return name if is_undecoded(name) else name.replace("\\", "/")


def unmarked_name(info: zipfile.ZipInfo) -> bytes | None:
    """Return the bytes of a name whose encoding the zip does not declare; None if it does."""
    if info.flag_bits & UTF8_FLAG or info.orig_filename.isascii() or unicode_path(info) is not None:
        return None
    return info.orig_filename.encode("cp437")  # as zipfile has decoded it, byte by byte


def zip_name(info: zipfile.ZipInfo, encoding: str | None, is_utf8: bool) -> str:
    """Return a member's name in the encoding that the zip declares, or that is certain."""
    raw = unmarked_name(info)
    if raw is None:
        return unicode_path(info) or info.orig_filename
    if encoding is None and is_utf8 and info.create_system in UNIX:
        return raw.decode("utf-8")
    return decoded(raw, encoding or "ascii")


def decoded(raw: bytes, encoding: str) -> str:
    """Decode a name; one that is not in the encoding stays bytes (lone surrogates)."""
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return raw.decode("ascii", "surrogateescape")


def unicode_path(info: zipfile.ZipInfo) -> str | None:
    """Return the name in a member's Info-ZIP Unicode Path field; None if it has no valid one."""
    if info.flag_bits & UTF8_FLAG:
        return None
    for kind, field in extra_fields(info.extra):
        if kind == UNICODE_PATH and len(field) > 5 and field[0] == 1:
            (crc,) = struct.unpack("<L", field[1:5])
            if crc == zlib.crc32(info.orig_filename.encode("cp437")) and is_utf8_text(field[5:]):
                return field[5:].decode("utf-8")
    return None


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and content of each extra field of a zip member."""
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
    """Return whether a name contains bytes that could not be decoded."""
    return any("\ud800" <= letter <= "\udfff" for letter in name)


def check_encoding(encoding: str) -> None:
    """Raise ConfigError if Python does not know a text encoding."""
    try:
        codecs.lookup(encoding)
        b"a".decode(encoding)
    except (LookupError, UnicodeError, ValueError):
        raise ConfigError(
            f"--name-encoding is {encoding!a}, which is not a text encoding.",
            "Name one that Python knows, for example cp437, cp850, cp932, gbk or utf-8.",
        ) from None


def common_folders(names: Iterable[str]) -> list[str]:
    """Return the folders that hold all files, outermost first, each with a slash at its end.

    Iteration stops at the first name that shares no folder with the others.
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
