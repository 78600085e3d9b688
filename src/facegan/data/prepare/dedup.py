"""Finds duplicate images with an index of digests that stays small in memory."""

import sqlite3


class DigestIndex:
    """Maps digests to the first name each was added with, in a temporary SQLite database.

    SQLite keeps two megabytes in memory and the rest in a temporary file.
    """

    def __init__(self) -> None:
        self.database = sqlite3.connect("", isolation_level=None)  # "": temporary, on the disk
        self.database.execute("PRAGMA journal_mode = OFF")
        self.database.execute(
            "CREATE TABLE seen (digest BLOB PRIMARY KEY, name BLOB) WITHOUT ROWID"
        )
        self.database.execute("BEGIN")

    def add(self, digest: bytes, name: str) -> str | None:
        """Return the name that a digest was first added with; if it is new, add it, return None."""
        row = (digest, to_bytes(name))
        added = self.database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", row).rowcount
        return None if added else self.find(digest)

    def find(self, digest: bytes) -> str | None:
        """Return the name that a digest was first added with; None if it is not in the index."""
        query = "SELECT name FROM seen WHERE digest = ?"
        found = self.database.execute(query, (digest,)).fetchone()
        return str(found[0], "utf-8", "surrogatepass") if found else None

    def close(self) -> None:
        """Close the database; SQLite deletes its temporary file."""
        self.database.close()


def to_bytes(name: str) -> bytes:
    """Encode a name for SQLite; Python reads names that are not UTF-8 as lone surrogates."""
    return name.encode("utf-8", "surrogatepass")
