"""Launches the processes of a run by torch's elastic agent, and reports how they ended.

The agent starts and watches this host's processes. Signals to stop are forwarded to them; they end
the step, write a checkpoint and exit. When one fails, the agent ends the others, and its error is
raised here.
"""

import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch.distributed.elastic.agent.server.api import WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler
from torch.distributed.elastic.utils.distributed import get_free_port

from facegan.environment import LAUNCHER_ROLE
from facegan.errors import FaceGANError, PeerLost, RunError
from facegan.training.distributed.error_file import STOPPED, error_from
from facegan.training.distributed.rendezvous import announce_failure
from facegan.training.distributed.watchdog import HEARTBEAT_SECONDS

RENDEZVOUS_SECONDS = 900  # hosts start at different times, since each loads its data first
RUN = "facegan"
ROUNDING = 2.0  # seconds that the agent's clock may be late by
KILLED = (
    "Unless it was killed on purpose, the machine may have run out of memory. With --resume the "
    "run continues from its last checkpoint; with a smaller --micro-batch it takes less memory."
)
SEE_ABOVE = "Its own message is above."


@dataclass(frozen=True)
class Cluster:
    """The hosts of a run, and which of them this is."""

    hosts: tuple[str, ...] = ("localhost",)
    rank: int = 0
    interface: str = ""  # the network interface, if torch must not choose it
    port: int = 0  # of the rendezvous, on the first host; 0: any free port, for one host

    @property
    def here(self) -> str:
        """This host's name."""
        return self.hosts[self.rank]


ONE_HOST = Cluster()


def launch(command: Sequence[str], processes: int, cluster: Cluster = ONE_HOST) -> bool:
    """Run a program in several processes on this host, and wait until they end.

    SIGTERM and SIGINT stop all of them after their step; a second SIGINT ends them at once.

    Args:
        command: The program and its arguments.
        processes: How many on each host.
        cluster: The hosts, each of which launches its own processes.

    Returns:
        Whether the run is finished; False if it was stopped.

    Raises:
        FaceGANError: the error of the process that failed first.
        PeerLost: a process of another host failed or was lost.
        RunError: a process was killed, or the hosts cannot reach one another.
    """
    prepare_environment(processes, cluster, command)
    with tempfile.TemporaryDirectory(prefix="facegan-") as folder:
        agent = build_agent(command, processes, cluster, folder)
        try:
            with fixed_host_name(cluster.here), forward_signals(agent) as signals:
                failures = agent.run().failures
        except dist.DistError as cause:
            hosts = ", ".join(cluster.hosts)
            raise RunError(
                f"The {len(cluster.hosts)} hosts {hosts} did not meet at {cluster.hosts[0]}:"
                f"{cluster.port} within {RENDEZVOUS_SECONDS // 60} minutes.",
                "Have all been started, can they reach one another, and is the port free?",
            ) from cause
        is_finished = not any(Path(folder).rglob(STOPPED))
    if not failures:
        return is_finished
    if signals and were_stopped(failures):
        return False
    error = first_failure(failures, cluster)
    if len(cluster.hosts) > 1 and not isinstance(error, PeerLost):
        notify_other_hosts(error, cluster)
    raise error


