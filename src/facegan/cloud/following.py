"""A job looked at again and again until it ends: its states and its hosts' lines, as they come."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from facegan.cloud.aws import Aws
from facegan.cloud.job_status import describe, is_running
from facegan.cloud.log_streams import LogGroup, LogLine

EVERY_SECONDS = 5.0
LAST_LINES = 20  # that a failure is shown with


class Listener(Protocol):
    """Who is told how a job goes."""

    def status(self, moment: Any, word: str, message: str) -> object:
        """A new state, when it began, and what SageMaker says of it."""

    def line(self, line: LogLine) -> object:
        """A line of a host."""


@dataclass
class Follower:
    """Follows one job.

    Args:
        aws: Where it runs.
        name: The job's.
        listener: Who is told.
        sleep: Waits between two looks.
    """

    aws: Aws
    name: str
    listener: Listener
    sleep: Callable[[float], object] = time.sleep
    told: int = 0  # states that the listener knows
    job: dict[str, Any] = field(default_factory=dict)  # as it was at the last look
    last: deque[LogLine] = field(default_factory=lambda: deque(maxlen=LAST_LINES))

    def to_the_end(self) -> dict[str, Any]:
        """Tell everything until the job has ended; its last description.

        Raises:
            CloudError: there is no such job, or it cannot be looked at.
        """
        logs = LogGroup.of_job(self.aws, self.name)
        was_running = False
        while True:
            self.job = describe(self.aws.ask, self.name)
            self.tell_states(self.job)
            self.tell_lines(logs)
            if not is_running(self.job):
                break
            was_running = True
            self.sleep(EVERY_SECONDS)
        if was_running:  # the last lines arrive after the last state
            self.sleep(EVERY_SECONDS)
            self.tell_lines(logs)
        return self.job

    def tell_lines(self, logs: LogGroup) -> None:
        """The lines that are new."""
        for line in logs.news():
            self.last.append(line)
            self.listener.line(line)

    def tell_states(self, job: Mapping[str, Any]) -> None:
        """The states that are new."""
        states = job.get("SecondaryStatusTransitions", [])
        for state in states[self.told :]:
            message = state.get("StatusMessage", "")
            self.listener.status(state.get("StartTime"), state["Status"], message)
        self.told = max(self.told, len(states))
