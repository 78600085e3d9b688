"""Compares label maps with the true ones: intersection over union per class, pixel accuracy."""

import torch
from torch import Tensor

from facegan.errors import MetricError


def count_confusion(truth: Tensor, found: Tensor, classes: int) -> Tensor:
    """Count how often each class is taken for each other one.

    Args:
        truth: The true classes, whole numbers of any shape.
        found: What was found instead, of the same shape.
        classes: Their number.

    Returns:
        int64 (classes, classes); entry (t, f) counts pixels of class t that were found to be f.
        Those of several batches can be added.

    Raises:
        MetricError: the shapes differ, or a map has a class beyond the last.
    """
    if truth.shape != found.shape:
        raise MetricError(
            f"Label maps of shape {tuple(found.shape)} cannot be compared with maps of shape"
            f" {tuple(truth.shape)}."
        )
    for maps in (truth, found):
        if maps.numel() and not 0 <= int(maps.min()) <= int(maps.max()) < classes:
            raise MetricError(
                f"The label maps have classes from {int(maps.min())} to {int(maps.max())}; they"
                f" may be 0 to {classes - 1}."
            )
    pairs = truth.long().flatten() * classes + found.long().flatten()
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


def class_ious(confusion: Tensor) -> Tensor:
    """Compute each class's intersection over union, float64; NaN where it occurs in no map."""
    right = confusion.diagonal().double()
    return right / (confusion.sum(0) + confusion.sum(1) - right)


def mean_iou(confusion: Tensor) -> float:
    """Compute the mean intersection over union of the classes that occur.

    Long et al., arXiv:1411.4038, section 5.
    """
    return float(class_ious(confusion).nanmean())


def pixel_accuracy(confusion: Tensor) -> float:
    """Compute the share of pixels whose class is right."""
    return float(confusion.diagonal().sum() / confusion.sum())
