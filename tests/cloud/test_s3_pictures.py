"""Pictures on S3, through boto3 and a server on this machine that speaks enough of it."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facegan.cli.__main__ import facegan, run_safely


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def store(bucket: Any) -> Any:
    bucket.objects = {f"set/{k}/{k:02d}.png": picture(k) for k in range(11)}
    bucket.objects |= {"set/": b"", "set/notes.txt": b"x", "settled/no.png": picture(99)}
    return bucket


def prepared(store: Any, out: Path, address: str = "s3://faces/set") -> int:
    words = ["data", "prepare", address, "--out", str(out), "--resolution", "8", "--workers", "1"]
    return run_safely(facegan, [*words, "--endpoint-url", store.url, "--region", "eu-west-1"])


def test_every_page_is_prepared_and_a_key_that_vanishes_is_named(
    store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.vanished = {"set/5/05.png"}
    assert prepared(store, tmp_path / "out") == 0
    assert "11 found = 10 written + 0 duplicates + 1 skipped" in capsys.readouterr().out
    assert "vanished" in (tmp_path / "out/skipped.jsonl").read_text()
    assert "settled" not in (tmp_path / "out/sources.jsonl").read_text()


def test_labels_come_from_a_dataset_json_there(store: Any, tmp_path: Path) -> None:
    store.objects["set/dataset.json"] = b'{"labels": {"1/01.png": 1, "2/02.png": 0}}'
    assert prepared(store, tmp_path / "out") == 0
    assert np.load(tmp_path / "out/labels.npy").tolist() == [1, 0]


def test_by_products_are_passed_over_there_as_in_a_folder(
    store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = (".ipynb_checkpoints/a.png", "1/.b.png", "__MACOSX/1/._01.png", "r/samples/c.png")
    store.objects |= {f"set/{name}": picture(50) for name in names} | {"set/r/run.json": b"{}"}
    assert prepared(store, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "11 found = 11 written" in said and "Ignored 4 hidden files" in said


@pytest.mark.parametrize(("harm", "address", "told"), [
    ({"key_id": "other"}, "s3://faces/set", "aws sts get-caller-identity"),
    ({}, "s3://cats/set", "aws s3 ls"), ({}, "s3://", "names no bucket"),
])  # fmt: skip
def test_wrong_credentials_and_buckets_are_told_in_a_line(
    store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: dict, address: str,
    told: str,
) -> None:  # fmt: skip
    vars(store).update(harm)
    assert prepared(store, tmp_path / "out", address) == 9
    said = capsys.readouterr().err
    assert told in said and "Traceback" not in said


def test_no_credentials_are_told(
    store: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert prepared(store, tmp_path / "out") == 9
    assert "aws configure" in capsys.readouterr().err


def test_an_empty_prefix_is_told(
    store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepared(store, tmp_path / "out", "s3://faces/nothing") == 3
    assert "contains no images" in capsys.readouterr().err
