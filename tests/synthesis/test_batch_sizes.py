"""Which batch sizes rows are drawn in, measured on networks that behave as they like."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegan.synthesis.batch_sizes import MAX_SIZE, Array, BatchSizes, find_equivalent_batch_sizes

ROWS = np.random.default_rng(0).standard_normal((MAX_SIZE, 8), np.float32)


def image_of(rows: Array) -> Array:
    """Rows of eight numbers as images (N, 1, 2, 4)."""
    return rows.reshape(-1, 1, 2, 4)


def test_rows_that_never_mind_are_drawn_in_any_size() -> None:
    assert find_equivalent_batch_sizes(lambda x: image_of(2 * x), False, ROWS).sizes == (
        1,
        2,
        4,
        6,
        8,
        12,
        MAX_SIZE,
    )


def test_a_size_that_rounds_differently_is_left_out() -> None:
    def network(x: Array) -> Array:
        return image_of(x * np.float32(1 + 3e-7 * (len(x) in (1, 6))))

    assert find_equivalent_batch_sizes(network, False, ROWS).sizes == (2, 4, 8, 12, MAX_SIZE)


def test_where_no_two_sizes_agree_there_is_one() -> None:
    assert find_equivalent_batch_sizes(
        lambda x: image_of(x * np.float32(1 + 3e-7 * len(x))), False, ROWS
    ).sizes == (8,)


def test_a_heavy_network_draws_one_at_a_time_and_is_not_asked() -> None:
    assert find_equivalent_batch_sizes(image_of, True, ROWS).sizes == (1,)


@given(st.integers(1, 40), st.sampled_from([(8,), (1,), (2, 4, 16), (1, 2, 4, 6, 8, 12, 16)]))
def test_every_row_comes_back_once_in_sizes_that_are_allowed(
    count: int, sizes: tuple[int, ...]
) -> None:
    seen = []

    def draw(x: Array) -> Array:
        seen.append(len(x))
        return x + 1

    rows = np.arange(float(count))[:, None]
    assert np.array_equal(BatchSizes(sizes).run(draw, rows), rows + 1)
    assert set(seen) <= set(sizes)


@pytest.mark.parametrize(
    ("count", "drawn"), [(1, [1]), (2, [1, 1]), (3, [4]), (5, [4, 1]), (11, [16]), (19, [16, 4])]
)
def test_a_batch_is_padded_only_where_two_would_cost_more(count: int, drawn: list[int]) -> None:
    seen = []

    def draw(x: Array) -> Array:
        seen.append(len(x))
        return x

    BatchSizes((1, 4, 16)).run(draw, np.zeros((count, 2)))
    assert seen == drawn
