"""Which pixels were there before: a set that a million images do not make grow in memory."""

import sqlite3


class DigestIndex:
    """Digests and the first name of each, in a database without a name that is gone at the end.

    SQLite holds two megabytes of it in memory and the rest in a temporary file.
    """

    def __init__(self) -> None:
        self.database = sqlite3.connect("", isolation_level=None)  # "": temporary, on the disk
        self.database.execute("PRAGMA journal_mode = OFF")
        self.database.execute(
            "CREATE TABLE seen (digest BLOB PRIMARY KEY, name BLOB) WITHOUT ROWID"
        )
        self.database.execute("BEGIN")

    def add(self, digest: bytes, name: str) -> str | None:
        """The name that a digest was seen with before; None, and it is noted, if it was not."""
        row = (digest, to_bytes(name))
        added = self.database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", row).rowcount
        return None if added else self.find(digest)

    def find(self, digest: bytes) -> str | None:
        """The name that a digest was first seen with; None if it was not."""
        asked = "SELECT name FROM seen WHERE digest = ?"
        found = self.database.execute(asked, (digest,)).fetchone()
        return str(found[0], "utf-8", "surrogatepass") if found else None

    def close(self) -> None:
        """Let the temporary file go."""
        self.database.close()


def to_bytes(name: str) -> bytes:
    """A name that SQLite takes: what is no UTF-8 on a disk is half a surrogate pair in Python."""
    return name.encode("utf-8", "surrogatepass")
