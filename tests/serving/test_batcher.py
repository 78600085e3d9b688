"""Many callers, one model: who shares a batch, who waits, who is told to come again."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegan.errors import DeadlineMissed, Draining, Overloaded
from facegan.serving.batching.batcher import Batcher
from facegan.serving.batching.deadline import Deadline
from facegan.synthesis import LatentBatch

NEVER = Deadline()


def batch_of(*values: int, psi: float = 1.0) -> LatentBatch:
    """A row a value, so that every image shows whose it is."""
    return LatentBatch(np.array(values, np.float32)[:, None], None, psi)


class Painter:
    """Paints a row's value; notes its batches, and waits at a gate where it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, wanted: LatentBatch) -> np.ndarray:
        values = wanted.latents[:, 0].astype(np.uint8)
        self.batches.append(values.tolist())
        assert self.gate.wait(10)
        if 13 in values:
            raise ZeroDivisionError("thirteen")
        return np.broadcast_to(values[:, None, None, None], (len(values), 2, 2, 3)).copy()


@pytest.fixture
def painter() -> Painter:
    return Painter()


@pytest.fixture
def batcher(painter: Painter) -> Iterator[Batcher]:
    made = Batcher(painter, max_batch_size=4, max_images=12, max_requests=6)
    yield made
    painter.gate.set()
    assert made.close(10)


