"""Saves and loads checkpoints: safetensors and JSON under one checksum, written atomically.

::

    RUN/checkpoints/kimg-00000012.000/state.safetensors   weights, averages, moments, sums
    RUN/checkpoints/kimg-00000012.000/state.json          numbers; run; size and sha256 of the
                                                          tensors; checksum over all of that

Older runs have no id, and their checkpoints no checksum: only the sha256 of the tensors.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from facegan.errors import RunError, first_line
from facegan.files import read_json, read_regular, write_synced
from facegan.training.io_errors import as_run_error

logger = logging.getLogger(__name__)

Tensors = dict[str, Tensor]
Numbers = dict[str, Any]
TENSORS_NAME, NUMBERS_NAME = "state.safetensors", "state.json"
MAX_BYTES = 2**40  # of tensors whose size is not recorded
DAMAGE = (OSError, ValueError, TypeError, KeyError, RecursionError, SafetensorError)


class NotOfThisRun(ValueError):
    """A checkpoint is intact but belongs to another run; the message starts with a verb."""


def flatten_optimizer(prefix: str, optimizer: torch.optim.Optimizer) -> Tensors:
    """Return an optimiser's moments by name, without its settings: the preset has those."""
    state = optimizer.state_dict()["state"]
    return {
        f"{prefix}/{index}/{key}": value
        for index, moments in state.items()
        for key, value in moments.items()
    }


