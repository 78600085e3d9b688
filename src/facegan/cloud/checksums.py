"""Checksums as S3 keeps them: by them a file that is there already is known, and a damaged one.

Ours are CRC32 of whole objects (``FULL_OBJECT``), which do not depend on how an object was cut into
parts: S3 compares what arrives with them, and keeps them beside the object.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

BLOCK_BYTES = 1 << 20


class Hash(Protocol):
    """What hashlib's objects can."""

    def update(self, data: bytes, /) -> None:
        """Take in some bytes."""

    def digest(self) -> bytes:
        """What they come to."""


class Crc32:
    """CRC32 behind hashlib's interface."""

    def __init__(self) -> None:
        self.value = 0

    def update(self, data: bytes, /) -> None:
        """Take in some bytes."""
        self.value = zlib.crc32(data, self.value)

    def digest(self) -> bytes:
        """Four bytes, the highest first."""
        return self.value.to_bytes(4, "big")


HASHES: dict[str, Callable[[], Hash]] = {  # field of S3's answers → what makes it
    "ChecksumCRC32": Crc32,
    "ChecksumSHA256": hashlib.sha256,
    "ChecksumSHA1": lambda: hashlib.sha1(usedforsecurity=False),
}


def crc32(content: bytes) -> str:
    """The CRC32 of bytes, as S3 writes it."""
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def crc32_of(path: Path) -> str:
    """The CRC32 of a file, as S3 writes it.

    Raises:
        OSError: it cannot be read.
    """
    return base64.b64encode(digest_of(path, Crc32())).decode()


def digest_of(path: Path, of: Hash) -> bytes:
    """A file's digest."""
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            of.update(block)
    return of.digest()


def is_of(path: Path, told: Mapping[str, Any]) -> bool | None:
    """Whether a file is what S3 tells of an object.

    Args:
        path: The file.
        told: HeadObject's answer, with ``ChecksumMode="ENABLED"``.

    Returns:
        None where sizes agree and the object has no checksum that could be computed here: those of
        parts (``COMPOSITE``) say nothing of the whole, and some of AWS's own need its library.

    Raises:
        OSError: the file cannot be read.
    """
    if path.stat().st_size != told["ContentLength"]:
        return False
    for name, make in HASHES.items():
        value = str(told.get(name, ""))
        if value and "-" not in value:  # …-3: of three parts
            return base64.b64encode(digest_of(path, make())).decode() == value
    etag = str(told.get("ETag", "")).strip('"')
    is_md5 = len(etag) == 32 and told.get("ServerSideEncryption", "AES256") == "AES256"
    if is_md5 and "SSECustomerAlgorithm" not in told:
        return digest_of(path, hashlib.md5(usedforsecurity=False)).hex() == etag
    return None
