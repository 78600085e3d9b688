"""Real tiny objects every test may use: images, a GAN, an artifact. No network, no GPU."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from example_data import MAP_CLASSES, random_companions
from hypothesis import settings
from PIL import Image

from facegan.artifact import (
    Artifact,
    copy_artifact,
    load_artifact,
    pack_artifact,
    save_artifact,
)
from facegan.data import ImageFolderDataset
from facegan.gans import FAMILIES, Gan, build_gan

os.environ["FACEGAN_GRAPHS"] = "false"  # to export takes seconds; tests of it ask for it
# What is started by name (gunicorn, facegan) is this environment's, whether it is activated or not.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

SHAPE = (3, 32, 32)
CLASSES = {"plain": 16, "striped": 32, "spotted": 16}

settings.register_profile("facegan", deadline=None, max_examples=35)  # a busy machine is slow
settings.load_profile("facegan")


@pytest.fixture(autouse=True)
def two_threads() -> None:
    """The suite is sized for two cores; several suites at once want OMP_NUM_THREADS=1."""
    torch.set_num_threads(min(2, int(os.environ.get("OMP_NUM_THREADS", "2"))))


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's own caches."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def images_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty-four small images of coloured blobs."""
    folder = tmp_path_factory.mktemp("images")
    numbers = np.random.default_rng(0)
    for index in range(64):
        colours = numbers.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(colours).resize((40, 48), Image.Resampling.BICUBIC)
        picture.save(folder / f"{index:03d}.png")
    return folder


@pytest.fixture(scope="session")
def dataset(images_dir: Path) -> ImageFolderDataset:
    """The images, with every companion that a family may need."""
    images = ImageFolderDataset(images_dir, 32)
    images.companions = random_companions(len(images), 32)
    return images


@pytest.fixture(scope="session")
def labelled_dir(images_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images, with a manifest that sorts them into the three ``CLASSES``."""
    folder = tmp_path_factory.mktemp("labelled") / "data"
    shutil.copytree(images_dir, folder)
    labels = {f"{index:03d}.png": (0, 1, 1, 2)[index % 4] for index in range(64)}
    manifest = {"labels": labels, "class_names": list(CLASSES)}
    (folder / "dataset.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="session")
def labelled(labelled_dir: Path) -> ImageFolderDataset:
    return ImageFolderDataset(labelled_dir, 32)


@pytest.fixture(params=sorted(name for name, family in FAMILIES.items() if family.has_classes))
def conditional(request: pytest.FixtureRequest) -> Gan:
    """A tiny conditional GAN of every family that can, its weights always the same."""
    return build_gan(request.param, "tiny-conditional", SHAPE, seed=0, classes=CLASSES)


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    """Every family in turn."""
    return str(request.param)


@pytest.fixture
def tiny_gan() -> Callable[..., Gan]:
    """A tiny GAN of a family, its weights always the same."""

    def build(family: str = "dcgan", preset: str = "tiny") -> Gan:
        return build_gan(family, preset, SHAPE, seed=0, map_classes=MAP_CLASSES)

    return build


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact folder with its model.tar.gz beside it."""
    folder = tmp_path_factory.mktemp("model")
    save_artifact(build_gan("dcgan", "tiny", SHAPE, seed=0), folder)
    pack_artifact(folder, folder / "model.tar.gz")
    return folder


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def exported_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact folder with graphs, of every family; conditional where the family can be."""
    from facegan.export import export_graphs

    folder = tmp_path_factory.mktemp(request.param)
    is_conditional = FAMILIES[request.param].has_classes
    preset, classes = ("tiny-conditional", CLASSES) if is_conditional else ("tiny", None)
    gan = build_gan(request.param, preset, SHAPE, seed=0, classes=classes, map_classes=MAP_CLASSES)
    save_artifact(gan, folder)
    export_graphs(folder)
    return folder


@pytest.fixture(scope="session")
def graphs_dir(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact folder of `model_dir` with graphs, as a run's end leaves it."""
    from facegan.export import export_graphs

    folder = tmp_path_factory.mktemp("graphs")
    copy_artifact(model_dir, folder)
    export_graphs(folder)
    return folder


@pytest.fixture(scope="session")
def artifact(model_dir: Path) -> Artifact:
    return load_artifact(model_dir)


@pytest.fixture(scope="session")
def conditional_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact folder of a model with classes and styles."""
    folder = tmp_path_factory.mktemp("conditional")
    save_artifact(
        build_gan("stylegan2", "tiny-conditional", SHAPE, seed=0, classes=CLASSES), folder
    )
    return folder


@pytest.fixture(scope="session")
def conditional_artifact(conditional_dir: Path) -> Artifact:
    return load_artifact(conditional_dir)
