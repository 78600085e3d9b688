"""Calls a script's model_fn, and turns its result into a model that this package can run."""

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


def run_model_fn(script: InferenceScript, model_dir: Path) -> Any:
    """Call model_fn with a folder; return None if there is no model_fn."""
    if script.model_fn is None:
        return None
    with script.located_errors("model_fn"):
        model = script.model_fn(str(model_dir), ScriptContext(model_dir))
    if model is None:
        raise OwnCodeError(f"{FOLDER}/{PROGRAM}: model_fn returned None.", "Return the model.")
    return model


def as_synthesizer(
    model: Any, script: InferenceScript, model_dir: Path, backend_config: BackendConfig
) -> Synthesizer:
    """Convert what model_fn returned to a model that this package can run.

    Args:
        model: A :class:`Synthesizer`, an :class:`Artifact`, or a function or torch module from
            latents (N, latent_dim) to images (N, 3, H, W) in [-1, 1].
        script: The script that made it.
        model_dir: Its folder; a card in it tells the latents' width.
        backend_config: The device, and how to use it.
    """
    if isinstance(model, Synthesizer):
        return model
    if is_artifact(model):
        return synthesizer_from_artifact(model, backend_config)
    if not callable(model):
        raise OwnCodeError(
            f"{FOLDER}/{PROGRAM}: model_fn returned {type(model).__name__}, not a model.",
            "Return an Artifact, a Synthesizer, or a module from latents (N, width) to images "
            "(N, 3, H, W); or write predict_fn, too.",
        )
    has_card = (model_dir / CARD_NAME).is_file()
    # It imports torch, seconds that only custom modules need; their scripts have imported it.
    from facegan.synthesis.custom_module import artifact_from_module

    try:
        with script.located_errors("the model that model_fn returned"):
            width = read_card(model_dir).latent_dim if has_card else None
            return synthesizer_from_artifact(
                artifact_from_module(model, width, script.digest), backend_config
            )
    except OwnCodeError as error:
        if isinstance(cause := error.__cause__, FaceGANError):  # it says more than the line
            raise OwnCodeError(f"{FOLDER}/{PROGRAM}: {cause.message}", cause.hint) from cause
        raise


def is_artifact(model: Any) -> bool:
    """Return whether it is an Artifact; code that made one has imported its module."""
    module = sys.modules.get("facegan.artifact")
    return module is not None and isinstance(model, module.Artifact)
