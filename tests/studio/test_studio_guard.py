"""The studio's guard: whose requests reach the page. Gradio is not needed for that."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from facegan.studio.guard import API, MAX_BODY_BYTES, Guard

PORT = 7860
OWN = "127.0.0.1:7860"
Headers = list[tuple[str, str]]


class Page:
    """An app behind the guard: notes what reached it, and says that anybody may read it."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope)
        self.bodies.append((await receive())["body"])
        headers = [(b"access-control-allow-origin", b"*")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"faces"})


def ask(
    page: Page,
    headers: Headers,
    method: str = "GET",
    path: str = "/",
    body: Sequence[bytes] = (b"",),
) -> tuple[int, dict[bytes, bytes]]:
    """The status and headers of an answer; the body is sent in these pieces."""
    scope = {"type": "http", "method": method, "path": path,
             "headers": [(name.encode(), value.encode()) for name, value in headers]}  # fmt: skip
    left, sent = list(body), []

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.sleep(3600)  # it waits for the answer
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(Guard(page, PORT)(scope, receive, send))
    if sent[0]["status"] >= 400:
        assert not sent[-1]["more_body"] and not left, "a client that still sends misses the answer"
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize("host", [OWN, "localhost:7860", "LocalHost:7860", "[::1]:7860"])
def test_the_page_is_answered_by_this_machines_names(host: str) -> None:
    page = Page()
    assert ask(page, [("host", host)])[0] == 200
    own = [("host", host), ("origin", f"http://{host.lower()}"), ("sec-fetch-site", "same-origin")]
    assert ask(page, own, "POST", f"{API}/queue/join", [b"{", b"}"])[0] == 200
    assert page.bodies[-1] == b"{}"


@pytest.mark.parametrize(
    "hosts",
    [
        [], [""], ["evil.example"], ["evil.example:7860"], ["127.0.0.1"], ["127.0.0.1:7861"],
        ["127.0.0.1:7860.evil.example"], ["evil.example@127.0.0.1:7860"], ["localhost.:7860"],
        ["0.0.0.0:7860"], ["127.0.0.2:7860"], ["127.1:7860"], ["::1:7860"], ["[::]:7860"],
        ["127.0.0.1:7860 "], ["127.0.0.1:07860"], [OWN, "evil.example"], [OWN, OWN],
    ],
)  # fmt: skip
def test_any_other_host_is_refused(hosts: list[str]) -> None:
    """DNS rebinding: a browser believes that the page is evil.example's."""
    page = Page()
    for path in ("/", "/config", f"{API}/info"):
        status, headers = ask(page, [("host", host) for host in hosts], path=path)
        assert 400 <= status < 500 and b"access-control-allow-origin" not in headers
    assert not page.asked


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "null", "", "https://127.0.0.1:7860", "http://127.0.0.1:3000",
        "http://127.0.0.1", "http://localhost:7860", "http://127.0.0.1:7860.evil.example",
        "file://",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"), ("HEAD", "/"), ("GET", "/config"), ("POST", f"{API}/queue/join"),
        ("GET", f"{API}/queue/data"), ("GET", f"{API}/file=/tmp/a.png"), ("POST", f"{API}/upload"),
        ("OPTIONS", f"{API}/queue/join"), ("OPTIONS", f"{API}/upload"),
    ],
)  # fmt: skip
def test_another_origin_is_refused_on_every_route(method: str, path: str, origin: str) -> None:
    page = Page()
    preflight = [("access-control-request-method", "POST")] if method == "OPTIONS" else []
    for origins in ([origin], [f"http://{OWN}", origin]):
        named = [("origin", one) for one in origins]
        status, headers = ask(page, [("host", OWN), *named, *preflight], method, path)
        assert 400 <= status < 500 and b"access-control-allow-origin" not in headers
    assert not page.asked


