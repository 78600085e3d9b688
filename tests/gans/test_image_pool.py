"""The pool of earlier fakes does what its paper says, image by image, equally in all processes."""

import threading

import pytest
import torch
from torch import Tensor

from facegan.gans import data_parallel
from facegan.gans.data_parallel import BatchSlice, use_slice
from facegan.gans.image_pool import ImagePool

SHAPE = (3, 2, 2)


def numbered(first: int, count: int) -> Tensor:
    """Return fakes whose pixels are all their number."""
    return torch.arange(first, first + count).float()[:, None, None, None].expand(-1, *SHAPE)


def numbers_of(images: Tensor) -> list[int]:
    assert all(len(image.unique()) == 1 for image in images)
    return [int(image[0, 0, 0]) for image in images]


def random_of(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


def by_hand(size: int, steps: int, count: int) -> tuple[list[list[int]], list[int]]:
    """Do with lists what the paper's code does, with the same random numbers."""
    pool: list[int] = []
    returned = []
    for step in range(steps):
        generator = random_of(step)
        chances = torch.rand(count, generator=generator).tolist()
        slots = torch.randint(size, (count,), generator=generator).tolist()
        row = []
        for index in range(count):
            fake = step * count + index
            if len(pool) < size:
                pool.append(fake)
                row.append(fake)
            elif chances[index] < 0.5:
                row.append(pool[slots[index]])
                pool[slots[index]] = fake
            else:
                row.append(fake)
        returned.append(row)
    return returned, pool


@pytest.mark.parametrize(("size", "count"), [(50, 4), (3, 5), (1, 1), (7, 7)])
def test_fakes_are_stored_and_exchanged_as_by_hand(size: int, count: int) -> None:
    pool = ImagePool(size, SHAPE)
    expected, kept = by_hand(size, 30, count)
    for step, row in enumerate(expected):
        assert numbers_of(pool.exchange(numbered(step * count, count), random_of(step))) == row
    assert numbers_of(pool.images) == kept
    assert pool.filled == size


def test_about_half_of_the_fakes_are_earlier_ones() -> None:
    pool, earlier = ImagePool(50, SHAPE), 0
    for step in range(200):
        row = numbers_of(pool.exchange(numbered(step * 4, 4), random_of(step)))
        earlier += sum(number < step * 4 for number in row)
    assert earlier / 800 == pytest.approx(0.5, abs=0.07)


def test_it_is_state_which_a_resumed_run_goes_on_with() -> None:
    one, two = ImagePool(5, SHAPE), ImagePool(5, SHAPE)
    for step in range(4):
        one.exchange(numbered(step * 3, 3), random_of(step))
    two.load_state_dict(one.state_dict())
    for step in range(4, 9):
        fakes = numbered(step * 3, 3)
        found = [pool.exchange(fakes, random_of(step)) for pool in (one, two)]
        assert torch.equal(*found)
    assert torch.equal(one.images, two.images)


def test_without_a_size_the_newest_fakes_are_returned_and_nothing_is_kept() -> None:
    pool = ImagePool(0, SHAPE)
    fakes = torch.randn(2, *SHAPE, requires_grad=True)
    returned = pool.exchange(fakes, random_of(0))
    assert torch.equal(returned, fakes) and not returned.requires_grad
    assert not pool.state_dict()


def test_processes_hold_equal_pools_and_rows_of_the_same_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two threads stand for two processes; their gathering is a barrier and a list."""
    parts: list[Tensor | None] = [None, None]
    barrier = threading.Barrier(2)

    def gather(x: Tensor) -> Tensor:
        parts[data_parallel.current_slice().rank] = x
        barrier.wait(timeout=30)
        return torch.stack([part for part in parts if part is not None])

    monkeypatch.setattr(data_parallel, "all_gather", gather)
    whole, pools = ImagePool(4, SHAPE), [ImagePool(4, SHAPE) for _ in range(2)]
    returned: list[list[Tensor]] = [[], []]

    def process(rank: int) -> None:
        for step in range(5):
            with use_slice(BatchSlice(rank, 2, 6)):
                fakes = numbered(step * 6 + rank * 3, 3)
                returned[rank].append(pools[rank].exchange(fakes, random_of(step)))
            barrier.wait(timeout=30)

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    for step in range(5):
        expected = whole.exchange(numbered(step * 6, 6), random_of(step))
        assert torch.equal(torch.cat([part[step] for part in returned]), expected)
    assert all(torch.equal(pool.images, whole.images) for pool in pools)
