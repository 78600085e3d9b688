"""API Gateway's events as one small request, and an answer as API Gateway takes it.

HTTP APIs send the payload format 2.0, REST APIs (and HTTP APIs that are told so) 1.0:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

JSON = "application/json"
MAX_FIELDS = 20  # of a query; we know four


@dataclass(frozen=True)
class Asked:
    """What a caller asked, whatever format it came in.

    Args:
        method: "GET", as the caller wrote it.
        path: From "/faces" on; what stands before it (a stage, a base path) is left out.
        query: Its names and values, in their order.
        headers: Names in lower case; several values of one name are joined by commas.
        body: As the caller sent it.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What the caller gets."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def with_headers(self, headers: Mapping[str, str]) -> Answer:
        """The same, with more headers."""
        return replace(self, headers={**self.headers, **headers})

    def as_response(self) -> dict[str, Any]:
        """As API Gateway takes it, in either format: what is no text goes in base64."""
        is_text = self.headers.get("Content-Type", JSON) == JSON
        body = self.body.decode() if is_text else base64.b64encode(self.body).decode()
        return {
            "statusCode": self.status,
            "headers": dict(self.headers),
            "body": body,
            "isBase64Encoded": not is_text,
        }


class Refusal(Exception):
    """An answer other than a face, in the shape of docs/serving-reference.md's refusals.

    Args:
        status: HTTP's.
        error: The kind, as "RequestError".
        message: Names the thing.
        hint: Mends it.
        headers: As Retry-After.
    """

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.error, self.message, self.hint = status, error, message, hint
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        """The answer, which no cache keeps."""
        told = {"error": self.error, "message": self.message, "hint": self.hint}
        headers = {"Content-Type": JSON, "Cache-Control": "no-store", **self.headers}
        return Answer(self.status, headers, json.dumps(told).encode())


def wrong(message: str, hint: str = "") -> Refusal:
    """A caller's mistake."""
    return Refusal(400, "RequestError", message, hint)


def read_event(event: Any) -> Asked:
    """The request in an event of either format.

    Raises:
        Refusal: it is no event of API Gateway's, or its query or body cannot be read.
    """
    try:
        is_v2 = event.get("version") == "2.0"
        asked = read_v2(event) if is_v2 else read_v1(event)
        return replace(asked, path=from_faces_on(asked.path), body=body_of(event))
    except (AttributeError, KeyError, TypeError) as cause:
        raise wrong("This is no event of API Gateway's.", "Call the API by its URL.") from cause


def read_v2(event: Mapping[str, Any]) -> Asked:
    """Format 2.0: the query as it was written, headers joined already."""
    http = event["requestContext"]["http"]
    try:
        query = parse_qsl(
            event.get("rawQueryString") or "", keep_blank_values=True, max_num_fields=MAX_FIELDS
        )
    except ValueError as cause:
        raise wrong(f"The query has more than {MAX_FIELDS} fields.") from cause
    return Asked(str(http["method"]), event["rawPath"], tuple(query), headers_of(event))


def read_v1(event: Mapping[str, Any]) -> Asked:
    """Format 1.0: every name with the list of its values, or nothing where there is none."""
    lists = event.get("multiValueQueryStringParameters")
    if lists is None:
        lists = {name: [it] for name, it in (event.get("queryStringParameters") or {}).items()}
    query = tuple((name, str(value)) for name, values in lists.items() for value in values)
    if len(query) > MAX_FIELDS:
        raise wrong(f"The query has more than {MAX_FIELDS} fields.")
    headers = headers_of(event)
    for name, values in (event.get("multiValueHeaders") or {}).items():
        headers[name.lower()] = ", ".join(values)
    return Asked(str(event["httpMethod"]), event["path"], query, headers)


def headers_of(event: Mapping[str, Any]) -> dict[str, str]:
    """The headers, by names in lower case."""
    return {name.lower(): str(it) for name, it in (event.get("headers") or {}).items()}


def from_faces_on(path: str) -> str:
    """A path without the stage and the base path of a custom domain, which some events have."""
    parts = path.split("/")
    if "faces" not in parts[1:]:
        return path
    last = len(parts) - 1 - parts[::-1].index("faces")  # a base path may be called so, too
    return "/" + "/".join(parts[last:])


def body_of(event: Mapping[str, Any]) -> bytes:
    """The body's bytes.

    Raises:
        Refusal: it is said to be base64, and is none.
    """
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return bytes(body.encode("utf-8", "surrogatepass"))
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise wrong("The body is no base64.") from cause
