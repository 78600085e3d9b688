"""Sets up and tears down the process group."""

import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import NoReturn

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore

from facegan.environment import WorkerEnvironment
from facegan.errors import FaceGANError, PeerLost, RunError
from facegan.training.distributed.process_group import ProcessGroup
from facegan.training.distributed.watchdog import (
    RESUME_HINT,
    Watchdog,
    heartbeat_key,
    report_failure,
    reported_failure,
)

START_SECONDS = 120.0  # from the first process's start to the last one's
# Collectives never time out: evaluation on rank 0 may take long. The watchdog finds lost processes.
NO_TIMEOUT, SHORT = timedelta(days=28), timedelta(seconds=5)


@contextmanager
def join_process_group(
    environment: WorkerEnvironment, on_fatal: Callable[[FaceGANError], int]
) -> Iterator[ProcessGroup]:
    """Yield the process group of a run; without an error, all processes leave it together.

    Args:
        environment: This process's rank, and the address of the rendezvous.
        on_fatal: Called with the error before this process is killed because it is stuck waiting
            for a lost one; returns the exit code.

    Raises:
        PeerLost: another process failed or was lost; it is named.
        RunError: the processes cannot reach one another.
    """
    store = open_store(environment, is_master=environment.rank == 0)
    group = rendezvous(store, environment)
    launcher = os.getppid() if environment.error_file else None
    watchdog = Watchdog(open_store(environment), group, on_fatal, launcher)
    watchdog.start()
    try:
        init_process_group(PrefixStore("group", store), group)
        yield group
        group.barrier()
    except BaseException as error:
        cause = watchdog.find_cause(error)
        watchdog.stop()
        if cause:
            raise cause from error
        watchdog.announce(error)
        raise
    watchdog.stop()
    dist.destroy_process_group()


def announce_failure(address: str, port: int, run: str, error: FaceGANError) -> None:
    """Report to all processes, from a launcher, why the run ends; ignore a missing store."""
    with suppress(RuntimeError):
        store = TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=SHORT)
        report_failure(PrefixStore(f"facegan/{run}/0", store), error.message, error.hint)


def open_store(environment: WorkerEnvironment, is_master: bool = False) -> Store:
    """Connect to the rendezvous store; a master holds it, unless a launcher does.

    Raises:
        RunError: nothing answers there.
    """
    address, port = environment.address, environment.port
    try:
        store = TCPStore(
            address,
            port,
            is_master=is_master and not environment.launcher_holds_store,
            wait_for_workers=False,
            timeout=timedelta(seconds=START_SECONDS),
        )
    except dist.DistError as cause:
        raise RunError(
            f"The processes cannot meet at {address}:{port}.",
            "Can this host reach it by that name, and is the port free and open?",
        ) from cause
    return PrefixStore(f"facegan/{environment.run}", store)


def rendezvous(store: Store, environment: WorkerEnvironment) -> ProcessGroup:
    """Wait until every process has started, and return their group.

    Raises:
        PeerLost: one has failed, or does not start in time.
    """
    host = environment.host, environment.host_rank
    store.set(heartbeat_key(environment.rank), "")
    store.set(f"place/{environment.rank}", json.dumps(host))
    until = time.monotonic() + START_SECONDS
    keys = [f"place/{rank}" for rank in range(environment.size)]
    while not store.check(keys):
        if error := reported_failure(store):
            raise error
        if time.monotonic() > until:
            missing = [str(rank) for rank, key in enumerate(keys) if not store.check([key])]
            raise PeerLost(
                f"Rank {', '.join(missing)} did not start within {START_SECONDS:.0f} s.",
                RESUME_HINT,
            )
        time.sleep(0.05)
    hosts = host_names([tuple(json.loads(host)) for host in store.multi_get(keys)])
    return ProcessGroup(environment.rank, environment.size, environment.local_rank, hosts)


def host_names(hosts: list[tuple[str, int]]) -> tuple[str, ...]:
    """Return one name per rank; hosts that share a name get their number appended."""
    counts = Counter(name for name, _ in set(hosts))
    return tuple(name if counts[name] == 1 else f"{name} ({number})" for name, number in hosts)


def init_process_group(store: Store, group: ProcessGroup) -> None:
    """Start torch's collectives: gloo for tensors on CPUs, NCCL for tensors on GPUs."""
    on_gpus = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpus else "gloo",
        store=store,
        rank=group.rank,
        world_size=group.size,
        timeout=NO_TIMEOUT,
    )


def exit_process(code: int) -> NoReturn:
    """End a process that gloo had joined, without Python's last steps.

    In those, one in fourteen such processes was aborted by C++ ("terminate called without an active
    exception", torch 2.13.0): a finished run would count as failed.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
