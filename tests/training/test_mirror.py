"""Mirroring is balanced, and the same for every format, process count and resumed run."""

import json
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import torch
from bits import assert_same, weights
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from facegan.cli.__main__ import facegan, run_safely
from facegan.data import ImageFolderDataset, PackedDataset, mirror_rows, mirrored_in_step, order_of
from facegan.data.packed_files import write_packed
from facegan.data.splits import SplitDataset
from facegan.files import read_json
from facegan.gans import FAMILIES, Gan, build_gan
from facegan.gans.data_parallel import BatchSlice
from facegan.training import Trainer, TrainingConfig
from facegan.training.gpu_cache import GpuCache

Build = Callable[..., Gan]
CONFIG = TrainingConfig(
    total_kimg=0.096, batch_size=24, precision="fp32", tick_kimg=0.048, mirror=True, device="cpu"
)


# --- which images -------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 10), st.integers(0, 2**32 - 1))
def test_two_epochs_show_each_image_once_mirrored_and_once_not(
    length: int, step: int, pair: int, seed: int
) -> None:
    """For any batch size, also across epochs."""
    seen = []
    for first in range(pair * 2 * length, (pair + 1) * 2 * length, step):
        order = order_of(seed, first, step, length)
        mirrored = mirrored_in_step(seed, first, order, length)
        seen += [*zip(order.tolist(), mirrored.tolist(), strict=True)]
    expected = [(index, which) for index in range(length) for which in (False, True)]
    assert sorted(seen[: 2 * length]) == expected


def test_each_epoch_mirrors_half_and_seeds_and_pairs_differ() -> None:
    indices = torch.arange(10_000)
    of_pairs = [mirrored_in_step(0, epoch * 10_000, indices, 10_000) for epoch in (0, 2)]
    another = mirrored_in_step(1, 0, indices, 10_000)
    for mirrored in (*of_pairs, another):
        assert mirrored.double().mean().item() == pytest.approx(0.5, abs=0.02)
    for other in (of_pairs[1], another):  # independent: half of all agree
        assert (of_pairs[0] == other).double().mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_rows_are_mirrored_and_keep_their_layout(layout: torch.memory_format) -> None:
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).view(2, 3, 4, 5)
    images = images.contiguous(memory_format=layout)
    found = mirror_rows(images, torch.tensor([False, True]))
    assert torch.equal(found[0], images[0]) and found.stride() == images.stride()
    assert torch.equal(found[1, :, :, 0], images[1, :, :, 4])


# --- in a run -----------------------------------------------------------------------------------


def reals_of(trainer: Trainer, steps: int) -> Tensor:
    """Return the reals of some steps, as the networks get them."""
    batches = []
    for number in range(steps):
        batches.append(trainer.next_batch(number)["reals"])
        trainer.images_seen += trainer.batch_size
    return torch.cat(batches)


@pytest.fixture(scope="module")
def formats(
    dataset: ImageFolderDataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, object]:
    """Return the same images in every format with random access."""
    folder = tmp_path_factory.mktemp("formats")
    write_packed(folder / "packed", dataset.images, images_per_shard=13)
    splits = {"train": [0, 64]}
    write_packed(folder / "split", dataset.images, images_per_shard=13, splits=splits)
    packed = PackedDataset(folder / "packed", 32)
    split = SplitDataset(PackedDataset(folder / "split", 32), "train")
    return {"folder": dataset, "packed": packed, "split": split}


def test_every_format_and_device_shows_the_same(
    tiny_gan: Build, formats: dict[str, object]
) -> None:
    shown = {
        name: reals_of(Trainer(tiny_gan(), data, CONFIG), 6)  # type: ignore[arg-type]
        for name, data in formats.items()
    }
    resident = Trainer(tiny_gan(), formats["packed"], CONFIG)  # type: ignore[arg-type]
    resident.batches.gpu_cache = GpuCache(resident.dataset, torch.device("cpu"))
    shown["resident"] = reals_of(resident, 6)
    for name, images in shown.items():
        assert torch.equal(images, shown["folder"]), name
        assert images.stride() == shown["folder"].stride()


def test_a_streamed_set_mirrors_the_same_images_in_its_own_order(
    tiny_gan: Build, dataset: ImageFolderDataset, tmp_path: Path
) -> None:
    """Two epochs show every image in both ways, as with any other format."""
    pytest.importorskip("webdataset", reason="the extra `streaming` is not installed")
    from facegan.data.streamed import StreamedDataset, write_streamed

    write_streamed(tmp_path / "data", dataset.images, images_per_shard=6)
    config = CONFIG.model_copy(update={"batch_size": 16})
    of_folder, streamed = (
        reals_of(Trainer(tiny_gan(), data, config), 8)
        for data in (dataset, StreamedDataset(tmp_path / "data"))
    )
    assert not torch.equal(of_folder, streamed)
    for epoch in (slice(0, 64), slice(64, 128)):
        assert rows_of(of_folder[epoch]) == rows_of(streamed[epoch])
    both = {image.numpy().tobytes() for half in (of_folder, of_folder.flip(3)) for image in half}
    assert both == {image.numpy().tobytes() for image in of_folder} and len(both) == 128


