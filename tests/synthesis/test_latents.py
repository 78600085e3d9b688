"""The ways between latents: ends met exactly, lengths kept."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facegan.synthesis import slerp, walk

seeds = st.integers(0, 2**31)


def latent(seed: int, width: int = 64) -> torch.Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(seed))


@given(a=seeds, b=seeds)
def test_slerp_begins_and_ends_where_it_should(a: int, b: int) -> None:
    start, end = latent(a), latent(b)
    ways = slerp(start, end, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(ways, torch.stack([start, end]))


def test_half_way_between_two_axes_is_the_diagonal() -> None:
    (middle,) = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.5]))
    assert middle.tolist() == pytest.approx([0.5**0.5, 0.5**0.5])


@given(a=seeds, b=seeds, share=st.floats(0, 1))
def test_slerp_keeps_the_length_of_unit_latents(a: int, b: int, share: float) -> None:
    start, end = (z / z.norm() for z in (latent(a), latent(b)))
    (way,) = slerp(start, end, torch.tensor([share]))
    assert way.norm().item() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, 0.0])
def test_latents_without_an_arc_between_them_are_joined_by_a_line(factor: float) -> None:
    start = latent(0)
    (middle,) = slerp(start, factor * start, torch.tensor([0.5]))
    torch.testing.assert_close(middle, start * (1 + factor) / 2)


@given(stations=st.integers(2, 5), frames=st.integers(1, 6))
def test_a_walk_meets_every_station(stations: int, frames: int) -> None:
    met = torch.stack([latent(seed) for seed in range(stations)])
    way = walk(met, frames)
    assert len(way) == (stations - 1) * frames + 1
    torch.testing.assert_close(way[::frames], met)
