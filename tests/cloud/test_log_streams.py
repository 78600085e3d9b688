"""Logs of several hosts: in the order of time, to their end and then on, each line once."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from facegan.cloud.aws import Aws
from facegan.cloud.log_streams import ENDPOINTS, JOBS, LogGroup, LogLine, host_of, plain

NOW = int(time.time() * 1000)
Write = Callable[[str, str, list[tuple[int, str]]], None]


@pytest.fixture
def write(aws: Aws) -> Write:
    """Puts lines into a stream of a group, both of which are made where they are missing."""
    logs = aws.client("logs")

    def lines(group: str, stream: str, told: list[tuple[int, str]]) -> None:
        for make in (
            lambda: logs.create_log_group(logGroupName=group),
            lambda: logs.create_log_stream(logGroupName=group, logStreamName=stream),
        ):
            with suppress(logs.exceptions.ResourceAlreadyExistsException):
                make()
        events = [{"timestamp": NOW + at, "message": text} for at, text in told]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    return lines


def test_hosts_are_merged_by_time_and_other_jobs_left_out(aws: Aws, write: Write) -> None:
    write(JOBS, "faces/algo-1-170", [(0, "a"), (20, "c")])
    write(JOBS, "faces/algo-2-170", [(10, "b")])
    write(JOBS, "faces-2/algo-1-170", [(5, "another job's")])
    lines = list(LogGroup.of_job(aws, "faces").news())
    assert lines == [
        LogLine(NOW, "algo-1", "a"), LogLine(NOW + 10, "algo-2", "b"),
        LogLine(NOW + 20, "algo-1", "c"),
    ]  # fmt: skip


def test_the_next_look_finds_what_is_new_and_nothing_twice(aws: Aws, write: Write) -> None:
    write(JOBS, "faces/algo-1-170", [(0, "a")])
    group = LogGroup.of_job(aws, "faces")
    assert [line.text for line in group.news()] == ["a"]
    assert list(group.news()) == []
    write(JOBS, "faces/algo-1-170", [(1, "b")])
    write(JOBS, "faces/algo-1-171", [(2, "of a host that took its place")])
    assert [line.text for line in group.news()] == ["b", "of a host that took its place"]


def test_older_lines_are_left_out(aws: Aws, write: Write) -> None:
    write(JOBS, "faces/algo-1-170", [(-60_000, "old"), (0, "new")])
    assert [it.text for it in LogGroup.of_job(aws, "faces").news(NOW - 1000)] == ["new"]


def test_an_endpoints_group_is_its_own(aws: Aws, write: Write) -> None:
    write(ENDPOINTS + "faces", "AllTraffic/i-0abc", [(0, "a")])
    (line,) = LogGroup.of_endpoint(aws, "faces").news()
    assert (line.host, line.text) == ("AllTraffic/i-0abc", "a")


def test_a_group_that_is_not_there_yet_has_no_lines(aws: Aws) -> None:
    assert list(LogGroup.of_job(aws, "faces").news()) == []


@pytest.mark.parametrize(
    ("stream", "host"), [("algo-1-1700000000", "algo-1"), ("algo-12", "algo-12"), ("x", "x")]
)
def test_a_streams_name_holds_its_host(stream: str, host: str) -> None:
    assert host_of(stream) == host


def test_nothing_steers_the_terminal() -> None:
    assert plain("a\x1b[2Jb\rc\td\n") == "a[2Jbc\td"
