"""Imports torch-fidelity on first use, with any build of torchvision."""

import torch

from facegan.errors import MetricError

INSTALL = "Install it with: pip install 'facegan[training]'"
LIBRARIES: list[object] = []  # kept alive: a library's definitions end with the object


def load_fidelity() -> None:
    """Raise MetricError unless torch-fidelity, which imports torchvision, can be imported."""
    try:
        load_torchvision()
        import torch_fidelity  # noqa: F401
    except ImportError as cause:
        raise MetricError(f"Metrics need torch-fidelity ({cause}).", INSTALL) from cause


def load_torchvision() -> None:
    """Import torchvision, even if its compiled parts were built for another torch.

    PyPI's wheel is built for torch with CUDA. With PyTorch's CPU build its operators are missing,
    and importing it fails when it registers kernels for them. They are declared here, never called.
    """
    try:
        import torchvision
    except RuntimeError as cause:
        if "torchvision::" not in str(cause):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        LIBRARIES.append(library)
        import torchvision  # noqa: F401
