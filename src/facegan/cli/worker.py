"""One process of several that train one run: joins the others, trains, tells why it fails.

Run by facegan's launcher as ``python -m facegan.cli.worker ORDER``; under torchrun, `facegan train`
itself comes here.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facegan.cli.__main__ import exit_code, leave
from facegan.cli.launch import note_stop, write_account
from facegan.environment import WorkerEnvironment
from facegan.errors import FaceGANError, RunError

if TYPE_CHECKING:
    from facegan.training import RunFolder


@dataclass(frozen=True)
class Order:
    """What a run's processes are to do: said by the one that starts them, as JSON."""

    out: str
    plan: dict[str, Any]
    resume: bool
    tensorboard: str | None = None  # another folder for the curves

    @property
    def folder(self) -> "RunFolder":
        """The run's folder."""
        from facegan.training import RunFolder

        return RunFolder(Path(self.out), Path(self.tensorboard) if self.tensorboard else None)


def main() -> None:
    """Take part in the run that the launcher orders."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    environment = WorkerEnvironment.from_mapping(os.environ)
    if environment is None:
        sys.exit("This is started by facegan train --processes.")
    order = Order(**json.loads(sys.argv[1]))
    take_part(environment, lambda: order, order.plan["data"])
    leave(0)


def take_part(
    environment: WorkerEnvironment, decide: Callable[[], Order], data: str | None = None
) -> bool:
    """Train together with the run's other processes.

    Args:
        environment: This process's place among them.
        decide: What to do; asked of the first process alone, for all.
        data: The folder of pictures on this host; None where it is that of the first.

    Returns:
        Whether the run is finished.
    """
    from facegan.cli.train import train
    from facegan.training.distributed.rendezvous import join_process_group

    with (
        reporting(environment),
        join_process_group(environment, lambda error: report(environment, error)) as group,
    ):
        if not group.is_main_process:
            logging.getLogger().setLevel(logging.WARNING)
        order = Order(**group.broadcast_json(asdict(decide()) if group.is_main_process else None))
        plan = {**order.plan, "data": data or order.plan["data"]}
        is_finished = train(order.folder, plan, order.resume, group)
    if not is_finished and environment.is_ours and environment.error_file:
        note_stop(environment.error_file)
    return is_finished


@contextmanager
def reporting(environment: WorkerEnvironment) -> Iterator[None]:
    """Our launcher speaks for all: give it the reason of a failure instead of saying it here."""
    try:
        yield
    except FaceGANError as error:
        if not environment.is_ours:
            raise
        sys.exit(report(environment, error))
    except Exception as error:
        name = f"Rank {environment.rank} on {environment.host}"
        report(environment, RunError(f"{name} failed: {error!r}", "Its traceback stands above."))
        raise


def report(environment: WorkerEnvironment, error: FaceGANError) -> int:
    """Give our launcher a reason, or say it to whoever started this process; the exit code."""
    if environment.is_ours and environment.error_file:
        write_account(environment.error_file, error)
    elif not environment.is_ours:
        click.echo(f"Error: {error}", err=True)
    return exit_code(error)


if __name__ == "__main__":
    main()
