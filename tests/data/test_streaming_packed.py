"""A packed set written as a streamed one: every image with its label and split, killed or not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from facegan.cli.__main__ import facegan, run_safely
from facegan.data import PackedDataset, open_dataset, reading_order
from facegan.data.packed_files import write_packed
from facegan.data.prepare.writer import STATE
from facegan.data.splits import SplitDataset, choose_split, select_split
from facegan.errors import DatasetError

pytest.importorskip("webdataset", reason="the extra `streaming` is not installed")

from facegan.data import streaming
from facegan.data.streaming import stream_packed

SPLITS = {"train": [0, 17], "test": [17, 29]}


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def packed(tmp_path: Path) -> PackedDataset:
    """Image n is of the grey n, of class n % 2, and called n."""
    greys = np.arange(29, dtype=np.uint8)[:, None, None, None]
    folder = tmp_path / "packed"
    write_packed(folder, np.broadcast_to(greys, (29, 4, 4, 3)), [n % 2 for n in range(29)],
                 ["even", "odd"], images_per_shard=10, splits=SPLITS)  # fmt: skip
    (folder / "sources.jsonl").write_text("".join(f'{{"file": "{n}"}}\n' for n in range(29)))
    (folder / "skipped.jsonl").write_text('{"file": "x", "reason": "empty"}\n')
    return PackedDataset(folder)


def greys(data: PackedDataset) -> list[int]:
    return data.read(torch.arange(len(data)))[:, 0, 0, 0].tolist()


def test_labels_names_and_splits_go_with_their_images_in_an_order_of_the_seed(
    packed: PackedDataset, tmp_path: Path
) -> None:
    stream_packed(packed.folder, tmp_path / "a", seed=1, images_per_shard=4)
    data = open_dataset(tmp_path / "a", 4)
    order = greys(data)
    assert sorted(order[:17]) == list(range(17)) and order[:17] != list(range(17))
    assert sorted(order[17:]) == list(range(17, 29))
    assert data.labels is not None and data.labels.tolist() == [n % 2 for n in order]
    names = [json.loads(ln)["file"] for ln in (tmp_path / "a/sources.jsonl").open()]
    assert names == list(map(str, order))
    assert (tmp_path / "a/skipped.jsonl").read_text().startswith('{"file": "x"')
    assert [shard.images for shard in data.manifest.shards] == [4, 4, 4, 4, 1, 4, 4, 4]
    assert data.manifest.facts["protocol"]["order_seed"] == 1
    whole = np.stack([np.full((4, 4, 3), n, np.uint8) for n in order])
    assert data.digest == __import__("hashlib").sha256(whole.data).hexdigest()
    stream_packed(packed.folder, tmp_path / "b", seed=2, images_per_shard=4)
    assert greys(open_dataset(tmp_path / "b", 4)) != order


def test_a_killed_run_goes_on_to_the_same_bytes(
    packed: PackedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream_packed(packed.folder, tmp_path / "whole", images_per_shard=4)
    write, written = streaming.write_tar, []

    def failing(*words: object) -> object:
        written.append(words[1])
        if len(written) == 4:
            raise KeyboardInterrupt
        return write(*words)

    monkeypatch.setattr(streaming, "write_tar", failing)
    out = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        stream_packed(packed.folder, out, images_per_shard=4)
    assert not (out / "dataset.json").exists()
    with pytest.raises(DatasetError, match="order_seed is 0, not 5"):
        stream_packed(packed.folder, out, seed=5, images_per_shard=4)
    (out / "images/00001.tar").write_bytes(b"")  # and the disk lost one
    stream_packed(packed.folder, out, images_per_shard=4)
    assert written == [0, 1, 2, 3, 1, 3, 4, 5, 6, 7]
    names = [p.relative_to(out) for p in sorted(out.rglob("*")) if p.is_file()]
    assert len(names) == 8 + 4 and not (out / STATE).exists()
    for name in names:
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert stream_packed(packed.folder, out, images_per_shard=4)["already_there"]


def test_damaged_pixels_get_no_new_digest(packed: PackedDataset, tmp_path: Path) -> None:
    shard = packed.folder / "images/00001.npy"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DatasetError, match=r"damaged: images/00001\.npy"):
        stream_packed(packed.folder, tmp_path / "out")


def test_what_has_companions_is_not_streamed(packed: PackedDataset, tmp_path: Path) -> None:
    file = packed.folder / "dataset.json"
    facts = json.loads(file.read_text())
    facts["companions"] = {"paired": {"folder": "paired", "digest": "0" * 64, "aligned": True}}
    file.write_text(json.dumps(facts))
    with pytest.raises(DatasetError, match="companions or label maps"):
        stream_packed(packed.folder, tmp_path / "out")


def test_the_command_and_the_check(
    packed: PackedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["data", "stream", str(packed.folder), "--out", str(out)]
    assert run_safely(facegan, words) == 0
    assert "29 images in 2 shards" in capsys.readouterr().out
    assert run_safely(facegan, words) == 0
    assert "Already there" in capsys.readouterr().out
    assert run_safely(facegan, ["data", "check", str(out)]) == 0
    assert "split test: 12" in capsys.readouterr().out
    (out / "images/00001.tar").write_bytes(b"x")
    assert run_safely(facegan, ["data", "check", str(out)]) == 3
    assert "images/00001.tar" in capsys.readouterr().err
    assert run_safely(facegan, ["data", "stream", str(out), "--out", str(tmp_path / "c")]) == 3
    assert "needs a packed one" in capsys.readouterr().err


# --- splits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_split_holds_its_images_alone_in_any_order(
    is_streamed: bool, packed: PackedDataset, tmp_path: Path
) -> None:
    data: PackedDataset = packed
    if is_streamed:
        stream_packed(packed.folder, tmp_path / "s", images_per_shard=4)
        data = open_dataset(tmp_path / "s", 4)  # type: ignore[assignment]
    test = select_split(data, "test")
    assert isinstance(test, SplitDataset) and len(test) == 12
    order = torch.cat([reading_order(test, 3, 0, 7), reading_order(test, 3, 7, 5)])
    seen = test.read(order)[:, 0, 0, 0]
    assert sorted(seen.tolist()) == list(range(17, 29))
    assert torch.equal(order, reading_order(test, 3, 0, 12))
    assert test.labels is not None and test.labels[order].tolist() == (seen % 2).tolist()
    assert test.classes == {"even": 6, "odd": 6} and test.describe()["split"] == "test"
    digests = {select_split(data, name).digest for name in ("train", "test", "all")}
    assert len(digests) == 3 and data.digest in digests
    with pytest.raises(IndexError):
        test.read(torch.tensor([12]))


def test_train_is_taken_where_nothing_is_asked_for(packed: PackedDataset) -> None:
    assert select_split(packed, None).split == "train" and select_split(packed, "all") is packed
    with pytest.raises(DatasetError, match=r"no split 'tset'\. Did you mean test\?"):
        choose_split(packed.manifest, packed.folder, "tset")


@pytest.mark.parametrize(
    "splits", [{"a": [0, 30]}, {"a": [5, 5]}, {"a": 3}, ["a"], {"a": [0, 1.0]}]
)
def test_splits_that_are_not_ranges_are_refused(splits: object, tmp_path: Path) -> None:
    write_packed(tmp_path / "p", np.zeros((29, 4, 4, 3), np.uint8), splits=splits)
    with pytest.raises(DatasetError, match="not ranges of its 29 images"):
        select_split(PackedDataset(tmp_path / "p"), None)


def test_no_splits_no_split(tmp_path: Path) -> None:
    write_packed(tmp_path / "p", np.zeros((2, 4, 4, 3), np.uint8))
    data = PackedDataset(tmp_path / "p")
    assert select_split(data, None) is data
    with pytest.raises(DatasetError, match="has no splits"):
        select_split(data, "train")
