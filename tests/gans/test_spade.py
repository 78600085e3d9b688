"""SPADE's and OASIS's own claims: losses worked by hand, styles, augmentation, what is served."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from facegan.artifact import load_artifact, save_artifact
from facegan.gans import FAMILIES, Batch, Gan, build_gan
from facegan.gans.data_parallel import same_draws
from facegan.gans.labels import one_hot_maps
from facegan.gans.perceptual import perceptual_distance
from facegan.gans.spade.loss import (
    discriminator_loss,
    feature_distance,
    generator_loss,
    hinge_terms,
    styles_of,
)
from facegan.gans.spade.segmenting_loss import class_loss, class_weights, mix, realness
from facegan.model_inputs import input_names
from facegan.training.augment import Augment
from facegan.training.ema import MovingAverage

FAMILY = FAMILIES["spade"]
COLOURS = {"sky": "#0000ff", "hair": "#102030", "skin": "#ffcc99"}


def a_gan(**changes: Any) -> Gan:
    return build_gan("spade", "tiny", (3, 32, 32), seed=0, map_classes=COLOURS, **changes)


def a_batch(count: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return {
        "reals": torch.rand(count, 3, 32, 32, generator=generator) * 2 - 1,
        "label_maps": torch.randint(0, 3, (count, 32, 32), generator=generator),
        "latents": torch.randn(count, 8, generator=generator),
        "generator": generator,
    }


# --- what it declares ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "inputs", "players"),
    [
        ({}, ("label_maps", "latents", "styles"), ("generator", "encoder")),
        ({"encoder": False}, ("label_maps", "latents"), ("generator",)),
        ({"encoder": False, "latent_dim": 0}, ("label_maps",), ("generator",)),
    ],
)
def test_its_inputs_follow_from_latents_and_encoder(
    changes: dict[str, Any], inputs: tuple[str, ...], players: tuple[str, ...]
) -> None:
    gan = a_gan(**changes)
    assert input_names(FAMILY.inputs(gan.preset)) == inputs
    assert FAMILY.served(gan.preset) == players
    assert FAMILY.phases(gan.preset)[0].players == players
    assert set(gan.players) == {*players, "discriminator"}
    assert FAMILY.companions(gan.preset) == ("label_maps",)


def test_generator_and_encoder_have_one_rate_the_discriminator_another() -> None:
    preset = FAMILY.presets["paper256"]
    adams = FAMILY.optimizers(preset)
    assert adams["generator"] == adams["encoder"]
    rates = adams["generator"].learning_rate, adams["discriminator"].learning_rate
    assert rates == (1e-4, 4e-4)  # the paper's, by two time-scales (arXiv:1706.08500)
    assert (adams["generator"].beta1, adams["generator"].beta2) == (0.0, 0.9)


def test_a_schedule_brings_both_rates_to_0() -> None:
    preset = replace(FAMILY.presets["paper256"], schedule_kimg=8.0)
    rates = [FAMILY.optimizers(preset, kimg)["generator"].learning_rate for kimg in (0, 4, 6, 8)]
    assert rates == pytest.approx([1e-4, 1e-4, 5e-5, 0])


# --- SPADE's losses -----------------------------------------------------------------------------


class Constant(torch.nn.Module):
    """Two discriminators whose logits are 2 for reals and -0.5 for fakes, in both scales."""

    def forward(self, images: Tensor, label_maps: Tensor) -> list[list[Tensor]]:
        count = len(images) // 2
        logits = torch.cat([torch.full((count, 1, 3, 3), 0.25), torch.full((count, 1, 3, 3), -0.5)])
        return [[images, logits], [images, 2 * logits]]


def test_the_hinge_losses_are_means_over_patches_and_discriminators() -> None:
    gan, batch = a_gan(), a_batch()
    gan.players["discriminator"] = Constant()
    terms = hinge_terms(gan, batch, batch["reals"], one_hot_maps(batch["label_maps"], 3))
    assert terms["reals"].item() == pytest.approx((0.75 + 0.5) / 2)
    assert terms["fakes"].item() == pytest.approx((0.5 + 0) / 2)
    assert torch.allclose(batch["real_logits"], torch.full((4,), 0.375))
    assert torch.allclose(batch["fake_logits"], torch.full((4,), -0.75))


def test_feature_matching_sums_layers_leaves_out_logits_and_averages_discriminators() -> None:
    def features(*values: float) -> list[Tensor]:
        return [torch.full((2, 1, 2, 2), value) for value in values]

    of_fakes, of_reals = [features(0, 0, 9), features(1, 1, 9)], [features(1, 3, 0)] * 2
    assert feature_distance(of_fakes, of_reals).item() == pytest.approx((1 + 3 + 0 + 2) / 2)


def test_the_divergence_is_summed_over_the_width_and_averaged_over_images() -> None:
    class Fixed(torch.nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return torch.full((4, 8), 2.0), torch.zeros(4, 8)

    gan = a_gan(kl_weight=0.5)
    gan.players["encoder"] = Fixed()
    latents, terms = styles_of(gan, a_batch())
    assert terms["kl"].item() == pytest.approx(0.5 * 8 * 0.5 * 2.0**2)
    assert latents is not None and latents.mean().item() == pytest.approx(2, abs=0.5)


def test_without_an_encoder_latents_are_those_of_the_seeds() -> None:
    batch = a_batch()
    latents, terms = styles_of(a_gan(encoder=False), batch)
    assert latents is batch["latents"] and not terms


def test_the_perceptual_distance_is_0_for_equal_images_and_grows() -> None:
    reals = a_batch(2)["reals"]
    near = (reals + 0.05).requires_grad_()
    distances = [perceptual_distance(x, reals).item() for x in (reals, near, -reals)]
    assert distances[0] == pytest.approx(0, abs=1e-6) and distances == sorted(distances)
    (gradient,) = torch.autograd.grad(perceptual_distance(near, reals), near)
    assert gradient.isfinite().all() and gradient.abs().max() > 0


def test_its_weight_is_0_unless_a_preset_says_otherwise() -> None:
    assert "perceptual" not in generator_loss(a_gan(), a_batch())
    assert generator_loss(a_gan(perceptual_weight=2.0), a_batch())["perceptual"] > 0


def test_shared_fakes_are_those_of_the_generators_phase() -> None:
    gan, batch = a_gan(share_fakes=True), a_batch()
    generator_loss(gan, batch)
    fakes = batch["fakes"]
    calls: list[Tensor] = []
    gan.players["discriminator"].register_forward_pre_hook(lambda _, given: calls.append(given[0]))
    discriminator_loss(gan, batch)
    assert torch.equal(calls[0], torch.cat([batch["reals"], fakes]))


# --- OASIS's losses -----------------------------------------------------------------------------


def test_a_class_weighs_the_inverse_of_its_share() -> None:
    label_maps = torch.tensor([[[0, 0, 0, 1]]])  # class 2 does not occur
    weights = class_weights(one_hot_maps(label_maps, 3))
    assert weights.tolist() == pytest.approx([1 / (0.75 * 2), 1 / (0.25 * 2), 0])


def test_each_class_counts_alike_however_few_its_pixels() -> None:
    maps = one_hot_maps(torch.tensor([[[0, 0, 0, 1]]]), 2)
    logits = torch.zeros(1, 3, 1, 4)
    logits[0, 1, 0, :] = 3.0  # every pixel is told as class 1
    losses = -logits.log_softmax(1)
    expected = (losses[0, 0, 0, 0] + losses[0, 1, 0, 0]) / 2
    assert class_loss(logits, maps).item() == pytest.approx(expected.item())


def test_label_mix_takes_whole_classes() -> None:
    maps = one_hot_maps(torch.tensor([[[0, 1], [2, 1]]]), 3)
    reals, fakes = torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    mixed = mix(reals, fakes, maps, torch.tensor([[0, 1, 0]]))
    assert mixed[0, 0].tolist() == [[0, 1], [0, 1]]


def test_realness_is_above_0_where_any_class_is_likelier_than_fake() -> None:
    logits = torch.zeros(2, 4, 2, 2)
    logits[0, 1] = 5.0
    logits[1, 3] = 5.0  # the last is "fake"
    assert realness(logits)[0] > 0 > realness(logits)[1]


@pytest.mark.parametrize("changes", [{}, {"encoder": False, "latent_at": "pixels"}])
def test_with_the_segmenting_discriminator_every_player_learns(changes: dict[str, Any]) -> None:
    gan, batch = a_gan(discriminator="segmenting", **changes), a_batch()
    for phase in FAMILY.phases(gan.preset):
        terms = phase.loss(gan, batch)
        assert all(term.ndim == 0 and term.isfinite() for term in terms.values())
        gradients = torch.autograd.grad(torch.stack(list(terms.values())).sum(), gan.weights(phase))
        assert all(gradient.isfinite().all() for gradient in gradients)
    assert {"reals", "fakes", "label_mix"} == terms.keys()
    assert batch["real_logits"].shape == batch["fake_logits"].shape == (4,)


# --- augmentation -------------------------------------------------------------------------------


def augmented(gan: Gan, policy: str) -> list[tuple[Tensor, Tensor]]:
    """Augment the discriminator's inputs; return those of each pass as they are filled in."""
    discriminator = gan.players["discriminator"]
    Augment(policy, torch.tensor(1.0)).hook_before(discriminator)
    passes: list[tuple[Tensor, Tensor]] = []
    discriminator.register_forward_pre_hook(lambda _, given: passes.append(given))
    return passes