def values_of(images: np.ndarray) -> list[int]:
    return [int(value) for value in images[:, 0, 0, 0]]


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that happens in another thread."""
    ends = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.001)


def test_a_lone_caller_is_drawn_at_once_and_alone(batcher: Batcher, painter: Painter) -> None:
    assert values_of(batcher.draw(batch_of(7), NEVER)) == [7]
    assert painter.batches == [[7]]


def test_those_who_came_while_a_batch_was_drawn_share_the_next(
    batcher: Batcher, painter: Painter
) -> None:
    painter.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: painter.batches == [[1]])
        others = [pool.submit(batcher.draw, batch_of(n), NEVER) for n in (2, 3, 4)]
        until(lambda: batcher.waiting == 3)
        painter.gate.set()
        assert [values_of(f.result()) for f in (first, *others)] == [[1], [2], [3], [4]]
    assert sorted(painter.batches[1]) == [2, 3, 4]


def test_a_large_wish_is_drawn_in_slices_and_others_come_between(
    batcher: Batcher, painter: Painter
) -> None:
    painter.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        large = pool.submit(batcher.draw, batch_of(*range(20, 30)), NEVER)
        until(lambda: len(painter.batches) == 1)
        small = pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: batcher.waiting == 7)
        painter.gate.set()
        assert values_of(small.result()) == [1]
        assert values_of(large.result()) == list(range(20, 30))
    assert painter.batches[0] == [20, 21, 22, 23]
    assert painter.batches[2] == [1, 28, 29]  # after the slice that was next, before the last


def test_rows_of_different_kinds_never_share_a_batch(batcher: Batcher, painter: Painter) -> None:
    painter.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: len(painter.batches) == 1)
        for value, psi in ((2, 0.5), (3, 0.7), (4, 0.5)):
            pool.submit(batcher.draw, batch_of(value, psi=psi), NEVER)
            until(lambda expected=value: batcher.waiting == expected - 1)
        painter.gate.set()
    assert painter.batches == [[1], [2, 4], [3]]


def test_past_the_queue_callers_are_refused_at_once(batcher: Batcher, painter: Painter) -> None:
    """Six callers wait; the seventh is told when to come again."""
    painter.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        taken = [pool.submit(batcher.draw, batch_of(n), NEVER) for n in range(6)]
        until(lambda: batcher.under_way == 6)
        began = time.monotonic()
        with pytest.raises(Overloaded, match="busy") as told:
            batcher.draw(batch_of(9), NEVER)
        assert time.monotonic() - began < 0.5 and told.value.retry_seconds >= 1
        painter.gate.set()
        assert sorted(values_of(f.result())[0] for f in taken) == list(range(6))


def test_once_one_found_no_room_the_next_like_it_is_known_to_find_none(
    batcher: Batcher, painter: Painter
) -> None:
    """Before it is read: an overloaded server has no time to read what it will refuse."""
    painter.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher.draw, batch_of(*range(20, 34)), NEVER)
        until(lambda: batcher.waiting == 10)
        assert batcher.busy_seconds() is None  # one image would find room
        with pytest.raises(Overloaded):
            batcher.draw(batch_of(1, 2, 3), NEVER)
        assert batcher.busy_seconds() == 1.0
        second = pool.submit(batcher.draw, batch_of(4), NEVER)  # read all the same, and taken
        until(lambda: batcher.waiting == 11)
        assert batcher.busy_seconds() is None
        painter.gate.set()
        assert len(first.result()) == 14 and len(second.result()) == 1


def test_images_are_counted_too(batcher: Batcher, painter: Painter) -> None:
    painter.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(
            batcher.draw, batch_of(*range(20, 34)), NEVER
        )  # nobody waits: it is taken
        until(lambda: batcher.waiting == 10)
        with pytest.raises(Overloaded, match="10 images wait"):
            batcher.draw(batch_of(1, 2, 3), NEVER)
        painter.gate.set()
        assert len(first.result()) == 14


def test_a_caller_past_its_deadline_is_let_go_and_not_drawn_for(
    batcher: Batcher, painter: Painter
) -> None:
    painter.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: len(painter.batches) == 1)
        with pytest.raises(DeadlineMissed):
            batcher.draw(batch_of(2), Deadline(time.monotonic() + 0.05))
        assert batcher.waiting == 0
        painter.gate.set()
        first.result()
    assert painter.batches == [[1]]


def test_nothing_is_drawn_for_who_hung_up(batcher: Batcher, painter: Painter) -> None:
    painter.gate.clear()
    there = [True]
    with ThreadPoolExecutor(8) as pool:
        pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: len(painter.batches) == 1)
        gone = pool.submit(batcher.draw, batch_of(2), Deadline(is_connected=lambda: there[0]))
        until(lambda: batcher.waiting == 1)
        there[0] = False
        painter.gate.set()
        assert "hung up" in str(gone.exception())
    assert painter.batches == [[1]]


def test_one_wish_that_fails_harms_no_other_of_its_batch(
    batcher: Batcher, painter: Painter
) -> None:
    painter.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: len(painter.batches) == 1)
        wishes = [pool.submit(batcher.draw, batch_of(n), NEVER) for n in (12, 13, 14)]
        until(lambda: batcher.waiting == 3)
        painter.gate.set()
        assert values_of(wishes[0].result()) == [12] and values_of(wishes[2].result()) == [14]
        assert isinstance(wishes[1].exception(), ZeroDivisionError)
    assert values_of(batcher.draw(batch_of(5), NEVER)) == [5]  # and it goes on


def test_closing_draws_what_was_accepted_and_takes_nothing_more(painter: Painter) -> None:
    batcher = Batcher(painter, max_batch_size=1)
    painter.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        accepted = [pool.submit(batcher.draw, batch_of(n), NEVER) for n in range(5)]
        until(lambda: batcher.under_way == 5)
        closing = pool.submit(batcher.close, 10)
        until(lambda: batcher.is_closing)
        with pytest.raises(Draining):
            batcher.draw(batch_of(9), NEVER)
        painter.gate.set()
        assert closing.result() is True
        assert sorted(values_of(f.result())[0] for f in accepted) == list(range(5))
    assert not batcher.is_alive


def test_a_stuck_batch_is_noticed(
    batcher: Batcher, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facegan.serving.batching.batcher.STUCK_SECONDS", 0.05)
    painter.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: not batcher.is_healthy)
        painter.gate.set()
    until(lambda: batcher.is_healthy)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_whoever_comes_gets_their_own_images_in_order(counts: list[int]) -> None:
    batcher = Batcher(Painter(), max_batch_size=4)
    wishes = [[20 * who + index + 14 for index in range(n)] for who, n in enumerate(counts)]
    with ThreadPoolExecutor(len(counts)) as pool:
        answers = pool.map(lambda wish: batcher.draw(batch_of(*wish), NEVER), wishes)
        assert [values_of(images) for images in answers] == [[v % 256 for v in w] for w in wishes]
    assert batcher.waiting == batcher.under_way == 0
    assert batcher.close(5)
