"""Style mixing, from no layers to all."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facegan.artifact import Artifact, load_artifact, save_artifact
from facegan.errors import RequestError
from facegan.gans import build_gan
from facegan.synthesis import Synthesizer

SEEDS, OTHERS = [0, 1, 2, 3, 4], [7, 8, 9]


@pytest.fixture(scope="module")
def synthesizer(tmp_path_factory: pytest.TempPathFactory) -> Synthesizer:
    """A generator of eight layers whose mean style is not zero."""
    folder = tmp_path_factory.mktemp("mixing")
    gan = build_gan("stylegan2", "tiny", (3, 32, 32), seed=0)
    generator = gan.players["generator"]
    for _ in range(30):
        generator.map(torch.randn(32, 16, generator=torch.Generator().manual_seed(0)))
    save_artifact(gan, folder)
    return Synthesizer(load_artifact(folder))


@pytest.mark.parametrize("psi", [1.0, 0.5])
def test_no_layers_give_the_first_images_and_all_layers_the_second(
    synthesizer: Synthesizer, psi: float
) -> None:
    """To the byte, truncated or not."""
    first = synthesizer.generate(SEEDS, truncation_psi=psi)
    second = synthesizer.generate(OTHERS, truncation_psi=psi)
    none = synthesizer.mix(SEEDS, OTHERS, [], psi)
    every = synthesizer.mix(SEEDS, OTHERS, range(8), psi)
    assert none.shape == every.shape == (5, 3, 32, 32, 3) and none.dtype == np.uint8
    for row in range(5):
        for column in range(3):
            assert np.array_equal(none[row, column], first[row])
            assert np.array_equal(every[row, column], second[column])


def test_some_layers_give_neither_image(synthesizer: Synthesizer) -> None:
    first, second = synthesizer.generate([0]), synthesizer.generate([7])
    for layers in ([0], [7], [3, 5], range(4)):
        mixed = synthesizer.mix([0], [7], layers)[0]
        assert not np.array_equal(mixed, first) and not np.array_equal(mixed, second)


def test_by_default_the_finer_half_follows_the_others(synthesizer: Synthesizer) -> None:
    assert synthesizer.style_layers == 8
    expected = synthesizer.mix(SEEDS, OTHERS, [4, 5, 6, 7])
    assert np.array_equal(synthesizer.mix(SEEDS, OTHERS), expected)


def test_mixing_the_other_layers_swaps_the_roles(synthesizer: Synthesizer) -> None:
    one = synthesizer.mix(SEEDS, OTHERS, [0, 1, 2])
    two = synthesizer.mix(OTHERS, SEEDS, [3, 4, 5, 6, 7])
    assert np.array_equal(one, two.swapaxes(0, 1))


@settings(max_examples=15)
@given(
    row=st.integers(0, 4),
    column=st.integers(0, 2),
    layers=st.lists(st.integers(0, 7), max_size=8),
)
def test_a_mixed_image_has_the_same_bytes_in_any_table(
    synthesizer: Synthesizer, row: int, column: int, layers: list[int]
) -> None:
    table = synthesizer.mix(SEEDS, OTHERS, layers)
    alone = synthesizer.mix([SEEDS[row]], [OTHERS[column]], sorted(set(layers)))
    assert np.array_equal(table[row, column], alone[0, 0])


def test_truncation_reduces_the_variety_of_mixed_images(synthesizer: Synthesizer) -> None:
    wide, narrow = (synthesizer.mix(SEEDS, OTHERS, None, psi).astype(float) for psi in (1, 0.3))
    assert narrow.std((0, 1)).mean() < 0.6 * wide.std((0, 1)).mean()


def test_classes_are_of_the_seeds_and_then_of_the_others(conditional_artifact: Artifact) -> None:
    model = Synthesizer(conditional_artifact)
    table = model.mix([1, 2], [3], range(8), classes=[0, 1, 2])
    assert np.array_equal(table[0, 0], model.generate([3], classes=[2])[0])
    table = model.mix([1, 2], [3], [], classes=[0, 1, 2])
    assert np.array_equal(table[:, 0], model.generate([1, 2], classes=[0, 1]))
    table = model.mix([1, 2], [3], [], classes=["spotted"])
    assert np.array_equal(table[:, 0], model.generate([1, 2], classes=["spotted"]))
    assert np.array_equal(model.mix([1, 2], [3], [])[:, 0], model.generate([1, 2]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0], [1], [8]), "layer 8 is out of range.*from 0, .* to 7"),
        (([0], [1], [-1]), "layer -1"),
        (([-1], [1]), "seed -1"),
        (([0], [2**32]), "seed 4294967296"),
        (([0], [1], None, 1.0, [0]), "not conditional"),
    ],
)
def test_what_cannot_be_mixed_is_refused(
    synthesizer: Synthesizer, arguments: tuple, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        synthesizer.mix(*arguments)


def test_a_family_without_styles_says_so(artifact: Artifact) -> None:
    with pytest.raises(RequestError, match="'dcgan' has no styles to mix"):
        Synthesizer(artifact).mix([0], [1])
