"""The batcher: which requests share a batch, which wait, and which are refused."""

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
from facegan.synthesis import InputBatch

NEVER = Deadline()


def batch_of(*values: int, psi: float = 1.0) -> InputBatch:
    """Return one row per value, so that every image shows which request it belongs to."""
    return InputBatch({"latents": np.array(values, np.float32)[:, None]}, psi)


class RecordingBackend:
    """Fills images with their rows' values; records batches, and waits while the gate is shut."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, wanted: InputBatch) -> np.ndarray:
        values = wanted.arrays["latents"][:, 0].astype(np.uint8)
        self.batches.append(values.tolist())
        assert self.gate.wait(10)
        if 13 in values:
            raise ZeroDivisionError("thirteen")
        return np.broadcast_to(values[:, None, None, None], (len(values), 2, 2, 3)).copy()


@pytest.fixture
def backend() -> RecordingBackend:
    return RecordingBackend()


@pytest.fixture
def batcher(backend: RecordingBackend) -> Iterator[Batcher]:
    made = Batcher(backend, max_batch_size=4, max_images=12, max_requests=6)
    yield made
    backend.gate.set()
    assert made.close(10)


def values_of(images: np.ndarray) -> list[int]:
    return [int(value) for value in images[:, 0, 0, 0]]


def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition that another thread brings about."""
    ends = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.001)


def test_single_request_is_drawn_at_once(batcher: Batcher, backend: RecordingBackend) -> None:
    assert values_of(batcher.draw(batch_of(7), NEVER)) == [7]
    assert backend.batches == [[7]]


def test_requests_that_arrive_during_a_batch_share_the_next(
    batcher: Batcher, backend: RecordingBackend
) -> None:
    backend.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: backend.batches == [[1]])
        others = [pool.submit(batcher.draw, batch_of(n), NEVER) for n in (2, 3, 4)]
        until(lambda: batcher.waiting == 3)
        backend.gate.set()
        assert [values_of(f.result()) for f in (first, *others)] == [[1], [2], [3], [4]]
    assert sorted(backend.batches[1]) == [2, 3, 4]


def test_large_request_is_drawn_in_slices_between_others(
    batcher: Batcher, backend: RecordingBackend
) -> None:
    backend.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        large = pool.submit(batcher.draw, batch_of(*range(20, 30)), NEVER)
        until(lambda: len(backend.batches) == 1)
        small = pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: batcher.waiting == 7)
        backend.gate.set()
        assert values_of(small.result()) == [1]
        assert values_of(large.result()) == list(range(20, 30))
    assert backend.batches[0] == [20, 21, 22, 23]
    assert backend.batches[2] == [1, 28, 29]  # after the slice that was next, before the last


def test_rows_of_different_kinds_never_share_a_batch(
    batcher: Batcher, backend: RecordingBackend
) -> None:
    backend.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: len(backend.batches) == 1)
        for value, psi in ((2, 0.5), (3, 0.7), (4, 0.5)):
            pool.submit(batcher.draw, batch_of(value, psi=psi), NEVER)
            until(lambda expected=value: batcher.waiting == expected - 1)
        backend.gate.set()
    assert backend.batches == [[1], [2, 4], [3]]


def test_full_queue_refuses_at_once(batcher: Batcher, backend: RecordingBackend) -> None:
    """Six requests wait; the seventh is refused with a time to retry after."""
    backend.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        taken = [pool.submit(batcher.draw, batch_of(n), NEVER) for n in range(6)]
        until(lambda: batcher.under_way == 6)
        began = time.monotonic()
        with pytest.raises(Overloaded, match="busy") as refused:
            batcher.draw(batch_of(9), NEVER)
        assert time.monotonic() - began < 0.5 and refused.value.retry_seconds >= 1
        backend.gate.set()
        assert sorted(values_of(f.result())[0] for f in taken) == list(range(6))


def test_after_a_refusal_requests_of_its_size_are_known_not_to_fit(
    batcher: Batcher, backend: RecordingBackend
) -> None:
    """They are refused unread: an overloaded server has no time to read what it will refuse."""
    backend.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher.draw, batch_of(*range(20, 34)), NEVER)
        until(lambda: batcher.waiting == 10)
        assert batcher.busy_seconds() is None  # there is room for one image
        with pytest.raises(Overloaded):
            batcher.draw(batch_of(1, 2, 3), NEVER)
        assert batcher.busy_seconds() == 1.0
        second = pool.submit(batcher.draw, batch_of(4), NEVER)  # still read, and accepted
        until(lambda: batcher.waiting == 11)
        assert batcher.busy_seconds() is None
        backend.gate.set()
        assert len(first.result()) == 14 and len(second.result()) == 1


