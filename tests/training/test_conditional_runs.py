"""Conditional training: labels belong to their images, and runs resume bit-identically."""

from collections.abc import Callable
from copy import copy
from pathlib import Path

import pytest
import torch

from facegan.artifact import load_artifact, save_artifact
from facegan.data import ImageFolderDataset, order_of
from facegan.errors import ConfigError
from facegan.gans import Gan, build_gan
from facegan.training import Trainer, TrainingConfig
from facegan.training.trainer import sample_images

CONFIG = TrainingConfig(total_kimg=0.048, batch_size=8, precision="fp32", tick_kimg=0.024)
SHAPE = (3, 32, 32)


def build(like: Gan) -> Gan:
    return build_gan(like.family.name, like.preset_name, SHAPE, seed=0, classes=like.classes)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.state()[0].items()}


def test_a_resumed_conditional_run_ends_with_the_same_bits(
    conditional: Gan, labelled: ImageFolderDataset
) -> None:
    whole, first, second = (Trainer(build(conditional), labelled, CONFIG) for _ in range(3))
    whole.run()
    for _ in range(3):
        first.step()
    second.load_state(*first.state())
    second.run()
    one, two = weights(whole), weights(second)
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_step_reads_the_labels_of_its_own_reals(
    conditional: Gan, labelled: ImageFolderDataset
) -> None:
    trainer = Trainer(conditional, labelled, CONFIG)
    trainer.images_seen = 24
    batch = trainer.next_batch(3)
    indices = order_of(0, 24, 8, len(labelled))
    assert labelled.labels is not None
    assert torch.equal(batch["labels"], labelled.labels[indices])
    assert batch["labels"].dtype == torch.int64


def test_other_labels_make_other_weights(conditional: Gan, labelled: ImageFolderDataset) -> None:
    """Labels are used."""

    class Rotated:
        image_shape, digest, classes = SHAPE, "", labelled.classes
        labels = labelled.labels.roll(1) if labelled.labels is not None else None
        read = staticmethod(labelled.read)

        def __len__(self) -> int:
            return len(labelled)

    one = Trainer(build(conditional), labelled, CONFIG)
    two = Trainer(build(conditional), Rotated(), CONFIG)
    one.step(), two.step()
    after = weights(two)
    assert any(not torch.equal(value, after[name]) for name, value in weights(one).items())


def test_an_unconditional_gan_gets_no_labels(
    family: str,
    tiny_gan: Callable[..., Gan],
    labelled: ImageFolderDataset,
    dataset: ImageFolderDataset,
) -> None:
    """The batch equals that of the same images without a manifest."""
    labelled = copy(labelled)
    labelled.companions = dataset.companions
    with_labels, plain = (Trainer(tiny_gan(family), data, CONFIG) for data in (labelled, dataset))
    one, two = with_labels.next_batch(0), plain.next_batch(0)
    assert one.keys() == two.keys() and "labels" not in one
    assert torch.equal(one["reals"], two["reals"])


def test_data_with_other_classes_is_refused(
    conditional: Gan, dataset: ImageFolderDataset, labelled: ImageFolderDataset
) -> None:
    with pytest.raises(ConfigError, match=r"classes are \[\], the GAN's \['plain'"):
        Trainer(conditional, dataset, CONFIG)
    other = build_gan(
        conditional.family.name, "tiny-conditional", SHAPE, classes={"striped": 1, "plain": 1}
    )
    with pytest.raises(ConfigError, match=r"GAN's \['striped', 'plain'\]"):
        Trainer(other, labelled, CONFIG)


def test_a_sample_grid_shows_the_classes_evenly(
    conditional: Gan, labelled: ImageFolderDataset
) -> None:
    """Six latents of three classes: two of each by default, or the given labels."""
    trainer = Trainer(conditional, labelled, CONFIG)
    latents = conditional.sample_latents(1, torch.Generator().manual_seed(0)).expand(6, -1)
    shown = sample_images(trainer, latents)
    requested = sample_images(trainer, latents, torch.tensor([0, 0, 1, 1, 2, 2]))
    assert torch.equal(shown, requested)
    torch.testing.assert_close(shown[0], shown[1])
    assert (shown[1] - shown[2]).abs().max() > 1e-3


def test_a_model_is_saved_with_its_classes(
    conditional: Gan, labelled: ImageFolderDataset, tmp_path: Path
) -> None:
    trainer = Trainer(conditional, labelled, CONFIG)
    trainer.step()
    save_artifact(trainer.gan, tmp_path)
    artifact = load_artifact(tmp_path)
    assert artifact.card.classes == (("plain", 16), ("striped", 32), ("spotted", 16))
    latents, labels = torch.randn(3, artifact.card.latent_dim), torch.arange(3)
    with torch.no_grad():
        expected = trainer.gan.generator_ema(latents, labels)
        assert torch.equal(expected, artifact.generator(latents, labels))


def test_every_tensor_of_a_conditional_step_is_on_the_trainers_device(
    conditional: Gan, labelled: ImageFolderDataset
) -> None:
    """Labels too; reading a value would fail on ``meta``, and make a GPU wait."""
    Trainer(conditional, labelled, CONFIG.model_copy(update={"device": "meta"})).step()
