"""One thread computes for all models, in the order of arrival."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from facegan.serving.batching.serial_executor import SerialExecutor


def test_functions_run_one_at_a_time_in_order() -> None:
    """A model that always has work still waits for the others' batches."""
    turns, order = SerialExecutor(), []
    first_runs, may_go_on = threading.Event(), threading.Event()

    def compute(name: str) -> str:
        if not order:
            first_runs.set()
            may_go_on.wait(30)
        order.append(name)
        return name.upper()

    take = turns.serialize(compute)
    with ThreadPoolExecutor(3) as callers:
        answers = [callers.submit(take, "a")]
        assert first_runs.wait(30)
        for name in "bc":
            answers.append(callers.submit(take, name))
            while turns.executor._work_queue.qsize() < len(answers) - 1:
                time.sleep(0.001)
        may_go_on.set()
        assert [answer.result() for answer in answers] == ["A", "B", "C"]
    assert order == ["a", "b", "c"]


def test_error_goes_to_its_caller() -> None:
    """The next function runs as usual."""
    turns = SerialExecutor()
    with pytest.raises(ZeroDivisionError):
        turns.serialize(lambda x: 1 // x)(0)
    assert turns.serialize(lambda x: 1 // x)(1) == 1
