"""One of the processes that train a run together: joins the others, trains, reports failures.

facegan's launcher starts ``python -m facegan.training.distributed.worker RUN``; under torchrun,
`facegan train` calls :func:`take_part`.
"""

import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from facegan.environment import WorkerEnvironment
from facegan.errors import FaceGANError, RunError
from facegan.training.allocator import keep_freed_memory
from facegan.training.distributed.error_file import note_stop, write_error
from facegan.training.distributed.rendezvous import exit_process, join_process_group
from facegan.training.run import Run, train

OnError = Callable[[FaceGANError], int]  # reports an error, and returns the exit code


def main() -> None:
    """Take part in the run that the launcher names."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    environment = WorkerEnvironment.from_mapping(os.environ)
    if environment is None:
        sys.exit("Use facegan train --processes to start this module.")
    keep_freed_memory(os.environ)
    run = Run.from_json(sys.argv[1])
    take_part(environment, lambda: run, run.spec.data)
    exit_process(0)


def take_part(
    environment: WorkerEnvironment,
    decide: Callable[[], Run],
    data: str | None = None,
    on_error: OnError = lambda error: 1,
) -> bool:
    """Train together with the run's other processes.

    Args:
        environment: This process's rank among them.
        decide: Returns the run; called only in the main process, for all.
        data: The data on this host; None: as on the first host.
        on_error: Reports an error that kills this process, under torchrun.

    Returns:
        Whether the run is finished.
    """

    def report(error: FaceGANError) -> int:
        if environment.is_ours and environment.error_file:
            write_error(environment.error_file, error)
            return 1
        return on_error(error)

    with reporting(environment, report), join_process_group(environment, report) as group:
        if not group.is_main_process:
            logging.getLogger().setLevel(logging.WARNING)
        decided = decide().as_json() if group.is_main_process else None
        run = Run.from_json(group.broadcast_json(decided))
        spec = run.spec.replaced(data=data or run.spec.data)
        is_finished = train(dataclasses.replace(run, spec=spec), group)
    if not is_finished and environment.is_ours and environment.error_file:
        note_stop(environment.error_file)
    return is_finished


@contextmanager
def reporting(environment: WorkerEnvironment, report: OnError) -> Iterator[None]:
    """Report failures to our launcher, which prints one error for all processes."""
    try:
        yield
    except FaceGANError as error:
        if not environment.is_ours:
            raise
        sys.exit(report(error))
    except Exception as error:
        name = f"Rank {environment.rank} on {environment.host}"
        report(RunError(f"{name} failed: {error!r}", "See its traceback above."))
        raise


if __name__ == "__main__":
    main()
