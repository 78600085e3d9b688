"""Pauses Python's garbage collector while the app loads, and exempts what was loaded.

Importing torch makes 270,000 objects that stay. The collector would scan them again and again while
they are created, a tenth of the time, and later whenever the server has been busy for a while: tens
of milliseconds in which no request is answered.
"""

import gc
from typing import Any


def pause_collector(arbiter: Any, worker: Any) -> None:
    """Collect nothing while the worker imports and loads (gunicorn's ``post_fork``)."""
    gc.disable()


def resume_collector(worker: Any) -> None:
    """Collect only what comes from now on (gunicorn's ``post_worker_init``)."""
    gc.freeze()
    gc.enable()
