"""Finds and loads the code that an owner put beside a model: ``code/inference.py``.

The convention is sagemaker-inference's: model_fn, input_fn, predict_fn and output_fn, each of which
may be left out, each with or without a last argument ``context``. Its packages
(``code/requirements.txt``) are not installed: a start that needs the network is one that can fail.
"""

import contextlib
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
# The toolkit's others. Ignored without a word, they would be missed only in production.
UNKNOWN = ("transform_fn", "pre_model_fn", "model_warmup_fn")

ScriptFunction = Callable[
    ..., Any
]  # takes its arguments and then a context, whether it wants it or not


@dataclass
class InferenceScript:
    """An owner's functions; None where ours is to be taken.

    Attributes:
        folder: The folder ``code``.
        predict_in_parallel: Whether predict_fn may run for several callers at once: the constant
            ``PREDICT_IN_PARALLEL`` of the file.
        reads_json_lines: Whether input_fn takes a whole body of JSON Lines, instead of one line at
            a time: the constant ``READS_JSON_LINES``.
        digest: Of the file's text.
    """

    folder: Path
    model_fn: ScriptFunction | None = None
    input_fn: ScriptFunction | None = None
    predict_fn: ScriptFunction | None = None
    output_fn: ScriptFunction | None = None
    predict_in_parallel: bool = False
    reads_json_lines: bool = False
    digest: str = ""
    forget: Callable[[], None] = field(default=lambda: None)  # let go of its modules

    def place_of(self, error: BaseException) -> str:
        """Where in the owner's code an error came up: "code/inference.py, line 3"."""
        if isinstance(error, SyntaxError) and error.filename:
            return f"{self.named(error.filename)}, line {error.lineno}"
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if Path(frame.filename).is_relative_to(self.folder):
                return f"{self.named(frame.filename)}, line {frame.lineno}"
        return f"{FOLDER}/{PROGRAM}"

    def named(self, file: str) -> str:
        """A file's name as its owner knows it."""
        path = Path(file)
        inside = path.is_relative_to(self.folder)
        return f"{FOLDER}/{path.relative_to(self.folder)}" if inside else path.name

    @contextlib.contextmanager
    def blamed(self, doing: str) -> Iterator[None]:
        """Name the line of whatever goes wrong while a model is loaded.

        Raises:
            OwnCodeError: in place of any error; memory that ran out stays itself.
        """
        try:
            yield
        except (MemoryError, OwnCodeError):
            raise
        except (Exception, SystemExit) as error:
            told = (str(error).splitlines() or [""])[0][:300]
            raise OwnCodeError(
                f"{self.place_of(error)}: {doing} failed: {type(error).__name__}: {told}",
                hint_of(error),
            ) from error


def hint_of(error: BaseException) -> str:
    """What an owner can do about an error of the code."""
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return "This server draws without torch; take the image that has it (docs/containers.md)."
    return "Mend the model's own code; the server's log holds the trace."


def has_script(model_dir: Path) -> bool:
    """Tell whether a model brings code."""
    return (model_dir / FOLDER / PROGRAM).is_file()


def load_script(model_dir: Path, is_allowed: bool, is_private: bool) -> InferenceScript | None:
    """The code beside a model, imported; None where there is none.

    Args:
        model_dir: The model's folder.
        is_allowed: Whether it may run.
        is_private: Whether its imports are kept apart from those of other models' code. If not, its
            folder is put in front of ``sys.path``, as SageMaker does.

    Raises:
        OwnCodeError: it may not run, does not import, or has a function that cannot be called.
    """
    folder = (model_dir / FOLDER).resolve()
    file = folder / PROGRAM
    if not file.is_file():
        return None
    if not is_allowed:
        raise OwnCodeError(
            f"The model has code of its own ({FOLDER}/{PROGRAM}), which is forbidden here.",
            "Unset FACEGAN_OWN_CODE if you trust whoever made the model, or take the code out.",
        )
    if (folder / "requirements.txt").is_file():
        log.warning("%s/requirements.txt is not installed; build it into the image.", FOLDER)
    own = InferenceScript(folder)
    with own.blamed("its import"):
        module = load_module(own, file, is_private)
        fill_functions(own, module)
    log.info("The model's own code is used: %s.", ", ".join(functions_of(own)) or "no function")
    return own


def load_module(own: InferenceScript, file: Path, is_private: bool) -> ModuleType:
    """Import the file, and remember how to let go of it."""
    imports = PrivateImports(own.folder)
    own.digest = imports.digest_of(file)
    own.forget = imports.forget
    if not is_private and str(own.folder) not in sys.path:
        sys.path.insert(0, str(own.folder))
    try:
        return imports.load(file.stem, is_private)
    except BaseException:
        imports.forget()
        raise


def fill_functions(own: InferenceScript, module: ModuleType) -> None:
    """Take a module's functions."""
    unknown = [name for name in UNKNOWN if hasattr(module, name)]
    if unknown:
        raise OwnCodeError(
            f"{FOLDER}/{PROGRAM}: {unknown[0]} is not called here.",
            f"Write it as {', '.join(ARGUMENTS)}, or as some of them.",
        )
    for name, count in ARGUMENTS.items():
        if (function := getattr(module, name, None)) is not None:
            setattr(own, name, with_context(name, function, count))
    own.predict_in_parallel = bool(getattr(module, "PREDICT_IN_PARALLEL", False))
    own.reads_json_lines = bool(getattr(module, "READS_JSON_LINES", False))


def functions_of(own: InferenceScript) -> list[str]:
    """The names of an owner's functions."""
    return [name for name in ARGUMENTS if getattr(own, name) is not None]


def with_context(name: str, function: Any, count: int) -> ScriptFunction:
    """A function that always takes a context, as the last of `count` + 1 arguments.

    The toolkit counts too: one argument more than it needs is the context.

    Raises:
        OwnCodeError: it takes another number of arguments.
    """
    taken = len(inspect.signature(function).parameters) if callable(function) else -1
    if taken == count + 1:
        return function  # type: ignore[no-any-return]
    if taken == count:
        return lambda *arguments: function(*arguments[:-1])
    what = f"takes {taken} arguments" if taken >= 0 else "is no function"
    raise OwnCodeError(
        f"{FOLDER}/{PROGRAM}: {name} {what}.",
        f"It must take {count}, or {count + 1} with the context.",
    )
