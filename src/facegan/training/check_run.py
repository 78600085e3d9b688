"""Checks a run before torch is imported: names, types, ranges, and the data's manifest."""

import contextlib
import os
from pathlib import Path

from facegan.errors import ConfigError, DatasetError, normalize_name
from facegan.gans.resolve import OFFERED, ResolvedRun, resolve
from facegan.hyperparameters.aliases import EPOCHS
from facegan.hyperparameters.run_spec import RunSpec
from facegan.image_files import has_image_suffix


def check_run(spec: RunSpec, offered: tuple[str, ...] = OFFERED, processes: int = 1) -> ResolvedRun:
    """Check a run as far as possible without reading images; return it resolved.

    Args:
        spec: The run; its default resolution is that of the prepared data.
        offered: More names to suggest for a mistyped one.
        processes: How many share the batch.

    Raises:
        ConfigError: an unknown name, a value out of range, or settings that exclude one another.
        DatasetError: the data is packed at another resolution.
    """
    side = prepared_resolution(spec)
    counts_epochs = any(normalize_name(name) in EPOCHS for name in spec.hyperparameters)
    images = count_images(spec.data or "") if counts_epochs else None
    run = resolve(spec.replaced(resolution=spec.resolution or side), offered, images)
    check_evaluation(run)
    if run.spec.preset:
        run.check_batch(processes)
    if run.spec.resolution and spec.preset:
        run.check_shape()
    return run


def check_evaluation(run: ResolvedRun) -> None:
    """Raise ConfigError if images to evaluate against are named, but not how often."""
    held_out = run.spec.evaluate_data or run.spec.evaluate_split
    if held_out and not run.config.evaluate_kimg:
        raise ConfigError(
            f"Nothing would be evaluated against {held_out}.", "Set how often: --evaluate-kimg 5."
        )


def prepared_resolution(spec: RunSpec) -> int | None:
    """Return the resolution of prepared data, None if unknown; raise DatasetError if the run's
    resolution differs from that of packed data.
    """
    if not spec.data:
        return None
    # NumPy takes 0.1 s to import, which `facegan train --help` does not need.
    from facegan.data.prepare.packed_format import FORMAT, check_resolution, load_manifest

    folder = Path(spec.data)
    try:
        manifest = load_manifest(folder)
    except DatasetError:  # the data's reader reports it
        return None
    side = manifest.get("resolution") if manifest.get("format") == FORMAT else None
    if not isinstance(side, int):
        return None
    if manifest.get("kind") in ("packed", "streamed") and spec.resolution:
        check_resolution(folder, side, spec.resolution)
    return side


def count_images(data: str) -> int | None:
    """Return how many images a folder holds, by its manifest or file names; None if unknown."""
    if not data or data.startswith("s3://"):
        return None
    from facegan.data.prepare.packed_format import load_manifest  # NumPy, as above

    with contextlib.suppress(DatasetError):
        count = load_manifest(Path(data)).get("images")
        if isinstance(count, int):
            return count
    files = (name for _, _, names in os.walk(data) for name in names)
    return sum(map(has_image_suffix, files)) or None
