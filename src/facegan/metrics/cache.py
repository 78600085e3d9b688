"""Cache of the real images' features on disk, with a checksum per file."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from facegan.files import write_atomic
from facegan.metrics.feature_set import FeatureSet

logger = logging.getLogger(__name__)


class FeatureCache:
    """Features on disk, keyed by all that they depend on; it can be deleted at any time.

    Args:
        folder: Created when needed; None disables the cache.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, key: Mapping[str, Any], compute: Callable[[], FeatureSet]) -> FeatureSet:
        """Return a key's features from the cache, or compute and store them.

        A file that is damaged or has another key is logged and written again. It is logged too, but
        not an error, if the folder cannot be written.
        """
        if self.folder is None:
            return compute()
        text = json.dumps(key, sort_keys=True)
        file = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"
        if file.exists():
            try:
                return read_features(file, text)
            except (OSError, ValueError, KeyError, SafetensorError) as cause:
                logger.warning("%s is damaged (%s): its features are made again.", file, cause)
        features = compute()
        try:
            write_atomic(file, pack_features(features, text))
        except OSError as cause:
            logger.warning("%s cannot be written (%s): no features are kept.", file, cause.strerror)
        return features


def pack_features(features: FeatureSet, key: str) -> bytes:
    """Return a safetensors file with features, their key and their digest.

    Moments are stored only if some rows are not; files of earlier versions have none.
    """
    tensors = {"features": features.rows}
    facts = {"key": key}
    if features.count > len(features.rows):
        tensors |= {"mean": features.mean, "covariance": features.covariance}
        facts["count"] = str(features.count)
    return save_tensors(tensors, {**facts, "sha256": digest(tensors)})


def read_features(file: Path, key: str) -> FeatureSet:
    """Return the features in a file; raise ValueError if its key or digest does not match."""
    with safe_open(file, framework="pt") as content:
        facts = content.metadata() or {}
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    if facts["key"] != key:
        raise ValueError("it belongs to other images or another protocol")
    if facts["sha256"] != digest(tensors):
        raise ValueError("its checksum does not match")
    rows = tensors["features"]
    if "count" not in facts:
        return FeatureSet.of(rows)
    return FeatureSet(rows, int(facts["count"]), tensors["mean"], tensors["covariance"])


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of rows, mean and covariance."""
    found = hashlib.sha256()
    for name in ("features", "mean", "covariance"):
        if name in tensors:
            found.update(tensors[name].contiguous().numpy().data)
    return found.hexdigest()
