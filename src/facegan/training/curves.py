"""TensorBoard's curves, on the disk at every tick.

tensorboard's own writer, which torch's wraps, writes from a thread: on a full disk that thread dies
with a traceback, and a kill loses the two minutes it holds back. The same records, written here.
"""

import contextlib
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

from facegan.training.writing import writing

logger = logging.getLogger(__name__)


class Curves:
    """One event file of a run; a resumed run writes another beside it, or elsewhere.

    Args:
        folder: Where TensorBoard looks; made if it is missing.
        steps_done: TensorBoard forgets what other files of the folder say of the steps after these,
            because the run takes them again.

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
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.stream = (folder / f"{name}.{os.getpid()}.{time.monotonic_ns()}").open("xb")
        self.records: Any = RecordWriter(self.stream)
        self.write(file_version="brain.Event:2")  # since this version a START is heeded
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self.write(step=steps_done + 1, session_log=start)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """One point of the curve of that name."""
        point = self.summaries.Summary.Value(tag=name, simple_value=value)
        self.write(step=step, summary=self.summaries.Summary(value=[point]))

    def write(self, **fields: Any) -> None:
        """Write one event."""
        event = self.events.Event(wall_time=time.time(), **fields)
        with writing(self.folder):
            self.records.write(event.SerializeToString())
            self.stream.flush()

    def close(self) -> None:
        """Close the file; all of it that the disk took is already there."""
        with contextlib.suppress(OSError):
            self.stream.close()


def open_curves(folder: Path, steps_done: int) -> Curves | None:
    """The curves of a run, or None where tensorboard is not installed."""
    try:
        return Curves(folder, steps_done)
    except ImportError:
        logger.info("No TensorBoard files: tensorboard is not installed.")
        return None
