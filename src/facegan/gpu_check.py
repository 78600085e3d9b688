"""Stops a container that finds no GPU on a GPU instance, where the CPU would cost a GPU's price."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facegan.errors import ConfigError

GPU_FAMILIES = ("ml.g", "ml.p")  # beginnings of SageMaker's instance types with GPUs
# Beginnings of instance types → GiB that torch finds on one GPU, and whether it computes bf16.
# Sources: AWS, "Amazon EC2 accelerated computing instances"; NVIDIA's data sheets.
GPU_MEMORY = {
    "ml.g4dn.": (14.6, False),
    "ml.g5.": (22.0, True),
    "ml.g6.": (22.0, True),
    "ml.g6e.": (44.4, True),
    "ml.p3.": (15.8, False),
    "ml.p3dn.": (31.7, False),
    "ml.p4d.": (39.4, True),
    "ml.p4de.": (79.2, True),
    "ml.p5.": (79.1, True),
    "ml.p5e.": (139.8, True),
    "ml.p5en.": (139.8, True),
    "ml.p6-b200.": (178.3, True),
}
GPU_COUNTS = {  # of the sizes that have several
    "g": {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8},
    "p": {"8xlarge": 4, "16xlarge": 8, "24xlarge": 8, "48xlarge": 8},
}
DRIVER = "proc/driver/nvidia/version"  # the kernel's own, visible in every container
DEVICES = "dev/nvidia[0-9]*"  # what the container runtime passes to a container
NO_DEVICES = ("", "void", "none")  # values of NVIDIA_VISIBLE_DEVICES that mean none
MIN_DRIVERS = {"12": "525", "13": "580"}  # CUDA's major version → the oldest driver (NVIDIA)


def require_visible_gpu(
    variables: Mapping[str, str], instance_type: str | None, override: str, root: Path = Path("/")
) -> None:
    """Raise ConfigError if this container runs on a GPU machine and torch finds no GPU.

    For devices that are chosen automatically.

    Args:
        variables: The process's environment.
        instance_type: SageMaker's, as "ml.g5.xlarge"; None if unknown (endpoints).
        override: How a user chooses the CPU here, as "device=cpu".
        root: Where /proc and /dev are.
    """
    driver = driver_version(root)
    if is_gpu_machine(variables, instance_type, driver, root) and not sees_gpu():
        machine = f"This is a GPU instance ({instance_type})" if instance_type else "A GPU is here"
        raise ConfigError(
            f"{machine}, but the container sees none: {reason(driver, root)}",
            f"To run on the CPU anyway, set {override}.",
        )


def is_gpu_machine(
    variables: Mapping[str, str], instance_type: str | None, driver: str | None, root: Path
) -> bool:
    """Return whether the instance has a GPU, or this container was given one.

    An endpoint's container does not know its instance type. There the kernel's NVIDIA driver
    counts, if the image requests GPUs (the CUDA variant does) or AWS gives the container
    credentials: on a workstation, an image without CUDA runs on the CPU, as its user chose.
    """
    if instance_type:
        return has_gpu(instance_type) or instance_type == "local_gpu"
    if any(root.glob(DEVICES)):
        return True
    requests_gpu = variables.get("NVIDIA_VISIBLE_DEVICES", "") not in NO_DEVICES
    is_on_aws = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in variables
    return driver is not None and (requests_gpu or is_on_aws)


@dataclass(frozen=True)
class Gpus:
    """The GPUs of an instance type."""

    count: int
    bytes: float  # of one
    has_bf16: bool


def gpus_of(instance_type: str) -> Gpus | None:
    """Return the GPUs of a SageMaker instance type; None if it has none, or is unknown."""
    for beginning, (gib, has_bf16) in GPU_MEMORY.items():
        if instance_type.startswith(beginning):
            size = instance_type.removeprefix(beginning)
            count = GPU_COUNTS[beginning[3]].get(size, 1)
            return Gpus(count, gib * 2**30, has_bf16)
    return None


def has_gpu(instance_type: str | None) -> bool:
    """Return whether a SageMaker instance type has an NVIDIA GPU, by its family's letter."""
    return bool(instance_type) and str(instance_type).startswith(GPU_FAMILIES)


def driver_version(root: Path) -> str | None:
    """Return the version of the kernel's NVIDIA driver, as "550.54.14"; None without a driver."""
    try:
        text = (root / DRIVER).read_text(errors="replace")
    except OSError:
        return None
    found = re.search(r"Kernel Module\D*?\s(\d+(\.\d+)+)", text)
    return found[1] if found else "of an unknown version"


def sees_gpu() -> bool:
    """Return whether torch can compute on a GPU here; without torch, nothing can."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def reason(driver: str | None, root: Path) -> str:
    """Return why torch finds no GPU, and what to change."""
    cuda = cuda_of_torch()
    if cuda is None:
        return "this image is the variant without CUDA. Use the one of `make build VARIANT=cuda`."
    needed = MIN_DRIVERS.get(cuda.partition(".")[0])
    since = f" of {needed} or newer" if needed else ""
    if driver is None:
        return (
            f"it has no NVIDIA driver. torch is built for CUDA {cuda}, which needs one{since}; "
            "`docker run` needs --gpus all."
        )
    if needed and driver[0].isdigit() and int(driver.partition(".")[0]) < int(needed):
        return (
            f"its NVIDIA driver is {driver}, and torch is built for CUDA {cuda}, which needs one"
            f"{since}. Choose a newer system (InferenceAmiVersion of an endpoint) or instance type."
        )
    if not any(root.glob(DEVICES)):
        return (
            f"its NVIDIA driver is {driver}, but no GPU was passed to the container. "
            "`docker run` needs --gpus all."
        )
    return (
        f"its NVIDIA driver is {driver}, and torch is built for CUDA {cuda}, which needs one"
        f"{since} and a GPU that CUDA still supports."
    )


def cuda_of_torch() -> str | None:
    """Return the CUDA version that torch was built for, as "13.0"; None without CUDA or torch."""
    try:
        import torch
    except ImportError:
        return None
    return torch.version.cuda
