"""gunicorn's settings, in the container and under `facegan serve` alike."""

import os
import resource
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger

from facegan.serving.http.gc_tuning import pause_collector, resume_collector
from facegan.serving.telemetry.logs import set_up_logging

MEMORY_FOLDER = Path("/dev/shm")


def gunicorn_settings(
    host: str, port: int, threads: int, log_format: str | None = None, log_level: str = "INFO"
) -> dict[str, Any]:
    """Return gunicorn's settings by name (docs.gunicorn.org/en/stable/settings.html).

    Args:
        host: A name or address to listen on; an IPv6 address without brackets.
        port: The TCP port.
        threads: Requests that may be read, encoded and answered at the same time.
        log_format: "json" or "text", for all lines that the process logs; None: gunicorn's own.
        log_level: The lowest level that is logged.
    """
    return {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        # One copy of the model. torch releases the GIL while it computes, and zlib while it packs a
        # PNG, so a second process would double the memory and compete for the same cores.
        "workers": 1,
        "worker_class": "facegan.serving.http.worker.BufferedWorker",
        "threads": threads,
        # Open connections: half of the files that may be open, as the model and logs need some too.
        "worker_connections": max(threads + 16, min(1000, open_files() // 2)),
        # The worker's heartbeat, not a request's deadline; SageMaker gives up after 60 s as well.
        "timeout": 60,
        # SageMaker sends SIGKILL 30 s after SIGTERM: requests under way end before that.
        "graceful_timeout": 25,
        # Longer than the 60 s for which load balancers usually keep a connection.
        "keepalive": 75,
        # The heartbeat's file: on a slow disk it can stall, and the worker is killed for it.
        "worker_tmp_dir": str(MEMORY_FOLDER) if os.access(MEMORY_FOLDER, os.W_OK) else None,
        # On by default, in $HOME: a read-only home breaks it, and nothing here uses it.
        "control_socket_disable": True,
        # telemetry/ logs requests, except pings: a line every few seconds would fill the log,
        # which CloudWatch bills by the byte.
        "accesslog": None,
        # One parser, whatever is installed; and no header may change a request's path or scheme:
        # not SCRIPT_NAME or PATH_INFO from this machine, nor X-Forwarded-Proto.
        "http_parser": "python",
        "forwarded_allow_ips": "",
        "forwarder_headers": "",
        "secure_scheme_headers": {},
        "post_fork": pause_collector,
        "post_worker_init": resume_collector,  # the app is loaded, and no request answered yet
        **({"logger_class": logger_class(log_format, log_level)} if log_format else {}),
    }


def logger_class(log_format: str, log_level: str) -> type[Logger]:
    """Return a gunicorn logger that sets up logging for the whole process, from the master on."""

    class ProcessLog(Logger):  # type: ignore[misc]  # gunicorn has no types
        def setup(self, cfg: Any) -> None:
            super().setup(cfg)
            set_up_logging(log_format, log_level)

    return ProcessLog


def open_files() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 2**20
