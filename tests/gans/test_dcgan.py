"""DCGAN's own claims: the article's sizes to the parameter, its losses by hand."""

import math

import pytest
import torch
from torch import nn

from facegan.errors import ConfigError
from facegan.gans import FAMILIES, Gan, build_gan
from facegan.gans.dcgan.loss import discriminator_terms, generator_loss
from facegan.gans.dcgan.networks import widths_from


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_article32_is_the_articles_network_parameter_for_parameter() -> None:
    gan = build_gan("dcgan", "article32", (3, 32, 32))
    assert parameters(gan.players["generator"]) == 2_963_779
    assert parameters(gan.players["discriminator"]) == 11_147_009


def test_article32_has_the_articles_layers() -> None:
    gan = build_gan("dcgan", "article32", (3, 32, 32))
    shapes = [tuple(p.shape) for p in gan.players["generator"].parameters() if p.ndim > 1]
    assert shapes == [(2048, 100), (512, 256, 4, 4), (256, 128, 4, 4), (128, 64, 4, 4),
                      (64, 3, 4, 4)]  # fmt: skip
    discriminator = gan.players["discriminator"]
    convolutions = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512, 1024]
    assert all(m.bias is None for m in convolutions)
    normalised = [m.num_features for m in discriminator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert normalised == [128, 256, 512]


def test_article32_has_the_articles_recipe() -> None:
    family = FAMILIES["dcgan"]
    preset = family.presets["article32"]
    for adam in family.optimizers(preset).values():
        assert (adam.learning_rate, adam.beta1, adam.beta2) == (2e-4, 0.5, 0.999)
    assert preset.recipe["batch_size"] == 128
    latents = family.sample_latents(preset, 4000, torch.Generator().manual_seed(0))
    assert latents.min() >= -1 and latents.max() <= 1
    assert latents.std().item() == pytest.approx(1 / math.sqrt(3), rel=0.01)  # U(-1, 1)


def test_the_articles_initialisation_is_what_its_code_does() -> None:
    """He-uniform on convolutions: bound sqrt(6 / fan_in); transposed ones keep torch's default."""
    torch.manual_seed(0)
    discriminator = build_gan("dcgan", "article32", (3, 32, 32)).players["discriminator"]
    first = next(m for m in discriminator.modules() if isinstance(m, nn.Conv2d))
    assert first.weight.abs().max() <= math.sqrt(6 / (3 * 16))
    assert first.weight.std().item() == pytest.approx(math.sqrt(2 / (3 * 16)), rel=0.05)


def test_images_lie_between_minus_one_and_one() -> None:
    """The generator ends in tanh (arXiv:1511.06434, section 3)."""
    gan = build_gan("dcgan", "tiny", (3, 32, 32), seed=0)
    assert gan.players["generator"](100 * torch.randn(4, 16)).abs().max() <= 1


def test_zero_self_modulation_is_the_plain_generator() -> None:
    """Gains are added to 1 and shifts to 0 (arXiv:1810.01365, equation 3)."""
    plain, modulated = (
        build_gan("dcgan", "tiny", (3, 32, 32), seed=0, self_modulation=is_on).players["generator"]
        for is_on in (False, True)
    )
    modulated.load_state_dict(plain.state_dict(), strict=False)
    latents = torch.randn(4, 16)
    assert not torch.equal(modulated(latents), plain(latents))
    for weight in modulated.modulations.parameters():
        nn.init.zeros_(weight)
    torch.testing.assert_close(modulated(latents), plain(latents))


def test_self_modulation_reaches_every_normalised_layer() -> None:
    generator = build_gan("dcgan", "tiny", (3, 32, 32), self_modulation=True).players["generator"]
    norms = [m.num_features for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [m.linear.out_features for m in generator.modulations] == [2 * n for n in norms]
    generator(torch.randn(4, 16)).square().mean().backward()
    assert all(m.linear.weight.grad.abs().sum() > 0 for m in generator.modulations)


class WeightedSum(nn.Module):
    """A network that returns the sum of its input times a weight."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).sum(1) * self.weight


def by_hand(weight: float) -> Gan:
    players = {"generator": nn.Identity(), "discriminator": WeightedSum(weight)}
    family = FAMILIES["dcgan"]
    return Gan(family, "tiny", family.presets["tiny"], (1, 1, 2), players)


def test_the_discriminators_terms_worked_by_hand() -> None:
    """On a two-pixel image with logits 1 and -2: softplus(-1) and softplus(-2)."""
    reals, fakes = torch.tensor([[0.25, 0.25]]), torch.tensor([[-0.5, -0.5]])
    terms = discriminator_terms(by_hand(2.0), {"reals": reals}, fakes)
    assert terms["reals"].item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert terms["fakes"].item() == pytest.approx(math.log(1 + math.exp(-2)))


def test_a_target_below_one_is_label_smoothing() -> None:
    """Logit 1 against a target of 0.9: -0.9 log D - 0.1 log(1 - D)."""
    gan = by_hand(2.0)
    gan.preset = gan.preset.replaced({"real_target": 0.9})
    image = torch.tensor([[0.25, 0.25]])
    chance = 1 / (1 + math.exp(-1))
    expected = -0.9 * math.log(chance) - 0.1 * math.log(1 - chance)
    assert discriminator_terms(gan, {"reals": image}, image)["reals"].item() == pytest.approx(
        expected
    )


def test_the_generators_term_worked_by_hand() -> None:
    """Non-saturating: the loss is softplus(-logit), its gradient -sigmoid(-logit)."""
    gan = by_hand(2.0)
    latents = torch.tensor([[0.5, 0.25]], requires_grad=True)
    term = generator_loss(gan, {"latents": latents})["generator"]
    (gradient,) = torch.autograd.grad(term, latents)
    assert term.item() == pytest.approx(math.log(1 + math.exp(-1.5)))
    expected = -2.0 / (1 + math.exp(1.5))
    assert gradient.tolist()[0] == pytest.approx([expected, expected])


def test_shared_fakes_reach_the_discriminator_without_the_generators_graph() -> None:
    batch = {"latents": torch.ones(1, 2, requires_grad=True)}
    generator_loss(by_hand(1.0), batch)
    assert not batch["fakes"].requires_grad


def test_the_standard_64px_generator_has_the_papers_widths() -> None:
    assert widths_from(128, 4)[::-1] == [1024, 512, 256, 128]  # arXiv:1511.06434, figure 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_dmi": 3}, "Did you mean conv_dim"),
        ({"latent_dim": 0}, "between 1 and 4096"),
        ({"latent_dim": "many"}, "must be a whole number"),
        ({"beta1": "nan"}, "finite"),
        ({"share_fakes": "maybe"}, "share_fakes is 'maybe'"),
        ({"latent_distribution": "norml"}, "Did you mean normal"),
    ],
)
def test_a_wrong_hyperparameter_is_named_with_the_fix(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_gan("dcgan", "tiny", (3, 32, 32), **changes)


@pytest.mark.parametrize(
    ("family", "preset", "message"),
    [("dcgna", "tiny", "Did you mean dcgan"), ("dcgan", "tyni", "Did you mean tiny")],
)
def test_an_unknown_family_or_preset_offers_the_nearest(
    family: str, preset: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_gan(family, preset, (3, 32, 32))
