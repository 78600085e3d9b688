"""An artifact comes back as it was, and nothing damaged or hostile comes in."""

import gc
import io
import json
import os
import pickle
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from example_data import MAP_CLASSES, network_inputs

from facegan import files as files_module
from facegan.artifact import (
    CARD_NAME,
    WEIGHTS_NAME,
    copy_artifact,
    load_artifact,
    pack_artifact,
    save_artifact,
)
from facegan.errors import ArtifactError, OutputError
from facegan.gans import FAMILIES, Gan, build_gan


class Exploding:
    """Runs a command when unpickled."""

    def __init__(self, trap: Path) -> None:
        self.trap = trap

    def __reduce__(self):
        return os.system, (f"touch {self.trap}",)


def archive_of(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def files(model_dir: Path) -> dict[str, bytes]:
    return {name: (model_dir / name).read_bytes() for name in (CARD_NAME, WEIGHTS_NAME)}


def test_the_card_says_all_that_a_reader_needs(model_dir: Path) -> None:
    card = json.loads((model_dir / CARD_NAME).read_text())
    assert card["family"] == "dcgan" and card["preset"] == "tiny"
    assert card["image_shape"] == [3, 32, 32] and card["latent_dim"] == 16
    assert set(card["versions"]) == {"facegan", "torch"}


def test_a_setting_younger_than_the_card_is_as_it_was_before(tmp_path: Path) -> None:
    """toy32 had plain batch norm before it had self_modulation."""
    gan = build_gan("dcgan", "toy32", (3, 32, 32), seed=0, self_modulation=False)
    save_artifact(gan, tmp_path)
    card = json.loads((tmp_path / CARD_NAME).read_text())
    del card["settings"]["self_modulation"]
    (tmp_path / CARD_NAME).write_text(json.dumps(card))
    assert not load_artifact(tmp_path).generator.modulations


def test_folder_and_archive_hold_the_same_model(model_dir: Path) -> None:
    one, two = load_artifact(model_dir), load_artifact(model_dir / "model.tar.gz")
    assert one.card == two.card


def test_packing_twice_gives_the_same_bytes(model_dir: Path, tmp_path: Path) -> None:
    first = pack_artifact(model_dir, tmp_path / "a.tar.gz").read_bytes()
    assert first == pack_artifact(model_dir, tmp_path / "b.tar.gz").read_bytes()


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nowhere\.tar\.gz cannot be read"):
        load_artifact(tmp_path / "nowhere.tar.gz")


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=CARD_NAME):
        load_artifact(tmp_path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_truncated_archive_is_refused(model_dir: Path, tmp_path: Path, share: float) -> None:
    whole = (model_dir / "model.tar.gz").read_bytes()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ArtifactError, match=r"cut\.tar\.gz"):
        load_artifact(cut)


def test_truncated_weights_are_refused(files: dict[str, bytes], tmp_path: Path) -> None:
    cut = {**files, WEIGHTS_NAME: files[WEIGHTS_NAME][:-10]}
    with pytest.raises(ArtifactError, match="not those its card describes"):
        load_artifact(archive_of(tmp_path / "m.tar.gz", cut))


def test_a_newer_schema_asks_for_a_newer_facegan(files: dict[str, bytes], tmp_path: Path) -> None:
    card = {**json.loads(files[CARD_NAME]), "schema_version": 99}
    files[CARD_NAME] = json.dumps(card).encode()
    with pytest.raises(ArtifactError, match="schema 99"):
        load_artifact(archive_of(tmp_path / "m.tar.gz", files))


