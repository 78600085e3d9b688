"""Which batch sizes rows are drawn in, measured on networks that behave as they like."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from facegan.synthesis.company import MOST, Company, find_company

ROWS = torch.randn(MOST, 8, generator=torch.Generator().manual_seed(0))


def image_of(rows: Tensor) -> Tensor:
    """Rows of eight numbers as images (N, 1, 2, 4)."""
    return rows.reshape(-1, 1, 2, 4)


def test_rows_that_never_mind_are_drawn_in_any_size() -> None:
    assert find_company(lambda x: image_of(2 * x), False, ROWS).sizes == (1, 2, 4, 6, 8, 12, MOST)


def test_a_size_that_rounds_differently_is_left_out() -> None:
    def network(x: Tensor) -> Tensor:
        return image_of(x * (1 + 1e-7 * (len(x) in (1, 6))))

    assert find_company(network, False, ROWS).sizes == (2, 4, 8, 12, MOST)


def test_where_no_two_sizes_agree_there_is_one() -> None:
    assert find_company(lambda x: image_of(x * (1 + 1e-7 * len(x))), False, ROWS).sizes == (8,)


def test_a_heavy_network_draws_one_at_a_time_and_is_not_asked() -> None:
    assert find_company(image_of, True, ROWS).sizes == (1,)


@given(st.integers(0, 40), st.sampled_from([(8,), (1,), (2, 4, 16), (1, 2, 4, 6, 8, 12, 16)]))
def test_every_row_comes_back_once_in_sizes_that_are_allowed(
    count: int, sizes: tuple[int, ...]
) -> None:
    seen = []

    def draw(x: Tensor) -> Tensor:
        seen.append(len(x))
        return x + 1

    rows = torch.arange(float(count))[:, None]
    assert torch.equal(Company(sizes).draw(draw, rows), rows + 1)
    assert set(seen) <= set(sizes)
