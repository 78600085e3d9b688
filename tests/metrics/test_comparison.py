"""Comparisons: protocols, counts, and a cache whose files are checked."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from noise import Noise, Pooled
from safetensors.torch import save

from facegan.errors import MetricError
from facegan.metrics import Comparison, Extractor, FeatureCache, FeatureSet, comparison, feature_set
from facegan.metrics import scores as compute_scores
from facegan.metrics.cache import pack_features, read_features

SEEDS = "seeds 0 to 29"


def calls(extractor: Extractor) -> int:
    """Return how many images an extractor has processed."""
    assert isinstance(extractor.network, Pooled)
    return extractor.network.calls


def test_similar_images_score_better_than_others(pooled: Extractor) -> None:
    comparison = Comparison(Noise(60), pooled, samples=30)
    alike = comparison.scores(Noise(30, seed=1).images.split(7))
    other = comparison.scores(Noise(30, level=190, seed=2).images.split(64))
    assert alike["fd_lite0"] < other["fd_lite0"] and alike["kid_lite0"] < other["kid_lite0"]
    assert alike["precision_lite0"] > 0.8 > other["precision_lite0"]


def test_real_images_are_processed_once(pooled: Extractor) -> None:
    comparison = Comparison(Noise(60), pooled, samples=5, max_reals=40)
    for _ in range(2):
        comparison.scores([Noise(5, seed=1).images])
    assert calls(pooled) == 40 + 2 * 5


def test_the_choice_of_images_is_random_but_always_the_same(pooled: Extractor) -> None:
    """Folders are often sorted by content, so the first images do not represent all."""
    images = Noise(60)
    one, two = (Comparison(images, pooled, 5, max_reals=20).reals().rows for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, pooled(images.images[:20]))


def test_the_protocol_has_all_that_the_metrics_depend_on(pooled: Extractor) -> None:
    images = Noise(60)
    about = {"name": "noise", "crop": "centre square", "resize_filter": "Lanczos"}
    comparison = Comparison(images, pooled, 30, max_reals=50, about=about)
    protocol = comparison.protocol(SEEDS).as_dict()
    assert protocol == json.loads(json.dumps(protocol))
    assert protocol["data"] == {**about, "digest": images.digest}
    assert protocol["extractor"] == pooled.protocol
    assert (protocol["samples"], protocol["samples_are"], protocol["pictures"]) == (30, SEEDS, 50)
    assert (protocol["kid_subsets"], protocol["kid_subset_size"]) == (100, 15)
    assert (protocol["neighbours"], protocol["neighbours_among"]) == (3, 30)
    assert (protocol["fid_as_published"], protocol["kid_among"]) == (False, 50_000)
    assert protocol["computed_by"].startswith("torch-fidelity ")


# --- FID as published -----------------------------------------------------------------------------


@pytest.fixture
def small_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace 50,000 images and rows by 50."""
    monkeypatch.setattr(comparison, "MAX_REALS", 50)
    monkeypatch.setattr(comparison, "MAX_ROWS", 50)
    monkeypatch.setattr(feature_set, "MAX_ROWS", 50)
    monkeypatch.setattr(sys.modules["facegan.metrics.scores"], "PUBLISHED_SAMPLES", 50)


@pytest.mark.parametrize(
    ("name", "samples", "most", "images", "is_published"),
    [
        ("inception", 50, None, 70, True),
        ("inception", 60, None, 70, True),
        ("inception", 49, None, 50, False),
        ("inception", 50, 50, 50, False),  # requested
        ("inception", 50, 99, 70, True),
        ("lite0", 50, None, 50, False),
    ],
)
def test_fid_of_50000_samples_uses_all_real_images(
    small_papers: None, name: str, samples: int, most: int | None, images: int, is_published: bool
) -> None:
    extractor = Extractor(name, Pooled(), 12, "none", "0" * 64)
    found = Comparison(Noise(70), extractor, samples, most)
    protocol = found.protocol(SEEDS).as_dict()
    assert (protocol["samples"], protocol["pictures"]) == (samples, images)
    assert protocol["fid_as_published"] is is_published
    assert protocol["neighbours_among"] == min(samples, images, 50)


@pytest.mark.parametrize("in_sequence", [False, True])
def test_fid_uses_all_images_and_other_metrics_the_first_rows(
    small_papers: None, tmp_path: Path, in_sequence: bool
) -> None:
    """Memory and cache hold 50 rows of 70, whatever the order of reading."""
    extractor = Extractor("inception", Pooled(), 12, "none", "0" * 64)
    images, fakes = Noise(70), Noise(50, level=140, seed=1).images
    if in_sequence:
        images.reads_in_sequence = True  # type: ignore[attr-defined]
    cache = FeatureCache(tmp_path)
    first, second = (Comparison(images, extractor, 50, cache=cache) for _ in range(2))
    found, again = (it.scores(fakes.split(7)) for it in (first, second))
    assert found == again and calls(extractor) == 70 + 2 * 50
    assert first.reals().rows.shape == second.reals().rows.shape == (50, 12)
    features, order = extractor(images.images), torch.Generator().manual_seed(0)
    chosen = torch.randperm(70, generator=order)
    torch.testing.assert_close(first.reals().rows, features[chosen][:50])
    of_all = compute_scores(extractor(fakes), features[chosen], "inception")
    of_rows = compute_scores(extractor(fakes), features[chosen][:50], "inception")
    assert found["fid"] == pytest.approx(of_all["fid"], rel=1e-6)
    assert found["fid"] != pytest.approx(of_rows["fid"], rel=1e-3)
    for name in ("kid", "precision_inception", "recall_inception"):
        assert found[name] == pytest.approx(of_rows[name], rel=1e-6), name


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_moments_equal_numpys_for_any_blocks(shift: float) -> None:
    rows = torch.randn(300, 7, generator=torch.Generator().manual_seed(0)).double() + shift
    moments = feature_set.Moments(7)
    for block in rows.split(41):
        moments.add(block)
    np.testing.assert_allclose(moments.mean, rows.mean(0))
    np.testing.assert_allclose(moments.covariance, np.cov(rows.T), rtol=1e-8, atol=1e-10)


