"""The server needs no training code and no AWS SDK: both are blocked, and it still serves."""

import gc
import os
import subprocess
import sys
from pathlib import Path

from facegan.serving.http.gunicorn_settings import gunicorn_settings

SERVE_WITHOUT = """
import sys
for name in ("boto3", "botocore", "sagemaker_training", "facegan.data", "facegan.training",
             "facegan.client", "facegan.cloud", "tensorboard", "torchvision", "tqdm",
             "sagemaker_inference.model_server"):
    sys.modules[name] = None  # importing it raises ImportError

from facegan.artifact import load_artifact
from facegan.serving import create_app
from facegan.synthesis import Synthesizer

app = create_app(Synthesizer(load_artifact(sys.argv[1])))
reply = app.test_client().post("/invocations", json={"seeds": [1]})
assert reply.status_code == 200, reply.data
"""

LOAD_AS_THE_CONTAINER = """
import sys
sys.path.insert(0, sys.argv[1])
import wsgi
heavy = {"scipy", "sympy", "networkx", "torch._dynamo", "torch._inductor", "torchvision",
         "numpy.f2py", "tensorboard", "matplotlib", "boto3", "botocore", "torch.onnx",
         "facegan.training", "facegan.data", "facegan.metrics", "facegan.report"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""

READ_SETTINGS = """
import sys
from facegan.environment import ServingEnvironment
from facegan.serving.http.gunicorn_settings import gunicorn_settings
gunicorn_settings("0.0.0.0", 8080, 16)
assert not {"torch", "flask", "numpy"} & set(sys.modules), "the master must stay light"
"""

CONTAINER = Path(__file__).parents[2] / "container" / "inference"


def run_python(program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **variables},
    )


def test_app_works_without_the_packages_its_image_lacks(model_dir: Path) -> None:
    """Blocked: boto3, the training toolkit, the data and training rooms, the client."""
    done = run_python(SERVE_WITHOUT, str(model_dir))
    assert done.returncode == 0, done.stderr


def test_gunicorns_master_reads_its_settings_without_torch() -> None:
    """It forks, and threads of a library that it had loaded would not exist in the worker."""
    done = run_python(READ_SETTINGS)
    assert done.returncode == 0, done.stderr


def test_container_imports_no_unused_heavy_package(model_dir: Path) -> None:
    """Each of these costs a tenth of a second of the start, or more."""
    done = run_python(LOAD_AS_THE_CONTAINER, str(CONTAINER), SM_MODEL_DIR=str(model_dir))
    assert done.returncode == 0, done.stderr


def test_garbage_collector_pauses_while_the_app_loads_and_skips_what_was_loaded() -> None:
    """Scanning torch's objects again and again costs a tenth of the start."""
    settings = gunicorn_settings("127.0.0.1", 8080, 1)
    frozen = gc.get_freeze_count()
    try:
        settings["post_fork"](None, None)
        assert not gc.isenabled()
        settings["post_worker_init"](None)
        assert gc.isenabled() and gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
