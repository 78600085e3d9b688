"""Every error a user can cause or meet, as one tree that each edge answers in its own way.

::

    FaceGANError
    ├─ ConfigError              a family, preset or hyperparameter is unknown or out of range
    │  └─ RunFileError          the same in a run.toml (names the file and the key)
    ├─ DatasetError             an empty folder, an unreadable picture (names the file)
    ├─ RunError                 a run folder is taken, a checkpoint cannot be written or read
    │  └─ PeerLost              another process of the run failed or was lost (names it)
    ├─ OutputError              a file or folder that was asked for cannot be written
    ├─ TrainingDiverged         a loss term is not finite (names the term and the kimg)
    ├─ ArtifactError            a model file is missing, damaged, hostile, or of a newer schema
    ├─ ExportError              a generator cannot be exported (a missing package, the exporter)
    ├─ MetricError              too few pictures, or an extractor's weights or package are missing
    ├─ ServeError               the server cannot start (a port in use, a missing extra)
    ├─ ServingUnavailable       the server cannot answer now, and could later
    │  ├─ Overloaded               too much waits (says how long to stay away)
    │  ├─ DeadlineMissed           the answer would come too late
    │  ├─ LoadTimeout              a model takes too long to load
    │  └─ Draining                 it is about to end
    ├─ UnknownModel             no model of that name is loaded
    ├─ ModelLoaded              a model of that name is loaded already
    ├─ MemoryExceeded           there is no memory for it
    ├─ OwnCodeError             a model's own code cannot be loaded, or failed (names its line)
    ├─ RequestError             the caller's request is wrong
    │  ├─ UnsupportedContentType
    │  ├─ NotAcceptable
    │  └─ RequestTooLarge
    ├─ InvocationError          an endpoint refused, failed, or could not be reached
    ├─ CloudError               an AWS call failed (names the action, the resource, the next step)
    └─ DockerError              Docker is missing, may not be used, or failed

Nothing here knows of HTTP or of exit codes: ``serving/http/app.py`` holds the one table from class
to status, ``cli/`` the one from class to exit code.
"""

import difflib
import sys
from collections.abc import Sequence

CLOSE = 0.7  # of difflib's ratio: a letter wrong, missing or swapped; not another word


class FaceGANError(Exception):
    """An error with a sentence that names the thing and, where there is one, a hint that mends it.

    Args:
        message: What is wrong, naming the thing, for a person who did not write this code.
        hint: What to do about it; empty where nothing useful can be said.
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
    """A run folder is taken, or something in it cannot be written or read."""


class PeerLost(RunError):
    """Another process of the run failed or was lost."""


class OutputError(FaceGANError):
    """A file or folder that was asked for cannot be written."""


class TrainingDiverged(FaceGANError):
    """A loss term is not finite."""


class ArtifactError(FaceGANError):
    """A model file is missing, damaged, hostile, or of a newer schema."""


class ExportError(FaceGANError):
    """A generator cannot be exported: a missing package, or the exporter failed."""


class MetricError(FaceGANError):
    """A metric cannot be computed: too few pictures, missing weights, a missing package."""


class ServeError(FaceGANError):
    """The server cannot start."""


class ServingUnavailable(FaceGANError):
    """The server cannot answer now; the same request may do later."""


class Overloaded(ServingUnavailable):
    """Too much waits already.

    Args:
        message: As for every error.
        hint: As for every error.
        retry_seconds: How long to stay away.
    """

    def __init__(self, message: str, hint: str = "", retry_seconds: float = 1.0) -> None:
        super().__init__(message, hint)
        self.retry_seconds = retry_seconds


class DeadlineMissed(ServingUnavailable):
    """The answer would come too late to be heard."""


class LoadTimeout(ServingUnavailable):
    """A model takes too long to load, and was given up."""


class Draining(ServingUnavailable):
    """The server ends, and takes nothing new."""


class UnknownModel(FaceGANError):
    """No model of that name is loaded."""


class ModelLoaded(FaceGANError):
    """A model of that name is loaded already, or is being loaded."""


class MemoryExceeded(FaceGANError):
    """There is no memory for it."""


class OwnCodeError(FaceGANError):
    """A model's own code cannot be loaded, or failed while it answered."""


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
    """A call to AWS failed.

    Args:
        message: As for every error.
        hint: As for every error.
        code: AWS's own name of the error, as "AccessDeniedException"; empty where it has none.
    """

    def __init__(self, message: str, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class DockerError(FaceGANError):
    """Docker is missing, may not be used, or failed."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind: enough for a person, no trace."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def reason_of(error: BaseException) -> str:
    """The system's words for what failed, without number and path; else the error's first line."""
    return getattr(error, "strerror", None) or first_line(error)


NO_MEMORY = (  # what torch, CUDA's libraries and OpenVINO say
    *("can't allocate memory", "not enough memory", "bad_alloc"),
    *("CUDA error: out of memory", "CUDA out of memory", "STATUS_ALLOC_FAILED"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory, on a processor or on a GPU."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def did_you_mean(name: str, known: Sequence[str], kinds: str = "names") -> str:
    """A hint that offers the known names close to a mistyped one, or lists them all.

    Case, and dashes for underscores, count for nothing; a name that is only somewhat alike is not
    offered: that would send people the wrong way.
    """
    spelled = {normalize_name(it): it for it in reversed(known)}
    asked = normalize_name(name)
    close = difflib.get_close_matches(asked, spelled, n=3, cutoff=CLOSE)
    if not close:  # two letters swapped, which difflib counts as two mistakes
        close = [it for it in spelled if sorted(it) == sorted(asked)][:1]
    if not close and len(asked) > 2:
        close = [it for it in reversed(spelled) if it.startswith(asked)][:3]
    if close:
        return "Did you mean " + " or ".join(spelled[it] for it in close) + "?"
    return f"Known {kinds}: " + ", ".join(sorted(known)) + "."


def normalize_name(name: str) -> str:
    """A name without what people write differently: case, dashes, blanks around it."""
    return name.strip().lower().replace("-", "_")


def pluralize(count: int, noun: str) -> str:
    """A number and its noun: ``1 run``, ``3 runs``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
