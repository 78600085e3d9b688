"""How a server ends: it says so, answers what it accepted, and only then lets its models go."""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

EXTENSION = "facegan.shutdown"  # where the worker finds it, in the app's ``extensions``
CLOSE_SECONDS = 3.0  # for the models, when all callers are gone or the worker's grace is over


class ShutdownHooks:
    """The end of one app, as the worker brings it about.

    Attributes:
        has_begun: Whether SIGTERM came; ``/ping`` is 503 from then on, and nothing new is loaded.
        close: Lets go of the models within so many seconds; whether that was done in time.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self.begin_closing: Callable[[], None] = lambda: None
        self.close: Callable[[float], bool] = lambda _: True

    def begin(self) -> None:
        """SIGTERM came: what was accepted is still answered."""
        if not self.has_begun:
            self.has_begun = True
            self.begin_closing()

    def finish(self) -> None:
        """Nobody is left to be answered, or there is no more time for them."""
        is_done = self.close(CLOSE_SECONDS)
        level = logging.INFO if is_done else logging.WARNING
        log.log(level, "Ended: %s.", "all was drawn" if is_done else "some of it was not drawn")
