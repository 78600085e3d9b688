"""Waits for an endpoint only so long, whatever its transport does."""

import queue
import threading
import time
from collections.abc import Callable

from facegan.client import FrontPageTransport, Reply, Transport
from facegan.errors import InvocationError

NO_FRONT_PAGE = "This endpoint is reached by requests for faces alone."


class PatientTransport:
    """Another transport with an end to every wait, and a watch.

    A server that drips its answer, or a library that tries again and again, would else hold a page
    for minutes. What is given up goes on in a thread of its own until its own limits end it.

    Args:
        transport: How the endpoint is reached.
        seconds: How long one answer may take.
        on_answer: Called with the seconds that each answer took.
    """

    def __init__(
        self, transport: Transport, seconds: float, on_answer: Callable[[float], None]
    ) -> None:
        self.transport, self.seconds, self.on_answer = transport, seconds, on_answer

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        """See :class:`facegan.client.Transport`."""
        start = time.perf_counter()
        reply = within(self.seconds, lambda: self.transport.send(body, content_type, accept))
        self.on_answer(time.perf_counter() - start)
        return reply

    def front_page(self) -> Reply:
        """See :class:`facegan.client.FrontPageTransport`; InvocationError where there is none."""
        transport = self.transport
        if not isinstance(transport, FrontPageTransport):
            raise InvocationError(NO_FRONT_PAGE)
        return within(self.seconds, transport.front_page)


def within(seconds: float, work: Callable[[], Reply]) -> Reply:
    """What a piece of work returns, or raises, if it does so in time.

    Raises:
        InvocationError: it did not.
    """
    done: queue.SimpleQueue[tuple[Reply | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=run, name="facegan-studio-ask", daemon=True).start()
    try:
        reply, error = done.get(timeout=seconds)
    except queue.Empty:
        told = f"The endpoint did not answer within {seconds:g} seconds."
        raise InvocationError(
            told, "Ask for fewer faces, or start with a longer --timeout."
        ) from None
    if error is not None:
        raise error
    assert reply is not None
    return reply
