"""What an endpoint's refusals and failures come to for a caller of the public door."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from api_events import Got, ask, log_of
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.stub import Stubber
from face_api.handler import Door

OURS = {"error": "RequestError", "message": "seeds: no.", "hint": "Other seeds."}


def answer(make_door: Callable[..., Door], client: Any, code: str, **original: Any) -> Got:
    """What a GET gets where InvokeEndpoint fails so; the door's log has no more than a line."""
    door = make_door(client)
    with Stubber(client) as stub:
        stub.add_client_error(
            "invoke_endpoint", code, "told to nobody", 424, modeled_fields=original or None
        )
        got = ask(door, "GET", "/faces/7.png")
        stub.assert_no_pending_responses()
    assert b"Traceback" not in got.body and b"told to nobody" not in got.body
    assert got.headers["Cache-Control"] == "no-store"
    assert len(log_of(door)) == 1
    return got


@pytest.mark.parametrize("status", [400, 404, 406, 413, 415])
def test_a_refusal_of_the_containers_is_handed_on(
    make_door: Callable[..., Door], nowhere: Any, status: int
) -> None:
    original = {"OriginalStatusCode": status, "OriginalMessage": json.dumps(OURS)}
    got = answer(make_door, nowhere, "ModelError", **original)
    assert (got.status, got.told) == (status, OURS)
    assert "Retry-After" not in got.headers


@pytest.mark.parametrize(("status", "after"), [(429, "2"), (503, "5")])
def test_a_busy_container_says_when_to_come_again(
    make_door: Callable[..., Door], nowhere: Any, status: int, after: str
) -> None:
    original = {"OriginalStatusCode": status, "OriginalMessage": json.dumps(OURS)}
    got = answer(make_door, nowhere, "ModelError", **original)
    assert (got.status, got.headers["Retry-After"]) == (status, after)


@pytest.mark.parametrize(("status", "answered"), [(500, 502), (502, 502), (0, 504)])
def test_a_fault_of_the_containers_is_no_fault_of_the_callers(
    make_door: Callable[..., Door], nowhere: Any, status: int, answered: int
) -> None:
    trace = "Traceback (most recent call last): secret"
    original = {"OriginalStatusCode": status, "OriginalMessage": trace}
    got = answer(make_door, nowhere, "ModelError", **original)
    assert got.status == answered and b"secret" not in got.body


@pytest.mark.parametrize("words", ["", "<html>no</html>", "[1]", '{"message": 5}', "[" * 4000])
def test_words_that_are_not_ours_are_not_handed_on(
    make_door: Callable[..., Door], nowhere: Any, words: str
) -> None:
    original = {"OriginalStatusCode": 400, "OriginalMessage": words}
    got = answer(make_door, nowhere, "ModelError", **original)
    assert (got.status, got.told["message"]) == (400, "The model refused the request.")


@pytest.mark.parametrize(
    ("code", "status", "after"),
    [
        ("ThrottlingException", 429, "2"),
        ("ServiceUnavailable", 503, "5"),
        ("ModelNotReadyException", 503, "5"),
        ("InternalFailure", 503, "5"),
        ("ValidationError", 503, "60"),  # "Endpoint faces of account … not found."
        ("AccessDeniedException", 503, "60"),
        ("ExpiredTokenException", 503, "60"),
    ],
)
def test_a_refusal_of_awss_is_said_in_our_words(
    make_door: Callable[..., Door], nowhere: Any, code: str, status: int, after: str
) -> None:
    got = answer(make_door, nowhere, code)
    assert (got.status, got.headers["Retry-After"]) == (status, after)


def test_the_log_has_what_the_caller_is_not_told(
    make_door: Callable[..., Door], nowhere: Any
) -> None:
    door = make_door(nowhere)
    with Stubber(nowhere) as stub:
        stub.add_client_error("invoke_endpoint", "ValidationError", "Endpoint faces not found.")
        ask(door, "GET", "/faces/7.png")
    (line,) = log_of(door)
    assert line["level"] == "ERROR" and "Endpoint faces not found" in line["cause"]


class Failing:
    """A client whose calls end in an exception of botocore's."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause

    def invoke_endpoint(self, **_: Any) -> Any:
        raise self.cause


@pytest.mark.parametrize(
    ("cause", "status", "told"),
    [
        (ReadTimeoutError(endpoint_url="https://x"), 504, "fewer faces"),
        (ConnectionClosedError(endpoint_url="https://x"), 503, "Ask again"),
    ],
)
def test_a_lost_connection_is_said(
    make_door: Callable[..., Door], cause: Exception, status: int, told: str
) -> None:
    got = ask(make_door(Failing(cause)), "GET", "/faces/7.png")
    assert got.status == status and told in got.told["hint"]
    assert b"https://x" not in got.body
