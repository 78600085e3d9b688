"""Watching the server: a line a request, metrics for Prometheus, and for CloudWatch by switch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facegan.serving.telemetry.requests import Telemetry, install_telemetry, note, request_id

__all__ = ["Telemetry", "install_telemetry", "note", "request_id"]


def __getattr__(name: str) -> Any:
    """Import the rest when it is asked for: gunicorn's master needs the log's form alone."""
    if name in __all__:
        from facegan.serving.telemetry import requests

        return getattr(requests, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
