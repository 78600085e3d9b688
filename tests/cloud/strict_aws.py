"""An AWS of a few answers, which refuses what botocore's models of its APIs do not take."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from facegan.cloud.calls import Call
from facegan.errors import CloudError


@cache
def model(service: str) -> Any:
    """botocore's model of an API."""
    return botocore.session.get_session().get_service_model(service)


@cache
def paginated(service: str, action: str) -> list[str]:
    """The lists that botocore pages through."""
    pages = botocore.session.get_session().get_paginator_model(service).get_paginator(action)
    keys = pages["result_key"]
    return [keys] if isinstance(keys, str) else list(keys)


def complaints_of(call: Call) -> str:
    """What botocore says of a call."""
    shape = model(call.service).operation_model(call.action).input_shape
    return str(ParamValidator().validate(call.request, shape).generate_report())


class StrictAws:
    """Answers by action: a value, an error to raise, a function of the request, or a list of these.

    Args:
        answers: action → answer; a list gives one after another, and its last again and again.
    """

    region = "eu-west-1"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[Call] = []

    def ask(self, call: Call) -> Any:
        assert complaints_of(call) == "", call
        self.asked.append(call)
        assert call.action in self.answers, f"nobody expects {call.action}"
        answer = self.answers[call.action]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer(call.request) if isinstance(answer, Callable) else answer  # type: ignore[arg-type]

    def pages(self, call: Call, items: str) -> Iterator[Any]:
        assert items in paginated(call.service, call.action)
        yield from self.ask(call).get(items, ())

    @property
    def actions(self) -> list[str]:
        return [call.action for call in self.asked]

    def request(self, action: str) -> dict[str, Any]:
        """The only request of an action."""
        (found,) = [call.request for call in self.asked if call.action == action]
        return found


def refusal(code: str, message: str = "no.") -> CloudError:
    """An error as Aws.ask raises it."""
    return CloudError(f"x:Y on z failed: {code}: {message}", "", code)
