"""Objects from S3: in parallel, checked when they are whole, then renamed; the manifest last."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from facegan.cloud.aws import ATTEMPTS, Aws, failed
from facegan.cloud.calls import Call
from facegan.cloud.checksums import is_of
from facegan.cloud.s3_place import Place
from facegan.cloud.together import each
from facegan.cloud.uploading import AGAIN, CONNECTIONS, MANIFEST, THREADS, objects_below
from facegan.errors import CloudError, ConfigError

ASIDE = ".facegan-download"  # a folder beside the files: what has not come whole yet
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Remote:
    """An object and where it goes.

    Args:
        key: On S3.
        path: On this machine.
        size: In bytes.
    """

    key: str
    path: Path
    size: int

    @property
    def is_manifest(self) -> bool:
        """Whether it is what makes a folder a data set."""
        return self.path.name == MANIFEST


@dataclass
class Received:
    """What became of objects."""

    files: int = 0
    bytes: int = 0
    kept: int = 0  # they were here already
    unverified: list[str] = field(default_factory=list)  # their sizes alone could be compared


def remotes_of(aws: Aws, place: Place, out: Path) -> list[Remote]:
    """What a place holds, each with its path below a folder; manifests last.

    Raises:
        CloudError: it holds nothing, or a name that no file of this folder may have.
    """
    found = [it for it in objects_below(aws, place) if not it["Key"].endswith("/")]
    if not found:
        raise CloudError(f"{place} holds nothing.", "See what there is: `aws s3 ls`.")
    if len(found) == 1 and found[0]["Key"] == place.prefix:
        name = place.prefix.rpartition("/")[2]
        path = out / name if out.is_dir() else out
        return [Remote(place.prefix, path, found[0]["Size"])]
    below = [it for it in found if it["Key"] != place.prefix]
    remotes = [Remote(it["Key"], path_of(it["Key"], place, out), it["Size"]) for it in below]
    return sorted(remotes, key=lambda it: (it.is_manifest, it.key))


def path_of(key: str, place: Place, out: Path) -> Path:
    """Where an object goes: never outside the folder, whatever its key says.

    Raises:
        CloudError: its name is none for a file.
    """
    name = key.removeprefix(place.below)
    parts = name.split("/")
    strange = {"\0"} | ({"\\", ":"} if os.name == "nt" else set())
    if any(part in ("", ".", "..", ASIDE) for part in parts) or strange & set(name):
        raise CloudError(f"s3://{place.bucket}/{key} has a name that no file can have here.")
    return out.joinpath(*parts)


@dataclass
class Download:
    """A download from a place.

    Args:
        aws: Whose S3.
        place: Where from.
        tell: Called with the bytes that have come, from any thread.
        patience: Seconds before the second attempt after the connection was lost; then twice that.
    """

    aws: Aws
    place: Place
    tell: Callable[[int], object] = lambda size: None
    patience: float = 1.0
    stop: Event = field(default_factory=Event)

    def look(self, remotes: Sequence[Remote]) -> list[Remote]:
        """What is not here as it is there.

        Raises:
            ConfigError: the folder holds another data set.
        """
        self.aws.client("s3", max_pool_connections=CONNECTIONS)
        alike = [it for it in remotes if it.path.is_file() and it.path.stat().st_size == it.size]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            same = {it.key for it, is_same in each(pool, self.is_here, alike, self.stop) if is_same}
        missing = [it for it in remotes if it.key not in same]
        for it in missing:
            if it.is_manifest and it.path.exists():
                told = f"{it.path.parent} holds another data set."
                raise ConfigError(told, "Name another folder.")
        return missing

    def is_here(self, remote: Remote) -> bool:
        """Whether a file of the same size has the object's checksum; without any, it comes anew."""
        return is_of(remote.path, self.head(remote)) is True

    def head(self, remote: Remote) -> Any:
        """What S3 tells of an object."""
        if self.stop.is_set():
            raise KeyboardInterrupt
        request = {"Bucket": self.place.bucket, "Key": remote.key, "ChecksumMode": "ENABLED"}
        return self.aws.ask(Call("s3", "HeadObject", request, self.address(remote)))

    def address(self, remote: Remote) -> str:
        """An object's address, for people."""
        return f"s3://{self.place.bucket}/{remote.key}"

    def fetch(self, remotes: Sequence[Remote], missing: Sequence[Remote], out: Path) -> Received:
        """Bring what is missing.

        Raises:
            CloudError: a call failed, or what came is damaged. What has come stays, and is not
                brought again.
            ConfigError: the disk is full, or the folder cannot be written.
        """
        received = Received(kept=len(remotes) - len(missing))
        if not missing:
            return received
        folder = out.parent if missing[0].path == out else out
        aside = folder / ASIDE
        try:
            aside.mkdir(parents=True, exist_ok=True)
            need = sum(it.size for it in missing) - sum(
                it.stat().st_size for it in aside.iterdir() if it.is_file()
            )
            if need > (free := shutil.disk_usage(folder).free):
                told = f"{folder} has room for {free / 1e9:.1f} GB; {need / 1e9:.1f} are to come."
                raise ConfigError(told, "Free some, or name a folder on another disk.")
            others = [it for it in missing if not it.is_manifest]
            manifests = [it for it in missing if it.is_manifest]
            with ThreadPoolExecutor(THREADS) as pool:
                for stage in (others, manifests):
                    work = each(pool, lambda it: self.fetch_one(it, aside), stage, self.stop)
                    for remote, is_sure in work:
                        received.files += 1
                        received.bytes += remote.size
                        if not is_sure:
                            received.unverified.append(remote.key)
            shutil.rmtree(aside)
        except OSError as cause:
            told = f"{cause.filename or folder} cannot be written: {cause.strerror}."
            raise ConfigError(told, AGAIN) from cause
        return received

    def fetch_one(self, remote: Remote, aside: Path) -> bool:
        """An object into its file; whether its checksum could be compared."""
        told = self.head(remote)
        # By name and version: what came of an object that has changed since is of no use.
        name = hashlib.sha256(f"{remote.key}\0{told['ETag']}".encode()).hexdigest()[:32]
        partial = aside / name
        for _ in range(2):
            self.receive(remote, told, partial)
            is_same = is_of(partial, told)
            if is_same is not False:
                remote.path.parent.mkdir(parents=True, exist_ok=True)
                os.replace(partial, remote.path)
                return is_same is True
            partial.unlink()
        hint = "Its checksum is another than what comes: upload it again."
        raise CloudError(f"{self.address(remote)} came damaged, twice.", hint)

    def receive(self, remote: Remote, told: Any, partial: Path) -> None:
        """What is missing of an object, over as many connections as it takes."""
        for attempt in range(ATTEMPTS):
            try:
                self.receive_some(remote, told, partial)
                return
            except CloudError as error:
                if error.code not in LOST or attempt == ATTEMPTS - 1:
                    raise
            if self.stop.wait(min(self.patience * 2**attempt, 20)):
                raise KeyboardInterrupt

    def receive_some(self, remote: Remote, told: Any, partial: Path) -> None:
        """What one connection brings."""
        from botocore.exceptions import BotoCoreError

        have = partial.stat().st_size if partial.exists() else 0
        if have > 0:
            self.tell(have)
        if have == remote.size > 0:
            return
        request = {"Bucket": self.place.bucket, "Key": remote.key, "IfMatch": told["ETag"]}
        if have:
            request["Range"] = f"bytes={have}-"
        call = Call("s3", "GetObject", request, self.address(remote))
        body = self.aws.ask(call)["Body"]
        came = have
        try:
            with partial.open("ab") as stream:
                while True:
                    if self.stop.is_set():
                        raise KeyboardInterrupt
                    try:
                        block = body.read(BLOCK_BYTES)
                    except (BotoCoreError, OSError) as cause:
                        raise failed(call, cause) from cause
                    if not block:
                        break
                    stream.write(block)
                    came += len(block)
                    self.tell(len(block))
        except BaseException:
            self.tell(-came)
            raise
        finally:
            body.close()


LOST = {  # how botocore calls a connection that broke while it was read
    "ReadTimeoutError", "ResponseStreamingError", "IncompleteReadError", "ConnectionClosedError",
    "ConnectionResetError", "TimeoutError", "FlexibleChecksumError", "SSLError", "ProtocolError",
}  # fmt: skip
