"""`facegan export`, and the graphs that a run's end adds."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from facegan.cli.__main__ import facegan, run_safely
from facegan.model_files import copy_artifact, pack_artifact, read_card


def test_a_model_gets_its_graphs_in_place(model_dir: Path, tmp_path: Path) -> None:
    """An archive, through a folder aside."""
    model = pack_artifact(model_dir, tmp_path / "model.tar.gz")
    before = read_card(model)
    done = CliRunner().invoke(facegan, ["export", str(model)], catch_exceptions=False)
    assert "has graphs: generator.onnx" in done.output
    after = read_card(model)
    assert after.graph is not None and set(after.graph.sha256) == {"generator.onnx"}
    assert after.weights_sha256 == before.weights_sha256


def test_what_is_not_a_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_safely(facegan, ["export", str(tmp_path)]) == 6
    assert run_safely(facegan, ["export", str(tmp_path / "none.tar.gz")]) == 6
    assert "Traceback" not in capsys.readouterr().err


def test_without_the_exporter_a_model_is_as_it_was(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's model counts for more than its graphs: its end only warns."""
    import torch

    from facegan.cli.export import add_graphs

    copy_artifact(model_dir, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def export(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxscript'")

    monkeypatch.setattr(torch.onnx, "export", export)
    assert run_safely(facegan, ["export", str(tmp_path)]) == 12
    monkeypatch.setenv("FACEGAN_GRAPHS", "true")
    add_graphs(tmp_path, tmp_path / "model.tar.gz")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
