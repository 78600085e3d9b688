"""A model.tar.gz is looked into before it goes anywhere."""

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from facegan import artifact
from facegan.errors import ArtifactError
from facegan.model_files.archive import check_archive, pack


def test_a_whole_archive_tells_its_card(model_dir: Path) -> None:
    assert check_archive(model_dir / "model.tar.gz")["preset"] == "tiny"


@pytest.mark.parametrize("prefix", ["", "./"])
def test_an_archive_that_another_program_packed_will_do(
    model_dir: Path, tmp_path: Path, prefix: str
) -> None:
    """The service's and the SDK's tar have folders, other orders, and more files."""
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(model_dir, prefix or "extra")
        for name in (artifact.WEIGHTS_NAME, artifact.CARD_NAME):
            if not prefix:
                tar.add(model_dir / name, name)
    assert check_archive(tmp_path / "model.tar.gz")["family"] == "dcgan"


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"There is no model at .*absent"):
        check_archive(tmp_path / "absent.tar.gz")


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_an_archive_cut_short_is_damaged(model_dir: Path, tmp_path: Path, keep: float) -> None:
    whole = (model_dir / "model.tar.gz").read_bytes()
    cut = tmp_path / "model.tar.gz"
    cut.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(ArtifactError) as told:
        check_archive(cut)
    assert "not a readable archive" in str(told.value) and "\n" not in str(told.value)


def test_an_archive_of_something_else_says_what_is_missing(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("model.pth"))
    with pytest.raises(ArtifactError, match=r"no model_card\.json and no generator\.safetensors"):
        check_archive(tmp_path / "model.tar.gz")


@pytest.mark.parametrize("card", [b"{}", b"[]", b"{"])
def test_a_card_of_other_weights_is_refused(model_dir: Path, tmp_path: Path, card: bytes) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(model_dir / artifact.WEIGHTS_NAME, artifact.WEIGHTS_NAME)
        member = tarfile.TarInfo(artifact.CARD_NAME)
        member.size = len(card)
        tar.addfile(member, io.BytesIO(card))
    with pytest.raises(ArtifactError):
        check_archive(tmp_path / "model.tar.gz")


def test_a_graph_that_is_none_of_ours_is_refused(exported_dir: Path, tmp_path: Path) -> None:
    """Also where the card's digest is of these very bytes."""
    files = {it.name: it.read_bytes() for it in exported_dir.iterdir() if it.suffix != ".gz"}
    card = json.loads(files[artifact.CARD_NAME])
    name = min(card["graph"]["sha256"])
    files[name] = files[name][:-3]
    card["graph"]["sha256"][name] = hashlib.sha256(files[name]).hexdigest()
    files[artifact.CARD_NAME] = json.dumps(card).encode()
    (tmp_path / "model.tar.gz").write_bytes(pack(files))
    with pytest.raises(ArtifactError, match=re.escape(name)):
        check_archive(tmp_path / "model.tar.gz")
