"""Faces over HTTP: the app, the four functions behind it, and its limits."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facegan.serving.http.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """Import the app when it is asked for: gunicorn's master reads its settings without torch."""
    if name == "create_app":
        from facegan.serving.http.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
