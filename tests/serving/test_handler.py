"""The four functions keep sagemaker-inference's contract: its own Transformer runs them."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sagemaker_inference.transformer import Transformer

from facegan.errors import ArtifactError
from facegan.serving.handler import FaceHandler
from facegan.synthesis import InputBatch
from facegan.wire import JSON, PNG, read_provenance


class ModelServerContext:
    """The context of one request, as a model server passes it to the Transformer."""

    def __init__(self, model_dir: Path, accept: str) -> None:
        self.system_properties = {"model_dir": str(model_dir)}
        self.request_processor = [self]
        self.accept = accept
        self.status = 200
        self.reply_type = ""

    def get_request_properties(self) -> dict[str, str]:
        return {"Content-Type": JSON, "Accept": self.accept}

    def set_response_content_type(self, _: int, content_type: str) -> None:
        self.reply_type = content_type

    def set_response_status(self, code: int, phrase: str) -> None:
        self.status = code


def test_the_toolkits_transformer_runs_the_handler(model_dir: Path) -> None:
    """model_fn, input_fn, predict_fn and output_fn fit where AWS's toolkit calls them."""
    context = ModelServerContext(model_dir, "image/png, */*;q=0.5")
    reply = Transformer(FaceHandler()).transform([{"body": b'{"seeds": [5]}'}], context)
    assert (context.status, context.reply_type) == (200, PNG)
    assert read_provenance(reply[0])["facegan:seeds"] == "5"


def test_the_toolkit_generates_one_batch_at_a_time(model_dir: Path) -> None:
    """Two at once would run twice as many torch threads as there are cores."""
    handler = FaceHandler()
    model, generating, most = handler.default_model_fn(str(model_dir)), [0], [0]
    assert model.batcher is not None

    def watched(batch: InputBatch) -> np.ndarray:
        generating[0] += 1
        most[0] = max(most[0], generating[0])
        time.sleep(0.01)
        generating[0] -= 1
        return np.zeros((len(batch), 32, 32, 3), np.uint8)

    model.batcher.draw_batch = watched
    request = handler.default_input_fn(b'{"seeds": [1]}', JSON)
    with ThreadPoolExecutor(8) as callers:
        for _ in range(16):
            callers.submit(handler.default_predict_fn, request, model)
    model.close(5)
    assert most == [1]


def test_model_fn_refuses_an_empty_folder(tmp_path: Path) -> None:
    """A container without a model fails when it loads, in a sentence."""
    with pytest.raises(ArtifactError, match="cannot be read"):
        FaceHandler().default_model_fn(str(tmp_path))
