"""Compares images one by one with the true ones: the mean absolute difference, and SSIM."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from facegan.errors import MetricError

WINDOW, SIGMA = 11, 1.5  # pixels; of SSIM's Gaussian window
BATCH = 256  # images at once


def mean_absolute_difference(images: Tensor, others: Tensor) -> float:
    """Compute the mean of |a - b| over all values of two sets of images, in units of white.

    Args:
        images: uint8 (N, C, H, W).
        others: uint8 (N, C, H, W); image k is compared with image k.

    Returns:
        0 for equal images, 1 for black against white.

    Raises:
        MetricError: the shapes or types differ, or there are no images.
    """
    check_images(images, others)
    parts = zip(images.split(BATCH), others.split(BATCH), strict=True)
    total = sum(float((a.float() - b.float()).abs().sum(dtype=torch.float64)) for a, b in parts)
    return total / (255 * images.numel())


def structural_similarity(images: Tensor, others: Tensor) -> float:
    """Compute the mean SSIM of two sets of images, over the places where its window is inside.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004,
    equation 13, with its Gaussian window of 11 pixels and deviation 1.5, K1 = 0.01 and K2 = 0.03;
    each channel by itself.

    Args:
        images: uint8 (N, C, H, W), of at least 11 pixels a side.
        others: uint8 (N, C, H, W); image k is compared with image k.

    Returns:
        1 for equal images, 0 for unrelated ones, negative for inverted ones.

    Raises:
        MetricError: the shapes or types differ, there are no images, or they are too small.
    """
    check_images(images, others)
    if min(images.shape[-2:]) < WINDOW:
        height, width = images.shape[-2:]
        raise MetricError(f"SSIM needs {WINDOW} pixels a side; the images have {width}x{height}.")
    parts = zip(images.split(BATCH), others.split(BATCH), strict=True)
    return sum(float(similarities(a, b).sum()) for a, b in parts) / len(images)


def similarities(images: Tensor, others: Tensor) -> Tensor:
    """Compute the SSIM (N,) of each pair, float64."""
    a, b = images.double().flatten(0, 1)[:, None], others.double().flatten(0, 1)[:, None]
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    window = torch.exp(-offsets.square() / (2 * SIGMA**2))
    window = window / window.sum()

    def blurred(values: Tensor) -> Tensor:
        return conv2d(conv2d(values, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))

    mean_a, mean_b = blurred(a), blurred(b)
    variance_a = blurred(a * a) - mean_a.square()
    variance_b = blurred(b * b) - mean_b.square()
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a.square() + mean_b.square() + c1) * (variance_a + variance_b + c2)
    )
    return found.view(len(images), -1).mean(1)


def check_images(images: Tensor, others: Tensor) -> None:
    """Raise MetricError unless both are the same number of uint8 images of one shape."""
    for each in (images, others):
        if each.dtype != torch.uint8 or each.ndim != 4:
            found = f"{each.dtype} of shape {tuple(each.shape)}"
            raise MetricError(f"Images are compared as uint8 (N, C, H, W); these are {found}.")
    if images.shape != others.shape:
        raise MetricError(
            f"Images of shape {tuple(images.shape)} cannot be compared one by one with images of"
            f" shape {tuple(others.shape)}."
        )
    if not len(images):
        raise MetricError("There are no images to compare.")
