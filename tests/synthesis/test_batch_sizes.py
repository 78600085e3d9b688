"""Which batch sizes are equivalent, measured on networks that round as the tests say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegan.synthesis.batch_sizes import MAX_SIZE, Array, BatchSizes, find_equivalent_batch_sizes

SAMPLES = np.random.default_rng(0).standard_normal((MAX_SIZE, 8), np.float32)


def image_of(samples: Array) -> Array:
    """Return samples of eight numbers as images (N, 1, 2, 4)."""
    return samples.reshape(-1, 1, 2, 4)


def test_all_sizes_are_equivalent_if_rounding_never_differs() -> None:
    assert find_equivalent_batch_sizes(lambda x: image_of(2 * x), False, SAMPLES).sizes == (
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

    assert find_equivalent_batch_sizes(network, False, SAMPLES).sizes == (2, 4, 8, 12, MAX_SIZE)


def test_if_no_two_sizes_agree_there_is_one() -> None:
    assert find_equivalent_batch_sizes(
        lambda x: image_of(x * np.float32(1 + 3e-7 * len(x))), False, SAMPLES
    ).sizes == (8,)


def test_a_large_network_runs_one_at_a_time_without_measuring() -> None:
    assert find_equivalent_batch_sizes(image_of, True, SAMPLES).sizes == (1,)


@given(st.integers(1, 40), st.sampled_from([(8,), (1,), (2, 4, 16), (1, 2, 4, 6, 8, 12, 16)]))
def test_every_sample_comes_back_once_in_allowed_sizes(count: int, sizes: tuple[int, ...]) -> None:
    seen = []

    def draw(x: Array) -> Array:
        seen.append(len(x))
        return x + 1

    samples = np.arange(float(count))[:, None]
    assert np.array_equal(BatchSizes(sizes).run(draw, samples), samples + 1)
    assert set(seen) <= set(sizes)


@pytest.mark.parametrize(
    ("count", "drawn"), [(1, [1]), (2, [1, 1]), (3, [4]), (5, [4, 1]), (11, [16]), (19, [16, 4])]
)
def test_a_batch_is_padded_only_if_two_would_cost_more(count: int, drawn: list[int]) -> None:
    seen = []

    def draw(x: Array) -> Array:
        seen.append(len(x))
        return x

    BatchSizes((1, 4, 16)).run(draw, np.zeros((count, 2)))
    assert seen == drawn
