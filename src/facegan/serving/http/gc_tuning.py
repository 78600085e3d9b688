"""Keeps Python's garbage collector out of the way while the app loads, and off it for good.

Importing torch makes 270,000 objects that stay. The collector would walk through them again and
again while they come, a tenth of the time, and later whenever the server has been busy for a while:
tens of milliseconds in which no request is answered.
"""

import gc
from typing import Any


def pause_collector(arbiter: Any, worker: Any) -> None:
    """gunicorn's ``post_fork``: collect nothing while the worker imports and loads."""
    gc.disable()


def resume_collector(worker: Any) -> None:
    """gunicorn's ``post_worker_init``: collect what comes from now on, and leave the rest alone."""
    gc.freeze()
    gc.enable()
