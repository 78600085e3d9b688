"""`facegan studio` from the command line: mistakes in a sentence, before anything is opened."""

import socket
import sys
from pathlib import Path

import pytest

from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.studio import NO_TELEMETRY


def studio(*arguments: object) -> int:
    return run_safely(facegan, ["studio", "--no-browser", *map(str, arguments)])


@pytest.mark.parametrize(
    "arguments", [(), ("--endpoint", "a", "--endpoint-url", "http://localhost:1")]
)
def test_one_way_to_faces_is_named(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert studio(*arguments) == 2
    assert "--endpoint-url URL, --endpoint NAME and --model FILE" in capsys.readouterr().err


def test_a_taken_port_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert studio("--endpoint-url", "http://localhost:1", "--port", port) == 7
    assert f"Port {port} of 127.0.0.1 cannot be opened" in capsys.readouterr().err


def test_without_gradio_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no folder stays."""
    for name in (*NO_TELEMETRY, "GRADIO_TEMP_DIR", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")  # the command sets them for its process
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert studio("--endpoint-url", "http://localhost:1", "--port", port) == 7
    assert "facegan[studio]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
