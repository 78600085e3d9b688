"""AWS as a table of answers, for what moto does not do; every request must be one the API takes."""

from collections.abc import Iterator
from typing import Any

from api_model import complaints

from facegan.cloud.calls import Call
from facegan.errors import CloudError


def absent(name: str) -> CloudError:
    """What SageMaker says of what is not there."""
    told = f'sagemaker:Describe on {name} failed: ValidationException: Could not find "{name}".'
    return CloudError(told, "", "ValidationException")


class FakeAws:
    """Answers by action; a list is used up one by one, its last entry stays; an error is raised.

    An action that is not in the table answers with nothing, as most that make or delete do.
    """

    region = "eu-west-1"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[Call] = []

    def ask(self, call: Call) -> Any:
        assert complaints(call.action, call.request, call.service) == ""
        self.calls.append(call)
        answer = self.answers.get(call.action, {})
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(call)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def pages(self, call: Call, items: str) -> Iterator[Any]:
        yield from self.ask(call).get(items, ())

    @property
    def made(self) -> list[str]:
        """What was done, without what only looks."""
        looks = ("Describe", "List", "Get")
        return [
            f"{call.action} {call.on}" for call in self.calls if not call.action.startswith(looks)
        ]
