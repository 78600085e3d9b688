"""Events as API Gateway sends them: AWS's own examples, with what a test asks put in.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from face_api.handler import Door


def event_v2(
    method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> dict[str, Any]:
    """Format 2.0, of an HTTP API with the stage $default."""
    path, _, query = path.partition("?")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": f"{method} /faces/{{face}}",
        "rawPath": path,
        "rawQueryString": query,
        "cookies": ["cookie1", "cookie2"],
        "headers": {"host": "id.execute-api.eu-west-1.amazonaws.com", **(headers or {})},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "domainName": "id.execute-api.eu-west-1.amazonaws.com",
            "domainPrefix": "id",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "agent",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": f"{method} /faces/{{face}}",
            "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "isBase64Encoded": False,
    }
    if query:
        pairs = parse_qs(query, keep_blank_values=True)
        event["queryStringParameters"] = {name: ",".join(it) for name, it in pairs.items()}
    if body is not None:
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return event


def event_v1(
    method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> dict[str, Any]:
    """Format 1.0, of a REST API behind a custom domain's base path."""
    path, _, query = path.partition("?")
    lists = parse_qs(query, keep_blank_values=True) or None
    named = {"Host": "id.execute-api.eu-west-1.amazonaws.com"}
    named |= {name.title(): value for name, value in (headers or {}).items()}
    return {
        "version": "1.0",
        "resource": "/faces/{face}",
        "path": "/gallery" + path,
        "httpMethod": method,
        "headers": named,
        "multiValueHeaders": {name: [value] for name, value in named.items()},
        "queryStringParameters": lists and {name: it[-1] for name, it in lists.items()},
        "multiValueQueryStringParameters": lists,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "id",
            "httpMethod": method,
            "identity": {"sourceIp": "192.0.2.1", "userAgent": "agent"},
            "path": "/gallery" + path,
            "protocol": "HTTP/1.1",
            "requestId": "id=",
            "requestTime": "04/Mar/2020:19:15:17 +0000",
            "resourcePath": "/faces/{face}",
            "stage": "prod",
        },
        "pathParameters": {"face": path.rpartition("/")[2]},
        "stageVariables": None,
        "body": None if body is None else body.decode(),
        "isBase64Encoded": False,
    }


EVENTS = [event_v1, event_v2]


class Got:
    """A response of the function as API Gateway would send it on."""

    def __init__(self, response: dict[str, Any]) -> None:
        assert set(response) == {"statusCode", "headers", "body", "isBase64Encoded"}
        json.dumps(response)  # Lambda does
        assert all(isinstance(it, str) for pair in response["headers"].items() for it in pair)
        assert all("\n" not in it for pair in response["headers"].items() for it in pair)
        self.status: int = response["statusCode"]
        self.headers: dict[str, str] = response["headers"]
        body = response["body"]
        self.body: bytes = (
            base64.b64decode(body, validate=True) if response["isBase64Encoded"] else body.encode()
        )

    @property
    def told(self) -> dict[str, Any]:
        """The JSON in it."""
        value: dict[str, Any] = json.loads(self.body)
        return value


def ask(
    door: Door,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    make: Any = event_v2,
) -> Got:
    """One request through a door."""
    return Got(door.respond(make(method, path, headers, body), "lambda-1"))


def log_of(door: Door) -> list[dict[str, Any]]:
    """The lines of a door's log."""
    return [json.loads(line) for line in door.log.getvalue().splitlines()]  # type: ignore[attr-defined]
