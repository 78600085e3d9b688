"""SageMaker's SDK in local mode, without an account, in one folder, and swept up afterwards.

The SDK starts containers by docker compose and leaves them, their network, and folders that root
owns. It would also hand AWS credentials to them, and report its use to AWS: here it has none to
hand on, and does not report.
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
NO_ROLE = "arn:aws:iam::111111111111:role/local-mode"  # local mode asks for one and uses none
NETWORK = "sagemaker-local"  # the SDK's
FOLDER_LABEL = "com.docker.compose.project.working_dir"  # compose's, on each container
NO_REPORTS = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


class LocalSageMaker:
    """What a script needs of SageMaker: jobs, endpoints, invocations, on this machine.

    Args:
        folder: Everything that is left lies in it.
        port: Where an endpoint listens.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        session = open_session(folder, port)
        self.client = session.sagemaker_client  # has boto3's sagemaker methods
        self.runtime = session.sagemaker_runtime_client  # and boto3's sagemaker-runtime methods

    def train(self, job: TrainingJob) -> Path:
        """Run a job to its end; its model.tar.gz.

        Raises:
            RunError: it failed; the reason is the one that it left.
            ConfigError: its pictures are not there.
        """
        check_channel(job.pictures)
        output = local_path(job.output)
        for name in ("model.tar.gz", "output.tar.gz"):  # an earlier job's are not this one's
            (output / name).unlink(missing_ok=True)
        try:
            self.client.create_training_job(**job.request())
        except RuntimeError as cause:  # the SDK's: "Process exited with code: 1"
            sys.stdout.flush()  # what the SDK wrote of the containers comes before the reason
            reason = failure_of(output / "output.tar.gz") or str(cause)
            (output / "model.tar.gz").unlink(missing_ok=True)  # the SDK packs what there is
            raise RunError(f"The job {job.name} failed: {reason}") from cause
        told = self.client.describe_training_job(TrainingJobName=job.name)
        return local_path(told["ModelArtifacts"]["S3ModelArtifacts"])

    @contextmanager
    def deployed(self, endpoint: ModelEndpoint) -> Iterator[str]:
        """An endpoint that is in service within; its name.

        Raises:
            ArtifactError: the model is damaged, or has no card.
            ServeError: the port is taken, or the container does not become ready.
        """
        archive = local_path(endpoint.model)
        check_archive(archive)
        check_port(self.port)
        from sagemaker.core.local import entities

        # The SDK unpacks an archive where it lies, and mounts that folder: so it gets its own.
        alone = self.folder / "containers" / "served" / endpoint.name / "model.tar.gz"
        alone.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(archive, alone)
        entities.HEALTH_CHECK_TIMEOUT_LIMIT = endpoint.start_seconds  # else 120, whatever is asked
        try:
            carry_out(self.ask, replace(endpoint, model=alone.absolute().as_uri()).creation())
            yield endpoint.name
        except RuntimeError as cause:  # the SDK's: "Giving up, endpoint didn't launch correctly"
            hint = "What the container said stands above."
            raise ServeError(
                f"The endpoint {endpoint.name} did not start: {cause}.", hint
            ) from cause
        finally:
            delete_all(self.ask, deletion(endpoint.name))
            remove_tree(alone.parent, endpoint.image)

    def ask(self, call: Call) -> Any:
        """Make one call of SageMaker's, as ``Aws.ask`` does.

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
        """What an endpoint answers, by boto3's own call.

        Raises:
            CloudError: it refused; boto3 would raise too, the SDK's stand-in does not.
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
    """SageMaker on this machine; afterwards no container, network or temporary file is left.

    Args:
        folder: Where everything goes.
        port: Where an endpoint will listen.
        images: Those that will be started.
        gpu: Whether they will want GPUs.

    Raises:
        ConfigError: Docker, compose, an image or the GPU is not there; it says what to do.
        ServeError: the port is taken.
    """
    check_port(port)
    with swept(folder, images, gpu):
        yield LocalSageMaker(folder.absolute(), port)


@contextmanager
def swept(folder: Path, images: list[str], gpu: bool) -> Iterator[Path]:
    """The folder for the SDK's containers within; afterwards nothing of them is left.

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
    """The SDK's LocalSession, kept in a folder."""
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
    """Let the SDK, before it is imported, report nothing, and ask nobody for credentials.

    Raises:
        ConfigError: it is not installed.
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


# --- what is checked before -----------------------------------------------------------------------


def check_docker(*wishes: str) -> None:
    """Refuse to begin what Docker cannot do.

    Raises:
        ConfigError: in the words of check_docker.sh.
    """
    done = subprocess.run(
        [HERE / "check_docker.sh", *wishes], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise ConfigError(done.stderr.strip())


def check_channel(place: str) -> None:
    """Refuse a folder of pictures that is missing, before Docker makes an empty one of its name.

    Raises:
        ConfigError: names it.
    """
    if place.startswith("file:") and not local_path(place).is_dir():
        folder = local_path(place)
        hint = f"Draw toy faces into it: local_test/make_data.sh IMAGE {folder}"
        raise ConfigError(f"The channel folder {folder} is missing.", hint)


def check_port(port: int) -> None:
    """Refuse a port on which somebody listens: the SDK would take that for the endpoint.

    Raises:
        ServeError: names it, and another.
    """
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            hint = f"Stop what listens there, or choose another: --port {port + 1}."
            raise ServeError(f"Port {port} is taken.", hint)


# --- what is left ---------------------------------------------------------------------------------


def local_path(uri: str) -> Path:
    """The path of a file:// URI, as ``Path.as_uri`` or the SDK writes it."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(uri)
    return Path(unquote(parts.netloc + parts.path))


def failure_of(archive: Path) -> str:
    """What a failed job said of itself, from its output.tar.gz; empty if it said nothing."""
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
    docker("network", "rm", NETWORK)  # refused, and rightly, while another's container is in it
    remove_tree(root, image)


def docker(*words: str) -> str:
    """What a docker command says; nothing where it fails."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def remove_tree(folder: Path, image: str) -> None:
    """Delete a folder, by a container where root owns what another container wrote."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        ours, inside = f"{os.getuid()}:{os.getgid()}", f"{folder.absolute()}:/left"
        words = ["--network", "none", "--user", "0:0", "--entrypoint", "chown", "-v", inside]
        docker("run", "--rm", *words, image, "-R", ours, "/left")
        shutil.rmtree(folder, ignore_errors=True)


def tell(error: FaceGANError) -> None:
    """Say a mistake as the command line would, and leave."""
    print(f"Error: {error}", file=sys.stderr)
    sys.exit(1)
