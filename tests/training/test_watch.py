"""A watch hears of failures, silence and a store that is gone, and ends a process that is stuck."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from torch.distributed import TCPStore

from facegan.errors import ConfigError, FaceGANError, PeerLost
from facegan.training import watch as watch_module
from facegan.training.watch import Watch, beat_of
from facegan.training.world import World

HOSTS = ("algo-1", "algo-2")
Open = Callable[..., Watch]


@pytest.fixture
def told() -> list[str]:
    """The last words of processes that were ended by force."""
    return []


@pytest.fixture
def store() -> list[TCPStore]:
    """The store, in a list so that it can be taken away."""
    held = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    for rank in range(2):
        held.set(beat_of(rank), "")
    return [held]


@pytest.fixture
def open_watch(
    store: list[TCPStore], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    """Start the watch of a rank; seconds are a twentieth of what they are."""
    for name in ("BEAT", "SUSPICION", "GRACE"):
        monkeypatch.setattr(watch_module, name, getattr(watch_module, name) / 20)
    monkeypatch.setattr(os, "_exit", lambda code: told.append(f"exit {code}"))
    opened: list[Watch] = []

    def last_words(error: FaceGANError) -> int:
        told.append(str(error))
        return 4

    def start(rank: int, silence: float = 0.5) -> Watch:
        client = TCPStore(
            "127.0.0.1", store[0].port, wait_for_workers=False, timeout=timedelta(seconds=5)
        )
        watch = Watch(client, World(rank, 2, rank, HOSTS), last_words, None)
        watch.silence = silence
        watch.start()
        opened.append(watch)
        return watch

    yield start
    for watch in opened:
        with suppress(RuntimeError):
            watch.stop()


def wait_until(happened: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_two_that_live_hear_no_harm(open_watch: Open, told: list[str]) -> None:
    watches = [open_watch(rank, silence=0.75) for rank in range(2)]
    time.sleep(1)
    assert not told and not any(watch.error for watch in watches)


def test_one_that_is_silent_is_named_and_who_waits_for_it_is_ended(
    open_watch: Open, told: list[str]
) -> None:
    open_watch(0)  # rank 1 never speaks, and nobody here ends by itself
    wait_until(lambda: "exit 4" in told)
    assert told[0].startswith("Rank 1 on algo-2 was lost: no sign of life")
    assert "--resume" in told[0]


def test_a_failure_that_is_announced_is_heard_with_its_sentence(open_watch: Open) -> None:
    first, second = open_watch(0), open_watch(1)
    second.announce(ConfigError("The batch is odd.", "Make it even."))
    wait_until(first.found.is_set)
    assert str(first.error) == "Rank 1 on algo-2 failed: The batch is odd. Make it even."
    first.announce(ConfigError("Too late."))  # the first to tell is believed
    third = open_watch(1)
    wait_until(third.found.is_set)
    assert "odd" in str(third.error)


def test_with_the_store_went_the_first_process(
    open_watch: Open, store: list[TCPStore], told: list[str]
) -> None:
    open_watch(0), open_watch(1)
    store.clear()
    wait_until(lambda: told)
    assert told[0].startswith("Rank 0 on algo-1 was lost")


def test_a_broken_connection_is_explained_by_who_is_silent(open_watch: Open) -> None:
    watch = open_watch(0, silence=100)  # it would take long without the suspicion
    found = watch.explain(RuntimeError("[gloo/pair.cc:553] Connection closed by peer"))
    assert isinstance(found, PeerLost) and "Rank 1 on algo-2 was lost" in str(found)


@pytest.mark.parametrize("error", [ValueError("mine"), ConfigError("mine"), RuntimeError("mine")])
def test_an_error_of_its_own_is_nobody_elses(open_watch: Open, error: Exception) -> None:
    assert open_watch(0).explain(error) is None
