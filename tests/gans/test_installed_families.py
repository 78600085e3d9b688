"""A family from another package is installed by its entry point alone."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from free_ports import free_port
from other_package import install, install_line

from facegan.artifact import load_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.client import FaceClient, WSGITransport
from facegan.errors import ConfigError
from facegan.gans import build_gan, find_family
from facegan.gans.families import FAMILIES, installed_families, load_family
from facegan.serving import create_app
from facegan.synthesis import Synthesizer


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages; clears the caches."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    installed_families.cache_clear()
    load_family.cache_clear()
    yield folder
    for name in [it for it in sys.modules if it.startswith("line_gan")]:
        del sys.modules[name]
    installed_families.cache_clear()
    load_family.cache_clear()


def serve_one(model: Path) -> bytes:
    """Start `facegan serve`, and return the image of seed 1."""
    port = free_port()
    words = ["serve", str(model), "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-m", "facegan.cli", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 90
        while True:
            connection = HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                headers = {"Content-Type": "application/json", "Accept": "image/png"}
                connection.request("POST", "/invocations", b'{"seeds": [1]}', headers)
                return connection.getresponse().read()
            except ConnectionRefusedError:
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
            finally:
                connection.close()
    finally:
        server.terminate()
        server.wait(40)


def test_it_trains_is_exported_and_served(
    site: Path, images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_line(site)
    out = tmp_path / "run"
    words = ["train", "--family", "line", "--data", str(images_dir), "--out", str(out)]
    assert run_safely(facegan, [*words, "--speed", "0.01"]) == 0
    assert run_safely(facegan, ["export", str(out / "model.tar.gz")]) == 0
    model = load_artifact(out / "model.tar.gz")
    assert model.card.family == "line" and model.card.graph is not None
    assert "speed = 0.01" in (out / "run.toml").read_text()
    app = create_app(Synthesizer(model))
    assert FaceClient(WSGITransport(app)).generate(seeds=[1, 2]).shape == (2, 32, 32, 3)
    words = ["train", "--out", str(out), "--resume", "--total-kimg", "0.024"]
    assert run_safely(facegan, words) == 0
    assert run_safely(facegan, ["generate", str(out / "model.tar.gz"), "--seeds", "0-3",
                                "--out", str(tmp_path / "a.png")]) == 0  # fmt: skip


def test_new_processes_train_and_serve_it(
    site: Path, images_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes train it together; only the command line names it."""
    install_line(site)
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    out = tmp_path / "run"
    words = ["--family", "line", "--processes", "2", "--data", images_dir, "--out", out]
    done = subprocess.run(
        [sys.executable, "-m", "facegan.cli", "train", *map(str, words)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert serve_one(out / "model.tar.gz")[:4] == b"\x89PNG"


def test_listing_names_imports_no_code(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install_line(site)
    assert set(installed_families()) == {"line"}
    assert run_safely(facegan, ["train", "--help"]) == 0
    assert "line …" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"Unknown family 'lime'\. Did you mean line"):
        find_family("lime")
    assert "line_gan" not in sys.modules
    assert run_safely(facegan, ["train", "--family", "line", "--help"]) == 0
    assert "--speed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise RuntimeError('no GPU here')", "cannot be imported: RuntimeError: no GPU here."),
        ("import a_missing_package", "cannot be imported: ModuleNotFoundError: No module named"),
        ("FAMILY = 3", "The entry point 'broken' of broken 1.0 is 3, not a Family named 'broken'"),
        ("import facegan.gans\nFAMILY = facegan.gans.FAMILIES['dcgan']", "is named 'dcgan', not a"),
        ("OTHER = 1", "cannot be imported: AttributeError"),
    ],
)
def test_a_broken_package_gives_an_error_and_does_not_affect_others(
    site: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, code: str, message: str
) -> None:
    (site / f"broken_{len(code)}.py").write_text(code)
    install(site, "broken", {"broken": f"broken_{len(code)}:FAMILY"})
    words = ["init", "--out", str(tmp_path / "run.toml")]
    assert run_safely(facegan, [*words, "--family", "broken"]) == 2
    error = capsys.readouterr().err
    assert message in error and "uninstall broken 1.0" in error and "Traceback" not in error
    assert run_safely(facegan, [*words, "--family", "dcgan"]) == 0
    assert build_gan("dcgan", "tiny", (3, 32, 32)).family.name == "dcgan"


def test_two_packages_with_the_same_family_are_refused(site: Path) -> None:
    install(site, "first", {"same": "first:FAMILY"})
    install(site, "second", {"same": "second:FAMILY"})
    with pytest.raises(ConfigError) as refused:
        find_family("same")
    assert str(refused.value) == (
        "The family 'same' is in two packages: first 1.0 and second 1.0. Uninstall one of them."
    )


def test_a_package_cannot_replace_a_built_in_family(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "impostor", {"dcgan": "impostor:FAMILY"})
    assert "dcgan" not in installed_families()
    assert "The family 'dcgan' of impostor 1.0 is ignored" in caplog.text
    assert find_family("dcgan") is FAMILIES["dcgan"]


def test_a_model_cannot_name_code_to_import(site: Path) -> None:
    """A card's family is looked up among the installed entry points, never imported by its name."""
    (site / "hostile.py").write_text("raise SystemExit('imported')")
    with pytest.raises(ConfigError, match="Unknown family 'hostile:FAMILY'"):
        find_family("hostile:FAMILY")
    with pytest.raises(ConfigError, match="Unknown family 'hostile'"):
        find_family("hostile")
