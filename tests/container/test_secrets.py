"""What a build is trusted with stays out of the image: secret files, the settings of an index."""

import subprocess
import uuid
from pathlib import Path

import pytest

from facegan.docker_engine import Docker

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    not list((ROOT / "docker/wheels").glob("setuptools-*")), reason="make wheels was not run"
)
def test_no_layer_and_no_history_holds_a_secret(docker: Docker, tmp_path: Path) -> None:
    """A build of nothing but pip and setuptools, from docker/wheels, with both secrets given."""
    marker = f"s3cret-{uuid.uuid4().hex}"
    (tmp_path / "pip.conf").write_text(f"[global]\n# {marker}\nno-index = true\n")
    (tmp_path / "ca.pem").write_text(f"# {marker}\n")
    name = f"facegan-test-secrets:{uuid.uuid4().hex[:8]}"
    words = ["build", "--no-cache", f"--file={ROOT / 'docker/inference.Dockerfile'}",
             "--build-arg=BASE=facegan-base", "--build-arg=BUILD_BASE=facegan-build-base",
             "--build-arg=LOCK=build", f"--secret=id=pip_conf,src={tmp_path / 'pip.conf'}",
             f"--secret=id=ca,src={tmp_path / 'ca.pem'}", f"--tag={name}", str(ROOT)]  # fmt: skip
    docker.stream(words, "Building", lambda _: None)
    try:
        assert marker not in docker.output("history", "--no-trunc", name)
        with subprocess.Popen([docker.client, "save", name], stdout=subprocess.PIPE) as saved:
            assert saved.stdout is not None
            found = subprocess.run(["grep", "--count", "--text", marker], stdin=saved.stdout)
        assert found.returncode == 1  # grep found no line
    finally:
        docker.output("image", "rm", "--force", name)
