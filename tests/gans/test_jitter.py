"""Jitter moves aligned images together, as a function of the step's random numbers."""

import pytest
import torch

from facegan.gans.data_parallel import BatchSlice, use_slice
from facegan.gans.jitter import ENLARGED, jitter_together


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def coordinates(count: int, side: int) -> torch.Tensor:
    """Return images of two channels whose pixels are their row and column."""
    axis = torch.arange(side, dtype=torch.float64)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([rows, columns]).expand(count, 2, side, side)


def test_both_sides_are_cropped_at_the_same_place() -> None:
    images = coordinates(16, 32)
    first, second, maps = jitter_together(images, 2 * images, images[:, 0].long())
    assert first.shape == images.shape
    torch.testing.assert_close(second, 2 * first)
    assert maps.shape == (16, 32, 32) and maps.dtype == torch.int64
    assert (maps - first[:, 0]).abs().max() <= 1  # the nearest row


def test_an_image_is_286_256ths_as_large_and_every_place_is_drawn() -> None:
    (moved,) = jitter_together(coordinates(400, 32))
    assert round(32 * ENLARGED) == 36
    steps = moved[:, 0, 16, 0] - moved[:, 0, 15, 0]
    torch.testing.assert_close(steps, torch.full_like(steps, 32 / 36))
    for channel in (0, 1):  # five crops of 32 of 36 rows, and of columns
        assert len(moved[:, channel, 16, 16].round(decimals=6).unique()) == 5
    assert len(moved[:, :, 16, 16].round(decimals=6).unique(dim=0)) == 25


def test_label_maps_keep_their_classes() -> None:
    maps = torch.randint(7, (8, 16, 16))
    (moved,) = jitter_together(maps)
    assert set(moved.unique().tolist()) <= set(range(7)) and moved.shape == maps.shape


def test_two_processes_jitter_their_rows_as_one_does() -> None:
    images = torch.randn(8, 3, 16, 16)
    torch.manual_seed(3)
    (whole,) = jitter_together(images)
    parts = []
    for rank in range(2):
        torch.manual_seed(3)
        with use_slice(BatchSlice(rank, 2, 8)):
            parts += jitter_together(images[4 * rank : 4 * rank + 4])
    assert torch.equal(torch.cat(parts), whole)
