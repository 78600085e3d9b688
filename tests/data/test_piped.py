"""Pipe mode: the concatenation that S3 gives, through a real FIFO, comes out as the same files."""

import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from facegan.data.packed_files import write_packed
from facegan.data.piped import unpack_pipe
from facegan.data.prepare.packed_format import to_line
from facegan.errors import DatasetError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 255, (21, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(params=["packed", "labelled", "streamed"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A data set with all the files that `facegan data` leaves."""
    folder, labels = tmp_path / "packed", [k % 3 for k in range(21)]
    asked = {} if request.param == "packed" else {"labels": labels, "class_names": ["a", "b", "c"]}
    write_packed(folder, IMAGES, images_a_shard=4, **asked)
    if request.param == "streamed":
        pytest.importorskip("webdataset", reason="the extra `streaming` is not installed")
        from facegan.data.streaming import stream_packed

        stream_packed(folder, folder := tmp_path / "streamed", images_a_shard=4)
    lines = b"".join(to_line({"file": f"{k}.png", "of": "{x}\n"}) for k in range(9))
    for name in ("duplicates", "skipped", "sources"):
        (folder / f"{name}.jsonl").write_bytes(lines)
    return folder


def piped(folder: Path) -> bytes:
    """All files in the order of their keys, as S3 lists them."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    names = sorted(file.relative_to(folder).as_posix().encode() for file in files)
    return b"".join((folder / os.fsdecode(name)).read_bytes() for name in names)


def test_what_comes_out_of_a_fifo_is_what_went_in(there: Path, tmp_path: Path) -> None:
    os.mkfifo(fifo := tmp_path / "training_0")
    writer = threading.Thread(target=lambda: fifo.write_bytes(piped(there)))
    writer.start()
    counts: list[int] = []
    with fifo.open("rb") as stream:
        unpack_pipe(stream, tmp_path / "out", counts.append)
    writer.join(10)
    assert sum(counts) == 21
    for file in (tmp_path / "out").rglob("*.*"):
        assert file.read_bytes() == (there / file.relative_to(tmp_path / "out")).read_bytes()
    assert len(list((tmp_path / "out/images").iterdir())) == 6
    assert (tmp_path / "out/labels.npy").exists() == (there / "labels.npy").exists()


@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.8])
def test_a_pipe_that_ends_too_early_leaves_nothing(
    there: Path, tmp_path: Path, share: float
) -> None:
    (there / "skipped.jsonl").unlink()
    (there / "sources.jsonl").unlink()
    content = piped(there)
    with pytest.raises(DatasetError, match=r"ended in the middle|does not begin"):
        unpack_pipe(io.BytesIO(content[: int(share * len(content))]), tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"{", b"{}", b'{"format": 1}', b"[1]"])
def test_what_is_no_data_set_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        unpack_pipe(io.BytesIO(content), tmp_path / "out")


def test_shards_in_another_order_are_refused(there: Path, tmp_path: Path) -> None:
    first, second = sorted((there / "images").iterdir())[:2]
    (one, two) = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    with pytest.raises(DatasetError, match=r"as images/00000.* is another file"):
        unpack_pipe(io.BytesIO(piped(there)), tmp_path / "out")
