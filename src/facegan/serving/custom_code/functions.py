"""Calls a model's own input_fn, predict_fn and output_fn, and maps their errors to replies.

A custom predict_fn gets a model whose ``generate(...)`` shares batches with all other requests. The
toolkit calls custom functions for one request at a time; here predict_fn still is, unless the file
says ``PREDICT_IN_PARALLEL = True``; input_fn and output_fn run for several requests at once.

predict_fn may return an iterator of images and output_fn one of bytes or text: their items are
streamed as they come.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import flask
from sagemaker_inference.errors import BaseInferenceToolkitError, UnsupportedFormatError

from facegan.errors import (
    FaceGANError,
    NotAcceptable,
    OwnCodeError,
    RequestError,
    UnsupportedContentType,
    first_line,
)
from facegan.serving.batching.batcher import Batcher
from facegan.serving.batching.deadline import Deadline
from facegan.serving.batching.exclusive_queue import ExclusiveQueue
from facegan.serving.custom_code.context import ScriptContext
from facegan.serving.custom_code.script import InferenceScript
from facegan.serving.custom_code.values import as_request, split_reply, to_bytes
from facegan.serving.telemetry.requests import request_id
from facegan.synthesis import InputBatch, Synthesizer
from facegan.wire import CSV, JSON, Images

log = logging.getLogger(__name__)

TEXTS = (JSON, CSV)  # what the toolkit decodes before it calls input_fn
DEADLINE: ContextVar[Deadline] = ContextVar("deadline")  # of the request that predict_fn answers
MAX_MESSAGE = 300  # characters of a custom error that are sent to the client
END = object()  # of an iterator


class OwnRefusal(FaceGANError):
    """A refusal by custom code, with the HTTP status (400 … 599) that it chose.

    The class's name is the JSON field `error` of the reply, as that of OwnCodeError is.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class CustomFunctions:
    """The functions of one inference script; one instance serves all threads.

    Args:
        script: The functions as they were loaded.
        model: What predict_fn is called with.
        model_dir: The model's folder, for the context.
        max_waiting: How many requests may wait for predict_fn.
    """

    def __init__(
        self, script: InferenceScript, model: Any, model_dir: Path, max_waiting: int
    ) -> None:
        self.script, self.model, self.model_dir = script, model, model_dir
        self.queue = ExclusiveQueue(max_waiting)

    def new_context(self) -> ScriptContext:
        """Return the context of the current request."""
        if not flask.has_request_context():
            return ScriptContext(self.model_dir)
        headers = {name.title(): value for name, value in flask.request.headers.items()}
        return ScriptContext(self.model_dir, headers, request_id())

    def read(self, body: bytes, content_type: str) -> Any:
        """Call input_fn; without a custom predict_fn, convert its result to a GenerateRequest."""
        assert self.script.input_fn is not None
        with self.mapped_errors("input_fn"):
            data: Any = body.decode() if content_type in TEXTS else body
            data = self.script.input_fn(data, content_type, self.new_context())
        return data if self.script.predict_fn is not None else as_request(data)

    def predict(self, data: Any, deadline: Deadline) -> Any:
        """Call predict_fn in turn; each step of an iterator that it returns is a turn as well."""
        function, context = self.script.predict_fn, self.new_context()
        assert function is not None
        result = self.take_turn(lambda: function(data, self.model, context), deadline)
        return self.iterate(result, deadline) if isinstance(result, Iterator) else result

    def iterate(self, items: Iterator[Any], deadline: Deadline) -> Iterator[Any]:
        """Yield the items of a predict_fn that is a generator."""
        while (item := self.take_turn(lambda: next(items, END), deadline)) is not END:
            yield item

    def take_turn(self, function: Callable[[], Any], deadline: Deadline) -> Any:
        """Call a function alone, or with others if the script says so."""
        token = DEADLINE.set(deadline)
        try:
            is_parallel = self.script.predict_in_parallel
            turn = contextlib.nullcontext() if is_parallel else self.queue.turn(deadline)
            with turn, self.mapped_errors("predict_fn"):
                return function()
        finally:
            DEADLINE.reset(token)

    def write(self, prediction: Any, accept: str) -> tuple[bytes | Iterator[bytes], str]:
        """Call output_fn; return the body, whole or in pieces, and its content type."""
        assert self.script.output_fn is not None
        with self.mapped_errors("output_fn"):
            result = self.script.output_fn(prediction, accept, self.new_context())
            body, content_type = split_reply(result, accept)
            if not isinstance(body, Iterator):
                return to_bytes(body), content_type
        return self.pieces(body), content_type

    def pieces(self, body: Iterator[Any]) -> Iterator[bytes]:
        """Yield the pieces of an output_fn that is a generator."""
        while True:
            with self.mapped_errors("output_fn"):
                if (piece := next(body, END)) is END:
                    return
                encoded = to_bytes(piece)
            yield encoded

    @contextlib.contextmanager
    def mapped_errors(self, name: str) -> Iterator[None]:
        """Convert what a custom function raises to an error that has an HTTP status."""
        try:
            yield
        except (FaceGANError, MemoryError):
            raise  # raised by this project's code, which the function called
        except BaseInferenceToolkitError as error:
            log.info("%s refused.", name, exc_info=error)
            raise refusal_of(error) from error
        except UnsupportedFormatError as error:
            hint = "The model's own code reads and writes other types."
            kind = NotAcceptable if name == "output_fn" else UnsupportedContentType
            raise kind(first_line(error)[:MAX_MESSAGE], hint) from error
        except ValueError as error:
            if name != "input_fn":
                raise self.failure(name, error) from error
            log.info("input_fn refused.", exc_info=error)
            message = first_line(error)[:MAX_MESSAGE]
            raise RequestError(message, "The model's own code reads requests.") from error
        except (Exception, SystemExit) as error:
            raise self.failure(name, error) from error

    def failure(self, name: str, error: BaseException) -> OwnCodeError:
        """Build the error of a function that failed; the log names its line."""
        log.error("%s failed at %s.", name, self.script.line_of(error))
        return OwnCodeError(
            f"The model's own {name} failed.", "See the server's log for this request's id."
        )


class BatchedSynthesizer(Synthesizer):
    """A model that generates through its batcher, for a custom predict_fn."""

    def __init__(self, synthesizer: Synthesizer, batcher: Batcher) -> None:
        super().__init__(synthesizer.backend)
        self.batcher = batcher

    def generate_batch(self, batch: InputBatch) -> Images:
        """Generate uint8 images (N, H, W, 3) within the deadline of the current request."""
        return self.batcher.draw(batch, DEADLINE.get(Deadline()))


def refusal_of(error: BaseInferenceToolkitError) -> FaceGANError:
    """Convert a refusal to one with its status, if the status is that of a refusal."""
    status = error.status_code
    if isinstance(status, int) and 400 <= status <= 599:
        return OwnRefusal(str(error.message)[:MAX_MESSAGE], int(status))
    return OwnCodeError(
        "The model's own code failed.", f"It chose the status {status!r}, which is not an error's."
    )
