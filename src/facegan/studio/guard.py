"""ASGI middleware that refuses requests from other sites and to routes that the page does not use.

Any web page can send requests to 127.0.0.1 from a visitor's browser, and with DNS rebinding read
the answers. So the Host header must name this machine, and the browser must not report another
origin. Only the routes of Gradio that the page uses are open: not uploads, its proxy, its API
documents or its editors. Posted values must not be objects: Gradio copies any file of this machine
or of another server that such a value names, and serves it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Refusal = tuple[int, str]

NAMES = ("127.0.0.1", "localhost", "[::1]")
MAX_BODY_BYTES = 2**20  # the page posts the values of a few fields
DISCARD_SECONDS = 10.0  # so that a client that sends everything before it reads gets its answer

API = "/gradio_api"
PATHS = {
    "GET": ("/", "/config", "/favicon.ico", "/manifest.json", "/robots.txt", "/theme.css",
            f"{API}/app_id", f"{API}/info", f"{API}/queue/data", f"{API}/startup-events",
            f"{API}/theme.css"),
    "POST": (f"{API}/cancel", f"{API}/queue/join", f"{API}/reset", f"{API}/run/predict"),
}  # fmt: skip
BELOW = {"GET": ("/assets/", "/static/", "/svelte/", f"{API}/file=", f"{API}/heartbeat/")}
REMOTE = f"{API}/file=http"  # Gradio would fetch it; files of this machine have absolute paths
FORWARDED = (b"forwarded", b"x-forwarded-", b"x-real-ip", b"x-direct-url")  # there is no proxy


class Guard:
    """ASGI middleware that forwards only requests of the page itself.

    Args:
        app: The page.
        port: Its port.
        names: Its host names, IPv6 addresses in brackets.
    """

    def __init__(self, app: App, port: int, names: Iterable[str] = NAMES) -> None:
        self.app = app
        self.hosts = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":  # the page opens none
            await send({"type": "websocket.close", "code": 1008})
        elif refusal := self.refusal(scope):
            await refuse(refusal, receive, send)
        else:
            await self.forward(scope, receive, send)

    def refusal(self, scope: Scope) -> Refusal | None:
        """Return why a request's head is refused; None if it is not."""
        hosts = values(scope, b"host")
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if host not in self.hosts:
            return 421, "The facegan studio is local: open it by the address that it printed."
        origins = values(scope, b"origin")
        if any(origin != f"http://{host}" for origin in origins) or not is_same_site(scope):
            return 403, "The facegan studio answers its own page only."
        if any(not is_small(length) for length in values(scope, b"content-length")):
            return 413, f"The facegan studio takes no more than {MAX_BODY_BYTES} bytes."
        if not is_open(scope["method"], scope["path"]):
            return 404, "The facegan studio has no such page, and takes no uploads."
        return None

    async def forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request with its whole body, if that is small and names no files."""
        body = await read_small(receive)
        if body is None:
            return await refuse((413, "The body is too large."), receive, send)
        whole = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> dict[str, Any]:
            return whole.pop() if whole else await receive()

        if scope["method"] == "POST" and not has_only_values(body):
            reason = "The facegan studio accepts numbers and text as JSON, and no files."
            return await refuse((400, reason), replay, send)

        headers = [(name, value) for name, value in scope["headers"]
                   if not name.lower().startswith(FORWARDED)]  # fmt: skip
        return await self.app({**scope, "headers": headers}, replay, send)


def values(scope: Scope, name: bytes) -> list[str]:
    """Return all values of a header."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def is_same_site(scope: Scope) -> bool:
    """Return whether a request comes from our page, an address or a link, by Sec-Fetch-Site.

    Images and frames of other sites send no Origin; browsers since 2023 send Sec-Fetch-Site.
    """
    sites = values(scope, b"sec-fetch-site")
    if all(site in ("same-origin", "none") for site in sites):
        return True
    is_link = values(scope, b"sec-fetch-mode") == ["navigate"]
    is_window = values(scope, b"sec-fetch-dest") == ["document"]
    return scope["method"] == "GET" and scope["path"] == "/" and is_link and is_window


def is_small(length: str) -> bool:
    """Return whether a Content-Length is a number within the limit."""
    is_number = length.isascii() and length.isdigit() and len(length) < 16
    return is_number and int(length) <= MAX_BODY_BYTES


def is_open(method: str, path: str) -> bool:
    """Return whether the page uses a route."""
    method = "GET" if method == "HEAD" else method
    path = path if path == "/" else path.removesuffix("/")
    if path in PATHS.get(method, ()):
        return True
    return path.startswith(BELOW.get(method, ())) and not path.lower().startswith(REMOTE)


async def read_small(receive: Receive) -> bytes | None:
    """Return a request's body; None if it is longer than the limit, or incomplete."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return body


def has_only_values(body: bytes) -> bool:
    """Return whether a body is a JSON object whose `data` holds no objects, as files would be."""
    try:
        posted = json.loads(body)
        return isinstance(posted, dict) and not holds_object(posted.get("data"))
    except (ValueError, RecursionError):
        return False


def holds_object(value: object) -> bool:
    """Return whether a JSON value is an object or a list that holds one, at any depth."""
    if isinstance(value, list):
        return any(map(holds_object, value))
    return isinstance(value, dict)


async def refuse(refusal: Refusal, receive: Receive, send: Send) -> None:
    """Send an error, discard what the client still sends for a while, and close.

    Closing a connection with unread bytes resets it, and the client may miss the answer.
    """
    status, reason = refusal
    text = reason.encode() + b"\n"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text, "more_body": True})
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            while (await receive()).get("more_body"):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
