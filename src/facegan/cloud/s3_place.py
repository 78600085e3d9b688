"""A place on S3: a bucket and what its keys begin with, read from s3://bucket/prefix."""

import re
from dataclasses import dataclass
from typing import Self

from facegan.errors import CloudError, ConfigError

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
MAX_KEY_BYTES = 1024


@dataclass(frozen=True)
class Place:
    """A folder or an object on S3.

    Args:
        bucket: Its bucket.
        prefix: Its key, or what the keys below it begin with, without a slash at the end.
    """

    bucket: str
    prefix: str = ""

    @classmethod
    def read(cls, address: str) -> Self:
        """The place that ``s3://bucket/prefix`` means.

        Raises:
            ConfigError: it is another kind of address, or no bucket could have this name.
            CloudError: it names no bucket.
        """
        if not address.startswith("s3://"):
            raise ConfigError(f"{address!r} is no place on S3.", "Write s3://bucket/prefix.")
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        if not bucket:
            raise CloudError(f"{address!r} names no bucket.", "Write s3://bucket/prefix.")
        if not BUCKET.fullmatch(bucket):
            hint = "A bucket's name is 3 to 63 small letters, digits, hyphens and dots."
            raise ConfigError(f"The bucket is named {bucket!r}.", hint)
        return cls(bucket, prefix.rstrip("/"))

    @property
    def below(self) -> str:
        """What keys below it begin with.

        A folder's name without its slash would also take in its neighbours' (cats, cats2).
        """
        return f"{self.prefix}/" if self.prefix else ""

    def holds(self, key: str) -> bool:
        """Whether a key is this very object, or one below."""
        return key == self.prefix or key.startswith(self.below)

    def at(self, name: str) -> "Place":
        """What has this name below it."""
        return Place(self.bucket, self.below + name)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


def check_key(key: str) -> None:
    """Refuse a key that S3 would.

    Raises:
        ConfigError: names it.
    """
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        hint = "S3 takes names in UTF-8: rename the file."
        raise ConfigError(f"The name {key!r} is in no encoding that is known here.", hint) from None
    if length > MAX_KEY_BYTES:
        hint = f"S3 takes {MAX_KEY_BYTES}: choose a shorter prefix, or shorter names."
        raise ConfigError(f"The key {key[:60]!r}… has {length:,} bytes.", hint)
