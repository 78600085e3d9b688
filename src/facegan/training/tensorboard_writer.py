"""Writes TensorBoard's event files, on the disk at every tick.

tensorboard's own writer, which torch's wraps, writes from a thread: on a full disk that thread dies
with a traceback, and a kill loses the two minutes it holds back. This one writes the same records.
"""

import contextlib
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

from facegan.training.io_errors import as_run_error

# Imports inside functions: tensorboard is an optional package.

logger = logging.getLogger(__name__)


class TensorBoardWriter:
    """One event file of a run; a resumed run writes another one.

    Args:
        folder: Where TensorBoard looks; made if it is missing.
        steps_done: TensorBoard ignores later steps in the folder's other files, because the run
            takes them again.

    Raises:
        ImportError: tensorboard is not installed.
        RunError: the file cannot be written.
    """

    def __init__(self, folder: Path, steps_done: int) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.events, self.summaries = event_pb2, summary_pb2
        self.folder = folder
        # TensorBoard reads the files of a folder in the order of their names.
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}"
        with as_run_error(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.stream = (folder / f"{name}.{os.getpid()}.{time.monotonic_ns()}").open("xb")
        self.records: Any = RecordWriter(self.stream)
        self.write(file_version="brain.Event:2")  # the first version in which START counts
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self.write(step=steps_done + 1, session_log=start)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Add a point to the curve of that name."""
        point = self.summaries.Summary.Value(tag=name, simple_value=value)
        self.write(step=step, summary=self.summaries.Summary(value=[point]))

    def write(self, **fields: Any) -> None:
        """Write one event."""
        event = self.events.Event(wall_time=time.time(), **fields)
        with as_run_error(self.folder):
            self.records.write(event.SerializeToString())
            self.stream.flush()

    def close(self) -> None:
        """Close the file; everything is flushed already."""
        with contextlib.suppress(OSError):
            self.stream.close()


def open_tensorboard(folder: Path, steps_done: int) -> TensorBoardWriter | None:
    """Return a run's writer, or None where tensorboard is not installed."""
    try:
        return TensorBoardWriter(folder, steps_done)
    except ImportError:
        logger.info("No TensorBoard files: tensorboard is not installed.")
        return None
