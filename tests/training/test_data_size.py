"""A small data set is said before a run, once, and how it gets better."""

import pytest

from facegan.training import TrainingConfig
from facegan.training.data_size import AUGMENTATION, advice_on_size


@pytest.mark.parametrize(("images", "augment", "told"), [
    (1, "none", "1 image is so few"), (99, "none", AUGMENTATION), (99, "blit", "so few"),
    (100, "none", AUGMENTATION), (4_999, "none", "4,999 images"), (4_999, "color", ""),
    (5_000, "none", ""),
])  # fmt: skip
def test_what_is_said(images: int, augment: str, told: str) -> None:
    said = advice_on_size(images, augment)
    assert told in said and bool(said) is bool(told)
    assert not (augment != "none" and AUGMENTATION in said)


def test_what_it_tells_to_type_is_a_setting() -> None:
    _, augment, _, probability = AUGMENTATION.split()
    TrainingConfig(augment=augment, augment_probability=probability)
