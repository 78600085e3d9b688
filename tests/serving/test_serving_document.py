"""The example of custom code in docs/serving.md does what the document says."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from facegan.serving import create_app
from facegan.serving.model.served_model import ServingSettings, open_model

DOCUMENT = Path(__file__).parents[2] / "docs" / "serving.md"


@pytest.fixture
def client(model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """Return a client of a model with the document's code."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    (example,) = [block for block in blocks if "code/inference.py" in block]
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    (folder / "code").mkdir()
    (folder / "code" / "inference.py").write_text(example)
    return create_app(open_model(folder, ServingSettings())).test_client()


def test_the_example_answers_as_it_says(client: FlaskClient) -> None:
    page = client.post(
        "/invocations", json={"names": ["Ada", "Bob"]}, headers={"Accept": "text/html"}
    )
    assert page.mimetype == "text/html" and page.text.count("<img src=") == 2


@pytest.mark.parametrize(("body", "accept", "status"), [
    (b'{"names": []}', "text/html", 422), (b"{", "text/html", 400),
    (b'{"names": ["Ada"]}', "image/png", 406), (b"{}", "text/html", 500),
])  # fmt: skip
def test_the_example_refuses_as_it_says(
    client: FlaskClient, body: bytes, accept: str, status: int
) -> None:
    reply = client.post("/invocations", data=body, content_type="application/json",
                        headers={"Accept": accept})  # fmt: skip
    assert reply.status_code == status, reply.text
    assert set(reply.get_json()) == {"error", "message", "hint"}
