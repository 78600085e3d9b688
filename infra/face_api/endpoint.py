"""The endpoint as the door sees it: one call, and what every failure of it means to a caller."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    ReadTimeoutError,
)

from face_api.events import JSON, Refusal

AGAIN = "Ask again in a few seconds."
FEWER = "Ask for fewer faces at once."
# The container says how long to stay away, but SageMaker passes no headers of a refusal on.
RETRY_SECONDS = {429: "2", 503: "5"}
BUSY = ("ThrottlingException",)
PASSING = (  # AWS's own, that pass by themselves
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "InternalFailure",
    "InternalDependencyException",
    "ModelNotReadyException",
)


def draw(runtime: Any, endpoint: str, body: bytes, accept: str) -> tuple[str, bytes]:
    """Ask the endpoint.

    Args:
        runtime: boto3's ``sagemaker-runtime`` client.
        endpoint: The endpoint's name.
        body: JSON.
        accept: One content type.

    Returns:
        The reply's content type, and the reply.

    Raises:
        Refusal: it refused, failed, or was not there.
    """
    try:
        reply = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType=JSON, Accept=accept, Body=body
        )
        return str(reply.get("ContentType") or accept), bytes(reply["Body"].read())
    except ClientError as cause:
        raise refusal_of(cause.response) from cause
    except (ReadTimeoutError, ConnectTimeoutError) as cause:
        raise Refusal(504, "DeadlineMissed", "The model took too long.", FEWER) from cause
    except BotoCoreError as cause:
        raise passing("The endpoint could not be reached.", 503) from cause


def refusal_of(response: dict[str, Any]) -> Refusal:
    """What an error of boto3's comes to."""
    told = response.get("Error", {})
    code = str(told.get("Code", ""))
    if "OriginalStatusCode" in response:  # ModelError: the container's own words
        status = int(response["OriginalStatusCode"])
        return of_container(status, str(response.get("OriginalMessage", "")))
    if code.isdigit():  # a server of ours without AWS before it
        message = {"error": "RequestError", "message": told.get("Message", "")}
        return of_container(int(code), json.dumps(message))
    if code in BUSY:
        return passing("Too much is asked of the endpoint.", 429)
    if code in PASSING:
        return passing("The endpoint cannot answer now.", 503)
    # Not there, or not to be called by our role: no caller's mistake. The log has the code.
    return Refusal(503, "Unavailable", "The endpoint is not available.", "", {"Retry-After": "60"})


def of_container(status: int, text: str) -> Refusal:
    """A refusal of the container's, handed on; a fault of its is ours to the caller."""
    if status in RETRY_SECONDS:
        return passing(words_of(text)[1] or "The model is busy.", status)
    if 400 <= status < 500:
        error, message, hint = words_of(text)
        return Refusal(status, error, message or "The model refused the request.", hint)
    if status == 0:  # it did not answer in time
        return Refusal(504, "DeadlineMissed", "The model took too long.", FEWER)
    return Refusal(502, "ModelFailed", "The model failed to answer.", AGAIN)


def passing(message: str, status: int) -> Refusal:
    """A refusal that will not last."""
    error = "Overloaded" if status == 429 else "Unavailable"
    return Refusal(status, error, message, AGAIN, {"Retry-After": RETRY_SECONDS[status]})


def words_of(text: str) -> tuple[str, str, str]:
    """Kind, message and hint of a refusal in our shape; nobody else's words are handed on."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("message"), str):
        return "RequestError", "", ""
    return str(told.get("error", "RequestError")), told["message"], str(told.get("hint", ""))
