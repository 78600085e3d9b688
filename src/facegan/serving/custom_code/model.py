"""What an owner's model_fn may return, where the drawing is left to us."""

import sys
from pathlib import Path
from typing import Any

from facegan.errors import FaceGANError, OwnCodeError
from facegan.model_files import CARD_NAME, read_card
from facegan.serving.custom_code.context import ScriptContext
from facegan.serving.custom_code.script import FOLDER, PROGRAM, InferenceScript
from facegan.synthesis import BackendConfig, Synthesizer
from facegan.synthesis.load import synthesizer_from_artifact

# Imports inside functions: a server of graphs does without torch (1.6 s).


def run_model_fn(own: InferenceScript, model_dir: Path) -> Any:
    """What the owner's model_fn makes of a folder; None where there is no model_fn.

    Raises:
        OwnCodeError: it failed, or made nothing.
    """
    if own.model_fn is None:
        return None
    with own.blamed("model_fn"):
        made = own.model_fn(str(model_dir), ScriptContext(model_dir))
    if made is None:
        raise OwnCodeError(f"{FOLDER}/{PROGRAM}: model_fn returned None.", "Return the model.")
    return made


def as_synthesizer(
    made: Any, own: InferenceScript, model_dir: Path, backend_config: BackendConfig
) -> Synthesizer:
    """A model that our predict_fn can draw with.

    Args:
        made: A :class:`Synthesizer`, an :class:`Artifact`, or a function or torch module from
            latents (N, latent_dim) to images (N, 3, H, W) in [-1, 1].
        own: The code that made it.
        model_dir: Its folder; a card in it tells the latents' width.
        backend_config: On which device, and how.

    Raises:
        OwnCodeError: it is none of these, or makes no images.
    """
    if isinstance(made, Synthesizer):
        return made
    if is_artifact(made):
        return synthesizer_from_artifact(made, backend_config)
    if not callable(made):
        raise OwnCodeError(
            f"{FOLDER}/{PROGRAM}: model_fn returned {type(made).__name__}, which cannot be drawn.",
            "Return an Artifact, a Synthesizer, or a module from latents (N, width) to images "
            "(N, 3, H, W); or write predict_fn, too.",
        )
    has_card = (model_dir / CARD_NAME).is_file()
    from facegan.synthesis.custom_module import (
        artifact_from_module,  # torch, as the owner's module is
    )

    try:
        with own.blamed("the model that model_fn returned"):
            width = read_card(model_dir).latent_dim if has_card else None
            return synthesizer_from_artifact(
                artifact_from_module(made, width, own.digest), backend_config
            )
    except OwnCodeError as error:
        if isinstance(cause := error.__cause__, FaceGANError):  # ours tells more than its line
            raise OwnCodeError(f"{FOLDER}/{PROGRAM}: {cause.message}", cause.hint) from cause
        raise


def is_artifact(made: Any) -> bool:
    """Whether it is a model as :func:`load_artifact` returns it; whoever made one imported that."""
    module = sys.modules.get("facegan.artifact")
    return module is not None and isinstance(made, module.Artifact)
