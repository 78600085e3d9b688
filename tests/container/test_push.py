"""A push into a real registry on this machine; ECR's own API is answered by botocore's stub."""

import base64
import io
import shutil
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from socket import create_server

import pytest
from botocore.stub import Stubber

from facegan.cloud.aws import Aws
from facegan.cloud.registry import push_image
from facegan.docker_engine import Docker

IMAGE = "facegan-test-push:here"
SETTINGS = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Debian's docker-registry, on loopback, which Docker trusts without TLS."""
    program = shutil.which("docker-registry")
    assert program, "docker-registry is missing: apt-get install docker-registry"
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = tmp_path / "registry.yml"
    settings.write_text(SETTINGS.format(folder=tmp_path / "registry", port=port))
    process = subprocess.Popen([program, "serve", str(settings)], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/").close()
                break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def image(docker: Docker, tmp_path: Path) -> Iterator[str]:
    """An image of one small file."""
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        member = tarfile.TarInfo("hello")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"hello"))
    docker.output("import", str(tmp_path / "image.tar"), IMAGE)
    yield IMAGE
    docker.output("image", "rm", "--force", IMAGE)


def test_an_image_is_pushed_and_pulled_again_by_the_digest_that_was_told(
    docker: Docker, registry: str, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    aws = Aws("eu-west-1")
    token = {
        "authorizationToken": base64.b64encode(b"AWS:secret").decode(),
        "proxyEndpoint": f"http://{registry}",
    }
    with Stubber(aws.client("ecr")) as stub:
        made = {"repository": {"repositoryUri": f"{registry}/faces"}}
        stub.add_client_error("describe_repositories", "RepositoryNotFoundException")
        stub.add_response("create_repository", made)
        stub.add_response("put_lifecycle_policy", {})
        stub.add_response("get_authorization_token", {"authorizationData": [token]})
        address = push_image(docker, aws, image, "faces", ["0.1.0", "abcdef"])
    assert address.startswith(f"{registry}/faces@sha256:")
    with urllib.request.urlopen(f"http://{registry}/v2/faces/tags/list") as reply:
        assert b'"0.1.0"' in (listed := reply.read()) and b'"abcdef"' in listed
    named = docker.output("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
    assert registry not in named  # nothing but the image's own name is left
    number = docker.output("image", "inspect", "--format", "{{.Id}}", image)
    docker.output("image", "rm", "--force", image)
    docker.output("pull", address)
    assert docker.output("image", "inspect", "--format", "{{.Id}}", address) == number
    docker.output("image", "rm", address)


def test_the_login_is_not_left_in_the_users_settings() -> None:
    settings = Path.home() / ".docker/config.json"
    assert not settings.exists() or "127.0.0.1" not in settings.read_text()
