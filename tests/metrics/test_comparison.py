"""Comparisons: protocols, counts, and a cache that is never trusted blindly."""

import json
import sys
from pathlib import Path

import pytest
import torch
from noise import Noise, Pooled

from facegan.errors import MetricError
from facegan.metrics import Comparison, Extractor, FeatureCache
from facegan.metrics.cache import pack_features

SEEDS = "seeds 0 to 29"


def calls(extractor: Extractor) -> int:
    """How many images an extractor has looked at."""
    assert isinstance(extractor.network, Pooled)
    return extractor.network.calls


def test_alike_pictures_score_better_than_others(pooled: Extractor) -> None:
    comparison = Comparison(Noise(60), pooled, samples=30)
    alike = comparison.scores(Noise(30, seed=1).images.split(7))
    other = comparison.scores(Noise(30, level=190, seed=2).images.split(64))
    assert alike["fd_lite0"] < other["fd_lite0"] and alike["kid_lite0"] < other["kid_lite0"]
    assert alike["precision_lite0"] > 0.8 > other["precision_lite0"]


def test_real_pictures_are_looked_at_once(pooled: Extractor) -> None:
    comparison = Comparison(Noise(60), pooled, samples=5, most_pictures=40)
    for _ in range(2):
        comparison.scores([Noise(5, seed=1).images])
    assert calls(pooled) == 40 + 2 * 5


def test_which_pictures_are_taken_is_random_but_always_the_same(pooled: Extractor) -> None:
    """Folders are often sorted by what they show; the first of them would not be like all."""
    pictures = Noise(60)
    one, two = (Comparison(pictures, pooled, 5, most_pictures=20).reals() for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, pooled(pictures.images[:20]))


def test_the_protocol_says_all_that_the_numbers_depend_on(pooled: Extractor) -> None:
    pictures = Noise(60)
    about = {"name": "noise", "crop": "centre square", "resize_filter": "Lanczos"}
    comparison = Comparison(pictures, pooled, 30, most_pictures=50, about=about)
    said = comparison.protocol(SEEDS).as_dict()
    assert said == json.loads(json.dumps(said))
    assert said["data"] == {**about, "digest": pictures.digest}
    assert said["extractor"] == pooled.protocol
    assert (said["samples"], said["samples_are"], said["pictures"]) == (30, SEEDS, 50)
    assert (said["kid_subsets"], said["kid_subset_size"]) == (100, 15)
    assert (said["neighbours"], said["neighbours_among"]) == (3, 30)
    assert said["computed_by"].startswith("torch-fidelity ")


@pytest.mark.parametrize(("samples", "pictures"), [(3, 60), (60, 3)])
def test_too_few_are_refused_before_any_work(
    pooled: Extractor, samples: int, pictures: int
) -> None:
    with pytest.raises(MetricError, match="at least 4"):
        Comparison(Noise(pictures), pooled, samples)
    assert calls(pooled) == 0


def test_missing_torch_fidelity_is_said_before_any_work(
    pooled: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)  # as import does where there is none
    with pytest.raises(MetricError, match="Metrics need torch-fidelity"):
        Comparison(Noise(60), pooled, samples=30)


def test_a_stream_that_ends_early_is_not_scored(pooled: Extractor) -> None:
    with pytest.raises(ValueError, match="29 samples came, not 30"):
        Comparison(Noise(60), pooled, samples=30).scores([Noise(29).images])


def test_small_sets_carry_a_caution(pooled: Extractor) -> None:
    assert "12 dimensions" in Comparison(Noise(60), pooled, samples=12).caution
    assert Comparison(Noise(60), pooled, samples=13).caution == ""


# --- the cache -----------------------------------------------------------------------------------


def test_what_is_read_in_sequence_has_the_same_features(pooled: Extractor) -> None:
    """Those of tars: read in the order in which they lie, and given in the order of all others."""

    class Sequence(Noise):
        reads_in_sequence = True
        asked: list[int]

        def read(self, indices: torch.Tensor) -> torch.Tensor:
            self.asked = [*getattr(self, "asked", []), *indices.tolist()]
            return super().read(indices)

    plain, sequence = Noise(200), Sequence(200)
    one, two = (Comparison(p, pooled, 5, most_pictures=150).reals() for p in (plain, sequence))
    assert sequence.asked == sorted(sequence.asked) and len(sequence.asked) == 150
    torch.testing.assert_close(one, two)


def reals(extractor: Extractor, folder: Path, pictures: Noise | None = None, most: int = 40) -> int:
    """How many pictures had to be looked at, with a cache in a folder."""
    before = calls(extractor)
    cache = FeatureCache(folder)
    found = Comparison(pictures or Noise(60), extractor, 5, most, cache=cache).reals()
    assert torch.equal(found, Comparison(pictures or Noise(60), extractor, 5, most).reals())
    return calls(extractor) - before - most  # the line above looked at `most`


def test_features_are_kept_for_the_next_process(pooled: Extractor, tmp_path: Path) -> None:
    assert reals(pooled, tmp_path / "new") == 40
    assert reals(pooled, tmp_path / "new") == 0
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_other_pictures_counts_and_extractors_have_features_of_their_own(
    pooled: Extractor, tmp_path: Path
) -> None:
    assert reals(pooled, tmp_path) == 40
    assert reals(pooled, tmp_path, Noise(60, seed=1)) == 40
    assert reals(pooled, tmp_path, most=30) == 30
    other = Extractor("lite0", Pooled(), 12, "none", "1" * 64)
    assert reals(other, tmp_path) == 40
    assert reals(pooled, tmp_path) == 0


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "another's", "no key"])
def test_a_damaged_file_is_named_and_made_again(
    pooled: Extractor, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    reals(pooled, tmp_path)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    file.write_bytes({
        "cut": content[:-8],
        "flipped": content[:-1] + bytes([content[-1] ^ 1]),
        "emptied": b"",
        "another's": pack_features(torch.zeros(40, 12), "{}"),
        "no key": content.replace(b"sha256", b"sha255"),
    }[damage])  # fmt: skip
    assert reals(pooled, tmp_path) == 40
    assert f"{file.name} is damaged" in caplog.text
    assert reals(pooled, tmp_path) == 0


def test_a_cache_that_cannot_be_written_is_said_and_costs_nothing_else(
    pooled: Extractor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert reals(pooled, tmp_path / "file" / "cache") == 40
    assert "no features are kept" in caplog.text
