"""CloudWatch's log streams of a job's hosts or of an endpoint, read to their end and then on."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.errors import CloudError

JOBS = "/aws/sagemaker/TrainingJobs"
ENDPOINTS = "/aws/sagemaker/Endpoints/"


@dataclass(frozen=True, order=True)
class LogLine:
    """One line of one host.

    Args:
        milliseconds: Since 1970, when it was written.
        host: "algo-1"; of an endpoint its stream's name.
        text: Without a line's end, and without signs that steer a terminal.
    """

    milliseconds: int
    host: str
    text: str


@dataclass
class LogGroup:
    """The streams of a log group below a prefix, each read from where the last look ended.

    Args:
        aws: Where it is.
        group: Its name.
        prefix: Of the streams' names: "JOB/", or "" for all.
    """

    aws: Aws
    group: str
    prefix: str = ""
    places: dict[str, str | None] = field(default_factory=dict)  # stream → token of what is next

    @classmethod
    def of_job(cls, aws: Aws, name: str) -> "LogGroup":
        """What the hosts of a training job have printed."""
        return cls(aws, JOBS, f"{name}/")

    @classmethod
    def of_endpoint(cls, aws: Aws, name: str) -> "LogGroup":
        """What the containers of an endpoint have printed."""
        return cls(aws, ENDPOINTS + name)

    def news(self, since_ms: int = 0) -> Iterator[LogLine]:
        """What was written since the last look, of all hosts in the order of time.

        A line at a time is held of each host, however long the logs are.

        Args:
            since_ms: Older lines are left out.

        Raises:
            CloudError: they cannot be read. A group that is not there yet has no lines.
        """
        return heapq.merge(*(self.lines_of(stream, since_ms) for stream in self.streams()))

    def streams(self) -> list[str]:
        """The streams' names; a host that was replaced has a second one."""
        request = {"logGroupName": self.group}
        if self.prefix:
            request["logStreamNamePrefix"] = self.prefix
        listing = Call("logs", "DescribeLogStreams", request, self.group)
        try:
            return [str(it["logStreamName"]) for it in self.aws.pages(listing, "logStreams")]
        except CloudError as error:
            if error.code == "ResourceNotFoundException":
                return []
            raise

    def lines_of(self, stream: str, since_ms: int) -> Iterator[LogLine]:
        """One stream's new lines, in their order; its end is where a token comes back."""
        host = host_of(stream.removeprefix(self.prefix))
        while True:
            token = self.places.get(stream)
            request = {"logGroupName": self.group, "logStreamName": stream, "startFromHead": True}
            if since_ms:
                request["startTime"] = since_ms
            if token:
                request["nextToken"] = token
            page = self.aws.ask(Call("logs", "GetLogEvents", request, stream))
            self.places[stream] = page["nextForwardToken"]
            for event in page["events"]:
                yield LogLine(int(event["timestamp"]), host, plain(event["message"]))
            if page["nextForwardToken"] == token:
                return


def host_of(stream: str) -> str:
    """The host in a stream's name: "algo-1" of "algo-1-1700000000"."""
    parts = stream.split("-")
    return "-".join(parts[:2]) if parts[0] == "algo" and len(parts) > 2 else stream


def plain(text: str) -> str:
    """A line as it may go to a terminal: no escapes, no returns."""
    return "".join(it for it in text.rstrip() if it.isprintable() or it == "\t")
