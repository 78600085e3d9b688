"""AWS that answers as it is told to, and takes only requests that AWS's own models take."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from facegan.cloud.calls import Call
from facegan.errors import CloudError

Answer = Any | Callable[[dict[str, Any]], Any]


@cache
def service_model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def complaints(call: Call) -> str:
    """What botocore says of a call, by its own model of the service's API."""
    shape = service_model(call.service).operation_model(call.action).input_shape
    return str(ParamValidator().validate(call.request, shape).generate_report())


class CannedAws:
    """Stands in for :class:`facegan.cloud.aws.Aws`.

    Args:
        answers: Action → answer: data, or an error that is raised, or a function of the request.
    """

    region = "eu-west-1"

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = dict(answers)
        self.asked: list[Call] = []

    def ask(self, call: Call) -> Any:
        assert complaints(call) == ""
        self.asked.append(call)
        answer = self.answers.get(call.action, {})
        if callable(answer) and not isinstance(answer, BaseException):
            answer = answer(call.request)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def pages(self, call: Call, items: str) -> Iterator[Any]:
        yield from self.ask(call).get(items, ())

    def actions(self, *starts: str) -> list[str]:
        """What was asked, as "DeleteModel faces"; of all calls, or those that start so."""
        wanted = starts or ("",)
        return [f"{one.action} {one.on}" for one in self.asked if one.action.startswith(wanted)]


def missing(what: str = "it") -> CloudError:
    return CloudError(f"Could not find {what}.", "", "ValidationException")


def index(*resources: str, service: str = "sagemaker", **tags: str) -> list[dict[str, Any]]:
    """Entries of the index of tags, for resources as "endpoint/faces"."""
    account = "" if service == "s3" else "eu-west-1:123456789012"
    return [
        {
            "ResourceARN": f"arn:aws:{service}:{account or ':'}:{one}",
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
        for one in resources
    ]
