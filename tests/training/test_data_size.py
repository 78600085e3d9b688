"""Advice for small data sets, printed before a run."""

import pytest

from facegan.training import TrainingConfig
from facegan.training.data_size import AUGMENTATION, advice_on_size


@pytest.mark.parametrize(("images", "augment", "expected"), [
    (1, "none", "1 image is so few"), (99, "none", AUGMENTATION), (99, "blit", "so few"),
    (100, "none", AUGMENTATION), (4_999, "none", "4,999 images"), (4_999, "color", ""),
    (5_000, "none", ""),
])  # fmt: skip
def test_advice_depends_on_size_and_augmentation(images: int, augment: str, expected: str) -> None:
    advice = advice_on_size(images, augment)
    assert expected in advice and bool(advice) is bool(expected)
    assert not (augment != "none" and AUGMENTATION in advice)


def test_the_advised_settings_are_valid() -> None:
    _, augment, _, probability = AUGMENTATION.split()
    TrainingConfig(augment=augment, augment_probability=probability)
