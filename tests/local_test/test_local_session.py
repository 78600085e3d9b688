"""What local mode refuses before a container is started, and how it reads what a job left."""

import importlib
import io
import os
import shutil
import socket
import tarfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from facegan.cloud.endpoint_requests import ModelEndpoint
from facegan.errors import ArtifactError, CloudError, ConfigError, ServeError

FOLDER = Path(__file__).parents[2] / "local_test"


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """local_test/local_session.py; it needs the SDK only when a session is opened."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("local_session")


@pytest.fixture
def sagemaker(local: ModuleType, tmp_path: Path) -> Any:
    """SageMaker on this machine, without the SDK's session: nothing may come to that."""
    made = local.LocalSageMaker.__new__(local.LocalSageMaker)
    made.folder, made.port = tmp_path, 1
    return made


def endpoint_of(archive: Path) -> ModelEndpoint:
    role = "arn:aws:iam::111111111111:role/x"
    return ModelEndpoint(
        name="faces", image="i", role=role, model=archive.as_uri(), instance_type="local"
    )


def test_a_damaged_model_is_not_deployed(sagemaker: Any, model_dir: Path, tmp_path: Path) -> None:
    archive = tmp_path / "my model.tar.gz"  # with a blank, as a URI has it
    archive.write_bytes((model_dir / "model.tar.gz").read_bytes()[:3000])
    with (
        pytest.raises(ArtifactError, match=r"my model.tar.gz is not a readable archive"),
        sagemaker.deployed(endpoint_of(archive)),
    ):
        pass


def test_a_model_without_a_card_is_not_deployed(sagemaker: Any, tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    tarfile.open(archive, "w:gz").close()
    with (
        pytest.raises(ArtifactError, match=r"has no model_card\.json"),
        sagemaker.deployed(endpoint_of(archive)),
    ):
        pass


def test_a_port_on_which_another_listens_is_not_taken_for_the_endpoint(
    sagemaker: Any, model_dir: Path
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        sagemaker.port = listener.getsockname()[1]
        with (
            pytest.raises(ServeError, match=r"is taken. Stop what listens there, .* --port \d+"),
            sagemaker.deployed(endpoint_of(model_dir / "model.tar.gz")),
        ):
            pass


def test_a_missing_channel_is_reported_before_docker_makes_an_empty_one(
    local: ModuleType, tmp_path: Path
) -> None:
    local.check_channel(tmp_path.as_uri())
    local.check_channel("s3://bucket/pictures")
    with pytest.raises(ConfigError, match=r"channel folder \S+/absent is missing. Draw toy faces"):
        local.check_channel((tmp_path / "absent").as_uri())


def test_a_docker_that_is_missing_is_reported(
    local: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bash").symlink_to(str(shutil.which("bash")))
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    with (
        pytest.raises(ConfigError, match="Docker is not installed"),
        local.local_sagemaker(tmp_path / "run", 1, ["faces"], gpu=False),
    ):
        pass
    assert not (tmp_path / "run").exists()


def test_the_reason_of_a_failure_is_the_jobs_own(local: ModuleType, tmp_path: Path) -> None:
    archive = tmp_path / "output.tar.gz"
    assert local.failure_of(archive) == ""
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("data"))
    assert local.failure_of(archive) == ""
    with tarfile.open(archive, "w:gz") as tar:
        text = b"Unknown hyperparameter. Did you mean it?\nTraceback\n"
        member = tarfile.TarInfo("failure")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    assert local.failure_of(archive) == "Unknown hyperparameter. Did you mean it?"


def test_local_modes_stand_in_is_asked_as_aws_is(sagemaker: Any) -> None:
    """The SDK's client has boto3's methods, and refuses by boto3's error."""
    from botocore.exceptions import ClientError

    from facegan.cloud.calls import Call

    message = {"Error": {"Code": "ValidationException", "Message": "Could not find local model"}}
    sagemaker.client = SimpleNamespace(create_model=lambda **request: request)
    request = {"ModelName": "faces"}
    assert sagemaker.ask(Call("sagemaker", "CreateModel", request, "faces")) == request

    def refuse(**_: Any) -> None:
        raise ClientError(message, "describe_model")

    sagemaker.client = SimpleNamespace(describe_model=refuse)
    with pytest.raises(
        CloudError, match=r"sagemaker:DescribeModel on faces failed.*Could not find"
    ):
        sagemaker.ask(Call("sagemaker", "DescribeModel", request, "faces"))
