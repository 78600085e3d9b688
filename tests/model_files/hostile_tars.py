"""Archives that nobody's packer makes, and the files of a model to put into them."""

import io
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

Files = dict[str, bytes]
Add = Callable[[tarfile.TarFile], None]


def add_file(tar: tarfile.TarFile, name: str, content: bytes = b"") -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def special(name: str, kind: bytes, target: str = "") -> Add:
    """A member that is no file: a link, a device, a pipe."""

    def add(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        tar.addfile(member)

    return add


def named(name: str) -> Add:
    return lambda tar: add_file(tar, name, b"x")


def raw(header: bytes) -> Add:
    """A block as it is, where a member's header is expected."""

    def add(tar: tarfile.TarFile) -> None:
        tar.fileobj.write(header)  # type: ignore[union-attr]
        tar.offset += len(header)

    return add


def block_of(name: str, size: int, kind: bytes) -> bytes:
    """A header that claims a size, whatever follows it."""
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def pax(**values: str) -> Add:
    """An empty file with pax headers of its own."""

    def add(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("x")
        member.pax_headers = {name.replace("__", "."): value for name, value in values.items()}
        tar.addfile(member)

    return add


def sparse_block(name: str, real_size: int) -> bytes:
    """GNU tar's header of a sparse file: one piece of 512 bytes, and a hole up to the size."""
    member = tarfile.TarInfo(name)
    member.size, member.type = 512, tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 512)
    header[483:495] = b"%011o\0" % real_size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(512)


def archive(path: Path, files: Files, first: Iterable[Add] = (), last: Iterable[Add] = ()) -> Path:
    """A model's archive with other members before or behind its files."""
    with tarfile.open(path, "w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as tar:
        for add in first:
            add(tar)
        for name, content in files.items():
            add_file(tar, name, content)
        for add in last:
            add(tar)
    return path


def packed(path: Path, pieces: Iterable[bytes]) -> Path:
    """Write a gzip file of whatever bytes, without holding them."""
    engine = zlib.compressobj(1, wbits=31)
    with path.open("wb") as file:
        for piece in pieces:
            file.write(engine.compress(piece))
        file.write(engine.flush())
    return path


def tar_of(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> Iterator[bytes]:
    """A tar of one member of zeros."""
    yield block_of(name, size, kind)
    for _ in range(size >> 20):
        yield bytes(1 << 20)
    yield bytes(10240)
