"""A transport whose calls end within a timeout, whatever the wrapped transport does."""

import queue
import threading
import time
from collections.abc import Callable

from facegan.client import Reply, Transport
from facegan.errors import InvocationError


class TimeoutTransport:
    """Wraps a transport: every call has a timeout, and its duration is measured.

    A server that sends its answer byte by byte, or a library that retries, would otherwise block a
    page for minutes. An abandoned call goes on in its own thread until its own limits end it.

    Args:
        transport: How the endpoint is reached.
        seconds: The timeout of a call.
        on_reply: Called with the seconds that each reply took.
    """

    def __init__(
        self, transport: Transport, seconds: float, on_reply: Callable[[float], None]
    ) -> None:
        self.transport, self.seconds, self.on_reply = transport, seconds, on_reply

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        """See :class:`facegan.client.Transport`."""
        start = time.perf_counter()
        reply = call_with_timeout(
            self.seconds, lambda: self.transport.send(body, content_type, accept)
        )
        self.on_reply(time.perf_counter() - start)
        return reply


def call_with_timeout(seconds: float, call: Callable[[], Reply]) -> Reply:
    """Return what a call returns; raise what it raises, or InvocationError after the timeout."""
    done: queue.SimpleQueue[Reply | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put(call())
        except BaseException as error:
            done.put(error)

    threading.Thread(target=run, name="facegan-studio-ask", daemon=True).start()
    try:
        result = done.get(timeout=seconds)
    except queue.Empty:
        raise InvocationError(
            f"The endpoint did not answer within {seconds:g} seconds.",
            "Ask for fewer images, or start with a longer --timeout.",
        ) from None
    if isinstance(result, BaseException):
        raise result
    return result
