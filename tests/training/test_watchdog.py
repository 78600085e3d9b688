"""The watchdog notices failures, overdue heartbeats and a lost store, and kills a stuck process."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from torch.distributed import TCPStore

from facegan.errors import ConfigError, FaceGANError, PeerLost
from facegan.training.distributed import watchdog as module
from facegan.training.distributed.process_group import ProcessGroup
from facegan.training.distributed.watchdog import Watchdog, heartbeat_key

HOSTS = ("algo-1", "algo-2")
Open = Callable[..., Watchdog]


@pytest.fixture
def killed() -> list[str]:
    """Return the messages of killed processes."""
    return []


@pytest.fixture
def store() -> list[TCPStore]:
    """Return the store in a list, from which it can be removed."""
    held = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    for rank in range(2):
        held.set(heartbeat_key(rank), "")
    return [held]


@pytest.fixture
def start_watchdog(
    store: list[TCPStore], killed: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    """Start the watchdog of a rank, with all times divided by 20."""
    for name in ("HEARTBEAT_SECONDS", "SUSPECT_SECONDS", "GRACE_SECONDS"):
        monkeypatch.setattr(module, name, getattr(module, name) / 20)
    monkeypatch.setattr(os, "_exit", lambda code: killed.append(f"exit {code}"))
    started: list[Watchdog] = []

    def on_fatal(error: FaceGANError) -> int:
        killed.append(str(error))
        return 4

    def start(rank: int, timeout: float = 0.5) -> Watchdog:
        client = TCPStore(
            "127.0.0.1", store[0].port, wait_for_workers=False, timeout=timedelta(seconds=5)
        )
        watchdog = Watchdog(client, ProcessGroup(rank, 2, rank, HOSTS), on_fatal, None)
        watchdog.timeout = timeout
        watchdog.start()
        started.append(watchdog)
        return watchdog

    yield start
    for watchdog in started:
        with suppress(RuntimeError):
            watchdog.stop()


def wait_until(happened: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_two_live_processes_report_nothing(start_watchdog: Open, killed: list[str]) -> None:
    watchdogs = [start_watchdog(rank, timeout=0.75) for rank in range(2)]
    time.sleep(1)
    assert not killed and not any(watchdog.error for watchdog in watchdogs)


def test_a_silent_process_is_named_and_the_one_that_waits_for_it_is_killed(
    start_watchdog: Open, killed: list[str]
) -> None:
    start_watchdog(0)  # rank 1 sends no heartbeat, and nothing here ends by itself
    wait_until(lambda: "exit 4" in killed)
    assert killed[0].startswith("Rank 1 on algo-2 was lost: no sign of life")
    assert "--resume" in killed[0]


def test_an_announced_failure_reaches_the_others_with_its_message(start_watchdog: Open) -> None:
    first, second = start_watchdog(0), start_watchdog(1)
    second.announce(ConfigError("The batch is odd.", "Make it even."))
    wait_until(first.failed.is_set)
    assert str(first.error) == "Rank 1 on algo-2 failed: The batch is odd. Make it even."
    first.announce(ConfigError("Too late."))  # the first failure counts
    third = start_watchdog(1)
    wait_until(third.failed.is_set)
    assert "odd" in str(third.error)


def test_a_lost_store_means_a_lost_first_process(
    start_watchdog: Open, store: list[TCPStore], killed: list[str]
) -> None:
    start_watchdog(0), start_watchdog(1)
    store.clear()
    wait_until(lambda: killed)
    assert killed[0].startswith("Rank 0 on algo-1 was lost")


def test_the_cause_of_a_broken_connection_is_the_silent_process(start_watchdog: Open) -> None:
    watchdog = start_watchdog(0, timeout=100)  # too long to wait for, were it not suspected
    found = watchdog.find_cause(RuntimeError("[gloo/pair.cc:553] Connection closed by peer"))
    assert isinstance(found, PeerLost) and "Rank 1 on algo-2 was lost" in str(found)


@pytest.mark.parametrize("error", [ValueError("mine"), ConfigError("mine"), RuntimeError("mine")])
def test_an_error_of_its_own_has_no_other_cause(start_watchdog: Open, error: Exception) -> None:
    assert start_watchdog(0).find_cause(error) is None
