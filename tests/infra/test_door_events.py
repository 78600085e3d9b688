"""Random events: a caller's mistake is never a 5xx, nothing shows a traceback, nothing raises."""

import io
import json
from typing import Any

import pytest
from api_events import EVENTS, Got
from door_server import VARIABLES
from face_api.handler import Door, Settings
from hypothesis import given
from hypothesis import strategies as st

PICTURE = b"\x89PNG"


class Painter:
    """An endpoint that draws everything, and looks at what it is asked."""

    def invoke_endpoint(self, **asked: Any) -> dict[str, Any]:
        assert isinstance(json.loads(asked["Body"]), dict)
        assert asked["Accept"].isascii() and "\n" not in asked["Accept"]
        return {"ContentType": asked["Accept"], "Body": io.BytesIO(PICTURE)}


DOOR = Door(Settings.of(VARIABLES | {"ALLOWED_ORIGINS": "https://a.example"}), lambda _: Painter())
letters = st.characters() | st.sampled_from(["\ud800", "\n", "\0", "\x7f", "%"])
texts = st.lists(letters, max_size=20).map("".join)  # with lone surrogates, as JSON may have
names = st.sampled_from(["truncation", "class", "quality", "model", "x"]) | texts
paths = st.one_of(
    texts.map(lambda it: "/faces/" + it),
    st.integers(-5, 2**33).map(lambda it: f"/faces/{it}.png"),
    st.sampled_from(["/faces", "/faces/", "/", "", "/faces/7.webp", "/faces/7"]),
    texts,
)
queries = st.lists(st.tuples(names, st.sampled_from(["1", "0.5", "50", ""]) | texts), max_size=4)
headers = st.dictionaries(
    st.sampled_from(["accept", "content-type", "if-none-match", "origin", "x-api-key", "x-other"]),
    st.sampled_from(["application/json", "image/*;q=0.5", "*", 'W/"x"']) | texts,
)
methods = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "get", ""])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda it: st.lists(it, max_size=3) | st.dictionaries(st.text(max_size=9), it, max_size=3),
    max_leaves=5,
)
bodies = st.one_of(
    texts,
    anything.map(json.dumps),
    st.just('{"seeds": [1]}'),
)


def check(response: dict[str, Any], log: io.StringIO) -> Got:
    """A response that API Gateway takes, and is no fault of ours; the log is one line of JSON."""
    got = Got(response)
    assert 200 <= got.status < 500, log.getvalue()
    assert b"Traceback" not in got.body
    (line,) = log.getvalue().splitlines()
    assert json.loads(line)["status"] == got.status
    if got.status >= 400:
        assert set(got.told) == {"error", "message", "hint"}
        assert got.headers["Cache-Control"] == "no-store"
    return got


@pytest.mark.parametrize("make", EVENTS)
@given(method=methods, path=paths, query=queries, headers=headers, body=bodies)
def test_no_request_is_a_fault(
    make: Any, method: str, path: str, query: Any, headers: dict[str, str], body: str
) -> None:
    event = make(method, path, headers, b"")
    if event["version"] == "2.0":
        event["rawQueryString"] = "&".join(f"{name}={value}" for name, value in query)
    else:
        event["multiValueQueryStringParameters"] = {name: [it] for name, it in query} or None
    event |= {"body": body, "isBase64Encoded": False}
    DOOR.log = log = io.StringIO()
    got = check(DOOR.respond(event), log)
    if got.status == 200 and method != "HEAD":
        assert got.body == PICTURE


@given(event=anything, changes=st.dictionaries(st.sampled_from(
    ["version", "rawPath", "rawQueryString", "headers", "requestContext", "body", "path",
     "isBase64Encoded", "httpMethod", "multiValueHeaders", "multiValueQueryStringParameters"]
), anything))  # fmt: skip
@pytest.mark.parametrize("make", [*EVENTS, None])
def test_no_event_is_a_fault(make: Any, event: Any, changes: dict[str, Any]) -> None:
    if make:
        event = make("GET", "/faces/7.png") | changes
    DOOR.log = log = io.StringIO()
    check(DOOR.respond(event), log)