def rows_of(images: Tensor) -> list[bytes]:
    return sorted(image.contiguous().numpy().tobytes() for image in images)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_resumed_run_ends_with_the_same_bits_in_every_family(
    name: str, tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    whole, first, second = (Trainer(tiny_gan(name), dataset, CONFIG) for _ in range(3))
    plain = Trainer(tiny_gan(name), dataset, CONFIG.model_copy(update={"mirror": False}))
    whole.run(), plain.run()
    for _ in range(3):  # into the second epoch
        first.step()
    second.load_state(*first.state())
    second.run()
    assert_same(weights(whole), weights(second))
    key = next(key for key in weights(plain) if key.startswith("player.discriminator"))
    assert not torch.equal(weights(whole)[key], weights(plain)[key])


def test_labels_stay_with_their_images(labelled: ImageFolderDataset) -> None:
    gan = build_gan("r3gan", "tiny-conditional", (3, 32, 32), classes=labelled.classes)
    trainer = Trainer(gan, labelled, CONFIG)
    batch = trainer.next_batch(0)
    assert labelled.labels is not None
    order = order_of(0, 0, 24, 64)
    assert torch.equal(batch["labels"], labelled.labels[order])
    straight = Trainer(gan, labelled, CONFIG.model_copy(update={"mirror": False})).next_batch(0)
    assert torch.equal(straight["labels"], batch["labels"])


def test_each_process_mirrors_its_rows_of_the_whole_batch(
    tiny_gan: Build, dataset: ImageFolderDataset
) -> None:
    whole = reals_of(Trainer(tiny_gan(), dataset, CONFIG), 4)
    parts = []
    for rank in range(2):
        trainer = Trainer(tiny_gan(), dataset, CONFIG)
        trainer.batches.batch_slice = BatchSlice(rank, 2, 24)
        with mock.patch.object(trainer.gan, "sample_latents", lambda *_: torch.zeros(12, 1)):
            parts.append(reals_of(trainer, 4).unflatten(0, (4, 12)))
    assert torch.equal(torch.cat(parts, 1).flatten(0, 1), whole)


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES["r3gan"].presets)
def test_r3gans_recipes_mirror_and_others_do_not_by_default(name: str) -> None:
    preset = FAMILIES["r3gan"].presets[name]
    is_recipe = name.startswith(("paper", "faces"))
    assert TrainingConfig().completed_by(preset).mirror is is_recipe
    requested = TrainingConfig.from_hyperparameters({"mirror": "off"})
    assert requested.completed_by(preset).mirror is False


def train(*words: object) -> int:
    return run_safely(facegan, ["train", *map(str, words)])


TINY = ("--preset", "tiny", "--total-kimg", "0.032", "--tick-kimg", "0.032")


def test_the_command_prints_that_it_mirrors_and_the_card_records_it(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--data", images_dir, *TINY)
    assert train(*words, "--out", tmp_path / "on", "--mirror", "on") == 0
    assert "add --mirror off" in capsys.readouterr().out
    assert read_json(tmp_path / "on" / "model" / "model_card.json")["training"]["mirror"] is True
    assert train(*words, "--out", tmp_path / "no", "--mirror", "sideways") == 2
    assert "--mirror is 'sideways'.\nIt must be true or false." in capsys.readouterr().err
    assert train("--out", tmp_path / "on", "--resume", "--mirror", "off") == 2
    assert "started with --mirror=True (now False)" in capsys.readouterr().err


@pytest.mark.parametrize("augment", ["none", "blit"])
def test_a_run_older_than_a_setting_resumes_without_it(
    images_dir: Path, tmp_path: Path, augment: str
) -> None:
    """Its run.json has neither `mirror` nor a filter, and not the preset's length of today."""
    out = tmp_path / "run"
    small = ("--width", 8, "--group-width", 4, "--blocks-per-stage", 1, "--latent-dim", 8)
    words = ("--data", images_dir, "--out", out, "--family", "r3gan", "--preset", "faces32")
    lengths = (
        "--batch-size",
        8,
        "--precision",
        "fp32",
        "--augment",
        augment,
        "--max-minutes",
        1e-9,
    )
    older = ("--mirror", "off", *(("--augment-filter", "bicubic") if augment == "blit" else ()))
    assert train(*words, *small, *lengths, *older) == 0
    facts = read_json(out / "run.json")
    for newer in ("mirror", "augment_filter"):
        del facts["training"][newer]
        facts["plan"].pop(newer, None)
    facts["training"]["total_kimg"] = 0.016
    (out / "run.json").write_text(json.dumps(facts))
    assert train("--out", out, "--resume", "--max-minutes", 5) == 0
    went_on = read_json(out / "run.json")["training"]
    assert (went_on["mirror"], went_on["total_kimg"]) == (False, 0.016)
    assert augment == "none" or went_on["augment_filter"] == "bicubic"
