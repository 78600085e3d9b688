"""torch-fidelity, loaded when a metric is first computed, beside whatever torchvision there is."""

import torch

from facegan.errors import MetricError

INSTALL = "Install it with: pip install 'facegan[training]'"
KEPT: list[object] = []  # a library's definitions end with the object


def load_fidelity() -> None:
    """Make sure that torch-fidelity can be imported; it imports torchvision.

    Raises:
        MetricError: one of the two is not installed.
    """
    try:
        load_torchvision()
        import torch_fidelity  # noqa: F401
    except ImportError as cause:
        raise MetricError(f"Metrics need torch-fidelity ({cause}).", INSTALL) from cause


def load_torchvision() -> None:
    """Import torchvision, also beside a torch that its compiled parts were not built for.

    PyPI's wheel is built for a CUDA torch; beside PyTorch's CPU build its operators are missing,
    and importing it fails where it registers kernels for them.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import torchvision
    except RuntimeError as cause:
        if "torchvision::" not in str(cause):
            raise
        declare_operators()
        import torchvision  # noqa: F401


def declare_operators() -> None:
    """Declare the operators that importing torchvision wants; nothing here ever calls them."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    KEPT.append(library)
