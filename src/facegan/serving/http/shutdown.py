"""Stops a server gracefully: announce it, answer what was accepted, then release the models."""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

EXTENSION = "facegan.shutdown"  # where the worker finds the hooks, in the app's ``extensions``
CLOSE_SECONDS = 3.0  # for the models, when all clients are gone or the worker's grace is over


class ShutdownHooks:
    """What the worker calls when it stops.

    Attributes:
        has_begun: Whether SIGTERM came; from then on ``/ping`` is 503 and no model is loaded.
        begin_closing: Called once, when SIGTERM comes.
        close: Releases the models within so many seconds; returns whether that was done in time.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self.begin_closing: Callable[[], None] = lambda: None
        self.close: Callable[[float], bool] = lambda _: True

    def begin(self) -> None:
        """React to SIGTERM; requests that were accepted are still answered."""
        if not self.has_begun:
            self.has_begun = True
            self.begin_closing()

    def finish(self) -> None:
        """Release the models, once all requests are answered or the grace is over."""
        if self.close(CLOSE_SECONDS):
            log.info("Server stopped; all requests answered.")
        else:
            log.warning("Server stopped; some requests were not answered.")
