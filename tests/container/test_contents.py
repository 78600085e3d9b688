"""What the images hold and, above all, what they do not."""

import json
from collections.abc import Iterator

import pytest
from containers import INFERENCE, LABEL, TRAINING

from facegan import __version__
from facegan.docker_engine import Docker

LOOK = """
import importlib.util, json, sys
found = []
for name in sys.argv[1:]:
    try:
        found += [name] * (importlib.util.find_spec(name) is not None)
    except ModuleNotFoundError:
        pass
print(json.dumps(found))
"""
OF_TRAINING = ["facegan.training", "facegan.data", "facegan.metrics", "facegan.report",
               "sagemaker_training", "tensorboard", "torch_fidelity", "train"]  # fmt: skip
OF_SERVING = ["facegan.serving", "facegan.wire", "flask", "gunicorn", "openvino",
              "prometheus_client", "sagemaker_inference"]  # fmt: skip
OF_NEITHER = ["facegan.cloud", "facegan.client", "openvino_telemetry", "pytest", "uv"]
TORCH = ["torch", "safetensors"]  # not on processors, if nobody asked for it


def run(docker: Docker, image: str, *command: str) -> str:
    """What a command prints in an image."""
    return docker.output("run", "--rm", "--label", LABEL, "--network", "none", image, *command)


def found(docker: Docker, image: str) -> set[str]:
    names = [*OF_TRAINING, *OF_SERVING, *OF_NEITHER, *TORCH]
    return set(json.loads(run(docker, image, "python", "-c", LOOK, *names)))


def test_the_serving_image_holds_no_training_no_data_no_launcher_and_no_toolkit_of_it(
    docker: Docker,
) -> None:
    assert found(docker, INFERENCE) in (set(OF_SERVING), {*OF_SERVING, *TORCH})


def test_the_serving_image_for_processors_holds_no_torch(docker: Docker) -> None:
    tags = docker.output("image", "inspect", "--format", "{{.RepoTags}}", INFERENCE)
    if "-cpu" not in tags:
        pytest.skip("The image at hand is the one for GPUs.")
    assert not found(docker, INFERENCE) & set(TORCH)


def test_the_training_image_holds_no_flask_app(docker: Docker) -> None:
    assert found(docker, TRAINING) == {*OF_TRAINING, *TORCH}


@pytest.fixture(params=[TRAINING, INFERENCE])
def image(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def test_nothing_is_baked_under_opt_ml(docker: Docker, image: str) -> None:
    """SageMaker hides it."""
    assert run(docker, image, "sh", "-c", "ls -d /opt/ml 2>/dev/null || echo none") == "none"


def test_compilers_caches_and_headers_stay_behind(docker: Docker, image: str) -> None:
    left = (
        "for tool in cc gcc g++ ld make; do command -v $tool; done;"
        "ls -d /root/.cache /usr/include/python3* /tmp/* 2>/dev/null;"
        "ls -d /opt/venv/lib/python3*/site-packages/*/include 2>/dev/null;"
        "find /opt/venv -name Python.h -o -name '*.a'; true"
    )
    assert run(docker, image, "sh", "-c", left) == ""


def test_our_code_is_compiled_and_nobody_but_root_may_change_it(docker: Docker, image: str) -> None:
    count = "find /opt/program -name '*.py' | wc -l; find /opt/program -name '*.pyc' | wc -l"
    sources, compiled = run(docker, image, "sh", "-c", count).split()
    assert sources == compiled and int(sources) > 10
    assert run(docker, image, "find", "/opt/program", "-perm", "/022", "-not", "-type", "l") == ""


def test_labels_say_what_it_is_and_what_it_can(docker: Docker, image: str) -> None:
    message = json.loads(
        docker.output("image", "inspect", "--format", "{{json .Config.Labels}}", image)
    )
    assert message["org.opencontainers.image.version"] == __version__
    assert message["org.opencontainers.image.revision"]
    assert "org.opencontainers.image.source" in message
    can = "com.amazonaws.sagemaker.capabilities."
    serves = image == INFERENCE
    assert (message.get(f"{can}multi-models") == "true") is serves
    assert (message.get(f"{can}accept-bind-to-port") == "true") is serves


def test_the_entry_point_is_in_exec_form_and_there_is_a_command(docker: Docker, image: str) -> None:
    """The SDK's local trainer gives no command; SageMaker does."""
    look = "{{json .Config.Entrypoint}} {{json .Config.Cmd}} {{json .Config.User}}"
    verb = "serve" if image == INFERENCE else "train"
    message = docker.output("image", "inspect", "--format", look, image)
    assert message == f'["entry"] ["{verb}"] ""'


def test_the_wrong_image_says_which_is_the_right_one(docker: Docker, image: str) -> None:
    wrong = "train" if image == INFERENCE else "serve"
    with pytest.raises(Exception, match=f"this image has no '{wrong}'. facegan-training answers"):
        run(docker, image, wrong)
