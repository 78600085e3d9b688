"""Conditional GANs: labels reach every network and loss; without them nothing changes."""

import math
import re
from collections.abc import Callable

import pytest
import torch
from example_data import MAP_CLASSES
from torch import Tensor, nn

from facegan.errors import ConfigError
from facegan.gans import FAMILIES, Batch, Gan, build_gan, draw_labels, uniform_labels
from facegan.gans.labels import one_hot
from facegan.gans.r3gan.loss import discriminator_loss, generator_loss
from facegan.gans.stylegan2.layers import EPSILON
from facegan.gans.stylegan2.loss import mixed_styles, path_length_loss

Build = Callable[..., Gan]
SHAPE, CLASSES = (3, 32, 32), {"plain": 16, "striped": 32, "spotted": 16}


def a_batch(gan: Gan, count: int = 8) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return {
        "reals": torch.rand(count, *gan.image_shape, generator=generator) * 2 - 1,
        "latents": gan.sample_latents(count, generator),
        "labels": torch.arange(count) % len(CLASSES),
        "generator": generator,
        "kimg": 0.0,
    }


def built(family: str) -> Gan:
    return build_gan(family, "tiny-conditional", SHAPE, seed=0, classes=CLASSES)


# --- families and presets -------------------------------------------------------------------------


def test_two_families_have_classes_and_a_tiny_conditional_preset() -> None:
    able = {name for name, family in FAMILIES.items() if family.has_classes}
    assert able == {"r3gan", "stylegan2"}
    for name in able:
        preset = FAMILIES[name].presets["tiny-conditional"]
        assert preset.conditional
        assert preset.classes == 0, "the data says how many there are"


def test_a_family_without_classes_names_those_that_have_them() -> None:
    with pytest.raises(ConfigError, match=r"'dcgan' cannot be conditional.*r3gan or stylegan2"):
        build_gan("dcgan", "tiny", SHAPE, classes=CLASSES, conditional="true")


@pytest.mark.parametrize(("classes", "count"), [(None, 0), ({}, 0), ({"all": 64}, 1)])
def test_fewer_than_two_classes_are_refused(classes: dict[str, int] | None, count: int) -> None:
    with pytest.raises(ConfigError, match=f"two classes or more; the data has {count}"):
        build_gan("stylegan2", "tiny-conditional", SHAPE, classes=classes)


def test_an_unconditional_preset_ignores_classes(family: str, tiny_gan: Build) -> None:
    """The same parameters, of the same values, whatever the data's labels."""
    classes = {"classes": CLASSES, "map_classes": MAP_CLASSES}
    plain, labelled = tiny_gan(family), build_gan(family, "tiny", SHAPE, seed=0, **classes)
    assert labelled.classes == {} and labelled.sample_labels(3, torch.Generator()) is None
    for name, player in plain.players.items():
        twin = labelled.players[name].state_dict()
        assert player.state_dict().keys() == twin.keys()
        assert all(torch.equal(value, twin[key]) for key, value in player.state_dict().items())


def test_the_hyperparameter_makes_any_preset_conditional() -> None:
    gan = build_gan("r3gan", "tiny", SHAPE, classes=CLASSES, conditional="true")
    assert gan.preset.classes == 3 and list(gan.classes) == list(CLASSES)


# --- labels as numbers --------------------------------------------------------------------------


def test_labels_have_the_datas_class_frequencies() -> None:
    labels = draw_labels({"a": 1, "b": 6, "c": 3}, 20_000, torch.Generator().manual_seed(0))
    assert labels.dtype == torch.int64
    shares = torch.bincount(labels, minlength=3) / 20_000
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.6, 0.3]), atol=0.01, rtol=0)


