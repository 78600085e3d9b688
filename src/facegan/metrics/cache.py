"""Features of real pictures, kept on disk: slow to make, the same for ever, checked when read."""

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
    """Features under all that they depend on; a cache can be deleted at any time.

    Args:
        folder: Where, made when something is first kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, key: Mapping[str, Any], compute: Callable[[], FeatureSet]) -> FeatureSet:
        """Return the features of a key, read or else computed and kept.

        A file that is damaged, or of another key, is named in the log and made again. A folder
        that cannot be written costs time at the next call and nothing else; the log says so.
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
    """Return a safetensors file of features that says what they are of, and their digest.

    Where all rows are kept they say the rest; files of earlier versions hold nothing else.
    """
    tensors = {"features": features.rows}
    facts = {"key": key}
    if features.count > len(features.rows):
        tensors |= {"mean": features.mean, "covariance": features.covariance}
        facts["count"] = str(features.count)
    return save_tensors(tensors, {**facts, "sha256": digest(tensors)})


def read_features(file: Path, key: str) -> FeatureSet:
    """Return the features in a file, their key and digest compared.

    Raises:
        ValueError: the file holds another key's, or its bytes have changed.
    """
    with safe_open(file, framework="pt") as content:
        facts = content.metadata() or {}
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    if facts["key"] != key:
        raise ValueError("it is of other pictures or another protocol")
    if facts["sha256"] != digest(tensors):
        raise ValueError("its checksum does not match")
    rows = tensors["features"]
    if "count" not in facts:
        return FeatureSet.of(rows)
    return FeatureSet(rows, int(facts["count"]), tensors["mean"], tensors["covariance"])


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the numbers, the rows first."""
    found = hashlib.sha256()
    for name in ("features", "mean", "covariance"):
        if name in tensors:
            found.update(tensors[name].contiguous().numpy().data)
    return found.hexdigest()
