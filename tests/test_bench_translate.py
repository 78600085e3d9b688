"""The benchmark of image to image: what it calls good is good, and trivial answers are seen."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from facegan.data.toy_faces import LABELS
from facegan.metrics import count_confusion, mean_absolute_difference, mean_iou
from facegan.metrics.segmenter import Segmenter, class_weights

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path[:0] = [str(BENCHMARKS)]

import bench_translate as bench  # noqa: E402
from segmenter import (  # noqa: E402
    WEIGHTS,
    WrongWeightsError,
    load_segmenter,
    train,
)

HELD_OUT = 24


@pytest.fixture(scope="module")
def judge() -> bench.Judge:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "HELD_OUT", HELD_OUT)
        patch.setattr(bench, "FACES", 4 * HELD_OUT)
        found = bench.Judge()
        assert len(found.training[0]) == HELD_OUT  # drawn while there are few
        yield found


@dataclass
class Answers:
    """A model that gives known answers: a function of the request."""

    answer: object
    name: str = "known"

    def make(self, seeds: object = None, **inputs: object) -> Tensor:
        return self.answer(seeds, **inputs)  # type: ignore[operator]

    def show(self, *columns: Tensor, name: str = "") -> None:
        assert len({len(column) for column in columns}) == 1
        assert all(column.dtype == torch.uint8 and column.shape[1] == 3 for column in columns)


# --- the segmenter ------------------------------------------------------------------------------


def test_the_segmenter_reads_faces_it_has_not_seen() -> None:
    """The score that docs/results.md names, on faces of yet another seed."""
    images, maps = bench.draw(77, 500)
    confusion = count_confusion(maps, load_segmenter().read(images), len(LABELS))
    assert mean_iou(confusion) > 0.78


def test_the_segmenter_and_its_weights_are_small_and_checked(tmp_path: Path) -> None:
    assert WEIGHTS.stat().st_size < 2**20
    other = load_file(WEIGHTS)
    other["classes.bias"] = other["classes.bias"] + 1
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(WrongWeightsError, match="has the digest"):
        load_segmenter(tmp_path / "other.safetensors")
    with pytest.raises(WrongWeightsError, match="missing"):
        load_segmenter(tmp_path / "none.safetensors")


def test_rare_classes_weigh_more_and_a_pixel_one_on_average() -> None:
    _, maps = bench.draw(5, 200)
    weights = class_weights(maps, len(LABELS))
    shares = torch.bincount(maps.flatten().long(), minlength=len(LABELS)) / maps.numel()
    assert weights[shares.argmin()] == weights.max() > 5 > 1 > weights.min()
    assert weights[maps.long()].mean() == pytest.approx(1, abs=1e-3)


def test_training_lowers_the_loss_of_the_segmenter() -> None:
    torch.manual_seed(0)
    images, maps = bench.draw(5, 32)
    trained = train(images, maps, steps=12)
    untrained = Segmenter(len(LABELS)).eval()
    right = [(net.read(images) == maps).float().mean() for net in (untrained, trained)]
    assert right[1] > right[0] + 0.15


# --- the scores ---------------------------------------------------------------------------------


def test_trivial_answers_are_what_they_are_called(judge: bench.Judge) -> None:
    """Flat colours obey the map and look unreal; the true faces are as near as can be."""
    true, other, flat, mean = judge.trivial()
    assert (true.l1, true.ssim) == (0, 1)
    assert true.miou is not None and 0.7 < true.miou < 1
    assert flat.miou is not None and flat.miou > 0.6 * true.miou
    assert other.miou is not None and other.miou < 0.4 * true.miou
    assert mean.l1 is not None and other.l1 is not None and flat.l1 is not None
    assert flat.l1 < mean.l1 < other.l1
    assert other.kid is not None and flat.kid is not None and mean.kid is not None
    assert other.kid < flat.kid < mean.kid


def test_flat_colours_are_the_mean_colours_of_the_training_faces(judge: bench.Judge) -> None:
    images, maps = judge.training
    hair = images.permute(0, 2, 3, 1)[maps == LABELS.index("hair")].double().mean(0)
    painted = judge.flat_colours().permute(0, 2, 3, 1)[judge.maps == LABELS.index("hair")]
    assert len(painted.unique(dim=0)) == 1
    assert (painted[0] - hair).abs().max() <= 0.5


def test_leaving_the_image_alone_is_a_share_of_one_and_the_truth_one_of_nothing(
    judge: bench.Judge,
) -> None:
    night, _ = bench.draw(bench.TEST_SEED, HELD_OUT, "night")
    truth = {"AtoB": night, "BtoA": judge.faces}

    def unchanged(seeds: object, images: Tensor, direction: str) -> Tensor:
        return images

    def true(seeds: object, images: Tensor, direction: str) -> Tensor:
        return truth[direction]

    assert bench.score_night(judge, Answers(unchanged)) == {
        "cyclegan_l1_share": 1,
        "cyclegan_cycle_l1": 0,
    }
    assert bench.score_night(judge, Answers(true))["cyclegan_l1_share"] == 0


def test_the_worse_direction_counts(judge: bench.Judge, capsys: pytest.CaptureFixture[str]) -> None:
    """Only day becomes night; night stays as it is, and so does not come back."""
    night, _ = bench.draw(bench.TEST_SEED, HELD_OUT, "night")

    def one_way(seeds: object, images: Tensor, direction: str) -> Tensor:
        return night if direction == "AtoB" else images

    found = bench.score_night(judge, Answers(one_way))
    assert found["cyclegan_l1_share"] == 1
    apart = mean_absolute_difference(night, judge.faces)
    assert found["cyclegan_cycle_l1"] == pytest.approx(apart)
    there, back = (line for line in capsys.readouterr().out.splitlines() if "known" in line)
    assert there.startswith("AtoB: known") and "0.000" in there and "0.000" not in back.split()[5]


def test_the_gain_of_a_sketch_is_over_the_mean_face(judge: bench.Judge) -> None:
    assert bench.score_sketch(judge, Answers(lambda seeds, images: judge.faces)) == {
        "pix2pix_sketch_l1_gain": 1
    }
    mean = bench.score_sketch(judge, Answers(lambda seeds, images: judge.mean_face()))
    assert mean["pix2pix_sketch_l1_gain"] == pytest.approx(0)


def test_faces_of_maps_are_compared_with_true_faces(judge: bench.Judge) -> None:
    real = bench.score_map(judge, Answers(lambda seeds, label_maps: judge.faces))
    flat = bench.score_map(judge, Answers(lambda seeds, label_maps: judge.flat_colours()))
    assert real["pix2pix_map_kid"] < 0.1 < flat["pix2pix_map_kid"]


def test_styles_seeds_and_diversity(judge: bench.Judge) -> None:
    """A model that shifts levels by the seed, and knows the truth if it gets the style."""

    def shifted(seeds: object, label_maps: Tensor, styles: Tensor | None = None) -> Tensor:
        if styles is not None:
            assert seeds is None
            return judge.faces
        levels = torch.tensor([int(seed) % 2 * 51 for seed in seeds])  # type: ignore[union-attr]
        return (100 + levels).to(torch.uint8).view(-1, 1, 1, 1).expand_as(judge.faces).contiguous()

    found = bench.score_spade(judge, Answers(shifted))
    assert found["spade_diversity"] == pytest.approx(0.2)
    assert found["spade_style_l1"] == 0
    assert found["spade_miou_share"] < 0.3


def test_a_row_shows_what_has_no_score_as_a_dash() -> None:
    line = bench.line_of(bench.Row("known", l1=0.25))
    assert line.split() == ["known", "–", "–", "–", "0.250", "–", "–", "–"]
    assert len(line) == len(bench.HEAD)
