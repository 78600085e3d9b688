"""Files to S3: in parallel, checked by S3 as they arrive, from where a run before stopped."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.checksums import crc32, crc32_of
from facegan.cloud.s3_place import Place, check_key
from facegan.cloud.together import Body, each
from facegan.errors import CloudError, ConfigError

MANIFEST = "dataset.json"  # goes last: without it there is no data set
PART_BYTES = 8 << 20  # what an interruption costs, and a thread's memory
MAX_PARTS = 10_000  # of an object, by S3
MAX_BYTES = 5 << 40  # of an object, by S3 where this was written
THREADS = 8  # a part of 8 MiB a thread fills what most lines carry
CONNECTIONS = 2 * THREADS
OURS = ("CRC32", "FULL_OBJECT")  # algorithm and type of our checksums
AGAIN = "The same command goes on where this one stopped."


@dataclass(frozen=True)
class File:
    """A file and where it goes.

    Args:
        path: On this machine.
        key: On S3.
        size: In bytes.
    """

    path: Path
    key: str
    size: int

    @property
    def is_manifest(self) -> bool:
        """Whether it is what makes a folder a data set."""
        return self.path.name == MANIFEST

    @property
    def folder(self) -> str:
        """What the keys of its neighbours begin with."""
        return self.key[: self.key.rfind("/") + 1]


@dataclass
class Counts:
    """What became of files."""

    sent: int = 0
    sent_bytes: int = 0
    kept: int = 0  # they were there already
    others: int = 0  # objects there that are none of these files


def files_of(source: Path, place: Place) -> list[File]:
    """A folder's files, or the one file, in the order of their keys, manifests last.

    Names that begin with a dot are left out: what is unfinished, and what belongs to tools.

    Raises:
        ConfigError: there are none, or S3 takes a name or a size not.
    """
    if source.is_file():
        found = [(source, place.prefix)]
    elif source.is_dir():
        found = [(path, place.below + path.relative_to(source).as_posix()) for path in walk(source)]
    else:
        raise ConfigError(f"{source} does not exist.", "Name a folder or a file.")
    files = [File(path, key, path.stat().st_size) for path, key in found]
    for file in files:
        check_key(file.key)
        if file.size > MAX_BYTES:
            raise ConfigError(f"{file.path} has {file.size:,} bytes.", "S3 takes 5 TiB at most.")
    if not files:
        raise ConfigError(f"{source} holds no files.")
    return sorted(files, key=lambda it: (it.is_manifest, it.key))


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder whose path has no hidden name; links are followed, not in rings."""
    seen = {folder.resolve()}
    for path, folders, names in os.walk(folder, followlinks=True):
        visible = (name for name in folders if not name.startswith("."))
        folders[:] = [name for name in visible if is_new(Path(path, name).resolve(), seen)]
        for name in names:
            file = Path(path, name)
            if not name.startswith(".") and file.is_file():
                yield file


def is_new(folder: Path, seen: set[Path]) -> bool:
    """Whether a folder was not seen before; from now on it was."""
    is_first = folder not in seen
    seen.add(folder)
    return is_first


