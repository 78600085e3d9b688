"""Loads a model's inference script, ``code/inference.py``.

The convention is sagemaker-inference's: model_fn, input_fn, predict_fn and output_fn, all optional,
each with or without a last argument ``context``. The packages in ``code/requirements.txt`` are not
installed: a start that needs the network can fail.
"""

import contextlib
import hashlib
import inspect
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from facegan.errors import OwnCodeError
from facegan.serving.custom_code.imports import PrivateImports

log = logging.getLogger(__name__)

FOLDER, PROGRAM = "code", "inference.py"
ARGUMENTS = {"model_fn": 1, "input_fn": 2, "predict_fn": 2, "output_fn": 2}
# The toolkit's other functions. If they were ignored, users would notice only in production.
UNKNOWN = ("transform_fn", "pre_model_fn", "model_warmup_fn")

ScriptFunction = Callable[..., Any]  # always takes a context as its last argument


@dataclass
class InferenceScript:
    """The functions of an inference script; None where this package's own is used.

    Attributes:
        folder: The folder ``code``.
        predict_in_parallel: Whether predict_fn may run for several callers at once: the constant
            ``PREDICT_IN_PARALLEL`` of the file.
        reads_json_lines: Whether input_fn takes a whole body of JSON Lines, instead of one line at
            a time: the constant ``READS_JSON_LINES``.
        digest: The file's SHA-256 in hexadecimal.
    """

    folder: Path
    model_fn: ScriptFunction | None = None
    input_fn: ScriptFunction | None = None
    predict_fn: ScriptFunction | None = None
    output_fn: ScriptFunction | None = None
    predict_in_parallel: bool = False
    reads_json_lines: bool = False
    digest: str = ""
    forget: Callable[[], None] = field(default=lambda: None)  # removes its modules from Python

    def line_of(self, error: BaseException) -> str:
        """Return the script's line that an error came from, as "code/inference.py, line 3"."""
        if isinstance(error, SyntaxError) and error.filename:
            return f"{self.named(error.filename)}, line {error.lineno}"
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if Path(frame.filename).is_relative_to(self.folder):
                return f"{self.named(frame.filename)}, line {frame.lineno}"
        return f"{FOLDER}/{PROGRAM}"

    def named(self, file: str) -> str:
        """Return a file's path as its author knows it."""
        path = Path(file)
        inside = path.is_relative_to(self.folder)
        return f"{FOLDER}/{path.relative_to(self.folder)}" if inside else path.name

    @contextlib.contextmanager
    def located_errors(self, doing: str) -> Iterator[None]:
        """Raise OwnCodeError with the script's line in place of any error except MemoryError."""
        try:
            yield
        except (MemoryError, OwnCodeError):
            raise
        except (Exception, SystemExit) as error:
            text = (str(error).splitlines() or [""])[0][:300]
            raise OwnCodeError(
                f"{self.line_of(error)}: {doing} failed: {type(error).__name__}: {text}",
                hint_of(error),
            ) from error


def hint_of(error: BaseException) -> str:
    """Return how to fix an error of the script."""
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return "This server runs without torch; use the image that has it (docs/containers.md)."
    return "Fix the model's own code; the server's log has the traceback."


def has_script(model_dir: Path) -> bool:
    """Return whether a model has an inference script."""
    return (model_dir / FOLDER / PROGRAM).is_file()


def load_script(model_dir: Path, is_allowed: bool, is_private: bool) -> InferenceScript | None:
    """Import a model's inference script; return None if it has none.

    Args:
        model_dir: The model's folder.
        is_allowed: Whether scripts may run.
        is_private: Whether its imports are kept apart from those of other models. If not, its
            folder is put in front of ``sys.path``, as SageMaker does.
    """
    folder = (model_dir / FOLDER).resolve()
    file = folder / PROGRAM
    if not file.is_file():
        return None
    if not is_allowed:
        raise OwnCodeError(
            f"The model has code of its own ({FOLDER}/{PROGRAM}), which is forbidden here.",
            "Unset FACEGAN_OWN_CODE if you trust the model's author, or remove the code.",
        )
    if (folder / "requirements.txt").is_file():
        log.warning("%s/requirements.txt is not installed; build it into the image.", FOLDER)
    script = InferenceScript(folder)
    with script.located_errors("its import"):
        module = load_module(script, file, is_private)
        fill_functions(script, module)
    functions = [name for name in ARGUMENTS if getattr(script, name) is not None]
    log.info("The model's own code is used: %s.", ", ".join(functions) or "no function")
    return script


def load_module(script: InferenceScript, file: Path, is_private: bool) -> ModuleType:
    """Import the file, and set the script's `digest` and `forget`."""
    imports = PrivateImports(script.folder)
    script.digest = hashlib.sha256(file.read_bytes()).hexdigest()
    script.forget = imports.forget
    if not is_private and str(script.folder) not in sys.path:
        sys.path.insert(0, str(script.folder))
    try:
        return imports.load(file.stem, is_private)
    except BaseException:
        imports.forget()
        raise


def fill_functions(script: InferenceScript, module: ModuleType) -> None:
    """Set the script's functions from its module."""
    unknown = [name for name in UNKNOWN if hasattr(module, name)]
    if unknown:
        raise OwnCodeError(
            f"{FOLDER}/{PROGRAM}: {unknown[0]} is not called here.",
            f"Write it as {', '.join(ARGUMENTS)}, or as some of them.",
        )
    for name, count in ARGUMENTS.items():
        if (function := getattr(module, name, None)) is not None:
            setattr(script, name, with_context(name, function, count))
    script.predict_in_parallel = bool(getattr(module, "PREDICT_IN_PARALLEL", False))
    script.reads_json_lines = bool(getattr(module, "READS_JSON_LINES", False))


def with_context(name: str, function: Any, count: int) -> ScriptFunction:
    """Return a function that always takes a context, as the last of `count` + 1 arguments.

    As in the toolkit, one argument more than needed is the context.
    """
    arguments = len(inspect.signature(function).parameters) if callable(function) else -1
    if arguments == count + 1:
        return function  # type: ignore[no-any-return]
    if arguments == count:
        return lambda *values: function(*values[:-1])
    what = f"takes {arguments} arguments" if arguments >= 0 else "is not a function"
    raise OwnCodeError(
        f"{FOLDER}/{PROGRAM}: {name} {what}.",
        f"It must take {count}, or {count + 1} with the context.",
    )
