"""Objects of a job from S3, in pieces that outlive an interruption, and unpacked with care."""

import os
import shutil
import tarfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.places import Place
from facegan.errors import ArtifactError, CloudError
from facegan.model_files import first_line
from facegan.model_files.archive import check_member

CHUNK = 1 << 20
TRIES = 6  # in a row without a byte
MAX_BYTES = 64 << 30  # of an unpacked record: stops a decompression bomb
AGAIN = "Check the network; the same command goes on where it stopped."


def fetch_object(
    aws: Aws,
    place: Place,
    target: Path,
    *,
    sleep: Callable[[float], object] = time.sleep,
    on_bytes: Callable[[int, int], object] = lambda done, total: None,
) -> bool:
    """Fetch an object into a file, whole or not at all; what was fetched before is kept.

    Args:
        aws: Where it is.
        place: Its address.
        target: The file. One of the object's size is taken for it.
        sleep: Waits before another try.
        on_bytes: Told how many bytes are there, and how many there will be.

    Returns:
        False where it was there already.

    Raises:
        CloudError: there is none (code "404"), or it cannot be read.
        OSError: the file cannot be written.
    """
    head = aws.ask(Call("s3", "HeadObject", {"Bucket": place.bucket, "Key": place.key}, str(place)))
    total, tag = int(head["ContentLength"]), str(head["ETag"])
    if target.is_file() and target.stat().st_size == total:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    version = "".join(it for it in tag if it.isalnum())[:16]
    partial = target.with_name(f".{target.name}.{version}.partial")
    tries = 0
    with partial.open("ab") as file:
        while file.tell() < total:
            before = file.tell()
            copy_rest(aws, place, tag, file, lambda done: on_bytes(done, total))
            tries = 0 if file.tell() > before else tries + 1
            if tries == TRIES:
                raise CloudError(f"{place} broke off after {file.tell():,} bytes.", AGAIN)
            if file.tell() < total:
                sleep(min(2.0**tries, 20))
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, target)
    return True


def copy_rest(
    aws: Aws, place: Place, tag: str, file: Any, on_bytes: Callable[[int], object]
) -> None:
    """Append what a file lacks of an object, as far as the connection holds."""
    from botocore.exceptions import BotoCoreError

    request = {
        "Bucket": place.bucket,
        "Key": place.key,
        "Range": f"bytes={file.tell()}-",
        "IfMatch": tag,
    }
    body = aws.ask(Call("s3", "GetObject", request, str(place)))["Body"]
    try:
        for chunk in body.iter_chunks(CHUNK):
            file.write(chunk)
            on_bytes(file.tell())
    except BotoCoreError:  # lost on the way: what came is kept
        return
    finally:
        body.close()


def unpack_record(archive: Path, folder: Path) -> list[str]:
    """Unpack what a job left beside its model, aside, and then into its folder.

    Args:
        archive: output.tar.gz.
        folder: Where its files go; those of the same names are replaced.

    Returns:
        The names at its top.

    Raises:
        ArtifactError: it is damaged, or holds what would leave the folder.
    """
    aside = folder / ".unpacked.partial"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            size = 0
            for member in tar:
                check_member(member, archive)
                size += member.size
                if size > MAX_BYTES:
                    raise ArtifactError(f"{archive} unpacks to more than {MAX_BYTES:,} bytes.")
                tar.extract(member, aside, filter="data")
        names = sorted(entry.name for entry in aside.iterdir()) if aside.is_dir() else []
        for name in names:
            replace(aside / name, folder / name)
    except (tarfile.TarError, EOFError, zlib.error) as cause:
        hint = "Delete it, and give the same command again."
        raise ArtifactError(f"{archive} is damaged: {first_line(cause)}.", hint) from cause
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return names


def replace(source: Path, target: Path) -> None:
    """Move a file or folder to where another may be."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    os.replace(source, target)