def test_feature_matching_compares_images_that_are_augmented_alike() -> None:
    gan, batch = a_gan(), a_batch()
    passes = augmented(gan, "blit,geom,recolor")
    batch["reals"] = gan.players["generator"](batch["label_maps"], batch["latents"]).detach()
    gan.players["encoder"] = torch.nn.Identity()  # the fakes will be the reals
    gan.players["generator"] = lambda label_maps, latents: batch["reals"]  # type: ignore[assignment]
    del gan.players["encoder"]
    terms = generator_loss(gan, batch)
    (reals, of_reals), (fakes, of_fakes) = passes
    assert torch.equal(reals, fakes) and torch.equal(of_reals, of_fakes)
    assert not torch.equal(reals, batch["reals"])
    assert terms["feature_matching"] < 0.05  # singular values differ a little between two passes


def test_oasis_compares_the_classes_where_augmentation_has_moved_them() -> None:
    gan, batch = a_gan(discriminator="segmenting"), a_batch()
    maps = one_hot_maps(batch["label_maps"], 3)
    passes = augmented(gan, "blit")
    _, moved = gan.players["discriminator"](batch["reals"], maps)
    assert torch.equal(moved, passes[0][1]) and not torch.equal(moved, maps)
    discriminator_loss(gan, batch)
    of_reals, of_fakes, of_mixed = passes[1:]
    assert torch.equal(of_reals[1], of_fakes[1]) and torch.equal(of_reals[1], of_mixed[1])


