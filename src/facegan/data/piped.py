"""A prepared data set out of a pipe (SageMaker's Pipe mode): told apart, checked, kept as files.

A pipe is all objects below a prefix, in the order of their keys, one after another and without
their names; it is read once, from end to end. The first object of a prepared data set is its
dataset.json, which says what follows, how long it is and what its digest is. So the files are
written as they pass, and a run reads them as it reads any: in any order, again at a resume, from
every process.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

import hashlib
import json
import shutil
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from facegan.data.manifest import MANIFEST
from facegan.data.packed_files import PackedManifest, Shard
from facegan.errors import DatasetError

CHUNK = 2**20
MAX_MANIFEST = 2**28  # bytes
BLOCK, RECORD = tarfile.BLOCKSIZE, tarfile.RECORDSIZE
HINT = (
    "A pipe takes what `facegan data prepare` or `stream` wrote, whole, in the order of its keys; "
    "for anything else use FastFile mode."
)


class Pipe:
    """A stream that can be looked at before it is read.

    Args:
        stream: A FIFO or file, open for reading bytes.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.ahead = stream, b""

    def look(self, count: int) -> bytes:
        """The next bytes, which stay; fewer at the end."""
        while len(self.ahead) < count:
            more = self.stream.read(max(count - len(self.ahead), 1))
            if not more:
                break
            self.ahead += more
        return self.ahead[:count]

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            DatasetError: the pipe ends before.
        """
        found = self.look(count)
        if len(found) < count:
            raise DatasetError("The pipe ended in the middle of a data set.", HINT)
        self.ahead = self.ahead[count:]
        return found

    def drain(self) -> None:
        """Read what is left, so that whoever writes is not cut off."""
        while self.stream.read(CHUNK):
            pass


def unpack_pipe(
    stream: IO[bytes], folder: Path, on_progress: Callable[[int], object] = lambda images: None
) -> None:
    """Write the data set that a pipe carries into a folder, which appears when it is whole.

    Args:
        stream: Open for reading bytes.
        folder: To make; a data set that is there is replaced.
        on_progress: Called with the number of images of each shard that is written.

    Raises:
        DatasetError: it carries something else, ends too early, or differs from its digests.
        OSError: the disk is full.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        pipe = Pipe(stream)
        facts, text = take_manifest(pipe)
        manifest = PackedManifest.from_facts(facts, Path("the pipe") / MANIFEST)
        if "companions" in facts:
            raise DatasetError("The pipe carries pairs or label maps.", HINT)
        skip_lines(pipe)  # duplicates.jsonl, whose key comes before the images
        for shard in sorted(manifest.shards, key=lambda shard: shard.file.encode()):
            take_shard(pipe, shard, manifest.resolution, partial)
            on_progress(shard.images)
        if isinstance(labels := facts.get("labels"), str):
            with (partial / Path(labels).name).open("wb") as file:
                copy_array(pipe, 8 * sum(shard.images for shard in manifest.shards), file.write)
        pipe.drain()
        (partial / MANIFEST).write_bytes(text)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def take_manifest(pipe: Pipe) -> tuple[dict[str, Any], bytes]:
    """The dataset.json at the beginning: what it says, and its own bytes.

    Raises:
        DatasetError: there is none.
    """
    length = 4096
    while pipe.look(1) == b"{":
        seen = pipe.look(length)
        try:
            facts, end = json.JSONDecoder().raw_decode(seen.decode("ascii", "replace"))
        except ValueError:
            if len(seen) < length or length > MAX_MANIFEST:
                break
            length *= 2
            continue
        text = pipe.take(end)
        while pipe.look(1) == b"\n":
            text += pipe.take(1)
        return facts, text
    raise DatasetError("The pipe does not begin with a data set's dataset.json.", HINT)


def skip_lines(pipe: Pipe) -> None:
    """Pass over lines of JSON."""
    while pipe.look(1) == b"{":
        while b"\n" not in pipe.look(CHUNK) and len(pipe.ahead) == CHUNK:
            pipe.take(CHUNK)
        pipe.take(pipe.look(CHUNK).find(b"\n") + 1 or len(pipe.ahead))


def take_shard(pipe: Pipe, shard: Shard, resolution: int, folder: Path) -> None:
    """Write one file of pixels.

    Raises:
        DatasetError: it is not the one that the manifest names here.
    """
    path = folder / "images" / Path(shard.file).name
    path.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    with path.open("wb") as file:

        def write(content: bytes) -> None:
            digest.update(content)
            file.write(content)

        if path.suffix == ".tar":
            copy_tar(pipe, write)
        else:
            copy_array(pipe, shard.images * resolution * resolution * 3, write)
    if digest.hexdigest() != shard.sha256:
        raise DatasetError(f"What the pipe carries as {shard.file} is another file.", HINT)


def copy_array(pipe: Pipe, content: int, write: Callable[[bytes], object]) -> None:
    """Copy one .npy file of so many bytes of numbers (numpy.lib.format, version 1)."""
    head = pipe.look(10)
    if head[:8] != b"\x93NUMPY\x01\x00" or len(head) < 10:
        raise DatasetError("The pipe carries no array where one should be.", HINT)
    copy(pipe, 10 + struct.unpack("<H", head[8:])[0] + content, write)


def copy_tar(pipe: Pipe, write: Callable[[bytes], object]) -> None:
    """Copy one tar, to the end of its last record."""
    done = 0
    while (block := pipe.take(BLOCK)) != bytes(BLOCK):
        try:
            size = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape").size
        except tarfile.TarError as cause:
            raise DatasetError("The pipe carries no tar where one should be.", HINT) from cause
        write(block)
        length = -(-size // BLOCK) * BLOCK
        copy(pipe, length, write)
        done += BLOCK + length
    write(block)
    copy(pipe, -(done + BLOCK) % RECORD, write)


def copy(pipe: Pipe, count: int, write: Callable[[bytes], object]) -> None:
    """Copy so many bytes."""
    while count:
        count -= len(part := pipe.take(min(count, CHUNK)))
        write(part)
