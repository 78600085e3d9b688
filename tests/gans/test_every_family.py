"""Tests that every family in the table must pass."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from example_data import MAP_CLASSES, a_batch, network_inputs

from facegan.artifact import SkipInit, load_artifact, save_artifact
from facegan.errors import ConfigError
from facegan.gans import FAMILIES, Gan, build_gan
from facegan.gans.family import state_of

Build = Callable[..., Gan]


def test_it_has_a_tiny_preset_and_a_paper(family: str) -> None:
    assert "tiny" in FAMILIES[family].presets
    assert FAMILIES[family].paper


def test_its_default_presets_build_at_their_resolutions(family: str) -> None:
    assert FAMILIES[family].default_presets
    for side, preset in FAMILIES[family].default_presets.items():
        assert FAMILIES[family].default_preset(side) == preset
        with torch.device("meta"):  # shapes only
            gan = build_gan(family, preset, (3, side, side), map_classes=MAP_CLASSES)
            assert gan.image_shape == (3, side, side)


def test_images_have_the_gans_shape_and_are_finite(family: str, tiny_gan: Build) -> None:
    gan = tiny_gan(family)
    for name in gan.family.directions(gan.preset) or gan.family.generators[:1]:
        images = gan.players[name](*network_inputs(gan))
        assert images.shape == (4, *gan.image_shape)
        assert images.isfinite().all()  # not always in [-1, 1]: clamped as pixels
        assert images.dtype == torch.float32


def test_every_phase_gives_finite_terms_and_gradients_to_its_player(
    family: str, tiny_gan: Build
) -> None:
    gan = tiny_gan(family)
    batch = a_batch(gan)
    for phase in gan.family.phases(gan.preset):
        terms = phase.loss(gan, batch)
        assert all(term.ndim == 0 and term.isfinite() for term in terms.values())
        gradients = torch.autograd.grad(torch.stack(list(terms.values())).sum(), gan.weights(phase))
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.abs().max() > 0 for gradient in gradients)
        trained = iter(gradients)
        for name in phase.players:  # each of several
            of_player = [next(trained) for _ in gan.players[name].parameters()]
            assert any(gradient.abs().max() > 0 for gradient in of_player), name


def test_every_player_has_an_optimiser_and_a_phase(family: str, tiny_gan: Build) -> None:
    gan = tiny_gan(family)
    assert set(gan.family.optimizers(gan.preset)) == set(gan.players)
    assert {name for phase in gan.family.phases(gan.preset) for name in phase.players} == set(
        gan.players
    )


def test_the_same_seed_builds_the_same_weights(family: str, tiny_gan: Build) -> None:
    one, two = tiny_gan(family), tiny_gan(family)
    for name, player in one.players.items():
        for key, value in player.state_dict().items():
            assert torch.equal(value, two.players[name].state_dict()[key]), f"{name}.{key}"


def test_building_with_a_seed_leaves_the_global_random_state_alone(family: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_gan(family, "tiny", (3, 32, 32), seed=0, map_classes=MAP_CLASSES)
    assert torch.equal(expected, torch.rand(3))


def test_a_saved_generator_draws_the_same_after_loading(
    family: str, tiny_gan: Build, tmp_path: Path
) -> None:
    gan = tiny_gan(family)
    save_artifact(gan, tmp_path)
    inputs = network_inputs(gan)
    with torch.no_grad():
        expected = gan.generator_ema.eval()(*inputs)
        loaded = load_artifact(tmp_path)
        assert torch.equal(expected, loaded.generator(*inputs))
    assert loaded.networks.keys() == gan.served.keys()
    for name, network in gan.served.items():
        served = loaded.networks[name].state_dict()
        saved = state_of({name: network})  # spectral norms are folded into their weights
        assert saved.keys() == served.keys()
        assert all(torch.equal(served[key], value) for key, value in saved.items())


def test_every_preset_builds_at_the_resolution_in_its_name(family: str) -> None:
    for name in FAMILIES[family].presets:
        digits = "".join(filter(str.isdigit, name))
        side = int(digits) if digits else 32
        with SkipInit(2**40):  # initialisation takes most of the time
            classes = {"a": 1, "b": 1}
            shape = (3, side, side)
            assert build_gan(family, name, shape, classes=classes, map_classes=MAP_CLASSES).players


def test_an_unsupported_shape_is_refused_with_the_supported_ones(family: str) -> None:
    with pytest.raises(ConfigError, match=r"33x33.*square RGB"):
        build_gan(family, "tiny", (3, 33, 33), map_classes=MAP_CLASSES)
