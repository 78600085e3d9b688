"""Random numbers of a part of a batch are the same rows of the whole batch's."""

import pytest
import torch
from example_data import MAP_CLASSES
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from facegan.gans import FAMILIES, Gan, build_gan, data_parallel
from facegan.gans.data_parallel import BatchSlice, use_slice


def in_parts(processes: int, rows: int, sample: object) -> list[Tensor]:
    """Return what each process draws, one after the other, with the same seed."""
    parts = []
    for rank in range(processes):
        torch.manual_seed(7)
        with use_slice(BatchSlice(rank, processes, rows * processes)):
            parts.append(sample(rows))
    return parts


@given(processes=st.integers(1, 5), rows=st.integers(1, 6), width=st.integers(1, 3))
def test_parts_of_a_draw_make_the_whole(processes: int, rows: int, width: int) -> None:
    for sample in (
        lambda count: data_parallel.randn(count, width),
        lambda count: data_parallel.rand(count, width, 1),
        lambda count: data_parallel.randint(0, 99, count, width),
        lambda count: data_parallel.randn_like(torch.empty(count, width)),
    ):
        (whole,) = in_parts(1, processes * rows, sample)
        assert torch.equal(torch.cat(in_parts(processes, rows, sample)), whole)


@given(processes=st.integers(1, 4), rows=st.integers(1, 4), stacked=st.integers(1, 3))
def test_each_of_several_stacked_batches_is_split(processes: int, rows: int, stacked: int) -> None:
    """Reals and fakes in one tensor: a process has its part of both."""
    parts = in_parts(processes, rows, lambda count: data_parallel.rand(stacked * count))
    (whole,) = in_parts(1, processes * rows, lambda count: data_parallel.rand(stacked * count))
    together = torch.cat([part.view(stacked, rows) for part in parts], 1)
    assert torch.equal(together.flatten(), whole)


def test_half_a_batch_is_split_too() -> None:
    parts = in_parts(2, 4, lambda count: data_parallel.rand(count // 2))
    (whole,) = in_parts(1, 8, lambda count: data_parallel.rand(count // 2))
    assert torch.equal(torch.cat(parts), whole)


def test_a_single_process_draws_what_torch_draws() -> None:
    torch.manual_seed(0)
    expected = [torch.randn(3, 2), torch.rand(3, 2), torch.randint(1, 9, (3, 2))]
    torch.manual_seed(0)
    found = [data_parallel.randn(3, 2), data_parallel.rand(3, 2), data_parallel.randint(1, 9, 3, 2)]
    assert all(map(torch.equal, found, expected))


def test_latents_are_split_in_every_family(family: str) -> None:
    gan = build_gan(family, "tiny", (3, 32, 32), seed=0, map_classes=MAP_CLASSES)
    whole = gan.sample_latents(8, torch.Generator().manual_seed(0))
    parts = in_parts(2, 4, lambda n: gan.sample_latents(n, torch.Generator().manual_seed(0)))
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize(
    ("weight", "batch_size", "images"), [(2.0, 8, 4), (2.0, 9, 6), (0.0, 9, 3)]
)
def test_stylegan2_keeps_groups_and_halves_whole(
    weight: float, batch_size: int, images: int
) -> None:
    family = FAMILIES["stylegan2"]
    preset = family.presets["tiny"].replaced({"path_length_weight": weight})
    assert family.images_together(preset, batch_size) == images


def test_gammas_rule_counts_the_whole_batch() -> None:
    """0.0002 resolution² / batch size: with half of the batch each, not twice the weight."""
    gan: Gan = build_gan("stylegan2", "tiny", (3, 32, 32), seed=0)
    loss = next(p.loss for p in gan.family.phases(gan.preset) if p.loss.__name__ == "r1_loss")
    reals = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    alone = loss(gan, {"reals": reals})["r1"]
    with use_slice(BatchSlice(0, 2, 8)):
        assert torch.allclose(loss(gan, {"reals": reals})["r1"] * 2, alone)
