"""Validates the names and folders of models in load requests."""

from pathlib import Path

from facegan.errors import RequestError, UnknownModel
from facegan.model_files import CARD_NAME, OWN_CODE, WEIGHTS_NAME
from facegan.model_files.card import GRAPH_NAMES

MAX_NAME = 2048  # characters; SageMaker's are hashes
MAX_URL = 4096
FILES = (CARD_NAME, WEIGHTS_NAME, *GRAPH_NAMES, "model.tar.gz", "code", OWN_CODE)
URL_HINT = "It is the folder that SageMaker unpacked the model into, below {}."


def check_name(name: object) -> str:
    """Return a model's name if it is valid: any text, which is never used as a path."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise RequestError("model_name is not a text of 1 to 2,048 characters.", "Name the model.")
    try:
        name.encode()
    except UnicodeEncodeError as cause:  # half of a surrogate pair, which no URL can have
        raise RequestError("model_name is not Unicode text.", "Name the model.") from cause
    return name


def model_folder(url: object, base: Path) -> Path:
    """Return a model's folder, which lies below that of all models, links resolved.

    Raises:
        RequestError: it is not a path, has "..", or leads outside, itself or by a link in it.
        UnknownModel: there is no such folder.
    """
    hint = URL_HINT.format(base)
    if not isinstance(url, str) or not 0 < len(url) <= MAX_URL or not url.isprintable():
        raise RequestError("url is not a path.", hint)
    path = Path(url)
    if not path.is_absolute() or ".." in path.parts or base not in path.parents:
        raise RequestError("url does not lie below the folder of models.", hint)
    try:
        top, found = base.resolve(), path.resolve(strict=True)
        inside = [found, *(found / name for name in FILES)]
        leads_out = any(top not in file.resolve().parents for file in inside)
    except FileNotFoundError as cause:
        raise UnknownModel("There is no folder at url.", hint) from cause
    except (OSError, RuntimeError, ValueError) as cause:  # a loop of links, a name too long
        raise RequestError("url cannot be followed.", hint) from cause
    if leads_out:
        raise RequestError("url leads out of the folder of models by a link.", hint)
    if not found.is_dir():
        raise UnknownModel("There is no folder at url.", hint)
    return found
