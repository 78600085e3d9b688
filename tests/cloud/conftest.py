"""AWS for tests: a moto server, which has accounts, buckets and jobs but few of AWS's checks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_aws import FakeAws

from facegan.cloud.aws import Aws

REGION = "eu-west-1"


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing of this machine's AWS settings is read."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def credentials(no_aws: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An account's keys, in a region."""
    no_aws.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    no_aws.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    no_aws.setenv("AWS_DEFAULT_REGION", REGION)
    return no_aws


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """A moto server's address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def moto(moto_url: str, credentials: pytest.MonkeyPatch) -> str:
    """An empty moto server that boto3 takes for AWS, commands of ours in this process too."""
    import urllib.request

    urllib.request.urlopen(f"{moto_url}/moto-api/reset", data=b"", timeout=10).close()
    credentials.setenv("AWS_ENDPOINT_URL", moto_url)
    return moto_url


@pytest.fixture
def aws(moto: str) -> Aws:
    """Our AWS on that server."""
    return Aws()


@pytest.fixture
def fake(no_aws: pytest.MonkeyPatch, tmp_path: Path) -> FakeAws:
    """An AWS of a few answers, which our commands take for the real one, in an empty folder."""
    found = FakeAws()
    no_aws.setattr("facegan.cli.cloud.desk.Aws", lambda *_: found)
    no_aws.setattr("time.sleep", lambda _: None)
    no_aws.chdir(tmp_path)
    return found
