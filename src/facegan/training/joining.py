"""How processes become a world: they meet at a store, watch over one another, and part together."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore

from facegan.environment import WorkerEnvironment
from facegan.errors import FaceGANError, PeerLost, RunError
from facegan.training.watch import GO_ON, Watch, beat_of, tell, told
from facegan.training.world import World

START_SECONDS = 120.0  # from the first process's start to the last one's
# A collective waits for as long as it takes, for instance while the first rank evaluates: it is the
# watch that finds out who is lost.
FOREVER, SHORT = timedelta(days=28), timedelta(seconds=5)


@contextmanager
def joined(
    environment: WorkerEnvironment, last_words: Callable[[FaceGANError], int]
) -> Iterator[World]:
    """Within, this process is one of a world; without an error, all leave it together.

    Args:
        environment: Which of them it is, and where they meet.
        last_words: Called with the error before the process is ended by force, because it waits for
            one that is gone; returns its exit code.

    Raises:
        PeerLost: another process failed or was lost; it is named.
        RunError: they do not find one another.
    """
    store = open_store(environment, holds=environment.rank == 0)
    world = meet(store, environment)
    launcher = os.getppid() if environment.error_file else None
    watch = Watch(open_store(environment), world, last_words, launcher)
    watch.start()
    try:
        start_group(PrefixStore("group", store), world)
        yield world
        world.wait()
    except BaseException as error:
        cause = watch.explain(error)
        watch.stop()
        if cause:
            raise cause from error
        watch.announce(error)
        raise
    watch.stop()
    dist.destroy_process_group()


def tell_all(address: str, port: int, run: str, error: FaceGANError) -> None:
    """Tell the processes that meet there why their run ends; a launcher may know what they do not.

    If nobody listens any more, that is as well.
    """
    with suppress(RuntimeError):
        store = TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=SHORT)
        tell(PrefixStore(f"facegan/{run}/0", store), error.message, error.hint)


def open_store(environment: WorkerEnvironment, holds: bool = False) -> Store:
    """A connection to the store where all meet; the first rank holds it, if no launcher does.

    Raises:
        RunError: nothing answers there.
    """
    address, port = environment.address, environment.port
    try:
        store = TCPStore(
            address,
            port,
            is_master=holds and not environment.launcher_holds_store,
            wait_for_workers=False,
            timeout=timedelta(seconds=START_SECONDS),
        )
    except dist.DistError as cause:
        raise RunError(
            f"The processes cannot meet at {address}:{port}.",
            "Can this host reach it by that name, and is the port free and open?",
        ) from cause
    return PrefixStore(f"facegan/{environment.run}", store)


def meet(store: Store, environment: WorkerEnvironment) -> World:
    """Wait until every process has come; who they are.

    Raises:
        PeerLost: one has failed, or does not come in time.
    """
    place = environment.host, environment.host_rank
    store.set(beat_of(environment.rank), "")
    store.set(f"place/{environment.rank}", json.dumps(place))
    until = time.monotonic() + START_SECONDS
    keys = [f"place/{rank}" for rank in range(environment.size)]
    while not store.check(keys):
        if error := told(store):
            raise error
        if time.monotonic() > until:
            missing = [str(rank) for rank, key in enumerate(keys) if not store.check([key])]
            raise PeerLost(
                f"Rank {', '.join(missing)} did not start within {START_SECONDS:.0f} s.", GO_ON
            )
        time.sleep(0.05)
    places = [tuple(json.loads(place)) for place in store.multi_get(keys)]
    return World(environment.rank, environment.size, environment.local_rank, host_names(places))


def host_names(places: list[tuple[str, int]]) -> tuple[str, ...]:
    """A name a rank; two hosts of one name are told apart by their number."""
    hosts = Counter(name for name, _ in set(places))
    return tuple(name if hosts[name] == 1 else f"{name} ({number})" for name, number in places)


def start_group(store: Store, world: World) -> None:
    """Collectives among all processes, by gloo for tensors on CPUs and by NCCL on GPUs."""
    on_gpus = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpus else "gloo",
        store=store,
        rank=world.rank,
        world_size=world.size,
        timeout=FOREVER,
    )
