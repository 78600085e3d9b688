"""Fixtures of the studio's tests: endpoints that can fail, and a page in a browser."""

import io
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from example_data import MAP_CLASSES
from PIL import Image
from studio_helpers import free_port

from facegan.artifact import load_artifact, save_artifact
from facegan.client import WSGITransport
from facegan.gans import build_gan
from facegan.serving.http.app import create_app
from facegan.studio import Studio
from facegan.synthesis import Synthesizer, open_synthesizer

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def plain(artifact: Any) -> WSGITransport:
    """A dcgan: no truncation, no classes, no styles."""
    return WSGITransport(create_app(Synthesizer(artifact)))


@pytest.fixture(scope="module")
def styled(conditional_artifact: Any) -> WSGITransport:
    """A conditional stylegan2."""
    return WSGITransport(create_app(Synthesizer(conditional_artifact)))


def serve_tiny(folder: Path, family: str, preset: str = "tiny") -> WSGITransport:
    gan = build_gan(family, preset, (3, 32, 32), seed=0, map_classes=MAP_CLASSES)
    save_artifact(gan, folder)
    return WSGITransport(create_app(Synthesizer(load_artifact(folder))))


@pytest.fixture(scope="module")
def painting(tmp_path_factory: pytest.TempPathFactory) -> WSGITransport:
    """A spade: label maps and latents."""
    return serve_tiny(tmp_path_factory.mktemp("spade"), "spade")


@pytest.fixture(scope="module")
def labelling(tmp_path_factory: pytest.TempPathFactory) -> WSGITransport:
    """A pix2pix of label maps, without latents."""
    return serve_tiny(tmp_path_factory.mktemp("labelling"), "pix2pix", "tiny-maps")


@pytest.fixture(scope="module")
def translating(tmp_path_factory: pytest.TempPathFactory) -> WSGITransport:
    """A pix2pix of images: one direction."""
    return serve_tiny(tmp_path_factory.mktemp("translating"), "pix2pix")


@pytest.fixture(scope="module")
def cycling(tmp_path_factory: pytest.TempPathFactory) -> WSGITransport:
    """A cyclegan: two directions."""
    return serve_tiny(tmp_path_factory.mktemp("cyclegan"), "cyclegan")


@pytest.fixture
def make_studio(tmp_path: Path) -> Callable[..., Studio]:
    """A studio over a transport, with a fixed random seed."""

    def make(transport: Any, **others: Any) -> Studio:
        return Studio(transport, tmp_path / "faces", rng=random.Random(0), **others)

    return make


# --- the browser: only for tests marked `studio` --------------------------------------------------


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium of the system."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.fail("No Chromium is on the PATH: apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        # Chromium has no sandbox for root, as whom containers run tests.
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture
def open_url(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address in a tab; every request to another host fails the test."""
    foreign: list[str] = []
    contexts = []

    def note(request: Any) -> None:
        url = str(request.url)
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            foreign.append(url)

    def open_it(url: str, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
        contexts.append(context)
        context.set_default_timeout(60_000)
        tab = context.new_page()
        tab.on("request", note)
        tab.goto(url)
        return tab

    yield open_it
    for context in contexts:
        context.close()
    assert not foreign


@pytest.fixture
def open_studio(open_url: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Serves the page of a studio in this process, and opens it in a tab."""
    from facegan.cli.studio import prepare_gradio
    from facegan.studio.page import make_page, open_page

    pages = []

    def open_it(studio: Studio, **options: Any) -> Any:
        prepare_gradio(studio.folder.parent)
        server = open_page(make_page(studio), free_port())
        pages.append(server)
        return open_url(server.url, **options)

    yield open_it
    for page in pages:
        page.close()


@pytest.fixture(scope="session")
def model64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dcgan of the preset toy32 at 64 px: that of FACEGAN_STUDIO_MODEL, or an untrained one."""
    if given := os.environ.get("FACEGAN_STUDIO_MODEL"):
        return Path(given)
    folder = tmp_path_factory.mktemp("model64")
    save_artifact(build_gan("dcgan", "toy32", (3, 64, 64), seed=0), folder)
    return folder


@pytest.fixture
def model_with_styles(styled: WSGITransport) -> WSGITransport:
    """That of FACEGAN_STUDIO_STYLES, for screenshots of faces; or an untrained one."""
    given = os.environ.get("FACEGAN_STUDIO_STYLES")
    return WSGITransport(create_app(open_synthesizer(Path(given)))) if given else styled


@pytest.fixture(scope="session")
def data64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few toy faces."""
    folder = tmp_path_factory.mktemp("toy") / "toy64"
    facegan = [sys.executable, "-m", "facegan.cli", "data", "toy", "--out", str(folder)]
    subprocess.run([*facegan, "--images", "24", "--resolution", "64"], check=True)
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: FACEGAN_STUDIO_PICTURES, or nowhere that stays."""
    given = os.environ.get("FACEGAN_STUDIO_PICTURES")
    folder = Path(given) if given else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def snap(pictures: Path) -> Callable[..., None]:
    """Takes a screenshot of a tab, reduced to 256 colours."""

    def take(tab: Any, name: str, full_page: bool = True) -> None:
        tab.wait_for_timeout(700)  # transitions
        shot = Image.open(io.BytesIO(tab.screenshot(full_page=full_page)))
        assert len(shot.convert("RGB").getcolors(2**24) or []) > 20, f"{name} is blank"
        shot.convert("RGB").quantize(256).save(pictures / f"studio-{name}.png", optimize=True)

    return take
