"""A run's state on disk: safetensors and JSON, checksummed, written aside and renamed."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor

from facegan.errors import RunError
from facegan.files import write_synced
from facegan.training.writing import writing

logger = logging.getLogger(__name__)

Tensors = dict[str, Tensor]
TENSORS_NAME, NUMBERS_NAME = "state.safetensors", "state.json"


def flatten_optimizer(prefix: str, optimizer: torch.optim.Optimizer) -> Tensors:
    """An optimiser's moments by name; its settings come from the preset, not from here."""
    state = optimizer.state_dict()["state"]
    return {
        f"{prefix}/{index}/{key}": value
        for index, moments in state.items()
        for key, value in moments.items()
    }


def restore_optimizer(prefix: str, optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Give an optimiser back the moments that :func:`flatten_optimizer` named."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(f"{prefix}/"):
            index, key = name.removeprefix(f"{prefix}/").split("/")
            state.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def save_checkpoint(folder: Path, tensors: Tensors, numbers: Mapping[str, Any], keep: int) -> Path:
    """Write one checkpoint below a folder, whole or not at all, and drop the oldest beyond `keep`.

    Raises:
        RunError: it cannot be written (a full disk); the checkpoints before it are untouched.
    """
    kimg = numbers["images_seen"] / 1000
    final = folder / f"kimg-{kimg:012.3f}"
    partial = folder / f".partial-{final.name}"
    blob = save_tensors({name: value.cpu().contiguous() for name, value in tensors.items()})
    facts = {**numbers, "sha256": hashlib.sha256(blob).hexdigest()}
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with writing(final):
            partial.mkdir(parents=True)
            write_synced(partial / TENSORS_NAME, blob)
            write_synced(partial / NUMBERS_NAME, json.dumps(facts, indent=2).encode())
            shutil.rmtree(final, ignore_errors=True)
            os.replace(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for old in list_checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints below a folder, oldest first.

    SageMaker's agent leaves marks of its own among what it syncs (``*.sagemaker-uploaded``).
    """
    return sorted(path for path in folder.glob("kimg-*") if path.suffix[1:].isdigit())


def read_newest(folder: Path) -> tuple[bytes, dict[str, Any]]:
    """The newest checkpoint that is whole; a damaged one is named and the one before is used.

    Its tensors are left as bytes, to be sent to other processes as they are.

    Raises:
        RunError: every one is damaged.
    """
    for checkpoint in reversed(list_checkpoints(folder)):
        try:
            return read_checkpoint(checkpoint)
        except (OSError, ValueError, KeyError) as cause:
            logger.warning(
                "The checkpoint %s is damaged (%s); trying the one before.", checkpoint, cause
            )
    raise RunError(
        f"Every checkpoint in {folder} is damaged.", "Start a new run in another folder."
    )


def read_checkpoint(checkpoint: Path) -> tuple[bytes, dict[str, Any]]:
    """One checkpoint, its checksum verified."""
    numbers = json.loads((checkpoint / NUMBERS_NAME).read_text())
    blob = (checkpoint / TENSORS_NAME).read_bytes()
    if hashlib.sha256(blob).hexdigest() != numbers["sha256"]:
        raise ValueError("its checksum does not match")
    return blob, numbers
