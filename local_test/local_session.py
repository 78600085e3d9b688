"""Runs SageMaker's SDK in local mode, without an AWS account, and cleans up afterwards.

The SDK starts containers with docker compose, and leaves them, their network, and folders owned by
root. It would also pass AWS credentials to them and report its use to AWS; here it has no
credentials and reports nothing.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from facegan.cloud.aws import failed
from facegan.cloud.calls import Call, carry_out
from facegan.cloud.endpoint_requests import ModelEndpoint, delete_all, deletion
from facegan.cloud.training_request import TrainingJob
from facegan.errors import CloudError, ConfigError, FaceGANError, RunError, ServeError
from facegan.model_files.archive import check_archive

HERE = Path(__file__).parent
NO_ROLE = "arn:aws:iam::111111111111:role/local-mode"  # local mode requires one but ignores it
NETWORK = "sagemaker-local"  # the SDK's
FOLDER_LABEL = "com.docker.compose.project.working_dir"  # compose's, on each container
NO_REPORTS = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


class LocalSageMaker:
    """SageMaker's training jobs, endpoints and invocations on this machine.

    Args:
        folder: The folder for results.
        port: The port of an endpoint.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        session = open_session(folder, port)
        self.client = session.sagemaker_client  # has boto3's sagemaker methods
        self.runtime = session.sagemaker_runtime_client  # and boto3's sagemaker-runtime methods

    def train(self, job: TrainingJob) -> Path:
        """Run a training job, and return its model.tar.gz.

        Raises:
            RunError: the job failed; the message has its own reason.
            ConfigError: the folder of images is missing.
        """
        check_channel(job.pictures)
        output = local_path(job.output)
        for name in ("model.tar.gz", "output.tar.gz"):  # left by an earlier job
            (output / name).unlink(missing_ok=True)
        try:
            self.client.create_training_job(**job.request())
        except RuntimeError as cause:  # the SDK's: "Process exited with code: 1"
            sys.stdout.flush()  # the containers' output comes before the reason
            reason = failure_of(output / "output.tar.gz") or str(cause)
            (output / "model.tar.gz").unlink(missing_ok=True)  # the SDK packs incomplete models
            raise RunError(f"The job {job.name} failed: {reason}") from cause
        described = self.client.describe_training_job(TrainingJobName=job.name)
        return local_path(described["ModelArtifacts"]["S3ModelArtifacts"])

    @contextmanager
    def deployed(self, endpoint: ModelEndpoint) -> Iterator[str]:
        """Run an endpoint within the block; gives its name.

        Raises:
            ArtifactError: the model is damaged, or has no card.
            ServeError: the port is taken, or the container does not become ready.
        """
        archive = local_path(endpoint.model)
        check_archive(archive)
        check_port(self.port)
        from sagemaker.core.local import entities

        # The SDK unpacks an archive in its folder and mounts that folder, so it gets its own.
        alone = self.folder / "containers" / "served" / endpoint.name / "model.tar.gz"
        alone.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(archive, alone)
        entities.HEALTH_CHECK_TIMEOUT_LIMIT = endpoint.start_seconds  # else always 120
        try:
            carry_out(self.ask, replace(endpoint, model=alone.absolute().as_uri()).creation())
            yield endpoint.name
        except RuntimeError as cause:  # the SDK's: "Giving up, endpoint didn't launch correctly"
            hint = "The container's output is above."
            raise ServeError(
                f"The endpoint {endpoint.name} did not start: {cause}.", hint
            ) from cause
        finally:
            delete_all(self.ask, deletion(endpoint.name))
            remove_tree(alone.parent, endpoint.image)

    def ask(self, call: Call) -> Any:
        """Make one API call, like ``Aws.ask``.

        Raises:
            CloudError: the SDK refused it.
        """
        from botocore import xform_name
        from botocore.exceptions import ClientError

        try:
            return getattr(self.client, xform_name(call.action))(**call.request)
        except ClientError as cause:
            raise failed(call, cause) from cause

    def invoke(self, endpoint: str, body: bytes, content_type: str, accept: str) -> bytes:
        """Invoke an endpoint as boto3 does, and return the body of the reply.

        Raises:
            CloudError: the status is not 200; the SDK's client does not raise, unlike boto3's.
        """
        reply = self.runtime.invoke_endpoint(
            EndpointName=endpoint, Body=body, ContentType=content_type, Accept=accept
        )
        answer: bytes = reply["Body"].read()
        status = reply["ResponseMetadata"]["HTTPStatusCode"]
        if status != 200:
            raise CloudError(
                f"{endpoint} answered {status}: {answer[:500].decode('utf8', 'replace')}"
            )
        return answer


