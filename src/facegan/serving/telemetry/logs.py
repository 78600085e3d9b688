"""Formats log records as one line of JSON each, whatever a client has put into them.

Not python-json-logger: this is thirty lines, its keys are documented, and gunicorn's master, which
imports it, loads nothing but the standard library.
"""

import functools
import json
import logging
import logging.config
import time
from contextvars import ContextVar
from typing import Any

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
REQUESTS = "facegan.requests"  # the logger of request lines
EMF = "facegan.emf"  # the logger of CloudWatch's embedded metrics, which have their own format

encode = json.JSONEncoder(default=str).encode


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object on one line.

    Keys: ``time`` (UTC, RFC 3339), ``level``, ``logger``, ``message``; ``request_id`` inside a
    request; the record's ``facts`` (a dict, given as ``extra={"facts": …}``); ``trace`` of an
    exception. Everything beyond ASCII, and every control character, is escaped.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its end."""
        line: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return encode(line)


class TextFormatter(logging.Formatter):
    """Formats a record for people: a line with control characters escaped, and traces unchanged."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802, logging's own name
        """Return the line, with the id of its request."""
        text = record.getMessage()
        plain = "".join(x if x.isprintable() else repr(x)[1:-1] for x in text)
        request_id = REQUEST_ID.get()
        marker = f" [{request_id}]" if request_id else ""
        return f"{timestamp(record.created)} {record.levelname}{marker} {plain}"


def timestamp(seconds: float) -> str:
    """Format seconds since 1970 as UTC with milliseconds (RFC 3339)."""
    return f"{whole_second(int(seconds))}.{int(seconds % 1 * 1000):03d}Z"


@functools.lru_cache(2)
def whole_second(seconds: int) -> str:
    """Format a whole second, once for all requests in it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def set_up_logging(log_format: str, level: str) -> None:
    """Format all records of this process by :func:`logging_settings`.

    What no line shows is not collected: docs.python.org, "Logging HOWTO", Optimization.
    """
    logging.config.dictConfig(logging_settings(log_format, level))
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = ""  # no search for the calling line


def logging_settings(log_format: str, level: str) -> dict[str, Any]:
    """Return the settings for ``logging.config.dictConfig`` and gunicorn's ``logconfig_dict``.

    Args:
        log_format: "json" or "text".
        level: The lowest level that is written: "DEBUG", "INFO", "WARNING", "ERROR".
    """
    formatter = {"json": JsonFormatter, "text": TextFormatter}[log_format]
    stream = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}
    name = f"{formatter.__module__}.{formatter.__name__}"
    to_console = {"level": level, "handlers": ["console"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": name}, "bare": {"format": "%(message)s"}},
        "handlers": {
            "console": stream | {"formatter": "line"},
            "bare": stream | {"formatter": "bare"},
        },
        "root": {"level": level, "handlers": ["console"]},
        "loggers": {
            "gunicorn.error": to_console,
            "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
            "werkzeug": {"level": "WARNING"},
            EMF: {"level": "INFO", "handlers": ["bare"], "propagate": False},
        },
    }