def test_waiting_images_are_limited_too(batcher: Batcher, backend: RecordingBackend) -> None:
    backend.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(
            batcher.draw, batch_of(*range(20, 34)), NEVER
        )  # accepted, because nothing waits
        until(lambda: batcher.waiting == 10)
        with pytest.raises(Overloaded, match="10 images wait"):
            batcher.draw(batch_of(1, 2, 3), NEVER)
        backend.gate.set()
        assert len(first.result()) == 14


def test_waiting_bytes_are_limited_too(backend: RecordingBackend) -> None:
    """Few images that wait with large label maps fill a memory as many small ones would."""
    made = Batcher(backend, max_batch_size=1, max_images=1000, max_bytes=3000)

    def request(value: int, size: int) -> InputBatch:
        label_maps = np.zeros((1, size), np.uint8)
        return InputBatch({"latents": np.full((1, 1), value, np.float32), "label_maps": label_maps})

    backend.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(made.draw, request(1, 9000), NEVER)  # accepted: nothing waits
        until(lambda: len(backend.batches) == 1)
        assert made.waiting_bytes == 0
        second = pool.submit(made.draw, request(2, 2000), NEVER)
        until(lambda: made.waiting == 1)
        with pytest.raises(Overloaded, match="1 images wait"):
            made.draw(request(3, 1000), NEVER)
        assert made.busy_seconds() is not None
        third = pool.submit(made.draw, request(4, 900), NEVER)
        until(lambda: made.waiting == 2)
        backend.gate.set()
        drawn = [values_of(future.result()) for future in (first, second, third)]
    assert drawn == [[1], [2], [4]] and made.waiting_bytes == 0
    assert made.close(10)


def test_request_past_its_deadline_is_dropped(batcher: Batcher, backend: RecordingBackend) -> None:
    backend.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: len(backend.batches) == 1)
        with pytest.raises(DeadlineMissed):
            batcher.draw(batch_of(2), Deadline(time.monotonic() + 0.05))
        assert batcher.waiting == 0
        backend.gate.set()
        first.result()
    assert backend.batches == [[1]]


def test_nothing_is_drawn_for_a_disconnected_client(
    batcher: Batcher, backend: RecordingBackend
) -> None:
    backend.gate.clear()
    connected = [True]
    with ThreadPoolExecutor(8) as pool:
        pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: len(backend.batches) == 1)
        gone = pool.submit(batcher.draw, batch_of(2), Deadline(is_connected=lambda: connected[0]))
        until(lambda: batcher.waiting == 1)
        connected[0] = False
        backend.gate.set()
        assert "hung up" in str(gone.exception())
    assert backend.batches == [[1]]


def test_failed_request_does_not_affect_its_batch(
    batcher: Batcher, backend: RecordingBackend
) -> None:
    backend.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: len(backend.batches) == 1)
        results = [pool.submit(batcher.draw, batch_of(n), NEVER) for n in (12, 13, 14)]
        until(lambda: batcher.waiting == 3)
        backend.gate.set()
        assert values_of(results[0].result()) == [12] and values_of(results[2].result()) == [14]
        assert isinstance(results[1].exception(), ZeroDivisionError)
    assert values_of(batcher.draw(batch_of(5), NEVER)) == [5]  # the batcher continues


def test_closing_draws_accepted_requests_and_refuses_new_ones(backend: RecordingBackend) -> None:
    batcher = Batcher(backend, max_batch_size=1)
    backend.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        accepted = [pool.submit(batcher.draw, batch_of(n), NEVER) for n in range(5)]
        until(lambda: batcher.under_way == 5)
        closing = pool.submit(batcher.close, 10)
        until(lambda: batcher.is_closing)
        with pytest.raises(Draining):
            batcher.draw(batch_of(9), NEVER)
        backend.gate.set()
        assert closing.result() is True
        assert sorted(values_of(f.result())[0] for f in accepted) == list(range(5))
    assert not batcher.is_alive


def test_a_stuck_batch_is_noticed(
    batcher: Batcher, backend: RecordingBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facegan.serving.batching.batcher.STUCK_SECONDS", 0.05)
    backend.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(batcher.draw, batch_of(1), NEVER)
        until(lambda: not batcher.is_healthy)
        backend.gate.set()
    until(lambda: batcher.is_healthy)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_each_request_gets_its_own_images_in_order(counts: list[int]) -> None:
    batcher = Batcher(RecordingBackend(), max_batch_size=4)
    requests = [[20 * k + index + 14 for index in range(n)] for k, n in enumerate(counts)]
    with ThreadPoolExecutor(len(counts)) as pool:
        answers = pool.map(lambda values: batcher.draw(batch_of(*values), NEVER), requests)
        assert [values_of(images) for images in answers] == [[v % 256 for v in x] for x in requests]
    assert batcher.waiting == batcher.under_way == 0
    assert batcher.close(5)
