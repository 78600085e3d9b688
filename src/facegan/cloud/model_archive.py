"""Looks into a model.tar.gz before it goes anywhere: a damaged one is told here, in a second.

Without torch, so that whoever deploys needs none. Loading it is ``facegan.artifact``'s.
"""

import hashlib
import json
import tarfile
import zlib
from pathlib import Path
from typing import Any

from facegan.errors import ArtifactError
from facegan.model_files import CARD_NAME, WEIGHTS_NAME, first_line
from facegan.model_files.archive import MAX_CARD_BYTES

AGAIN = "Copy it again, or pack it again from the run."


def check_archive(path: Path) -> dict[str, Any]:
    """The card of an archive whose weights are those that the card describes.

    Raises:
        ArtifactError: it is missing, damaged, or has no card or no weights; it is named.
    """
    try:
        card, digest = read_archive(path)
    except FileNotFoundError as cause:
        hint = "Train one first: a finished run leaves model.tar.gz."
        raise ArtifactError(f"There is no model at {path}.", hint) from cause
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as cause:
        raise ArtifactError(
            f"{path} is no readable archive: {first_line(cause)}.", AGAIN
        ) from cause
    missing = [name for name, it in ((CARD_NAME, card), (WEIGHTS_NAME, digest)) if it is None]
    if missing:
        hint = "A facegan model has both at its top; was the training finished?"
        raise ArtifactError(f"{path} holds no {' and no '.join(missing)}.", hint)
    if not isinstance(card, dict) or card.get("weights_sha256") != digest:
        raise ArtifactError(f"{path}: the weights are not those its card describes.", AGAIN)
    return card


def read_archive(path: Path) -> tuple[Any, str | None]:
    """The card, and the weights' digest; None for what is not there. Nothing is extracted."""
    card, digest = None, None
    with tarfile.open(path, "r:gz") as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            stream = tar.extractfile(member) if member.isfile() else None
            if stream and name == CARD_NAME:
                card = json.loads(stream.read(MAX_CARD_BYTES))
            elif stream and name == WEIGHTS_NAME:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    return card, digest
