"""The segmenter: learns which colours are which class, is kept in a file, and made again."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from facegan.metrics.segmenter import Segmenter, cached_segmenter, class_weights, train_segmenter

COLOURS = torch.tensor([[20, 20, 20], [220, 40, 40], [40, 220, 40]], dtype=torch.uint8)


def examples(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Blocks of three colours with a little noise, and which colour each pixel has."""
    numbers = torch.Generator().manual_seed(seed)
    maps = torch.randint(3, (count, 4, 4), generator=numbers)
    maps = maps.repeat_interleave(4, 1).repeat_interleave(4, 2).to(torch.uint8)
    noise = torch.randint(20, (count, 3, 16, 16), generator=numbers, dtype=torch.uint8)
    return COLOURS[maps.long()].permute(0, 3, 1, 2) + noise, maps


def trained(classes: int = 3) -> Segmenter:
    return train_segmenter(*examples(64, 0), classes, steps=40, batch_size=16)


def test_it_reads_what_it_has_learnt_in_images_it_has_not_seen() -> None:
    images, maps = examples(32, 1)
    found = trained().read(images)
    assert found.dtype == torch.uint8 and found.shape == maps.shape
    assert (found == maps).float().mean() > 0.95


def test_a_class_that_never_occurs_spoils_nothing() -> None:
    images, maps = examples(32, 1)
    weights = class_weights(maps, 9)
    assert weights.isfinite().all()
    assert weights[maps.long()].mean() == pytest.approx(1, abs=0.1)
    assert (trained(9).read(images) == maps).float().mean() > 0.95


def test_training_is_a_function_of_its_arguments_and_leaves_the_random_numbers_alone() -> None:
    before = torch.random.get_rng_state()
    first, second = trained().state_dict(), trained().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_it_is_kept_and_made_again_if_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, made = tmp_path / "below" / "segmenter.safetensors", []

    def train() -> Segmenter:
        made.append(1)
        return trained()

    images, _ = examples(8, 1)
    first = cached_segmenter(file, 3, train).read(images)
    assert torch.equal(cached_segmenter(file, 3, train).read(images), first) and len(made) == 1
    for damage in (file.read_bytes()[:-9], b"x"):
        file.write_bytes(damage)
        assert torch.equal(cached_segmenter(file, 3, train).read(images), first)
    assert len(made) == 3 and "is damaged" in caplog.text
    cached_segmenter(None, 3, train)
    assert len(made) == 4


def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    images, maps = examples(8, 1)
    segmenter = cached_segmenter(tmp_path / "file" / "segmenter.safetensors", 3, trained)
    assert (segmenter.read(images) == maps).float().mean() > 0.9
    assert "cannot be written" in caplog.text
