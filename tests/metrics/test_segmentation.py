"""Label maps against the true ones: counted pixel by pixel, refused where they do not fit."""

import math

import pytest
import torch

from facegan.errors import MetricError
from facegan.metrics import class_ious, count_confusion, mean_iou, pixel_accuracy

TRUTH = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 3]]], dtype=torch.uint8)
FOUND = torch.tensor([[[0, 1, 1, 1], [0, 0, 0, 1]]], dtype=torch.uint8)


def test_each_pixel_is_counted_under_its_true_and_its_found_class() -> None:
    wanted = [[3, 1, 0, 0], [1, 2, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert count_confusion(TRUTH, FOUND, 4).tolist() == wanted


def test_iou_is_the_share_of_the_union_and_of_absent_classes_there_is_none() -> None:
    confusion = count_confusion(TRUTH, FOUND, 4)
    zero, one, absent, missed = class_ious(confusion).tolist()
    assert (zero, one, missed) == (3 / 5, 2 / 5, 0)
    assert math.isnan(absent)
    assert mean_iou(confusion) == pytest.approx((3 / 5 + 2 / 5 + 0) / 3)
    assert pixel_accuracy(confusion) == 5 / 8


def test_counts_of_batches_add_up() -> None:
    maps = torch.randint(0, 14, (6, 8, 8), generator=torch.Generator().manual_seed(1))
    other = torch.randint(0, 14, (6, 8, 8), generator=torch.Generator().manual_seed(2))
    parts = sum(
        count_confusion(a, b, 14) for a, b in zip(maps.split(2), other.split(2), strict=True)
    )
    assert torch.equal(parts, count_confusion(maps, other, 14))
    assert mean_iou(count_confusion(maps, maps, 14)) == 1


def test_other_shapes_and_unknown_classes_are_refused() -> None:
    with pytest.raises(MetricError, match=r"\(1, 2, 3\) cannot be compared.*\(1, 2, 4\)"):
        count_confusion(TRUTH, FOUND[..., :3], 4)
    with pytest.raises(MetricError, match="classes from 0 to 3; they may be 0 to 2"):
        count_confusion(TRUTH, FOUND, 3)
    with pytest.raises(MetricError, match="classes from -1 to 0"):
        count_confusion(TRUTH.long() * 0, -(FOUND.long() == 1).long(), 3)
