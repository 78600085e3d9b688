"""``handle``, which API Gateway calls for GET /faces/{seed}.png and POST /faces.

It needs Python's standard library and the Lambda runtime's own boto3. infra/README.md deploys it.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TextIO

from face_api.endpoint import FEWER, draw
from face_api.events import Answer, Asked, Refusal, read_event
from face_api.faces import REPLIES, Face, check_body, chosen, face_of, shown
from face_api.lock import Lock

# A Lambda function's answer may have 6 MB, with its headers, and with pictures in base64.
MAX_ANSWER_BYTES = 6 * 1024 * 1024 - 64 * 1024
YEAR = 365 * 24 * 3600
# API Gateway waits 30 seconds; one attempt, since a second one would not be heard.
READ_SECONDS, CONNECT_SECONDS = 24, 3


@dataclass(frozen=True)
class Settings:
    """The function's environment variables, all of which must be there.

    Attributes:
        endpoint: ENDPOINT_NAME.
        model: MODEL_ID, of what the endpoint serves; another one, and every ETag is another.
        caching: CACHING, "public" or "private": whether shared caches may keep faces.
        max_body_bytes: MAX_BODY_BYTES of a POST.
        origins: ALLOWED_ORIGINS, parted by commas: "*", or https://example.com; or none.
        key_secret: KEY_SECRET, ARN of the secret with the API key; empty for a door without one.
    """

    endpoint: str
    model: str
    caching: str
    max_body_bytes: int
    origins: tuple[str, ...]
    key_secret: str

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Settings:
        """KeyError where one is missing: a door without its lock must not open."""
        origins = (it.strip() for it in variables["ALLOWED_ORIGINS"].split(","))
        return cls(
            endpoint=variables["ENDPOINT_NAME"],
            model=variables["MODEL_ID"],
            caching=variables["CACHING"],
            max_body_bytes=int(variables["MAX_BODY_BYTES"]),
            origins=tuple(it for it in origins if it),
            key_secret=variables["KEY_SECRET"],
        )


class Door:
    """Answers requests.

    Args:
        settings: The function's.
        client: Makes boto3's client of a service.
        log: Where a JSON line a request goes.
    """

    def __init__(
        self, settings: Settings, client: Callable[[str], Any], log: TextIO | None = None
    ) -> None:
        self.settings, self.log = settings, log or sys.stdout
        self.client = cache(client)
        self.lock = Lock(settings.key_secret, lambda: self.client("secretsmanager"))

    def respond(self, event: Any, lambda_id: str = "") -> dict[str, Any]:
        """The answer to an event of API Gateway's, and a line in the log.

        Args:
            event: Of format 1.0 or 2.0.
            lambda_id: The invocation's own id.
        """
        began = time.perf_counter()
        note: dict[str, Any] = {"request_id": gateway_id(event), "lambda_id": lambda_id}
        try:
            asked = read_event(event)
            note |= {"method": asked.method[:10], "route": route_of(asked.path)}
            answer = self.answer_or_refuse(asked, note)
        except Refusal as refusal:  # of the event itself
            answer = refused(refusal, note)
        except Exception:  # ours: told to the log, and by its number to the caller
            note |= {"level": "ERROR", "error": "InternalError", "trace": traceback.format_exc()}
            told = f"A fault of the server; its log has it as {note['request_id'] or lambda_id}."
            answer = Refusal(500, "InternalError", told).answer()
        answer = answer.with_headers({"X-Content-Type-Options": "nosniff"})
        note |= {"status": answer.status, "bytes_out": len(answer.body)}
        note["ms"] = round(1000 * (time.perf_counter() - began), 2)
        self.log.write(json.dumps({"level": "INFO", **note}) + "\n")
        self.log.flush()
        return answer.as_response()

    def answer_or_refuse(self, asked: Asked, note: dict[str, Any]) -> Answer:
        """The answer with what a browser of another site wants to see."""
        try:
            answer = self.answer(asked)
        except Refusal as refusal:
            answer = refused(refusal, note)
        return answer.with_headers(self.cors(asked, answer))

    def answer(self, asked: Asked) -> Answer:
        """The answer to a request.

        Raises:
            Refusal: there is none.
        """
        allowed = methods_of(asked.path)
        if asked.method == "OPTIONS":
            return Answer(204, {"Allow": ", ".join(allowed)})
        if asked.method not in allowed:
            told = f"{shown(asked.method)} is not for {route_of(asked.path)}."
            listed = ", ".join(allowed)
            headers = {"Allow": listed}
            raise Refusal(405, "MethodNotAllowed", told, f"Allowed: {listed}.", headers)
        self.lock.check(asked)
        return self.many(asked) if asked.method == "POST" else self.one(asked)

    def one(self, asked: Asked) -> Answer:
        """GET and HEAD: a seed's face, which never changes."""
        face = face_of(asked)
        served = self.settings.model
        if face.model not in (None, served):
            told = f"The model {shown(face.model or '')} is not served here."
            raise Refusal(404, "NotFound", told, f"It is {served!r} now.")
        headers = self.lasting(face)
        if has(asked.headers.get("if-none-match", ""), headers["ETag"]):
            return Answer(304, headers)
        content_type, picture = self.drawn(face.body, face.content_type)
        body = b"" if asked.method == "HEAD" else picture
        return Answer(200, {"Content-Type": content_type, **headers}, body)

    def lasting(self, face: Face) -> dict[str, str]:
        """The headers of a face that may be kept."""
        headers = {
            "Cache-Control": f"{self.settings.caching}, max-age={YEAR}, immutable",
            "ETag": face.etag(self.settings.model),
            "X-Face-Model": self.settings.model,
        }
        return headers | ({"Vary": "Accept"} if face.by_accept else {})

    def many(self, asked: Asked) -> Answer:
        """POST: whatever docs/serving-reference.md says in JSON."""
        check_body(asked, self.settings.max_body_bytes)
        content_type, reply = self.drawn(asked.body, chosen(asked.headers.get("accept"), REPLIES))
        kept = {"Cache-Control": "no-store", "X-Face-Model": self.settings.model}
        return Answer(200, {"Content-Type": content_type, **kept}, reply)

    def drawn(self, body: bytes, accept: str) -> tuple[str, bytes]:
        """The endpoint's reply, if it fits Lambda's."""
        runtime = self.client("sagemaker-runtime")
        content_type, reply = draw(runtime, self.settings.endpoint, body, accept)
        if len(reply) * 4 // 3 > MAX_ANSWER_BYTES:
            told = f"The reply has {len(reply)} bytes; {MAX_ANSWER_BYTES * 3 // 4} can be sent."
            raise Refusal(413, "RequestTooLarge", told, FEWER)
        return content_type, reply

    def cors(self, asked: Asked, answer: Answer) -> dict[str, str]:
        """Leave for other sites' pages. An HTTP API with CORS puts its own in place of these."""
        origin, allowed = asked.headers.get("origin", ""), self.settings.origins
        if not allowed:
            return {}
        if "*" in allowed:
            leave = {"Access-Control-Allow-Origin": "*"}
        else:
            varies = ", ".join(filter(None, [answer.headers.get("Vary", ""), "Origin"]))
            leave = {"Vary": varies}
            if origin not in allowed:
                return leave
            leave["Access-Control-Allow-Origin"] = origin
        leave["Access-Control-Expose-Headers"] = "ETag, Retry-After, X-Face-Model"
        if asked.method == "OPTIONS" and answer.status == 204:
            leave["Access-Control-Allow-Methods"] = ", ".join(methods_of(asked.path))
            leave["Access-Control-Allow-Headers"] = "authorization, content-type, x-api-key"
            leave["Access-Control-Max-Age"] = "86400"
        return leave