def part_bytes(size: int) -> int:
    """How large an object's parts are: a function of its size, so that a later run finds them."""
    return max(PART_BYTES, -(-size // MAX_PARTS))


def encryption(kms_key: str | None) -> dict[str, str]:
    """What an upload says of the key it is encrypted by; the bucket's default where None."""
    if kms_key is None:
        return {}
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}


def put_call(
    place: Place, file: File, body: Any, checksum: str, kms_key: str | None = None
) -> Call:
    """A small file in one request."""
    request = {
        "Bucket": place.bucket,
        "Key": file.key,
        "Body": body,
        "ChecksumAlgorithm": "CRC32",
        "ChecksumCRC32": checksum,
        **encryption(kms_key),
    }
    return Call("s3", "PutObject", request, f"s3://{place.bucket}/{file.key}")


def begin_call(place: Place, file: File, kms_key: str | None = None) -> Call:
    """The first request of a large file's."""
    request = {
        "Bucket": place.bucket,
        "Key": file.key,
        "ChecksumAlgorithm": "CRC32",
        "ChecksumType": "FULL_OBJECT",
        **encryption(kms_key),
    }
    return Call("s3", "CreateMultipartUpload", request, f"s3://{place.bucket}/{file.key}")


def abort_call(place: Place, key: str, upload: str) -> Call:
    """Take back the parts of an upload."""
    request = {"Bucket": place.bucket, "Key": key, "UploadId": upload}
    return Call("s3", "AbortMultipartUpload", request, f"s3://{place.bucket}/{key}")


def planned(place: Place, files: Sequence[File], kms_key: str | None = None) -> list[Call]:
    """The requests of an upload to an empty place, for ``--dry-run``: files stand for their bytes.

    Raises:
        ConfigError: a file cannot be read.
    """
    calls = []
    for file in files:
        if file.size <= PART_BYTES:
            calls.append(put_call(place, file, f"<{file.path}>", checksum_of(file), kms_key))
        else:
            count = -(-file.size // part_bytes(file.size))
            begin = begin_call(place, file, kms_key)
            calls.append(begin)
            request = {
                "Bucket": place.bucket, "Key": file.key, "UploadId": "<of CreateMultipartUpload>",
                "PartNumber": f"<1 to {count}>", "Body": f"<{file.path}>",
            }  # fmt: skip
            calls.append(Call("s3", "UploadPart", request, begin.on))
            done = {
                "Bucket": place.bucket, "Key": file.key, "UploadId": "<of CreateMultipartUpload>",
                "ChecksumType": "FULL_OBJECT", "ChecksumCRC32": checksum_of(file),
            }  # fmt: skip
            calls.append(Call("s3", "CompleteMultipartUpload", done, begin.on))
    return calls


def checksum_of(file: File) -> str:
    """A file's CRC32.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return crc32_of(file.path)
    except OSError as cause:
        raise ConfigError(f"{file.path} cannot be read: {cause.strerror}.") from cause


@dataclass
class Upload:
    """An upload to a place.

    Args:
        aws: Whose S3.
        place: Where to.
        kms_key: What it is encrypted by; the bucket's default where None.
        tell: Called with the bytes that have arrived, from any thread.
    """

    aws: Aws
    place: Place
    kms_key: str | None = None
    tell: Callable[[int], object] = lambda size: None
    stop: Event = field(default_factory=Event)
    checksums: dict[str, str] = field(default_factory=dict)  # key → CRC32, once it was computed
    there: dict[str, int] = field(default_factory=dict)  # key → size, of all below the place
    unfinished: dict[str, list[str]] = field(default_factory=dict)  # key → its uploads
    resumable: dict[str, str] = field(default_factory=dict)  # key → the newest that can go on

    def look(self, files: Sequence[File]) -> list[File]:
        """Which files are not there as they are here.

        Raises:
            CloudError: the bucket cannot be read.
            ConfigError: a file cannot be read.
        """
        self.aws.client("s3", max_pool_connections=CONNECTIONS)
        self.there = {found["Key"]: found["Size"] for found in objects_below(self.aws, self.place)}
        for found in uploads_below(self.aws, self.place):
            self.unfinished.setdefault(found["Key"], []).append(found["UploadId"])
            if (found.get("ChecksumAlgorithm"), found.get("ChecksumType")) == OURS:
                self.resumable[found["Key"]] = found["UploadId"]
        alike = [file for file in files if self.there.get(file.key) == file.size]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            same = {
                it.key for it, is_same in each(pool, self.is_there, alike, self.stop) if is_same
            }
        return [file for file in files if file.key not in same]

    def is_there(self, file: File) -> bool:
        """Whether an object of the same size has the same checksum."""
        if self.stop.is_set():
            raise KeyboardInterrupt
        request = {"Bucket": self.place.bucket, "Key": file.key, "ChecksumMode": "ENABLED"}
        told = self.aws.ask(
            Call("s3", "HeadObject", request, f"s3://{self.place.bucket}/{file.key}")
        )
        return bool(told.get("ChecksumCRC32") == self.checksum(file))

    def checksum(self, file: File) -> str:
        """A file's CRC32, computed once."""
        if file.key not in self.checksums:
            self.checksums[file.key] = checksum_of(file)
        return self.checksums[file.key]

    def send(self, files: Sequence[File], missing: Sequence[File]) -> Counts:
        """Send what is missing; then no parts of these files' earlier uploads are left.

        An older manifest goes away before anything of its data set is replaced.

        Args:
            files: All files of the place.
            missing: What :meth:`look` found.

        Raises:
            CloudError: a call failed. What has arrived stays, and is not sent again.
            KeyboardInterrupt: as above.
        """
        keys = {file.key for file in files}
        others = [file for file in missing if not file.is_manifest]
        manifests = [file for file in missing if file.is_manifest]
        for manifest in (file for file in files if file.is_manifest):
            changes = any(file.key.startswith(manifest.folder) for file in others)
            if changes and manifest.key in self.there:
                self.aws.ask(delete_call(self.place, manifest.key))
                if manifest not in manifests:
                    manifests.append(manifest)
        counts = Counts(
            kept=len(files) - len(others) - len(manifests), others=len(self.there.keys() - keys)
        )
        with ThreadPoolExecutor(THREADS) as parts, ThreadPoolExecutor(THREADS) as pool:
            for stage in (others, manifests):
                for file, _ in each(pool, lambda it: self.send_one(it, parts), stage, self.stop):
                    counts.sent += 1
                    counts.sent_bytes += file.size
        for key in keys & self.unfinished.keys():
            for upload in self.unfinished.pop(key):
                self.aws.ask(abort_call(self.place, key, upload))
        return counts

    def send_one(self, file: File, parts: ThreadPoolExecutor) -> None:
        """A file, in one request or in parts."""
        if self.stop.is_set():
            raise KeyboardInterrupt
        if file.size > PART_BYTES:
            self.send_parts(file, parts)
            return
        content = read(file, 0, file.size)
        body = Body(content, self.stop)
        self.aws.ask(put_call(self.place, file, body, crc32(content), self.kms_key))
        self.tell(file.size)

    def send_parts(self, file: File, pool: ThreadPoolExecutor) -> None:
        """A large file: S3 compares each part's checksum, and at last that of the whole."""
        upload, there = self.resumed(file)
        step = part_bytes(file.size)
        numbers = range(1, -(-file.size // step) + 1)

        def send_part(number: int) -> dict[str, Any]:
            if self.stop.is_set():
                raise KeyboardInterrupt
            content = read(file, (number - 1) * step, min(step, file.size - (number - 1) * step))
            told = there.get(number)
            if not (told and is_same_part(told, content)):
                told = self.send_part(file, upload, number, content)
            self.tell(len(content))
            return {"ETag": told["ETag"], "PartNumber": number, "ChecksumCRC32": crc32(content)}

        done = [part for _, part in each(pool, send_part, numbers, self.stop)]
        request = {
            "Bucket": self.place.bucket, "Key": file.key, "UploadId": upload,
            "ChecksumType": "FULL_OBJECT", "ChecksumCRC32": self.checksum(file),
            "MultipartUpload": {"Parts": sorted(done, key=lambda part: part["PartNumber"])},
        }  # fmt: skip
        on = f"s3://{self.place.bucket}/{file.key}"
        try:
            self.aws.ask(Call("s3", "CompleteMultipartUpload", request, on))
        except CloudError as error:
            if error.code == "BadDigest":  # the parts are of no use: nobody shall pay for them
                self.aws.ask(abort_call(self.place, file.key, upload))
            raise
        self.unfinished[file.key] = [it for it in self.unfinished[file.key] if it != upload]

    def resumed(self, file: File) -> tuple[str, Mapping[int, Any]]:
        """An upload that is under way, with the parts it has; a new one where there is none."""
        if upload := self.resumable.get(file.key):
            request = {"Bucket": self.place.bucket, "Key": file.key, "UploadId": upload}
            call = Call("s3", "ListParts", request, f"s3://{self.place.bucket}/{file.key}")
            return upload, {part["PartNumber"]: part for part in self.aws.pages(call, "Parts")}
        made = self.aws.ask(begin_call(self.place, file, self.kms_key))
        self.unfinished.setdefault(file.key, []).append(made["UploadId"])
        return made["UploadId"], {}

    def send_part(self, file: File, upload: str, number: int, content: bytes) -> Any:
        """One part."""
        request = {
            "Bucket": self.place.bucket, "Key": file.key, "UploadId": upload,
            "PartNumber": number, "Body": Body(content, self.stop),
            "ChecksumAlgorithm": "CRC32", "ChecksumCRC32": crc32(content),
        }  # fmt: skip
        on = f"s3://{self.place.bucket}/{file.key}"
        return self.aws.ask(Call("s3", "UploadPart", request, on))


def is_same_part(told: Mapping[str, Any], content: bytes) -> bool:
    """Whether a part that is there has these bytes."""
    if told["Size"] != len(content):
        return False
    if checksum := told.get("ChecksumCRC32"):
        return bool(checksum == crc32(content))
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return str(told["ETag"]).strip('"') == etag


def read(file: File, start: int, size: int) -> bytes:
    """Some of a file's bytes.

    Raises:
        ConfigError: it cannot be read, or is shorter than it was.
    """
    try:
        with file.path.open("rb") as stream:
            stream.seek(start)
            content = stream.read(size)
    except OSError as cause:
        raise ConfigError(f"{file.path} cannot be read: {cause.strerror}.") from cause
    if len(content) != size:
        raise ConfigError(f"{file.path} became shorter while it was sent.", AGAIN)
    return content


def objects_below(aws: Aws, place: Place) -> Iterator[dict[str, Any]]:
    """Every object of a place, page after page; the console's "folders", too."""
    request = {"Bucket": place.bucket, "Prefix": place.prefix}
    for found in aws.pages(Call("s3", "ListObjectsV2", request, str(place)), "Contents"):
        if place.holds(found["Key"]):
            yield found


def uploads_below(aws: Aws, place: Place) -> Iterator[dict[str, Any]]:
    """Every unfinished upload of a place, the oldest of a key first: their parts are paid for."""
    request = {"Bucket": place.bucket, "Prefix": place.prefix}
    for found in aws.pages(Call("s3", "ListMultipartUploads", request, str(place)), "Uploads"):
        if place.holds(found["Key"]):
            yield found


def delete_call(place: Place, key: str) -> Call:
    """Delete one object."""
    request = {"Bucket": place.bucket, "Key": key}
    return Call("s3", "DeleteObject", request, f"s3://{place.bucket}/{key}")
