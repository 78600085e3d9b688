"""The line of docs/architecture.md, from images to faces, as one test."""

from pathlib import Path

import numpy as np

from facegan.artifact import load_artifact, save_artifact
from facegan.client import FaceClient, WSGITransport
from facegan.data import ImageFolderDataset
from facegan.gans import build_gan
from facegan.serving import create_app
from facegan.synthesis import Synthesizer
from facegan.training import Trainer, TrainingConfig


def test_images_become_faces(images_dir: Path, tmp_path: Path) -> None:
    """Images → data set → GAN → trainer → artifact → server → client, in one breath."""
    model_dir = tmp_path
    dataset = ImageFolderDataset(images_dir, resolution=32)
    gan = build_gan("dcgan", preset="tiny", image_shape=dataset.image_shape)
    trainer = Trainer(gan, dataset, TrainingConfig(total_kimg=1))
    trainer.run()
    save_artifact(trainer.gan, model_dir)
    app = create_app(Synthesizer(load_artifact(model_dir)))
    faces = FaceClient(WSGITransport(app)).generate(seeds=[1, 2, 3])

    assert faces.shape == (3, 32, 32, 3)
    assert faces.dtype == np.uint8
    assert len({face.tobytes() for face in faces}) == 3
