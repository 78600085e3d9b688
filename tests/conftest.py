"""Real tiny objects every test may use: pictures, a GAN, an artifact. No network, no GPU."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from facegan.artifact import Artifact, load_artifact, pack_artifact, save_artifact
from facegan.data import ImageFolderDataset
from facegan.gans import FAMILIES, Gan, build_gan

SHAPE = (3, 32, 32)

settings.register_profile("facegan", deadline=None, max_examples=60)  # a busy machine is slow
settings.load_profile("facegan")


@pytest.fixture(autouse=True)
def two_threads() -> None:
    """The suite is sized for two cores; several suites at once want OMP_NUM_THREADS=1."""
    torch.set_num_threads(min(2, int(os.environ.get("OMP_NUM_THREADS", "2"))))


@pytest.fixture(scope="session")
def images_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty-four small pictures of coloured blobs."""
    folder = tmp_path_factory.mktemp("images")
    numbers = np.random.default_rng(0)
    for index in range(64):
        colours = numbers.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(colours).resize((40, 48), Image.Resampling.BICUBIC)
        picture.save(folder / f"{index:03d}.png")
    return folder


@pytest.fixture(scope="session")
def dataset(images_dir: Path) -> ImageFolderDataset:
    return ImageFolderDataset(images_dir, 32)


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    """Every family in turn."""
    return str(request.param)


@pytest.fixture
def tiny_gan() -> Callable[..., Gan]:
    """A tiny GAN of a family, its weights always the same."""

    def build(family: str = "dcgan", preset: str = "tiny") -> Gan:
        return build_gan(family, preset, SHAPE, seed=0)

    return build


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact folder with its model.tar.gz beside it."""
    folder = tmp_path_factory.mktemp("model")
    save_artifact(build_gan("dcgan", "tiny", SHAPE, seed=0), folder)
    pack_artifact(folder, folder / "model.tar.gz")
    return folder


@pytest.fixture(scope="session")
def artifact(model_dir: Path) -> Artifact:
    return load_artifact(model_dir)
