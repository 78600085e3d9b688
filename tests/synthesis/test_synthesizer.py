"""One seed gives one image, in any batch and by any kind of request."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facegan.artifact import Artifact
from facegan.errors import RequestError
from facegan.synthesis import MAX_SEED, Synthesizer, latents_of_seeds
from facegan.synthesis.torch_backend import to_pixels


@pytest.fixture(scope="module")
def synthesizer(artifact: Artifact) -> Synthesizer:
    return Synthesizer(artifact)


@settings(max_examples=40)
@given(
    seeds=st.lists(st.integers(0, MAX_SEED), min_size=1, max_size=20),
    place=st.integers(0, 19),
)
def test_a_seed_gives_the_same_bytes_in_any_batch(
    synthesizer: Synthesizer, seeds: list[int], place: int
) -> None:
    seed = seeds[place % len(seeds)]
    alone = synthesizer.generate(seeds=[seed])[0]
    assert np.array_equal(alone, synthesizer.generate(seeds=seeds)[place % len(seeds)])


def test_a_large_generator_gives_the_same_bytes_too(artifact: Artifact) -> None:
    """The article's widths at 64 px, where kernels for different batch sizes do differ."""
    from facegan.gans import build_gan

    gan = build_gan("dcgan", "article32", (3, 64, 64), seed=0)
    generator = gan.generator_ema.eval().requires_grad_(False)
    card = replace(artifact.card, latent_dim=gan.preset.latent_dim)
    large = Synthesizer(Artifact(generator, card, gan.family, gan.preset))
    together = large.generate(seeds=range(19))
    for seed in (0, 7, 8, 18):
        assert np.array_equal(together[seed], large.generate(seeds=[seed])[0])


def test_latents_of_seeds_give_the_images_of_seeds(
    synthesizer: Synthesizer, artifact: Artifact
) -> None:
    latents = latents_of_seeds(artifact.card, [3, 4])
    assert np.array_equal(synthesizer.generate(latents=latents), synthesizer.generate(seeds=[3, 4]))


def test_latents_are_floats_of_any_width_or_lists(synthesizer: Synthesizer) -> None:
    zeros = np.zeros((1, 16), np.float32)
    expected = synthesizer.generate(latents=zeros)
    for same in (zeros.astype(np.float64), [[0] * 16], [[0.0] * 16], ((0,) * 16,)):
        assert np.array_equal(expected, synthesizer.generate(latents=same))


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64, bool])
def test_an_array_of_integers_is_not_latents(synthesizer: Synthesizer, kind: type) -> None:
    """It may be a label map or an image of another model, and would give nonsense."""
    with pytest.raises(RequestError, match=r"integers .* is not latents.*floats|do not fit"):
        synthesizer.generate(latents=np.zeros((2, 16), kind))


def test_pixels_are_rounded_to_the_nearest_level() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0, 1 - 0.6 / 127.5]).view(1, 1, 1, 6)
    images = to_pixels(values.expand(1, 3, 1, 6))
    assert images.shape == (1, 1, 6, 3)
    assert images[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255, 254]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "either seeds or latents"),
        ({"seeds": [1], "latents": [[0.0] * 16]}, "either seeds or latents"),
        ({"seeds": [-1]}, "seed -1 is out of range"),
        ({"seeds": [2**32]}, "out of range"),
        ({"latents": [[0.0] * 15]}, r"shape \(1, 15\).*\(N, 16\)"),
        ({"latents": [0.0] * 16}, r"shape \(16,\)"),
        ({"latents": [[float("nan")] * 16]}, "NaN"),
        ({"latents": np.full((1, 16), 1e300)}, "infinite"),
        ({"latents": [["a"] * 16]}, "do not fit"),
        ({"latents": np.zeros((1, 16), complex)}, "do not fit"),
        ({"seeds": [1], "truncation_psi": 0.5}, "has no truncation"),
    ],
)
def test_requests_that_do_not_fit_the_model_are_refused(
    synthesizer: Synthesizer, asked: dict, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        synthesizer.generate(**asked)


def test_no_latents_give_no_images(synthesizer: Synthesizer) -> None:
    assert synthesizer.generate(latents=np.zeros((0, 16))).shape == (0, 32, 32, 3)