@contextmanager
def local_sagemaker(
    folder: Path, port: int, images: list[str], gpu: bool
) -> Iterator[LocalSageMaker]:
    """Give a LocalSageMaker; afterwards remove all containers, networks and temporary files.

    Args:
        folder: The folder for results.
        port: The port of an endpoint.
        images: The container images that will be started.
        gpu: Whether they need GPUs.

    Raises:
        ConfigError: Docker, compose, an image or the GPU is missing; the message says what to do.
        ServeError: the port is taken.
    """
    check_port(port)
    with swept(folder, images, gpu):
        yield LocalSageMaker(folder.absolute(), port)


@contextmanager
def swept(folder: Path, images: list[str], gpu: bool) -> Iterator[Path]:
    """Give a folder for the SDK's containers; afterwards remove it and them.

    Raises:
        ConfigError: as :func:`local_sagemaker`.
    """
    check_docker("compose", *(["gpu"] if gpu else []), *(f"image={image}" for image in images))
    containers = folder.absolute() / "containers"
    containers.mkdir(parents=True, exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, str(containers)
    try:
        yield containers
    finally:
        tempfile.tempdir = before
        sweep(containers, images[0])


def open_session(folder: Path, port: int) -> Any:
    """Return the SDK's LocalSession, with all of its files in a folder."""
    import boto3

    quieten_sdk(folder)
    from sagemaker.core.local import LocalSession

    nobody = boto3.Session("local", "local", region_name="us-east-1")
    session = LocalSession(boto_session=nobody)
    containers = str((folder / "containers").absolute())
    session.config = {
        "local": {"local_code": True, "container_root": containers, "serving_port": port}
    }
    return session


def quieten_sdk(folder: Path) -> None:
    """Disable the SDK's telemetry and its search for credentials, before it is imported.

    Raises:
        ConfigError: the SDK is not installed.
    """
    if find_spec("sagemaker") is None:
        hint = (
            "make local-test installs it into .venv-local; by hand: pip install 'facegan[local]'."
        )
        raise ConfigError("SageMaker's SDK is not installed.", hint)
    settings = folder / "containers" / "sagemaker.json"  # JSON is YAML
    settings.write_text(json.dumps(NO_REPORTS))
    os.environ["SAGEMAKER_USER_CONFIG_OVERRIDE"] = str(settings)
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


# --- checks ---------------------------------------------------------------------------------------


def check_docker(*requirements: str) -> None:
    """Raise ConfigError, with check_docker.sh's message, if Docker lacks something."""
    done = subprocess.run(
        [HERE / "check_docker.sh", *requirements], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise ConfigError(done.stderr.strip())


def check_channel(place: str) -> None:
    """Raise ConfigError if the folder of images is missing; Docker would create an empty one."""
    if place.startswith("file:") and not local_path(place).is_dir():
        folder = local_path(place)
        hint = f"Draw toy faces into it: local_test/make_data.sh IMAGE {folder}"
        raise ConfigError(f"The channel folder {folder} is missing.", hint)


def check_port(port: int) -> None:
    """Raise ServeError if a port is in use: the SDK would mistake that server for the endpoint."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            hint = f"Stop what listens there, or choose another: --port {port + 1}."
            raise ServeError(f"Port {port} is taken.", hint)


# --- results and cleaning up ----------------------------------------------------------------------


def local_path(uri: str) -> Path:
    """Return the path of a file:// URI, in the form of ``Path.as_uri`` or of the SDK."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(uri)
    return Path(unquote(parts.netloc + parts.path))


def failure_of(archive: Path) -> str:
    """Return the reason of a failed job from its output.tar.gz; empty if there is none."""
    with suppress(OSError, tarfile.TarError, KeyError), tarfile.open(archive) as tar:
        if file := tar.extractfile("failure"):
            return file.read().decode("utf8", "replace").splitlines()[0]
    return ""


def sweep(root: Path, image: str) -> None:
    """Remove the containers that were started from a folder, their network, and the folder."""
    shape = '{{.ID}} {{.Label "' + FOLDER_LABEL + '"}}'
    listed = docker("ps", "--all", "--filter", f"label={FOLDER_LABEL}", "--format", shape)
    for line in listed.splitlines():
        container, _, started_in = line.partition(" ")
        if Path(started_in).is_relative_to(root):
            docker("rm", "--force", "--volumes", container)
    docker("network", "rm", NETWORK)  # fails, as it should, while other containers use it
    remove_tree(root, image)


def docker(*words: str) -> str:
    """Run a docker command and return its output; empty if it fails."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def remove_tree(folder: Path, image: str) -> None:
    """Delete a folder; if root owns files in it, change their owner in a container first."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        ours, inside = f"{os.getuid()}:{os.getgid()}", f"{folder.absolute()}:/left"
        words = ["--network", "none", "--user", "0:0", "--entrypoint", "chown", "-v", inside]
        docker("run", "--rm", *words, image, "-R", ours, "/left")
        shutil.rmtree(folder, ignore_errors=True)


def exit_with(error: FaceGANError) -> None:
    """Print an error like the command line does, and exit with 1."""
    print(f"Error: {error}", file=sys.stderr)
    sys.exit(1)
