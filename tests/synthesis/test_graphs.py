"""Exported graphs generate what torch does, within a level, and need no torch."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_requests import part_of, request_of

from facegan.artifact import load_artifact
from facegan.errors import ArtifactError, ConfigError
from facegan.model_files import ModelCard, copy_artifact, pack_artifact, read_card
from facegan.synthesis import BackendConfig, Synthesizer, estimate_memory, open_synthesizer
from facegan.synthesis.openvino_backend import OpenVINOBackend
from facegan.synthesis.torch_backend import TorchBackend

GRAPHS = BackendConfig("openvino")

DRAW_WITHOUT = """
import sys
for name in ("torch", "safetensors", "facegan.gans", "facegan.artifact"):
    sys.modules[name] = None  # importing it raises ImportError
from pathlib import Path
from facegan.synthesis import open_synthesizer
from facegan.serving import create_app
from facegan.wire import GenerateRequest, encode_request
sys.path.append(sys.argv[2])
from model_requests import request_of
model = open_synthesizer(Path(sys.argv[1]))
sys.stdout.buffer.write(model.generate(**request_of(model.card, 3)).tobytes())
asked = {name: list(value) for name, value in request_of(model.card, 1).items()}
body = encode_request(GenerateRequest(**asked))
client = create_app(model).test_client()
reply = client.post("/invocations", data=body, content_type="application/json")
assert reply.status_code == 200, reply.data
"""


@pytest.fixture(scope="module")
def by_graphs(exported_dir: Path) -> Synthesizer:
    return open_synthesizer(exported_dir, GRAPHS)


@pytest.fixture(scope="module")
def by_torch(exported_dir: Path) -> Synthesizer:
    return Synthesizer(load_artifact(exported_dir))


def assert_alike(by_graphs: Synthesizer, by_torch: Synthesizer, **asked: object) -> None:
    """Within one level, of pictures that are not all one colour."""
    batch = by_graphs.prepare_batch(**asked)  # type: ignore[arg-type]
    mine, theirs = (model.generate_batch(batch).astype(int) for model in (by_graphs, by_torch))
    assert mine.shape == theirs.shape
    assert abs(mine - theirs).max() <= 1
    assert theirs.std() > 0.1


def test_the_pixels_are_torchs_within_a_level(
    by_graphs: Synthesizer, by_torch: Synthesizer
) -> None:
    assert isinstance(by_graphs.backend, OpenVINOBackend)
    assert_alike(by_graphs, by_torch, **request_of(by_torch.card, 21))


def test_layers_are_exported_in_the_form_in_which_they_serve(exported_dir: Path) -> None:
    """Those in which they train are gathers and scatters: half as fast, in many nodes."""
    import onnx

    for path in exported_dir.glob("*.onnx"):
        kinds = {node.op_type for node in onnx.load(path).graph.node}
        assert not kinds & {"ScatterND", "Range", "Loop", "If"}, path.name


def test_what_a_family_can_besides_the_graphs_can(
    by_graphs: Synthesizer, by_torch: Synthesizer
) -> None:
    """Classes, truncation, mixed styles; and what it cannot is refused alike."""
    if by_torch.card.classes:
        assert_alike(by_graphs, by_torch, seeds=[4, 4, 4], classes=[0, 1, 2])
    assert by_graphs.backend.has_truncation == by_torch.backend.has_truncation
    if by_torch.backend.has_truncation:
        assert_alike(by_graphs, by_torch, seeds=range(5), truncation_psi=0.5)
    assert by_graphs.backend.style_layers == by_torch.backend.style_layers
    if by_torch.backend.style_layers:
        assert_alike(by_graphs, by_torch, seeds=[1, 2], mix=[3, 4, 5])
    for direction in by_torch.card.directions:
        asked = request_of(by_torch.card, 5)
        assert_alike(by_graphs, by_torch, direction=direction, **asked)
    if by_torch.card.takes("styles"):
        asked = request_of(by_torch.card, 5)
        asked["styles"] = random_images(by_torch.card, len(asked.pop("seeds")))
        assert_alike(by_graphs, by_torch, **asked)


def random_images(card: ModelCard, count: int) -> np.ndarray:
    sides = card.resolution, card.resolution
    return np.random.default_rng(1).integers(0, 256, (count, *sides, 3), np.uint8)


@pytest.mark.parametrize("backend", ["graphs", "torch"])
def test_one_request_has_one_image_in_any_company(
    by_graphs: Synthesizer, by_torch: Synthesizer, backend: str
) -> None:
    """Of seeds, images and label maps, in each direction, and of styles."""
    model = by_graphs if backend == "graphs" else by_torch
    card = model.card
    asked = request_of(card, 23)
    ways: list[dict[str, object]] = [{"direction": it} for it in card.directions] or [{}]
    for way in ways:
        assert_same_in_any_company(model, asked, way)
    if card.takes("styles"):
        styles = {**asked, "styles": random_images(card, 23)}
        del styles["seeds"]
        assert_same_in_any_company(model, styles, {})


def assert_same_in_any_company(
    model: Synthesizer, asked: dict[str, Any], way: dict[str, Any]
) -> None:
    together = model.generate(**asked, **way)
    assert len(np.unique(together.reshape(23, -1), axis=0)) == 23
    for start, stop in ((0, 1), (0, 5), (9, 23)):
        part = model.generate(**part_of(asked, start, stop), **way)
        assert np.array_equal(part, together[start:stop])


def test_a_server_draws_them_without_torch(exported_dir: Path, by_graphs: Synthesizer) -> None:
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", DRAW_WITHOUT, str(exported_dir), tests]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == by_graphs.generate(**request_of(by_graphs.card, 3)).tobytes()


@pytest.fixture
def exported(exported_dir: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    copy_artifact(exported_dir, tmp_path / "model")
    return tmp_path / "model"


def test_an_archive_holds_the_graphs(exported: Path, by_graphs: Synthesizer) -> None:
    archive = pack_artifact(exported, exported.parent / "model.tar.gz")
    asked = request_of(by_graphs.card, 1)
    drawn = open_synthesizer(archive, GRAPHS).generate(**asked)
    assert np.array_equal(drawn, by_graphs.generate(**asked))


def test_a_graph_that_the_card_does_not_describe_is_refused(exported: Path) -> None:
    graph = next(exported.glob("*.onnx"))
    graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(ArtifactError, match=rf"{graph.name} is not the graph.*facegan export"):
        open_synthesizer(exported, GRAPHS)
    graph.unlink()
    with pytest.raises(ArtifactError, match=rf"{graph.name} cannot be read"):
        open_synthesizer(exported, GRAPHS)


def test_a_damaged_graph_with_its_digest_is_refused(exported: Path) -> None:
    """Whoever packed it may have written both."""
    import hashlib

    card = read_card(exported)
    assert card.graph is not None
    digests = {}
    for name in card.graph.sha256:
        (exported / name).write_bytes(b"no graph")
        digests[name] = hashlib.sha256(b"no graph").hexdigest()
    told = dataclasses.replace(card, graph=dataclasses.replace(card.graph, sha256=digests))
    (exported / "model_card.json").write_text(told.to_json())
    with pytest.raises(ArtifactError, match="is not a graph that facegan exports"):
        model = open_synthesizer(exported, GRAPHS)
        model.generate_batch(model.example_batch())


@pytest.mark.parametrize("facts", [
    "yes", {}, {"sha256": {"../generator.onnx": "0"}}, {"sha256": {"mapping.onnx": "0"}},
    {"sha256": {"generator.onnx": "0"}, "style_layers": -1},
    {"sha256": {"generator.onnx": "0"}, "batch_bytes": "all"},
    {"sha256": {"generator.onnx": "0"}, "surprise": 1}, {"sha256": ["generator.onnx"]},
])  # fmt: skip
def test_a_card_that_lies_about_graphs_is_refused(model_dir: Path, tmp_path: Path, facts) -> None:
    copy_artifact(model_dir, tmp_path)
    card = json.loads((tmp_path / "model_card.json").read_text())
    (tmp_path / "model_card.json").write_text(json.dumps({**card, "graph": facts}))
    with pytest.raises(ArtifactError, match="is not a model card"):
        read_card(tmp_path)


def test_a_model_without_graphs_runs_with_torch_or_is_refused(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(open_synthesizer(model_dir).backend, TorchBackend)
    with pytest.raises(ArtifactError, match=r"it has none.*facegan export"):
        open_synthesizer(model_dir, GRAPHS)
    monkeypatch.setattr("facegan.synthesis.load.is_installed", lambda name: name != "torch")
    with pytest.raises(ArtifactError, match=r"it has none.*where torch is installed"):
        open_synthesizer(model_dir)
    with pytest.raises(ConfigError, match=r"torch is not installed here.*torch image"):
        open_synthesizer(model_dir, BackendConfig(device="cuda"))


def test_a_gpu_is_preferred_if_there_is_a_driver(
    exported_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = read_card(exported_dir)
    assert BackendConfig().use_graphs(card)
    assert not BackendConfig("torch").use_graphs(card)
    assert not BackendConfig(precision="bf16").use_graphs(card)
    monkeypatch.setattr("facegan.synthesis.load.has_gpu", lambda: True)
    assert not BackendConfig().use_graphs(card)
    assert BackendConfig(device="cpu").use_graphs(card)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"backend": "tflite"}, "backend is 'tflite'.*auto, torch, openvino"),
        ({"backend": "openvino", "device": "cuda"}, "openvino does not support auto on cuda"),
        ({"backend": "openvino", "precision": "bf16"}, "openvino does not support bf16"),
    ],
)
def test_what_openvino_does_not_support_is_refused(wish: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BackendConfig(**wish)


def test_a_large_generator_runs_one_image_at_a_time(
    exported_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batching would gain nothing, and comparing sizes would take seconds."""
    monkeypatch.setattr("facegan.synthesis.openvino_backend.LARGE_RESOLUTION", 32)
    assert open_synthesizer(exported_dir, GRAPHS).batch_sizes.sizes == (1,)


def test_the_memory_of_graphs_is_estimated(exported_dir: Path) -> None:
    size = estimate_memory(exported_dir, GRAPHS)
    assert size.weights > sum(path.stat().st_size for path in exported_dir.glob("*.onnx"))
    assert size.activations >= 16 * 3 * 32 * 32 * 4
