"""The HTTP server: generates images from a model, with SageMaker's routes and limits."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facegan.serving.http.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """Import the app on first use: gunicorn's master, which needs none of it, saves 0.45 s."""
    if name == "create_app":
        from facegan.serving.http.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
