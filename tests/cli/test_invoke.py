"""`facegan invoke` through real boto3, against a small HTTP server on loopback."""

import http.server
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.exceptions
import numpy as np
import pytest

from facegan.cli.__main__ import facegan, run_safely
from facegan.client import FaceClient
from facegan.cloud import invoke_endpoint
from facegan.cloud.invoke_endpoint import SageMakerTransport
from facegan.errors import CloudError, InvocationError
from facegan.serving.http.event_stream import EVENT_STREAM, message, payload_parts
from facegan.wire import (
    JPEG,
    JSON,
    JSON_LINES,
    WEBP,
    ZIP,
    GenerateRequest,
    Provenance,
    bare_type,
    decode_images,
    decode_request,
    encode_reply,
    read_provenance,
)

CARD = SimpleNamespace(weights_sha256="ab", family="plain", preset="square")


@dataclass
class Endpoint:
    """A server on loopback that paints each face in the shade of its seed, or refuses."""

    url: str = ""
    refusal: tuple[int, dict[str, str], bytes] | None = None
    messages: int | None = None  # how many of a stream are sent
    last_words: bytes = b""  # what comes after them
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def answer(
        self, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        self.paths.append(path)
        self.headers.append(headers)
        self.bodies.append(body)
        if self.refusal:
            return self.refusal
        request = decode_request(body, headers["Content-Type"])
        is_plain = request.seeds and request.count == request.input_count
        shades = request.seeds if is_plain else range(request.count)
        images = np.stack([np.full((4, 4, 3), shade, np.uint8) for shade in shades or []])
        origin = Provenance.of_request(request, CARD)
        accept = bare_type(headers.get("X-Amzn-SageMaker-Accept") or headers["Accept"])
        answer = encode_reply(images, request, accept, origin)
        if not path.endswith("-response-stream"):
            return 200, {"Content-Type": accept}, answer
        output = {"Content-Type": EVENT_STREAM, "X-Amzn-SageMaker-Content-Type": accept}
        messages = list(payload_parts(answer.splitlines(keepends=True)))
        return 200, output, b"".join(messages[: self.messages]) + self.last_words


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, answer = endpoint.answer(self.path, dict(self.headers), body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Tests are quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    endpoint.url = f"http://127.0.0.1:{server.server_port}"
    yield endpoint
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def newcomer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Someone with no AWS account, who must not wait for one to be looked up either."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def invoke(*arguments: object) -> int:
    return run_safely(facegan, ["invoke", *map(str, arguments)])


def closed_url() -> str:
    """An address on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def refusal(status: int, message: str, hint: str = "") -> tuple[int, dict[str, str], bytes]:
    """An error as a server of ours answers it."""
    body = json.dumps({"error": "RequestError", "message": message, "hint": hint}).encode()
    return status, {"Content-Type": JSON}, body


def test_classes_reach_the_endpoint_as_they_were_typed(endpoint: Endpoint, out: Path) -> None:
    """Which are names and which numbers, the model knows."""
    words = ["--seeds", "1,2", "--classes", "long,0", "--out", out / "f.npy"]
    assert invoke("--endpoint-url", endpoint.url, *words) == 0
    assert json.loads(endpoint.bodies[0]) == {"seeds": [1, 2], "classes": ["long", "0"]}


def test_a_grid_comes_without_any_aws_account(endpoint: Endpoint, out: Path) -> None:
    """Neither credentials nor a region are needed for a server on this machine."""
    url = endpoint.url
    assert (
        invoke("--endpoint-url", url, "--seeds", "0-3", "--columns", 4, "--out", out / "f.png") == 0
    )
    picture = decode_images((out / "f.png").read_bytes(), "image/png")
    assert picture.shape == (1, 4, 4 * 4 + 3 * 2, 3)
    assert endpoint.paths == ["/endpoints/facegan/invocations"]


def test_every_kind_of_file(endpoint: Endpoint, out: Path) -> None:
    """.npy, .json and a folder, as `generate` writes them."""
    for name in ("f.npy", "f.json", "faces/"):
        assert (
            invoke("--endpoint-url", endpoint.url, "--seeds", "5,7", "--out", f"{out}/{name}") == 0
        )
    assert np.load(out / "f.npy")[:, 0, 0, 0].tolist() == [5, 7]
    assert [image["seed"] for image in json.loads((out / "f.json").read_text())["images"]] == [5, 7]
    assert {p.name for p in (out / "faces").iterdir()} == {"seed0005.png", "seed0007.png"}


def test_latents_are_sent_as_they_are(endpoint: Endpoint, out: Path) -> None:
    """As .npy, which is what the file is."""
    np.save(out / "z.npy", np.zeros((2, 5), np.float32))
    url = endpoint.url
    assert invoke("--endpoint-url", url, "--latents", out / "z.npy", "--out", out / "faces") == 0
    assert endpoint.headers[0]["Content-Type"] == "application/x-npy"
    assert {p.name for p in (out / "faces").iterdir()} == {"latent0000.png", "latent0001.png"}


def test_real_credentials_are_never_shown_to_a_server_on_this_machine(
    endpoint: Endpoint, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature is made with made-up ones although real ones are there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert invoke("--endpoint-url", endpoint.url, "--seeds", 1, "--out", out / "f.png") == 0
    assert "Credential=local/" in endpoint.headers[0]["Authorization"]
    assert "token" not in str(endpoint.headers[0])


def test_the_servers_own_message_and_hint_are_shown(
    endpoint: Endpoint, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """botocore drops the hint of an error's body; the transport keeps it."""
    endpoint.refusal = refusal(413, "Too many faces.", "Ask for 64.")
    assert invoke("--endpoint-url", endpoint.url, "--seeds", 1, "--out", out / "f.png") == 8
    output = capsys.readouterr().err
    assert "413" in output and "Too many faces." in output and "Ask for 64." in output
    assert not list(out.iterdir())


@pytest.mark.parametrize("status", [400, 404, 415, 429, 500, 503])
def test_a_server_on_this_machine_is_asked_once(endpoint: Endpoint, status: int) -> None:
    """A refusal is told at once, without retries."""
    endpoint.refusal = refusal(status, "No.")
    with pytest.raises(InvocationError, match=rf"{status}.*No\."):
        FaceClient(SageMakerTransport("faces", endpoint.url)).generate(seeds=[1])
    assert len(endpoint.paths) == 1


def test_a_model_error_of_aws_is_reported_in_the_containers_words(endpoint: Endpoint) -> None:
    """AWS wraps what the container said in an error of its own."""
    wrapped = {
        "Code": "ModelError",
        "Message": "Received client error (400) from primary with message …",
        "OriginalStatusCode": 400,
        "OriginalMessage": refusal(400, "A wrong seed.", "Use 7.")[2].decode(),
        "LogStreamArn": "arn:…",
    }
    headers = {"Content-Type": JSON, "x-amzn-errortype": "ModelError"}
    endpoint.refusal = 424, headers, json.dumps(wrapped).encode()
    with pytest.raises(InvocationError) as caught:
        FaceClient(SageMakerTransport("faces", endpoint.url)).generate(seeds=[1])
    assert caught.value.message == "The endpoint answered 400 Bad Request: A wrong seed."
    assert caught.value.hint == "Use 7."


def test_an_endpoint_that_is_not_there_is_reported_with_the_next_step(endpoint: Endpoint) -> None:
    """AWS answers ValidationError."""
    output = {"message": "Endpoint faces of account 1 not found."}
    headers = {"Content-Type": JSON, "x-amzn-errortype": "ValidationError"}
    endpoint.refusal = 400, headers, json.dumps(output).encode()
    with pytest.raises(InvocationError, match=r"'faces'.*not found") as caught:
        FaceClient(SageMakerTransport("faces", endpoint.url)).generate(seeds=[1])
    assert "list-endpoints" in caught.value.hint


def test_a_page_of_another_server_is_an_invocation_error(endpoint: Endpoint) -> None:
    """Something else listens on the port."""
    endpoint.refusal = 404, {"Content-Type": "text/html"}, b"<html>Not here</html>"
    with pytest.raises(InvocationError, match="404"):
        FaceClient(SageMakerTransport("faces", endpoint.url)).generate(seeds=[1])


def test_nobody_listens(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 8, and how to start a server."""
    url = closed_url()
    assert invoke("--endpoint-url", url, "--seeds", 1, "--out", out / "f.png") == 8
    output = capsys.readouterr().err
    assert url in output and "facegan serve" in output and "Traceback" not in output


def test_no_region_is_reported_with_the_local_way_out(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A newcomer who forgets --endpoint-url asks AWS without an account."""
    assert invoke("--seeds", 1, "--out", out / "f.png") == 8
    output = capsys.readouterr().err
    assert "region" in output and "http://localhost:8080" in output


def test_no_credentials_are_reported_with_the_local_way_out(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found out before anything is sent; nothing made up goes to AWS."""
    assert invoke("--region", "eu-west-1", "--seeds", 1, "--out", out / "f.png") == 8
    output = capsys.readouterr().err
    assert "credentials" in output and "http://localhost:8080" in output


def test_an_unknown_profile_is_reported(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The name is in the message."""
    assert invoke("--profile", "nobody", "--seeds", 1, "--out", out / "f.png") == 8
    assert "nobody" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["localhost:8080", "nonsense"])
def test_a_url_that_is_none_is_reported(
    url: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one that is."""
    arguments = ("--region", "eu-west-1", "--endpoint-url", url, "--seeds", 1)
    assert invoke(*arguments, "--out", out / "f.png") == 2
    assert f"Add http://: http://{url}" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("url", "is_loopback"),
    [
        ("http://localhost:8080", True),
        ("http://127.0.0.1", True),
        ("http://127.9.9.9:1", True),
        ("http://[::1]:8080", True),
        ("https://runtime.sagemaker.eu-west-1.amazonaws.com", False),
        ("http://localhost.example.com", False),
        ("http://localhost@example.com", False),
        ("http://10.0.0.1:8080", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_what_counts_as_this_machine(url: str, is_loopback: bool) -> None:
    """Made-up credentials are for these addresses only."""
    assert invoke_endpoint.is_loopback(url) is is_loopback


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client's installation need not have it."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(CloudError) as caught:
        SageMakerTransport("faces", "http://localhost:8080")
    assert caught.value.hint == "pip install 'facegan[cloud]'"


# --- ways, mixtures, formats, streams -----------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["--seeds", "3,8", "--interpolate", 4], {"seeds": [3, 8], "interpolate": 4}),
        (
            ["--seeds", "1,2", "--mix", "7-9", "--mix-layers", "2,3"],
            {"seeds": [1, 2], "mix": [7, 8, 9], "mix_layers": [2, 3]},
        ),
        (["--seeds", "1,2", "--mix", "7"], {"seeds": [1, 2], "mix": [7]}),
    ],
)
def test_ways_and_mixtures_are_asked_for(
    words: list[object], fields: dict[str, object], endpoint: Endpoint, out: Path
) -> None:
    """And as many images come back."""
    assert invoke("--endpoint-url", endpoint.url, *words, "--out", out / "f.npy") == 0
    assert json.loads(endpoint.bodies[0]) == fields
    assert len(np.load(out / "f.npy")) == GenerateRequest.model_validate(fields).count


@pytest.mark.parametrize(
    ("name", "content_type", "shape"),
    [
        ("f.jpg", JPEG, (1, 10, 10, 3)),
        ("f.webp", WEBP, (3, 4, 4, 3)),
        ("f.zip", ZIP, (3, 4, 4, 3)),
        ("f.jsonl", JSON_LINES, (3, 4, 4, 3)),
    ],
)
def test_the_suffix_chooses_the_format(
    name: str, content_type: str, shape: tuple[int, ...], endpoint: Endpoint, out: Path
) -> None:
    """A JPEG grid, an animation, an archive, lines."""
    words = ["--seeds", "50,100,150", "--out", out / name]
    assert invoke("--endpoint-url", endpoint.url, *words) == 0
    assert decode_images((out / name).read_bytes(), content_type).shape == shape


def test_a_quality_and_frames_reach_the_endpoint(endpoint: Endpoint, out: Path) -> None:
    words = ["--seeds", "50,100", "--quality", 30, "--frame-ms", 90, "--out", out / "f.webp"]
    assert invoke("--endpoint-url", endpoint.url, *words) == 0
    output = json.loads(endpoint.bodies[0])
    assert (output["quality"], output["frame_ms"], output["layout"]) == (30, 90, "animation")
    assert read_provenance((out / "f.webp").read_bytes())["facegan:seeds"] == "50,100"


def test_mixed_faces_have_files_named_by_both(endpoint: Endpoint, out: Path) -> None:
    words = ["--seeds", "1", "--mix", "7,8", "--out", f"{out}/faces/"]
    assert invoke("--endpoint-url", endpoint.url, *words) == 0
    found = {path.name for path in (out / "faces").iterdir()}
    assert found == {"seed0001-mix0007.png", "seed0001-mix0008.png"}


def test_faces_are_streamed_through_boto3s_own_call(endpoint: Endpoint) -> None:
    """InvokeEndpointWithResponseStream, in AWS's own messages."""
    faces = FaceClient(SageMakerTransport("faces", endpoint.url)).stream(seeds=[5, 6, 7])
    assert [face.seed for face in faces] == [5, 6, 7]
    assert endpoint.paths == ["/endpoints/faces/invocations-response-stream"]


def test_a_refused_stream_is_reported_in_the_servers_words(endpoint: Endpoint) -> None:
    endpoint.refusal = refusal(413, "Too many faces.", "Ask for 64.")
    with pytest.raises(InvocationError, match=r"413.*Too many faces\.") as caught:
        FaceClient(SageMakerTransport("faces", endpoint.url)).stream(seeds=[1])
    assert caught.value.hint == "Ask for 64."


def test_a_stream_that_ends_early_is_reported(endpoint: Endpoint) -> None:
    """After the faces that came."""
    endpoint.messages = 2
    faces = FaceClient(SageMakerTransport("faces", endpoint.url)).stream(seeds=[5, 6, 7])
    assert [next(faces).seed, next(faces).seed] == [5, 6]
    with pytest.raises(InvocationError, match="after 2 of 3"):
        next(faces)


def test_a_model_stream_error_of_aws_is_reported(endpoint: Endpoint) -> None:
    """What SageMaker sends where the container's connection broke."""
    output = json.dumps({"Message": "The model broke.", "ErrorCode": "ModelInvocationTimeExceeded"})
    headers = {":message-type": "exception", ":exception-type": "ModelStreamError"}
    endpoint.messages, endpoint.last_words = 1, message(output.encode(), headers)
    faces = FaceClient(SageMakerTransport("faces", endpoint.url)).stream(seeds=[5, 6])
    assert next(faces).seed == 5
    with pytest.raises(InvocationError, match=r"'faces' broke off.*The model broke"):
        next(faces)


def test_a_damaged_stream_is_an_invocation_error(endpoint: Endpoint) -> None:
    """A checksum that does not fit."""
    endpoint.messages, endpoint.last_words = 1, bytes(64)
    faces = FaceClient(SageMakerTransport("faces", endpoint.url)).stream(seeds=[5, 6])
    assert next(faces).seed == 5
    with pytest.raises(InvocationError):
        next(faces)


def test_lines_are_written_only_if_all_came(
    endpoint: Endpoint, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No half file."""
    endpoint.messages = 1
    words = ["--seeds", "5,6", "--out", out / "f.jsonl"]
    assert invoke("--endpoint-url", endpoint.url, *words) == 8
    assert "after 1 of 2" in capsys.readouterr().err and not list(out.iterdir())


def test_every_hint_names_an_exception_that_exists() -> None:
    """The table goes by name, so that boto3 is imported only on use."""
    names = set(invoke_endpoint.BOTO_HINTS) - {"ValueError"}
    assert all(hasattr(botocore.exceptions, name) for name in names)


@pytest.mark.parametrize("module", ["facegan.cli.invoke", "facegan.cli.generate"])
def test_a_command_line_is_read_without_torch(module: str) -> None:
    """Help and mistakes come at once; `invoke` never needs it."""
    code = f"import sys, {module}; print(sorted({{'torch', 'boto3', 'flask'}} & set(sys.modules)))"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"


def test_help_teaches_by_example(capsys: pytest.CaptureFixture[str]) -> None:
    """The local server comes first: it needs no account and costs nothing."""
    assert invoke("--help") == 0
    output = capsys.readouterr().out
    assert "--endpoint-url http://localhost:8080 --seeds 0-15 --out faces.png" in output
    assert "[default: facegan]" in output
    for words in ("--interpolate 24 --out", "--mix 7,8,9", "faces.jpg", "faces.zip", ".jsonl"):
        assert words in output


# --- targets, and faces as they come ------------------------------------------------------------


def test_a_target_model_and_a_variant_are_named(endpoint: Endpoint, out: Path) -> None:
    """Of an endpoint of many models, and of one of several variants."""
    words = ["--target-model", "cats.tar.gz", "--target-variant", "new"]
    assert invoke("--endpoint-url", endpoint.url, *words, "--seeds", 1, "--out", out / "f.npy") == 0
    headers = endpoint.headers[0]
    assert headers["X-Amzn-SageMaker-Target-Model"] == "cats.tar.gz"
    assert headers["X-Amzn-SageMaker-Target-Variant"] == "new"


def test_faces_are_written_as_they_come_under_the_names_of_a_folder(
    endpoint: Endpoint, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line says so of each; a seed that is asked for twice gets a number."""
    words = ["--seeds", "5,7,5", "--stream", "--out", f"{out}/faces/"]
    assert invoke("--endpoint-url", endpoint.url, *words) == 0
    assert endpoint.paths[0].endswith("-response-stream")
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()[:-1]]
    assert names == ["seed0005.png", "seed0007.png", "seed0005-2.png"]
    assert {path.name for path in (out / "faces").iterdir()} == set(names)


def test_faces_before_an_end_stay_and_are_counted(
    endpoint: Endpoint, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stream broke off after two of three."""
    endpoint.messages = 2
    words = ["--seeds", "1-3", "--stream", "--out", f"{out}/faces/"]
    assert invoke("--endpoint-url", endpoint.url, *words) == 8
    assert "2 of 3 images are in" in capsys.readouterr().err
    assert (out / "faces" / "seed0001.png").exists()


def test_a_target_model_is_asked_without_a_stream(endpoint: Endpoint, out: Path) -> None:
    """AWS's streamed call knows none."""
    words = ["--target-model", "cats.tar.gz", "--seeds", "1,2", "--stream", "--out", f"{out}/f/"]
    assert invoke("--endpoint-url", endpoint.url, *words) == 0
    assert endpoint.paths == ["/endpoints/facegan/invocations"]
    assert len(list((out / "f").iterdir())) == 2
