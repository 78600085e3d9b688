"""Runs on a streamed data set that lies on S3: the bits of a disk's, and S3's errors named."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from facegan.cli.__main__ import facegan, run_safely
from facegan.cloud import s3_folder
from facegan.data import ImageFolderDataset, open_dataset
from facegan.data.packed_files import write_packed
from facegan.training.data_source import open_source

pytest.importorskip("webdataset", reason="the extra `streaming` is not installed")

from facegan.data.streaming import stream_packed

TINY = ["--preset", "tiny", "--tick-kimg", "0.032", "--precision", "fp32", "--batch-size", "8"]
THERE = "s3://faces/sets/tiny"


@pytest.fixture
def streamed(bucket: Any, dataset: ImageFolderDataset, tmp_path: Path,
             monkeypatch: pytest.MonkeyPatch) -> Path:  # fmt: skip
    """A streamed set on a disk and in the bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(s3_folder, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    write_packed(tmp_path / "packed", dataset.images, [n % 2 for n in range(64)],
                 splits={"train": [0, 48], "test": [48, 64]})  # fmt: skip
    folder = tmp_path / "streamed"
    stream_packed(tmp_path / "packed", folder, images_per_shard=6)
    files = [file for file in folder.rglob("*") if file.is_file()]
    bucket.objects = {f"sets/tiny/{f.relative_to(folder)}": f.read_bytes() for f in files}
    return folder


def train(*words: object) -> int:
    return run_safely(facegan, ["train", *map(str, words)])


def model(run: Path) -> bytes:
    return (run / "model" / "generator.safetensors").read_bytes()


def test_a_run_from_s3_stopped_within_an_epoch_ends_with_the_bits_of_one_from_a_disk(
    streamed: Path, tmp_path: Path
) -> None:
    disk, there = tmp_path / "disk", tmp_path / "there"
    assert train("--data", streamed, "--out", disk, *TINY, "--total-kimg", "0.064") == 0
    assert train("--data", THERE, "--out", there, *TINY, "--total-kimg", "0.032") == 0
    shutil.rmtree(there / "model")
    assert train("--out", there, "--resume", "--total-kimg", "0.064") == 0  # it knows where
    assert model(there) == model(disk)


def test_labels_and_pixels_are_those_of_the_folder(streamed: Path) -> None:
    here = open_dataset(streamed, 32)
    with open_source(THERE) as place:
        there = open_dataset(place.folder, 32, open_file=place.open_file)
        assert there.labels is not None and here.labels is not None
        assert torch.equal(there.labels, here.labels)
        every = torch.arange(64)
        assert torch.equal(there.read(every), here.read(every))
        there.verify()


def test_a_shard_that_vanished_is_named(
    streamed: Path, bucket: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.vanished = {"sets/tiny/images/00003.tar"}
    assert train("--data", THERE, "--out", tmp_path / "run", *TINY, "--total-kimg", "0.1") == 9
    said = capsys.readouterr().err
    assert "s3://faces/sets/tiny/images/00003.tar cannot be read: there is no such object" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("harm", "address", "code", "told"), [
    ({"key_id": "other"}, THERE, 9, "aws sts get-caller-identity"),
    ({}, "s3://cats/tiny", 9, "aws s3 ls"),
    ({}, "s3://faces/nothing", 3, "holds no dataset.json"),
])  # fmt: skip
def test_wrong_credentials_and_places_are_told_before_anything_is_made(
    streamed: Path, bucket: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    harm: dict[str, str], address: str, code: int, told: str,
) -> None:  # fmt: skip
    vars(bucket).update(harm)
    assert train("--data", address, "--out", tmp_path / "run", *TINY) == code
    said = capsys.readouterr().err
    assert told in said and "Traceback" not in said and not (tmp_path / "run").exists()


def test_a_packed_set_is_not_read_from_s3(
    streamed: Path, bucket: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.objects["p/dataset.json"] = (tmp_path / "packed/dataset.json").read_bytes()
    assert train("--data", "s3://faces/p", "--out", tmp_path / "run", *TINY) == 3
    assert "facegan data stream" in capsys.readouterr().err


def test_an_answer_that_breaks_off_is_asked_for_again(
    streamed: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 repeats a request that fails, but not the reading of an answer."""
    from botocore.exceptions import ResponseStreamingError

    with open_source(THERE) as place:
        assert place.open_file is not None
        objects = place.open_file.__self__.objects  # type: ignore[attr-defined]
        ask, broken = objects.aws.client("s3").get_object, []

        class Breaking:
            def read(self) -> bytes:
                raise ResponseStreamingError(error="connection reset")

        def get_object(**words: Any) -> Any:
            if len(broken) < 2:
                broken.append(words)
                return {"Body": Breaking()}
            return ask(**words)

        monkeypatch.setattr(objects.aws.client("s3"), "get_object", get_object)
        expected = (streamed / "images/00000.tar").read_bytes()
        assert place.open_file("images/00000.tar").read() == expected and len(broken) == 2