def methods_of(path: str) -> tuple[str, ...]:
    """What may be done at a path.

    Raises:
        Refusal: nothing is there.
    """
    match route_of(path):
        case "/faces":
            return "POST", "OPTIONS"
        case "/faces/{face}":
            return "GET", "HEAD", "OPTIONS"
    told = f"There is nothing at {shown(path)}."
    raise Refusal(404, "NotFound", told, "There are GET /faces/SEED.png and POST /faces.")


def route_of(path: str) -> str:
    """The route, not the path: logs hold no seeds."""
    if path == "/faces":
        return path
    is_face = path.startswith("/faces/") and path.count("/") == 2 and path != "/faces/"
    return "/faces/{face}" if is_face else "unknown"


def has(header: str, etag: str) -> bool:
    """Whether an If-None-Match header names an ETag, weakly compared (RFC 9110, 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def refused(refusal: Refusal, note: dict[str, Any]) -> Answer:
    """A refusal's answer, noted; a cause that is not the caller's is noted whole."""
    note["error"] = refusal.error
    if refusal.status >= 500:
        note |= {"level": "ERROR", "cause": str(refusal.__cause__)}
    return refusal.answer()


def gateway_id(event: Any) -> str:
    """API Gateway's id of a request, which its own log has too."""
    try:
        return str(event["requestContext"]["requestId"])[:128]
    except (KeyError, TypeError):
        return ""


def boto3_client(service: str) -> Any:
    """boto3's client of a service, which gives up in time."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    return boto3.client(service, config=config)


@cache
def door() -> Door:
    """The function's door, kept from one call to the next."""
    return Door(Settings.of(os.environ), boto3_client)


def handle(event: Any, context: Any) -> dict[str, Any]:
    """The function that Lambda calls; format 1.0 or 2.0 of API Gateway's events."""
    return door().respond(event, str(getattr(context, "aws_request_id", "")))