def test_same_draws_gives_the_next_code_the_same_numbers() -> None:
    with same_draws(torch.device("cpu")):
        first = torch.rand(3)
    assert torch.equal(first, torch.rand(3))


# --- what is served -----------------------------------------------------------------------------


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., tuple[Gan, Path]]:
    """Build, average and save a GAN whose average's weights are no trained layer's."""

    def make(**changes: Any) -> tuple[Gan, Path]:
        gan = a_gan(**changes)
        for name in FAMILY.served(gan.preset):
            average = MovingAverage(gan.players[name], half_life_kimg=1.0)
            with torch.no_grad():
                for weight in gan.players[name].parameters():
                    weight.add_(torch.randn(weight.shape) * 0.1)
            average.update(gan.players[name], 500, 500)
            gan.averages[name] = average.module
        save_artifact(gan, tmp_path)
        return gan, tmp_path

    return make


def test_the_saved_generator_and_encoder_are_the_averages_with_folded_weights(
    trained: Callable[..., tuple[Gan, Path]],
) -> None:
    gan, folder = trained()
    served, batch = load_artifact(folder).networks, a_batch()
    assert set(served) == {"generator", "encoder"}
    assert not any(name.endswith(".u") for net in served.values() for name in net.state_dict())
    with torch.no_grad():
        styles = served["encoder"](batch["reals"])
        assert torch.equal(styles, gan.averages["encoder"](batch["reals"]))
        images = served["generator"](batch["label_maps"], styles)
        assert torch.equal(images, gan.averages["generator"](batch["label_maps"], styles))


def test_a_generator_without_encoder_is_saved_alone(
    trained: Callable[..., tuple[Gan, Path]],
) -> None:
    _, folder = trained(encoder=False, latent_dim=0)
    assert set(load_artifact(folder).networks) == {"generator"}