def restore_optimizer(prefix: str, optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Load the moments that :func:`flatten_optimizer` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(f"{prefix}/"):
            index, key = name.removeprefix(f"{prefix}/").split("/")
            state.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def save_checkpoint(folder: Path, tensors: Tensors, numbers: Mapping[str, Any], keep: int) -> Path:
    """Write one checkpoint below a folder atomically, and delete the oldest beyond `keep`.

    Raises:
        RunError: it cannot be written (a full disk); earlier checkpoints are intact.
    """
    final = folder / checkpoint_name(numbers)
    partial = folder / f".partial-{final.name}"
    blob = save_tensors({name: value.cpu().contiguous() for name, value in tensors.items()})
    facts = {**numbers, "bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
    facts["checksum"] = checksum(facts)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with as_run_error(final):
            partial.mkdir(parents=True)
            write_synced(partial / TENSORS_NAME, blob)
            write_synced(partial / NUMBERS_NAME, json.dumps(facts, indent=2).encode())
            remove(final)
            os.replace(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    # A later name is not ours: that checkpoint was damaged or foreign when the run was resumed.
    for old in [path for path in list_checkpoints(folder) if path.name <= final.name][:-keep]:
        remove(old)
    return final


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint, or another file in its place; ignore failures."""
    with contextlib.suppress(OSError):
        if checkpoint.is_symlink() or checkpoint.is_file():
            checkpoint.unlink()
        else:
            shutil.rmtree(checkpoint)


def checkpoint_name(numbers: Mapping[str, Any]) -> str:
    """Return the name of a checkpoint's folder."""
    return f"kimg-{numbers['images_seen'] / 1000:012.3f}"


def checksum(numbers: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a checkpoint's numbers, which include that of its tensors."""
    covered = {name: value for name, value in numbers.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints below a folder, oldest first.

    SageMaker's agent adds marker files to the folders that it syncs (``*.sagemaker-uploaded``).
    """
    return sorted(path for path in folder.glob("kimg-*") if path.suffix[1:].isdigit())


def read_newest(
    folder: Path,
    ours: Mapping[str, Any] | None = None,
    check: Callable[[Tensors, Numbers], object] = lambda tensors, numbers: None,
) -> tuple[bytes, Numbers]:
    """Return the newest intact checkpoint of this run; log why others are skipped.

    Its tensors stay bytes, so that they can be sent to other processes. `images_seen` decides
    which is newest, not the folders' names.

    Args:
        folder: The run's checkpoints.
        ours: The run's identity from ``run_facts.identity``; None accepts any run's.
        check: Raises ValueError for a state that does not fit the run.

    Raises:
        RunError: no checkpoint is intact and of this run.
    """
    refused: dict[str, str] = {}

    def refuse(checkpoint: Path, cause: Exception) -> None:
        is_foreign = isinstance(cause, NotOfThisRun)
        reason = str(cause) if is_foreign else f"is damaged ({one_line(cause)})"
        refused[checkpoint.name] = reason
        logger.warning("The checkpoint %s %s: it is not used.", checkpoint, reason)

    found = []
    for checkpoint in reversed(list_checkpoints(folder)):
        try:
            found.append((checkpoint, read_numbers(checkpoint, ours)))
        except DAMAGE as cause:
            refuse(checkpoint, cause)
    for checkpoint, numbers in sorted(found, key=lambda pair: -pair[1]["images_seen"]):
        try:
            blob = read_blob(checkpoint, numbers)
            check(load_tensors(blob), numbers)
            return blob, numbers
        except DAMAGE as cause:
            refuse(checkpoint, cause)
    reasons = "; ".join(f"{name} {reason}" for name, reason in refused.items())
    raise RunError(
        f"Every checkpoint in {folder} is damaged or of another run: {reasons}.",
        "Put one back from a copy, or start a new run in another folder.",
    )


def read_numbers(checkpoint: Path, ours: Mapping[str, Any] | None) -> Numbers:
    """Return a checkpoint's numbers; raise OSError or ValueError if they are damaged."""
    if checkpoint.is_symlink():
        raise ValueError("it is a symbolic link")
    numbers = read_json(checkpoint / NUMBERS_NAME)
    has_checksum = "checksum" in numbers or "run" in (ours or {})
    if has_checksum and numbers.get("checksum") != checksum(numbers):
        raise ValueError(f"{NUMBERS_NAME}: its checksum does not match")
    if ours is not None:
        refuse_foreign(numbers, ours)
    images = numbers["images_seen"]
    if type(images) is not int or not 0 <= images < 2**53:
        raise ValueError(f"{NUMBERS_NAME}: images_seen is not a number of images")
    if not has_checksum and checkpoint_name(numbers) != checkpoint.name:
        raise ValueError(f"{NUMBERS_NAME}: images_seen is {images}, which is not its name")
    return numbers


def refuse_foreign(numbers: Numbers, ours: Mapping[str, Any]) -> None:
    """Raise NotOfThisRun for a checkpoint of another run, family, preset or other settings.

    Settings that only one of the two has are ignored: another version of facegan added them.
    """
    names = ("family", "preset")
    if any(numbers.get(name) not in (None, ours[name]) for name in names):
        theirs, this = (" ".join(str(of.get(name)) for name in names) for of in (numbers, ours))
        raise NotOfThisRun(f"is of another run: its numbers are of {theirs}, this run is {this}")
    if numbers.get("run") != ours.get("run"):
        raise NotOfThisRun(f"is of another run: {numbers.get('run')}, this is {ours.get('run')}")
    settings = numbers.get("settings") or {}
    if not isinstance(settings, dict):
        raise ValueError(f"{NUMBERS_NAME}: its settings are not an object")
    for name, value in ours["settings"].items():
        if name in settings and settings[name] != value:
            raise NotOfThisRun(f"was made with {name} {settings[name]}, this run has {value}")


def read_blob(checkpoint: Path, numbers: Numbers) -> bytes:
    """Return a checkpoint's tensors as bytes, checked against their digest."""
    size = numbers["bytes"] if "checksum" in numbers else MAX_BYTES
    if type(size) is not int:
        raise ValueError(f"{NUMBERS_NAME}: bytes is not a whole number")
    blob = read_regular(checkpoint / TENSORS_NAME, size)
    if hashlib.sha256(blob).hexdigest() != numbers.get("sha256"):
        raise ValueError(f"{TENSORS_NAME}: its checksum does not match")
    return blob


def one_line(cause: Exception) -> str:
    """Return what is wrong with a file, as one line for an error message."""
    if isinstance(cause, OSError) and cause.strerror:
        return f"{Path(str(cause.filename)).name}: {cause.strerror}"
    return f"{cause} is missing" if isinstance(cause, KeyError) else first_line(cause)[:300]
