"""container/inference/wsgi.py picks what to serve from the environment."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from flask.testing import FlaskClient
from free_ports import free_port
from gunicorn.errors import AppImportError

from facegan.wire import NPY

SOURCE = Path(__file__).parents[2] / "src"
PROGRAM = Path(__file__).parents[2] / "container" / "inference" / "wsgi.py"
Start = Callable[..., FlaskClient]


@pytest.fixture
def base(model_dir: Path, tmp_path: Path) -> Path:
    """/opt/ml with one model, and the same among many."""
    for place in ("model", "models/hash/model"):
        shutil.copytree(model_dir, tmp_path / place)
    return tmp_path


@pytest.fixture
def start(base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Run the program as gunicorn's worker does, in whose place this process forgets it later."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(**variables: str) -> FlaskClient:
        for name, value in {"SAGEMAKER_BASE_DIR": str(base), **variables}.items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("wsgi_under_test", PROGRAM)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.app.test_client()  # type: ignore[no-any-return]

    yield run
    for name in [name for name in sys.modules if name.startswith("facegan_own_code_")]:
        del sys.modules[name]


def test_one_model_is_served_by_default(start: Start) -> None:
    client = start()
    reply = client.post("/invocations", json={"seeds": [1]}, headers={"Accept": NPY})
    assert reply.status_code == 200
    assert client.get("/models").status_code == 404


def test_many_models_are_served_where_sagemaker_says_so(start: Start, base: Path) -> None:
    client = start(SAGEMAKER_MULTI_MODEL="true")
    assert client.get("/ping").status_code == 200
    option = {"model_name": "x", "url": str(base / "models/hash/model")}
    assert client.post("/models", json=option).status_code == 200
    reply = client.post("/models/x/invoke", json={"seeds": [1]}, headers={"Accept": NPY})
    assert reply.status_code == 200
    assert client.post("/invocations", json={"seeds": [1]}).status_code == 404
    assert client.post("/models", json={**option, "url": str(base / "model")}).status_code == 409
    other = {"model_name": "y", "url": str(base / "model")}
    assert client.post("/models", json=other).status_code == 400


def test_the_budget_comes_from_the_environment(start: Start, base: Path) -> None:
    client = start(SAGEMAKER_MULTI_MODEL="true", FACEGAN_MODEL_MEMORY_MB="1")
    option = {"model_name": "x", "url": str(base / "models/hash/model")}
    reply = client.post("/models", json=option)
    assert reply.status_code == 507 and "of 1.0 MiB" in reply.get_json()["message"]


def test_a_models_own_code_runs_unless_it_is_forbidden(start: Start, base: Path) -> None:
    code = base / "model" / "code"
    code.mkdir()
    (code / "inference.py").write_text("def output_fn(prediction, accept): return 'own'")
    assert start().post("/invocations", json={"seeds": [1]}).text == "own"
    with pytest.raises(AppImportError, match="forbidden"):
        start(FACEGAN_OWN_CODE="false")


def test_code_of_one_of_many_that_does_not_load_is_reported_and_leaves_the_others(
    start: Start, base: Path
) -> None:
    """500 with the line: whoever loads is the model's owner."""
    client = start(SAGEMAKER_MULTI_MODEL="true")
    fine = base / "models/hash/model"
    broken = base / "models/broken/model"
    shutil.copytree(fine, broken)
    (broken / "code").mkdir()
    (broken / "code" / "inference.py").write_text("1 / 0")
    assert client.post("/models", json={"model_name": "f", "url": str(fine)}).status_code == 200
    reply = client.post("/models", json={"model_name": "b", "url": str(broken)})
    assert reply.status_code == 500
    assert "code/inference.py, line 1" in reply.get_json()["message"]
    assert client.get("/ping").status_code == 200
    assert len(client.get("/models").get_json()["models"]) == 1


@pytest.mark.parametrize(
    ("variables", "output"),
    [
        ({"SM_MODEL_DIR": "/nowhere"}, "/nowhere cannot be read"),
        ({"FACEGAN_THREADS": "many"}, "The variable FACEGAN_THREADS is 'many'"),
        ({"SM_CURRENT_INSTANCE_TYPE": "ml.g5.xlarge"}, r"GPU instance \(ml\.g5\.xlarge\)"),
    ],
)
def test_a_container_that_cannot_serve_ends_with_a_sentence_and_no_trace(
    base: Path, variables: dict[str, str], output: str
) -> None:
    if "SM_CURRENT_INSTANCE_TYPE" in variables and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(base), **variables}
    environment |= {"PYTHONPATH": str(SOURCE), "SAGEMAKER_BIND_TO_PORT": str(free_port())}
    done = subprocess.run(
        ["sh", str(PROGRAM.with_name("serve"))], env=environment, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert re.search(rf"^Error: .*{output}", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr + done.stdout
