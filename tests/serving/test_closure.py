"""The server needs no training code and no AWS SDK: both are blocked, and it still serves."""

import subprocess
import sys
from pathlib import Path

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

READ_SETTINGS = """
import sys
from facegan.environment import ServingEnvironment
from facegan.serving.gunicorn_settings import gunicorn_settings
gunicorn_settings("0.0.0.0", 8080, 16)
assert not {"torch", "flask", "numpy"} & set(sys.modules), "the master must stay light"
"""


def run_python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120
    )


def test_the_app_answers_without_what_its_image_lacks(model_dir: Path) -> None:
    """Blocked: boto3, the training toolkit, the data and training rooms, the client."""
    done = run_python(SERVE_WITHOUT, str(model_dir))
    assert done.returncode == 0, done.stderr


def test_gunicorns_master_reads_its_settings_without_torch() -> None:
    """It forks: what it does not load cannot have threads that the worker would miss."""
    done = run_python(READ_SETTINGS)
    assert done.returncode == 0, done.stderr