def prepare_environment(processes: int, cluster: Cluster, command: Sequence[str] = ()) -> None:
    """Set environment variables for the processes, unless the user has set them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    variables = {
        # Two processes with a thread per core each would slow one another many times over.
        "OMP_NUM_THREADS": str(max(1, (cores or 1) // processes)),
        # torch logs pages about broken connections; we print one sentence.
        "TORCH_CPP_LOG_LEVEL": "FATAL",
        "TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGQUIT",  # we handle the others
        "FACEGAN_HOST_NAME": cluster.here,
    }
    # The SDK's ModelTrainer, in local mode, names one that does not exist; then torch chooses.
    interfaces = {name for _, name in socket.if_nameindex()}
    if len(cluster.hosts) == 1:  # else gloo asks the resolver for this machine's name
        loopback = [name for name in ("lo", "lo0") if name in interfaces]
        variables |= dict.fromkeys(("GLOO_SOCKET_IFNAME",), loopback[0]) if loopback else {}
        if not any("s3://" in word for word in command):  # else names must be found
            # torch's sockets ask DNS for the name of 127.0.0.1, which /etc/hosts does not answer.
            variables["RES_OPTIONS"] = "attempts:0"
    elif cluster.interface in interfaces:
        names = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
        variables |= dict.fromkeys(names, cluster.interface)
    for name, value in variables.items():
        os.environ.setdefault(name, value)
    # The agent's log would repeat our messages.
    elastic = logging.getLogger("torch.distributed.elastic")
    elastic.propagate = False
    elastic.addHandler(logging.NullHandler())


def build_agent(command: Sequence[str], processes: int, cluster: Cluster, folder: str) -> Any:
    """Return torch's agent for this host, which starts the program once."""
    count = len(cluster.hosts)
    port = cluster.port or get_free_port()
    parameters = RendezvousParameters(
        backend="static",
        endpoint=f"{cluster.hosts[0]}:{port}",
        run_id=RUN,
        min_nodes=count,
        max_nodes=count,
        rank=cluster.rank,
        timeout=RENDEZVOUS_SECONDS,
    )
    program, *arguments = command
    spec = WorkerSpec(
        role=LAUNCHER_ROLE,
        local_world_size=processes,
        entrypoint=program,
        args=tuple(arguments),
        rdzv_handler=get_rendezvous_handler(parameters),
        max_restarts=0,
        master_addr=cluster.hosts[0],
        master_port=port,
    )
    return LocalElasticAgent(spec, DefaultLogsSpecs(log_dir=folder), shutdown_timeout=5)


@contextmanager
def fixed_host_name(host: str) -> Iterator[None]:
    """Give torch's agent this host's name, which it would otherwise look up by DNS repeatedly."""
    original = socket.getfqdn
    socket.getfqdn = lambda name="": host
    try:
        yield
    finally:
        socket.getfqdn = original


@contextmanager
def forward_signals(agent: Any) -> Iterator[list[int]]:
    """Forward SIGTERM and SIGINT to the processes as SIGTERM; yield the list of those received."""
    received: list[int] = []

    def pass_on(number: int, frame: Any) -> None:
        workers = [worker.id for worker in agent.get_worker_group().workers if worker.id]
        if not workers or (number == signal.SIGINT and received):
            handler = before[signal.Signals(number)]
            handler(number, frame) if callable(handler) else sys.exit(128 + number)
        received.append(number)
        for process in workers:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- failures -----------------------------------------------------------------------------------


def were_stopped(failures: Mapping[int, Any]) -> bool:
    """Return whether all failed processes were stopped before they could handle signals."""
    return all(failure.exitcode == -signal.SIGTERM for failure in failures.values())


def first_failure(failures: Mapping[int, Any], cluster: Cluster) -> FaceGANError:
    """Return the earliest error that is not a consequence of another process's failure."""
    found = [describe_failure(rank, failure, cluster) for rank, failure in failures.items()]
    return min(found, key=lambda failure: failure[:2])[2]


def describe_failure(rank: int, failure: Any, cluster: Cluster) -> tuple[int, float, FaceGANError]:
    """Return the rank of a failure as the cause (0 is likeliest), its time, and its error."""
    if isinstance(failure.message, dict):
        error, moment = error_from(failure.message)
        return int(isinstance(error, PeerLost)), moment, error
    name = f"Rank {rank} on {cluster.here}"
    if failure.exitcode < 0:
        error = RunError(f"{name} was killed by {failure.signal_name()}.", KILLED)
    else:
        error = RunError(f"{name} failed with exit code {failure.exitcode}.", SEE_ABOVE)
    by_agent = failure.exitcode == -signal.SIGTERM  # because of another; 30 s later, by SIGKILL
    return 2 if by_agent else 1, failure.timestamp - ROUNDING, error


def notify_other_hosts(error: FaceGANError, cluster: Cluster) -> None:
    """Report a failure to the other hosts' processes, in case the failed one could not."""
    announce_failure(cluster.hosts[0], cluster.port, RUN, error)
    if cluster.rank == 0:
        time.sleep(3 * HEARTBEAT_SECONDS)  # this host holds the store that the others read
