"""A container on a GPU machine that sees no GPU says why at once; a CPU machine is let alone."""

from pathlib import Path

import pytest
import torch

from facegan import gpu_check
from facegan.errors import ConfigError
from facegan.gpu_check import driver_version, require_visible_gpu

VERSION = "NVRM version: NVIDIA UNIX {kind}x86_64 Kernel Module  {number}  Thu Mar 7 12:00:00 UTC\n"
ON_AWS = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"}
IMAGE_WITH_CUDA = {"NVIDIA_VISIBLE_DEVICES": "all"}


def machine(
    root: Path, driver: str | None = None, has_device: bool = False, kind: str = ""
) -> Path:
    """A root folder with what a GPU leaves in /proc and /dev."""
    (root / "dev").mkdir(parents=True)
    if driver:
        (root / "proc/driver/nvidia").mkdir(parents=True)
        (root / gpu_check.DRIVER).write_text(VERSION.format(kind=kind, number=driver))
    if has_device:
        (root / "dev/nvidia0").touch()
    return root


@pytest.fixture(autouse=True)
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch with CUDA 13 that sees no GPU, whatever this machine has."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")


@pytest.mark.parametrize(
    ("instance_type", "variables", "driver", "has_device", "told"),
    [
        ("ml.g5.xlarge", {}, None, False, r"ml\.g5\.xlarge.*no NVIDIA driver.*580.*--gpus all"),
        ("ml.p4d.24xlarge", {}, "550.54.14", True, r"550\.54\.14.*CUDA 13\.0.*580 or newer"),
        ("ml.p3.2xlarge", {}, "580.95.05", True, r"580\.95\.05.*a GPU that CUDA still supports"),
        ("local_gpu", {}, None, False, "no NVIDIA driver"),
        (None, {}, "470.1", True, r"A GPU is here, but.*470\.1"),
        (None, IMAGE_WITH_CUDA, "580.1", False, "no GPU was passed to the container"),
        (None, ON_AWS, "580.1", False, "no GPU was passed"),
        (None, {}, "580.1", False, None),  # a workstation, an image without CUDA
        (None, {"NVIDIA_VISIBLE_DEVICES": "void"}, "580.1", False, None),
        (None, {**ON_AWS, **IMAGE_WITH_CUDA}, None, False, None),  # the CUDA image on a CPU machine
        ("ml.m5.large", IMAGE_WITH_CUDA, None, False, None),
        ("local", IMAGE_WITH_CUDA, "580.1", False, None),
    ],
)
def test_it_is_refused_with_the_reason_where_a_gpu_is_paid_for(
    tmp_path: Path, instance_type: str | None, variables: dict[str, str], driver: str | None,
    has_device: bool, told: str | None,
) -> None:  # fmt: skip
    root = machine(tmp_path, driver, has_device)
    if told is None:
        require_visible_gpu(variables, instance_type, "device=cpu", root)
        return
    with pytest.raises(ConfigError, match=told) as refused:
        require_visible_gpu(variables, instance_type, "device=cpu", root)
    assert "set device=cpu" in refused.value.hint


def test_an_image_without_cuda_says_which_one_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(ConfigError, match="variant without CUDA"):
        require_visible_gpu({}, "ml.g5.xlarge", "device=cpu", machine(tmp_path, "580.1", True))


def test_a_gpu_that_is_seen_is_let_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    require_visible_gpu({}, "ml.g5.xlarge", "device=cpu", machine(tmp_path, "580.1", True))


@pytest.mark.parametrize("kind", ["", "Open Kernel Module for "])
def test_the_drivers_version_is_read(tmp_path: Path, kind: str) -> None:
    assert driver_version(machine(tmp_path, "575.57.08", kind=kind)) == "575.57.08"
    assert driver_version(tmp_path / "nowhere") is None
