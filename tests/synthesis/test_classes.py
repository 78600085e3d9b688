"""Classes of a conditional model: requested, or derived from seeds; refused if unconditional."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegan.artifact import Artifact
from facegan.errors import RequestError
from facegan.synthesis import MAX_SEED, Synthesizer, labels_of_seeds, latents_of_seeds


@pytest.fixture(scope="module")
def synthesizer(conditional_artifact: Artifact) -> Synthesizer:
    return Synthesizer(conditional_artifact)


def test_a_seeds_class_is_a_function_of_the_seed_alone(
    synthesizer: Synthesizer, conditional_artifact: Artifact
) -> None:
    """The same in any batch; and the image is of that class."""
    together = labels_of_seeds(conditional_artifact.card, range(40)).tolist()
    for seed in (0, 7, 39):
        assert labels_of_seeds(conditional_artifact.card, [seed]).tolist() == [together[seed]]
    drawn = synthesizer.generate(seeds=range(40))
    assert np.array_equal(drawn, synthesizer.generate(seeds=range(40), classes=together))


def test_classes_of_seeds_are_as_frequent_as_in_the_data(conditional_artifact: Artifact) -> None:
    counts = np.bincount(labels_of_seeds(conditional_artifact.card, range(2000))) / 2000
    np.testing.assert_allclose(counts, [0.25, 0.5, 0.25], atol=0.04)


def test_a_seeds_latent_does_not_depend_on_its_class(
    synthesizer: Synthesizer, conditional_artifact: Artifact
) -> None:
    latents = latents_of_seeds(conditional_artifact.card, [3, 4])
    for name in conditional_artifact.classes:
        of_seeds = synthesizer.generate(seeds=[3, 4], classes=[name])
        assert np.array_equal(of_seeds, synthesizer.generate(latents=latents, classes=[name]))


@settings(max_examples=25)
@given(
    seeds=st.lists(st.integers(0, MAX_SEED), min_size=1, max_size=12),
    number=st.integers(0, 2),
    place=st.integers(0, 11),
)
def test_a_seed_and_a_class_give_the_same_bytes_in_any_batch(
    synthesizer: Synthesizer, seeds: list[int], number: int, place: int
) -> None:
    place %= len(seeds)
    classes = [(number + index) % 3 for index in range(len(seeds))]
    alone = synthesizer.generate(seeds=[seeds[place]], classes=[classes[place]])[0]
    assert np.array_equal(alone, synthesizer.generate(seeds=seeds, classes=classes)[place])


@pytest.mark.parametrize("classes", [[1], ["striped"], ["1"], [1, "striped", "1"]])
def test_a_class_is_an_index_or_a_name_and_one_may_apply_to_all(
    synthesizer: Synthesizer, classes: list[int | str]
) -> None:
    expected = synthesizer.generate(seeds=[1, 2, 3], classes=[1, 1, 1])
    assert np.array_equal(synthesizer.generate(seeds=[1, 2, 3], classes=classes), expected)
    assert (
        synthesizer.class_names(synthesizer.prepare_batch([1, 2, 3], classes=classes))
        == ("striped",) * 3
    )


def test_classes_change_images(synthesizer: Synthesizer) -> None:
    faces = synthesizer.generate(seeds=[5, 5, 5], classes=[0, 1, 2])
    assert len({face.tobytes() for face in faces}) == 3


def test_a_string_is_a_name_before_it_is_a_number(
    conditional_artifact: Artifact,
) -> None:
    """Folders named 1, 2, 3 are the classes 0, 1 and 2; `--classes 2` means the folder."""
    from dataclasses import replace

    card = replace(conditional_artifact.card, classes=(("1", 1), ("2", 1), ("3", 1)))
    named = Synthesizer(replace(conditional_artifact, card=card))
    assert named.class_names(named.prepare_batch([0], classes=["2"])) == ("2",)
    assert named.class_names(named.prepare_batch([0], classes=[2])) == ("3",)
    assert named.class_names(named.prepare_batch([0], classes=["0"])) == ("1",)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"seeds": [1, 2, 3], "classes": [0, 1]}, "2 classes do not fit 3 images"),
        ({"seeds": [1], "classes": []}, "0 classes do not fit 1 image"),
        ({"seeds": [1], "classes": [3]}, "Class 3 is out of range.*0 to 2"),
        ({"seeds": [1], "classes": [-1]}, "Class -1 is out of range"),
        ({"seeds": [1], "classes": ["3"]}, "Class 3 is out of range"),
        ({"seeds": [1], "classes": ["9" * 5000]}, "is out of range"),
        ({"seeds": [1], "classes": ["²"]}, "Unknown class"),
        ({"seeds": [1], "classes": ["stripes"]}, "Unknown class 'stripes'.*Did you mean striped"),
        ({"seeds": [1], "classes": ["x" * 10_000]}, "Known classes: plain, spotted, striped"),
        ({"latents": np.zeros((2, 16))}, "latents do not say which class.*plain, striped, spotted"),
    ],
)
def test_unknown_classes_are_refused(synthesizer: Synthesizer, asked: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        synthesizer.generate(**asked)
    assert len(str(caught.value)) < 200


def test_an_unconditional_model_refuses_classes(artifact: Artifact) -> None:
    with pytest.raises(RequestError, match=r"not conditional.*Leave classes out"):
        Synthesizer(artifact).generate(seeds=[1], classes=[0])
    synthesizer = Synthesizer(artifact)
    assert synthesizer.class_names(synthesizer.prepare_batch([1, 2])) is None
