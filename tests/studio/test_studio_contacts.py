"""The studio as a command, without a browser: whom it asks, and whom it answers."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from studio_helpers import free_port
from watching import Watched

pytestmark = pytest.mark.studio

LARGE = 200 * 2**20
# Gradio's and its packages' switches, as somebody may have set them for another program.
SWITCHES = {
    "GRADIO_SHARE": "true", "GRADIO_ALLOWED_PATHS": "/", "GRADIO_ANALYTICS_ENABLED": "True",
    "GRADIO_NUM_WORKERS": "2", "GRADIO_MCP_SERVER": "true", "GRADIO_ROOT_PATH": "http://192.0.2.1",
    "GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SSR_MODE": "true", "GRADIO_RUN_HISTORY": "true",
    "GRADIO_VIBE_MODE": "1", "GRADIO_PROFILING": "1", "GRADIO_HISTORY_BUCKET": "b",
    "GRADIO_SHARE_SERVER_ADDRESS": "192.0.2.1:7000", "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1",
    "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "0", "HF_ENDPOINT": "http://192.0.2.1",
    "HF_TOKEN": "hf_secret", "HF_HOME": "/nowhere", "HF_DEBUG": "1", "SYSTEM": "spaces",
    "SPACE_ID": "a/b", "SPACE_HOST": "192.0.2.1", "SPACES_ZERO_GPU": "1", "OAUTH_CLIENT_ID": "x",
    "OAUTH_CLIENT_SECRET": "x", "OPENID_PROVIDER_URL": "http://192.0.2.1",
    "DO_NOT_TRACK": "0", "FASTAPI_OTEL_AUTO_CONFIGURE": "true", "OTEL_SDK_DISABLED": "false",
    "FORWARDED_ALLOW_IPS": "*", "WEB_CONCURRENCY": "2",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://192.0.2.1:4318",
}  # fmt: skip


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return Watched(tmp_path_factory.mktemp("watched"))


@pytest.fixture(scope="module")
def port(watched: Watched, model_dir: Path) -> Iterator[int]:
    """The studio's, under switches that would open it; ended, it has asked and left nothing."""
    # Gradio writes a random number into its own package when it is imported for the first time.
    subprocess.run([sys.executable, "-c", "import gradio"], check=True)
    port = free_port()
    program = [sys.executable, "-m", "facegan.cli", "studio", "--no-browser", "--port", str(port)]
    model = ["--model", str(model_dir)]
    with watched.server(*program, *model, port=port, path="", **SWITCHES):
        yield port
    watched.check()
    assert not list((watched.folder / "tmp").glob("facegan-*"))


def ask(
    port: int, method: str, path: str, body: bytes | None = None, **headers: str
) -> http.client.HTTPResponse:
    """The answer to one request, read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers=named)
    answer = connection.getresponse()
    answer.text = answer.read().decode(errors="replace")  # type: ignore[attr-defined]
    connection.close()
    return answer


def test_the_page_is_answered_to_its_own_address(port: int) -> None:
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert ask(port, "GET", "/", Host=host, Origin=f"http://{host}").status == 200
    config = json.loads(ask(port, "GET", "/config").text)  # type: ignore[attr-defined]
    assert config["root"] == f"http://127.0.0.1:{port}"
    assert "192.0.2.1" not in json.dumps(config)


@pytest.mark.parametrize("named", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("OPTIONS", "/gradio_api/queue/join"), ("GET", "/config"),
                         ("POST", "/gradio_api/upload"), ("POST", "/gradio_api/queue/join")]
)  # fmt: skip
def test_gradio_adds_nothing_to_a_refusal(
    port: int, method: str, path: str, named: dict[str, str]
) -> None:
    asked = {"Access-Control-Request-Method": "POST"} if method == "OPTIONS" else {}
    answer = ask(port, method, path, b"" if method == "POST" else None, **named, **asked)
    assert 400 <= answer.status < 500 and len(answer.text) < 100  # type: ignore[attr-defined]
    assert answer.headers["access-control-allow-origin"] is None


def test_uploads_are_refused_and_nothing_of_them_is_kept(port: int, watched: Watched) -> None:
    """Small; and of 200 MB, whose sender gets the answer."""
    form = b"--x\r\nContent-Disposition: form-data; name=files; filename=a.png\r\n\r\nevil\r\n--x--"
    kind = {"Content_Type": "multipart/form-data; boundary=x"}
    assert ask(port, "POST", "/gradio_api/upload", form, **kind).status == 404
    large = form.replace(b"evil", b"evil" * (LARGE // 4))
    assert ask(port, "POST", "/gradio_api/upload", large, **kind).status == 413
    kept = [path for path in (watched.folder / "tmp").rglob("*")
            if path.is_file() and path.suffix == ".png"]  # fmt: skip
    assert not kept


def test_files_of_this_machine_are_not_given_away(port: int) -> None:
    for path in ("/etc/passwd", "//etc/passwd", f"{Path(__file__)}", "/etc/../etc/passwd"):
        assert 400 <= ask(port, "GET", f"/gradio_api/file={path}").status < 500


def test_no_field_takes_a_file_of_this_machine_or_an_address(port: int, watched: Watched) -> None:
    """Gradio's own inputs would copy the one and ask the other."""
    config = json.loads(ask(port, "GET", "/config").text)  # type: ignore[attr-defined]
    for path in ("/etc/passwd", "http://192.0.2.1/a.png"):
        file = {"path": path, "url": path, "meta": {"_type": "gradio.FileData"}}
        for event in config["dependencies"]:
            asked = {"data": [file] * len(event["inputs"]), "fn_index": event["id"],
                     "session_hash": "s"}  # fmt: skip
            for route in ("queue/join", "run/predict") if event["inputs"] else ():
                body, kind = json.dumps(asked).encode(), {"Content_Type": "application/json"}
                assert ask(port, "POST", f"/gradio_api/{route}", body, **kind).status == 400
    assert not list((watched.folder / "tmp").rglob("passwd"))