def test_the_same_seed_gives_the_same_labels() -> None:
    one, two = (draw_labels(CLASSES, 50, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize(("count", "expected"), [(6, [0, 0, 1, 1, 2, 2]), (3, [0, 1, 2]), (0, [])])
def test_uniform_labels_are_sorted(count: int, expected: list[int]) -> None:
    assert uniform_labels(CLASSES, count).tolist() == expected


def test_uniform_labels_differ_by_at_most_one_per_class() -> None:
    counts = torch.bincount(uniform_labels(dict.fromkeys("abcdefg", 1), 64))
    assert counts.min() == 9 and counts.max() == 10


def test_one_hot_worked_by_hand() -> None:
    assert one_hot(torch.tensor([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


# --- every conditional family -------------------------------------------------------------------


def test_label_and_latent_both_change_the_image(conditional: Gan) -> None:
    generator = conditional.players["generator"].eval()
    one, two = conditional.sample_latents(2, torch.Generator().manual_seed(0)).split(1)
    with torch.no_grad():
        images = [
            generator(z, labels=torch.tensor([label])) for z in (one, two) for label in range(3)
        ]
    for index, image in enumerate(images):
        assert image.shape == (1, *SHAPE)
        for other in images[:index]:
            assert (image - other).abs().max() > 1e-3


def test_the_label_changes_the_logit(conditional: Gan) -> None:
    discriminator = conditional.players["discriminator"]
    images = torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1, -1)
    logits = discriminator(images.clone(), torch.arange(3))
    assert logits.shape == (3,) and logits.dtype == torch.float32
    assert len(set(logits.tolist())) == 3


def test_a_conditional_network_without_labels_raises(conditional: Gan) -> None:
    latents = conditional.sample_latents(2, torch.Generator().manual_seed(0))
    with pytest.raises(TypeError, match="without labels"):
        conditional.players["generator"](latents)
    with pytest.raises(TypeError, match="without labels"):
        conditional.players["discriminator"](torch.zeros(2, *SHAPE))


def test_terms_are_finite_and_their_gradients_reach_the_vector_of_every_class(
    conditional: Gan,
) -> None:
    batch = a_batch(conditional, 6)
    for phase in conditional.family.phases(conditional.preset):
        (player,) = (conditional.players[name] for name in phase.players)
        terms = phase.loss(conditional, batch)
        assert all(term.ndim == 0 and term.isfinite() for term in terms.values())
        torch.stack(list(terms.values())).sum().backward()
        vectors = [
            p
            for key, p in player.named_parameters()
            if re.search("embed|class_vectors", key) and p.ndim == 2
        ]
        assert vectors
        for vector in vectors:  # one column per class
            assert vector.grad is not None and (vector.grad.abs().sum(0) > 0).all()
        player.zero_grad()


def test_under_autocast_logits_are_float32_and_close(conditional: Gan) -> None:
    images = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    labels, discriminator = torch.tensor([0, 1, 2, 0]), conditional.players["discriminator"]
    expected = discriminator(images, labels)
    with torch.autocast("cpu", torch.bfloat16):
        logits = discriminator(images, labels)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, atol=0.1, rtol=0.1)


# --- projection, worked by hand -----------------------------------------------------------------


class Fixed(nn.Module):
    """The same features whatever the image."""

    def __init__(self, features: list[float]) -> None:
        super().__init__()
        self.features = torch.tensor(features)

    def forward(self, x: Tensor) -> Tensor:
        return self.features.expand(len(x), -1)


def test_r3gans_projection_worked_by_hand() -> None:
    """Features (1, 2, 0 …) and class vectors (3, 1), (0, 5), (-2, 1): 5, 10 and 0."""
    discriminator = built("r3gan").players["discriminator"]
    discriminator.head = Fixed([1.0, 2.0] + [0.0] * 6)
    with torch.no_grad():
        discriminator.class_vectors.weight.fill_(9.0)  # where the features are 0 it does not matter
        discriminator.class_vectors.weight[:2] = torch.tensor([[3.0, 0.0, -2.0], [1.0, 5.0, 1.0]])
    logits = discriminator(torch.zeros(3, *SHAPE), torch.arange(3))
    torch.testing.assert_close(logits, torch.tensor([5.0, 10.0, 0.0]))


def test_r3gans_class_vectors_are_initialised_as_the_official_ones() -> None:
    """G's from N(0, 1 / classes), D's from N(0, 1 / (classes · width))."""
    classes = {str(number): 10 for number in range(100)}
    gan = build_gan("r3gan", "tiny-conditional", SHAPE, seed=0, classes=classes, latent_dim=64)
    generator, discriminator = gan.players["generator"], gan.players["discriminator"]
    assert generator.embed.weight.std().item() == pytest.approx(0.1, rel=0.05)
    width = discriminator.head.in_features
    deviation = discriminator.class_vectors.weight.std().item()
    assert deviation == pytest.approx(0.1 / width**0.5, rel=0.1)


def test_stylegan2s_projection_worked_by_hand() -> None:
    """The same with the mapped labels in the class vectors' place, 16 wide."""
    discriminator = built("stylegan2").players["discriminator"]
    mapped = torch.zeros(3, 16)
    mapped[:, :2] = torch.tensor([[3.0, 1.0], [0.0, 5.0], [-2.0, 1.0]])
    discriminator.head, discriminator.map_label = (
        Fixed([1.0, 2.0] + [7.0] * 14),
        nn.Embedding.from_pretrained(mapped),
    )
    logits = discriminator(torch.zeros(3, *SHAPE), torch.arange(3))
    torch.testing.assert_close(logits, torch.tensor([5.0, 10.0, 0.0]) / 4)


# --- r3gan --------------------------------------------------------------------------------------


def test_r3gans_generator_concatenates_the_class_vector() -> None:
    """It equals the unconditional one with latents twice as wide."""
    labelled = built("r3gan").players["generator"]
    wide = build_gan("r3gan", "tiny", SHAPE, latent_dim=32).players["generator"]
    weights = {k: v for k, v in labelled.state_dict().items() if not k.startswith("embed")}
    wide.load_state_dict(weights)
    z, labels = torch.randn(4, 16), torch.tensor([0, 2, 1, 2])
    vectors = labelled.embed.weight.T[labels]
    torch.testing.assert_close(labelled(z, labels), wide(torch.cat([z, vectors], 1)))


def test_paper32_conditional_adds_one_vector_per_class_and_a_wider_head() -> None:
    """G: 64 per class, and a wider projection; D: 768 per class, and a head of 768 x 768."""
    classes = dict.fromkeys("abcdefghij", 5000)
    with torch.device("meta"):
        plain = build_gan("r3gan", "paper32", SHAPE).players
        labelled = build_gan("r3gan", "paper32-conditional", SHAPE, classes=classes).players
    more = {
        name: sum(p.numel() for p in labelled[name].parameters())
        - sum(p.numel() for p in plain[name].parameters())
        for name in plain
    }
    assert more == {"generator": 10 * 64 + 64 * 768, "discriminator": 10 * 768 + 768 * 767}


class ByClass(nn.Module):
    """A discriminator whose logit is 100 times the label."""

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return 100.0 * labels + 0 * images.sum((1, 2, 3))


def test_r3gans_pairs_are_within_a_class() -> None:
    """A class's own logit cancels: both players' terms are softplus(0) = log 2."""
    gan = built("r3gan")
    gan.players["discriminator"] = ByClass()
    for loss, name in ((generator_loss, "generator"), (discriminator_loss, "discriminator")):
        assert loss(gan, a_batch(gan))[name].item() == pytest.approx(math.log(2))


# --- stylegan2 ----------------------------------------------------------------------------------


def test_stylegan2s_mapping_reads_both_parts_normalised() -> None:
    mapping = built("stylegan2").players["generator"].mapping
    z, labels = torch.randn(4, 16) * 5, torch.tensor([0, 2, 1, 2])
    vectors = mapping.embed.layer(one_hot(labels, 3))
    parts = [x * (x.square().mean(1, keepdim=True) + EPSILON).rsqrt() for x in (z, vectors)]
    expected = torch.cat(parts, 1)
    assert expected.square().mean().item() == pytest.approx(1)
    for layer in mapping.layers:
        expected = layer(expected)
    torch.testing.assert_close(mapping(z, labels), expected)


def test_style_mixing_keeps_to_the_class() -> None:
    """Mixed always, and from the first layer on: the second face is of the same class."""
    gan = built("stylegan2")
    generator = gan.players["generator"]
    seen: list[Tensor] = []
    generator.mapping.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    labels = torch.tensor([0, 1, 2, 1])
    mixed_styles(generator, torch.randn(4, 16), 1.0, labels)
    assert len(seen) == 2 and all(torch.equal(labels, found) for found in seen)


@pytest.mark.parametrize(("count", "expected"), [(8, [0, 2, 1, 0]), (7, [0, 2, 1]), (2, [0])])
def test_path_lengths_take_every_other_label(count: int, expected: list[int]) -> None:
    """So a process with the second half of a batch takes the second half of one that has all."""
    gan = built("stylegan2")
    seen: list[Tensor] = []
    mapping = gan.players["generator"].mapping
    mapping.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    path_length_loss(gan, a_batch(gan, count))
    assert seen and all(found.tolist() == expected for found in seen)


def test_the_mean_of_w_is_one_for_all_classes() -> None:
    generator = built("stylegan2").players["generator"]
    z, labels = torch.randn(9, 16), torch.arange(9) % 3
    generator.train()(z, labels)
    torch.testing.assert_close(generator.mean_w, 0.005 * generator.mapping(z, labels).mean(0))
    generator.eval()
    faces = [generator(z, torch.full((9,), label), truncation_psi=0.0) for label in range(3)]
    assert torch.equal(faces[0], faces[1]) and torch.equal(faces[1], faces[2])
