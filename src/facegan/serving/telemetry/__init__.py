"""Logs one line per request, and exports metrics to Prometheus and, if enabled, CloudWatch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facegan.serving.telemetry.requests import Telemetry, install_telemetry, note, request_id

__all__ = ["Telemetry", "install_telemetry", "note", "request_id"]


def __getattr__(name: str) -> Any:
    """Import Flask and Prometheus on first use: gunicorn's master saves 0.25 s of its start."""
    if name in __all__:
        from facegan.serving.telemetry import requests

        return getattr(requests, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
