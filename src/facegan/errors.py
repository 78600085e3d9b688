"""All errors that a user can cause or encounter, as one tree of exceptions.

::

    FaceGANError
    ├─ ConfigError              a family, preset or hyperparameter is unknown or out of range
    │  └─ RunFileError          the same in a run.toml (names the file and the key)
    ├─ DatasetError             an empty folder, an unreadable image (names the file)
    ├─ RunError                 a run folder is in use, a checkpoint cannot be written or read
    │  └─ PeerLost              another process of the run failed or was lost (names it)
    ├─ OutputError              an output file or folder cannot be written
    ├─ TrainingDiverged         a loss term is not finite (names the term and the kimg)
    ├─ ArtifactError            a model file is missing, damaged, hostile, or of a newer schema
    ├─ ExportError              a generator cannot be exported (a missing package, the exporter)
    ├─ MetricError              too few images, or an extractor's weights or package are missing
    ├─ ServeError               the server cannot start (a port in use, a missing extra)
    ├─ ServingUnavailable       the server cannot answer now, but may later
    │  ├─ Overloaded               the queue is full (says when to retry)
    │  ├─ DeadlineMissed           the reply would be too late
    │  ├─ LoadTimeout              a model takes too long to load
    │  └─ Draining                 it is shutting down
    ├─ UnknownModel             no model with that name is loaded
    ├─ ModelLoaded              a model with that name is loaded already
    ├─ MemoryExceeded           a model does not fit into memory
    ├─ OwnCodeError             a model's own code cannot be loaded, or failed (names its line)
    ├─ RequestError             the caller's request is wrong
    │  ├─ UnsupportedContentType
    │  ├─ NotAcceptable
    │  └─ RequestTooLarge
    ├─ InvocationError          an endpoint refused, failed, or could not be reached
    ├─ CloudError               an AWS call failed (names the action, the resource, the next step)
    └─ DockerError              Docker is missing, may not be used, or failed

``serving/http/app.py`` maps the classes to HTTP statuses, ``cli/`` to exit codes.
"""

import difflib
import sys
from collections.abc import Sequence

CLOSE = 0.7  # difflib's ratio of a word with one letter wrong, missing or swapped


class FaceGANError(Exception):
    """An error with a sentence that names its cause and a hint that says how to fix it.

    Args:
        message: What happened, naming the cause, for people who do not know the code.
        hint: How to fix it; empty if nothing useful can be said.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class ConfigError(FaceGANError):
    """A family, preset or hyperparameter is unknown or out of range."""


class RunFileError(ConfigError):
    """A run.toml cannot be read, or a key or value in it is wrong."""


class DatasetError(FaceGANError):
    """A data set is missing, empty or unreadable."""


class RunError(FaceGANError):
    """A run folder is in use, or something in it cannot be written or read."""


class PeerLost(RunError):
    """Another process of the run failed or was lost."""


class OutputError(FaceGANError):
    """An output file or folder cannot be written."""


class TrainingDiverged(FaceGANError):
    """A loss term is not finite."""


class ArtifactError(FaceGANError):
    """A model file is missing, damaged, hostile, or of a newer schema."""


class ExportError(FaceGANError):
    """A generator cannot be exported: a missing package, or the exporter failed."""


class MetricError(FaceGANError):
    """A metric cannot be computed: too few images, missing weights, a missing package."""


class ServeError(FaceGANError):
    """The server cannot start."""


class ServingUnavailable(FaceGANError):
    """The server cannot answer now; the same request may succeed later."""


class Overloaded(ServingUnavailable):
    """The queue is full; retry after `retry_seconds`."""

    def __init__(self, message: str, hint: str = "", retry_seconds: float = 1.0) -> None:
        super().__init__(message, hint)
        self.retry_seconds = retry_seconds


class DeadlineMissed(ServingUnavailable):
    """The reply would be too late."""


class LoadTimeout(ServingUnavailable):
    """A model took too long to load."""


class Draining(ServingUnavailable):
    """The server is shutting down and accepts no new requests."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down.", "Retry in a few seconds.")


class UnknownModel(FaceGANError):
    """No model with that name is loaded."""


class ModelLoaded(FaceGANError):
    """A model with that name is loaded, or being loaded."""


class MemoryExceeded(FaceGANError):
    """A model does not fit into memory."""


class OwnCodeError(FaceGANError):
    """A model's own code cannot be loaded, or failed while handling a request."""


class RequestError(FaceGANError):
    """The caller's request is wrong."""


class UnsupportedContentType(RequestError):
    """The body's content type is not one the server reads."""


class NotAcceptable(RequestError):
    """No type in the caller's Accept header is one the server writes."""


class RequestTooLarge(RequestError):
    """The body, or the reply it asks for, is larger than the server allows."""


class InvocationError(FaceGANError):
    """An endpoint refused the request, failed, or could not be reached."""


class CloudError(FaceGANError):
    """A call to AWS failed; `code` is AWS's name of the error, e.g. "AccessDeniedException"."""

    def __init__(self, message: str, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class DockerError(FaceGANError):
    """Docker is missing, may not be used, or failed."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its class name if it has no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def reason_of(error: BaseException) -> str:
    """Return the system's message, without number and path; else the error's first line."""
    return getattr(error, "strerror", None) or first_line(error)


NO_MEMORY = (  # messages of torch, CUDA's libraries and OpenVINO
    *("can't allocate memory", "not enough memory", "bad_alloc"),
    *("CUDA error: out of memory", "CUDA out of memory", "STATUS_ALLOC_FAILED"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, on a CPU or a GPU."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def did_you_mean(name: str, known: Sequence[str], kinds: str = "names") -> str:
    """Return a hint with the known names close to a mistyped one, or with all of them.

    Case and dashes are ignored. Names that are only vaguely similar are not suggested.
    """
    spelled = {normalize_name(it): it for it in reversed(known)}
    typed = normalize_name(name)
    close = difflib.get_close_matches(typed, spelled, n=3, cutoff=CLOSE)
    if not close:  # two letters swapped, which difflib counts as two mistakes
        close = [it for it in spelled if sorted(it) == sorted(typed)][:1]
    if not close and len(typed) > 2:
        close = [it for it in reversed(spelled) if it.startswith(typed)][:3]
    if close:
        return "Did you mean " + " or ".join(spelled[it] for it in close) + "?"
    return f"Known {kinds}: " + ", ".join(sorted(known)) + "."


def normalize_name(name: str) -> str:
    """Return a name in lower case, with underscores, without surrounding blanks."""
    return name.strip().lower().replace("-", "_")


def pluralize(count: int, noun: str) -> str:
    """Return a number and its noun: ``1 run``, ``3 runs``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