@pytest.mark.parametrize(
    "change",
    [
        {"family": "nogan"},
        {"preset": "none"},
        {"settings": {"conv_dim": 9999}},
        {"settings": {"conv_dim": 9}},
        {"settings": {"conv_dim": [1]}},
        {"settings": 3},
        {"image_shape": [3, 1 << 20, 1 << 20]},
        {"image_shape": "big"},
        {"image_shape": [3, 64, 64]},
        {"classes": 3},
        {"classes": [["a", 1], ["a", 2]]},
        {"classes": [["a", 0], ["b", 2]]},
        {"classes": [[1, 1], ["b", 2]]},
        {"classes": ["ab", "cd"]},
        {"classes": [["a\ud800", 1], ["b", 2]]},
        {"settings": {"conditional": True}, "classes": [["a", 1], ["b", 2]]},
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    files: dict[str, bytes], tmp_path: Path, change: dict
) -> None:
    files[CARD_NAME] = json.dumps({**json.loads(files[CARD_NAME]), **change}).encode()
    with pytest.raises(ArtifactError):
        load_artifact(archive_of(tmp_path / "m.tar.gz", files))


@pytest.mark.parametrize("card", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000])
def test_a_card_that_is_no_card_is_refused(
    files: dict[str, bytes], tmp_path: Path, card: bytes
) -> None:
    with pytest.raises(ArtifactError, match=CARD_NAME):
        load_artifact(archive_of(tmp_path / "m.tar.gz", {**files, CARD_NAME: card}))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_an_archive_that_escapes_its_folder_is_refused(
    files: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    with pytest.raises(ArtifactError, match="escape"):
        load_artifact(archive_of(tmp_path / "m.tar.gz", {name: b"x", **files}))


def test_an_archive_with_a_link_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo(WEIGHTS_NAME)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(ArtifactError, match="escape"):
        load_artifact(tmp_path / "m.tar.gz")


def test_a_pickle_is_never_run(files: dict[str, bytes], tmp_path: Path) -> None:
    """Neither as the file itself, nor as the weights inside an archive."""
    trap = tmp_path / "ran"
    payload = pickle.dumps(Exploding(trap))
    (tmp_path / "model.pt").write_bytes(payload)
    with pytest.raises(ArtifactError, match="never loaded"):
        load_artifact(tmp_path / "model.pt")
    with pytest.raises(ArtifactError):
        load_artifact(archive_of(tmp_path / "m.tar.gz", {**files, WEIGHTS_NAME: payload}))
    assert not trap.exists()


def test_a_full_disk_leaves_no_partial_file(
    tiny_gan: Callable[..., Gan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files_module.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        save_artifact(tiny_gan(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_conditional_model_comes_back_with_its_classes_in_their_order(
    conditional_dir: Path, tmp_path: Path
) -> None:
    artifact = load_artifact(conditional_dir)
    assert list(artifact.classes.items()) == [("plain", 16), ("striped", 32), ("spotted", 16)]
    assert artifact.preset.classes == 3
    archive = pack_artifact(conditional_dir, tmp_path / "m.tar.gz")
    assert load_artifact(archive).card == artifact.card


@pytest.mark.parametrize("classes", [[], [["a", 1]], [["a", 1], ["b", 1]]])
def test_a_conditional_card_with_too_few_classes_is_refused(
    conditional_dir: Path, tmp_path: Path, classes: list
) -> None:
    """None, one, or fewer than the weights were trained on."""
    card = json.loads((conditional_dir / CARD_NAME).read_text())
    files = {
        CARD_NAME: json.dumps({**card, "classes": classes}).encode(),
        WEIGHTS_NAME: (conditional_dir / WEIGHTS_NAME).read_bytes(),
    }
    with pytest.raises(ArtifactError, match="cannot be rebuilt"):
        load_artifact(archive_of(tmp_path / "m.tar.gz", files))


def test_a_card_from_before_there_were_classes_is_still_read(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    card = json.loads(files[CARD_NAME])
    del card["classes"], card["settings"]["conditional"]
    files[CARD_NAME] = json.dumps(card).encode()
    artifact = load_artifact(archive_of(tmp_path / "m.tar.gz", files))
    assert artifact.classes == {}
    assert artifact.sample_labels(3, torch.Generator()) is None


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_mapped_weights_draw_the_same_bits(family: str, tmp_path: Path) -> None:
    """Wherever in memory they lie, and however the generator was built."""
    gan = build_gan(family, "tiny", (3, 32, 32), seed=0, map_classes=MAP_CLASSES)
    save_artifact(gan, tmp_path)
    inputs = network_inputs(gan)
    loaded = [load_artifact(tmp_path, mapped=mapped).generator for mapped in (False, True)]
    with torch.inference_mode():
        drawn = [net(*inputs) for net in (gan.generator_ema.eval(), *loaded)]
    assert torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[0], drawn[2])
    assert not any(parameter.requires_grad for parameter in loaded[1].parameters())


def test_mapped_weights_outlive_their_file(model_dir: Path, tmp_path: Path) -> None:
    """SageMaker deletes a model's folder, and `facegan train` puts a new file in its place."""
    folder = tmp_path / "model"
    copy_artifact(model_dir, folder)
    generator = load_artifact(folder, mapped=True).generator
    before = [parameter.sum().item() for parameter in generator.parameters()]
    (folder / WEIGHTS_NAME).unlink()
    assert [parameter.sum().item() for parameter in generator.parameters()] == before


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_mapped_weights_stay_in_their_file(model_dir: Path, tmp_path: Path) -> None:
    """The file is part of this process's memory as long as the model is."""
    copy_artifact(model_dir, tmp_path / "model")
    file = str(tmp_path / "model" / WEIGHTS_NAME)
    maps = Path("/proc/self/maps")
    generator = load_artifact(tmp_path / "model", mapped=True).generator
    assert file in maps.read_text()
    del generator
    gc.collect()
    assert file not in maps.read_text()


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("place", [-1, 400, 8])
def test_one_changed_byte_of_the_weights_is_noticed(
    model_dir: Path, tmp_path: Path, mapped: bool, place: int
) -> None:
    """At the end, in the middle, in the header."""
    copy_artifact(model_dir, tmp_path / "model")
    file = tmp_path / "model" / WEIGHTS_NAME
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match="not those its card describes"):
        load_artifact(tmp_path / "model", mapped=mapped)


def test_missing_mapped_weights_are_named(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / CARD_NAME).write_bytes((model_dir / CARD_NAME).read_bytes())
    with pytest.raises(ArtifactError, match=f"{WEIGHTS_NAME} cannot be read"):
        load_artifact(tmp_path, mapped=True)


def test_a_folder_with_only_an_archive_is_read_through_it(model_dir: Path, tmp_path: Path) -> None:
    """There is nothing to map; it is copied."""
    pack_artifact(model_dir, tmp_path / "model.tar.gz")
    assert load_artifact(tmp_path, mapped=True).card == load_artifact(model_dir).card