@pytest.mark.parametrize(
    ("path", "fetch", "expected"),
    [
        ("/", {"site": "none", "mode": "navigate", "dest": "document"}, 200),  # typed in
        ("/", {"site": "cross-site", "mode": "navigate", "dest": "document"}, 200),  # a link
        ("/", {"site": "cross-site", "mode": "navigate", "dest": "iframe"}, 403),
        ("/", {"site": "same-site", "mode": "no-cors", "dest": "image"}, 403),
        ("/config", {"site": "cross-site", "mode": "navigate", "dest": "document"}, 403),
        (f"{API}/file=/tmp/a.png", {"site": "cross-site", "mode": "no-cors", "dest": "image"}, 403),
        (f"{API}/file=/tmp/a.png", {"site": "same-origin", "mode": "cors", "dest": "empty"}, 200),
    ],
)
def test_images_and_frames_of_other_sites_are_refused(
    path: str, fetch: dict[str, str], expected: int
) -> None:
    """They send no Origin."""
    named = [(f"sec-fetch-{name}", value) for name, value in fetch.items()]
    assert ask(Page(), [("host", OWN), *named], path=path)[0] == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{API}/upload"), ("PUT", "/"), ("DELETE", "/"), ("OPTIONS", "/"),
        ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", f"{API}/proxy=http://evil.example"),
        ("GET", f"{API}/file=http://evil.example/a.png"), ("GET", f"{API}/file=HTTPS://evil/a.png"),
        ("GET", f"{API}/upload_progress"), ("POST", f"{API}/vibe-edit"), ("POST", "/config"),
        ("POST", f"{API}/run-history/connect"), ("GET", "/monitoring"), ("POST", f"{API}/api/x"),
        ("POST", f"{API}/component_server"), ("GET", f"{API}/call/x"), ("GET", f"{API}/mcp/sse"),
        ("POST", f"{API}/run/draw"), ("GET", ""), ("GET", "/x/assets/"),
    ],
)  # fmt: skip
def test_routes_that_the_page_does_not_use_are_closed(method: str, path: str) -> None:
    page = Page()
    assert 400 <= ask(page, [("host", OWN)], method, path)[0] < 500
    assert not page.asked


@pytest.mark.parametrize("path", [f"{API}/upload", f"{API}/queue/join"])
@pytest.mark.parametrize("length", ["200000000", str(MAX_BODY_BYTES + 1), "9" * 5000, "-1", "1_0"])
def test_a_large_body_is_refused_by_its_length(path: str, length: str) -> None:
    page = Page()
    headers = [("host", OWN), ("content-length", length)]
    assert ask(page, headers, "POST", path, [b"x" * 1000] * 100)[0] == 413
    assert not page.asked


def test_a_large_body_without_a_length_is_refused_as_it_comes() -> None:
    page = Page()
    pieces = [b"x" * 100_000] * 20
    assert ask(page, [("host", OWN)], "POST", f"{API}/queue/join", pieces)[0] == 413
    assert not page.asked


FILE = '{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}'


@pytest.mark.parametrize("path", [f"{API}/queue/join", f"{API}/run/predict"])
@pytest.mark.parametrize(
    "body",
    [
        f'{{"data": [{FILE}]}}', f'{{"data": {FILE}}}', f'{{"data": [1, [2, [{FILE}]]]}}',
        '{"data": [{"path": "http://evil.example/", "url": "x"}]}', '{"data": [{}]}',
        f'{{"data": [], "data": [{FILE}]}}', f"[{FILE}]", "", "{", "null", "\xff", "[" * 100_000,
        '{"data": ' + "[" * 100_000, "files=/etc/passwd",
    ],
)  # fmt: skip
def test_what_is_posted_names_no_files(path: str, body: str) -> None:
    """Gradio would copy them to where they can be asked for."""
    page = Page()
    for sent in (body.encode("latin-1"), body.encode("utf-16"), body.encode("utf-32")):
        assert ask(page, [("host", OWN)], "POST", path, [sent])[0] == 400
    assert not page.asked


def test_the_values_of_fields_are_handed_on() -> None:
    page, body = Page(), b'{"data": [1, "a", null, true, ["a", "b"]], "event_data": {"index": 1}}'
    assert ask(page, [("host", OWN)], "POST", f"{API}/queue/join", [body])[0] == 200
    assert page.bodies == [body]


def test_headers_of_a_proxy_change_nothing() -> None:
    """Gradio would build the page's addresses of them."""
    page = Page()
    others = [("X-Forwarded-Host", "evil.example"), ("x-forwarded-proto", "https"),
              ("forwarded", "host=evil.example"), ("accept", "*/*")]  # fmt: skip
    assert ask(page, [("host", OWN), *others])[0] == 200
    assert page.asked[0]["headers"] == [(b"host", OWN.encode()), (b"accept", b"*/*")]


def test_websockets_are_refused_and_the_servers_start_is_not() -> None:
    page, sent = Page(), []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup", "body": b""}

    asyncio.run(Guard(page, PORT)({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}] and not page.asked
    asyncio.run(Guard(page, PORT)({"type": "lifespan"}, receive, send))
    assert page.asked == [{"type": "lifespan"}]