def test_features_of_earlier_versions_are_read(tmp_path: Path, pooled: Extractor) -> None:
    """Their files have all rows and nothing else."""
    features = torch.randn(40, 12)
    file = tmp_path / "old.safetensors"
    digest = hashlib.sha256(features.numpy().data).hexdigest()
    file.write_bytes(save({"features": features}, {"key": "{}", "sha256": digest}))
    found = read_features(file, "{}")
    assert torch.equal(found.rows, features) and found.count == 40
    np.testing.assert_allclose(found.covariance, np.cov(features.double().T), rtol=1e-6, atol=1e-9)


# --- counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "images"), [(3, 60), (60, 3)])
def test_too_few_are_refused_before_any_work(pooled: Extractor, samples: int, images: int) -> None:
    with pytest.raises(MetricError, match="at least 4"):
        Comparison(Noise(images), pooled, samples)
    assert calls(pooled) == 0


def test_missing_torch_fidelity_is_reported_before_any_work(
    pooled: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)  # as if it were not installed
    with pytest.raises(MetricError, match="Metrics need torch-fidelity"):
        Comparison(Noise(60), pooled, samples=30)


def test_a_stream_that_ends_early_is_not_scored(pooled: Extractor) -> None:
    with pytest.raises(ValueError, match="29 samples came, not 30"):
        Comparison(Noise(60), pooled, samples=30).scores([Noise(29).images])


def test_small_sets_have_a_warning(pooled: Extractor) -> None:
    assert "12 dimensions" in Comparison(Noise(60), pooled, samples=12).small_sample_warning
    assert Comparison(Noise(60), pooled, samples=13).small_sample_warning == ""


# --- the cache -----------------------------------------------------------------------------------


def test_streams_have_the_same_features(pooled: Extractor) -> None:
    """They are read in sequence, and returned in the random order of all data sets."""

    class Sequence(Noise):
        reads_in_sequence = True
        indices_read: list[int]

        def read(self, indices: torch.Tensor) -> torch.Tensor:
            self.indices_read = [*getattr(self, "indices_read", []), *indices.tolist()]
            return super().read(indices)

    plain, sequence = Noise(200), Sequence(200)
    one, two = (Comparison(p, pooled, 5, max_reals=150).reals().rows for p in (plain, sequence))
    assert (
        sequence.indices_read == sorted(sequence.indices_read) and len(sequence.indices_read) == 150
    )
    torch.testing.assert_close(one, two)


def reals(extractor: Extractor, folder: Path, images: Noise | None = None, most: int = 40) -> int:
    """Return how many images were processed with a cache in a folder."""
    before = calls(extractor)
    cache = FeatureCache(folder)
    found = Comparison(images or Noise(60), extractor, 5, most, cache=cache).reals()
    again = Comparison(images or Noise(60), extractor, 5, most).reals()
    assert torch.equal(found.rows, again.rows) and torch.equal(found.covariance, again.covariance)
    return calls(extractor) - before - most  # the line above processed `most`


def test_features_are_kept_for_the_next_process(pooled: Extractor, tmp_path: Path) -> None:
    assert reals(pooled, tmp_path / "new") == 40
    assert reals(pooled, tmp_path / "new") == 0
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_the_key_has_images_count_and_extractor(pooled: Extractor, tmp_path: Path) -> None:
    assert reals(pooled, tmp_path) == 40
    assert reals(pooled, tmp_path, Noise(60, seed=1)) == 40
    assert reals(pooled, tmp_path, most=30) == 30
    other = Extractor("lite0", Pooled(), 12, "none", "1" * 64)
    assert reals(other, tmp_path) == 40
    assert reals(pooled, tmp_path) == 0


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "another's", "no key"])
def test_a_damaged_file_is_logged_and_written_again(
    pooled: Extractor, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    reals(pooled, tmp_path)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    file.write_bytes({
        "cut": content[:-8],
        "flipped": content[:-1] + bytes([content[-1] ^ 1]),
        "emptied": b"",
        "another's": pack_features(FeatureSet.of(torch.zeros(40, 12)), "{}"),
        "no key": content.replace(b"sha256", b"sha255"),
    }[damage])  # fmt: skip
    assert reals(pooled, tmp_path) == 40
    assert f"{file.name} is damaged" in caplog.text
    assert reals(pooled, tmp_path) == 0


def test_a_cache_that_cannot_be_written_is_only_logged(
    pooled: Extractor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert reals(pooled, tmp_path / "file" / "cache") == 40
    assert "no features are kept" in caplog.text
