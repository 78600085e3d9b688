"""Answers requests by an owner's input_fn, predict_fn and output_fn, with ours where one lacks.

Where predict_fn is ours, what input_fn read is drawn through the batcher, in the company of all
other callers. Where it is theirs, ``model.generate(...)`` in it is. The toolkit calls an owner's
functions for one request at a time; here predict_fn still is, unless the file says
``PREDICT_IN_PARALLEL = True``; input_fn and output_fn run for several callers at once.
"""

import contextlib
import logging
from collections.abc import Iterator
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
from facegan.serving.batching.batcher import Batcher, Images
from facegan.serving.batching.deadline import Deadline
from facegan.serving.batching.exclusive_queue import ExclusiveQueue
from facegan.serving.custom_code.context import ScriptContext
from facegan.serving.custom_code.script import InferenceScript
from facegan.serving.custom_code.values import as_faces, as_request, reply_of
from facegan.serving.handler import FaceHandler
from facegan.serving.http.negotiation import preferred_type
from facegan.serving.telemetry import request_id
from facegan.synthesis import LatentBatch, Synthesizer
from facegan.wire import CSV, JSON, GenerateRequest, bare_type

log = logging.getLogger(__name__)

TEXTS = (JSON, CSV)  # what the toolkit decodes before it calls input_fn
DEADLINE: ContextVar[Deadline] = ContextVar("deadline")  # of whom an owner's predict_fn works for
MOST_WORDS = 300  # of an owner's message that go to a caller


class OwnRefusal(FaceGANError):
    """A refusal of the owner's code, with the HTTP status it chose.

    Args:
        message: The owner's words.
        status: 400 … 599.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class CustomCodeHandler:
    """The four functions, the owner's before ours; one instance serves all threads.

    Args:
        own: The owner's.
        ours: Ours, drawing through the model's batcher where it has one.
        model_dir: The model's folder, for the context.
    """

    def __init__(self, own: InferenceScript, ours: FaceHandler, model_dir: Path) -> None:
        self.own, self.ours, self.model_dir = own, ours, model_dir
        self.queue = ExclusiveQueue(ours.limits.max_waiting_requests)

    @property
    def is_healthy(self) -> bool:
        """Whether the owner's predict_fn is not stuck."""
        return self.queue.is_healthy

    def model_for_predict_fn(self, synthesizer: Synthesizer, batcher: Batcher) -> Synthesizer:
        """What predict_fn is called with: theirs gets a model that draws through the batcher."""
        if self.own.predict_fn is None:
            return synthesizer
        return BatchedSynthesizer(synthesizer, batcher)

    def answer(
        self,
        model: Any,
        body: bytes,
        content_type: str,
        accept: str | None,
        deadline: Deadline | None = None,
    ) -> tuple[bytes, str]:
        """One request from end to end; see :meth:`FaceHandler.answer`.

        Raises:
            RequestError: the caller asked for what cannot be read, drawn or written; also where the
                owner's input_fn raised ValueError.
            OwnRefusal: the owner's code refused, with a status.
            OwnCodeError: it failed.
            ServingUnavailable: it is too busy.
        """
        deadline = deadline or Deadline()
        context = self.context()
        reply_type = self.reply_type(accept)  # refused before anything is done
        data = self.read(body, bare_type(content_type), context, model, deadline)
        if isinstance(model, Synthesizer) and isinstance(data, GenerateRequest):
            self.check(data, model, reply_type)
        prediction = self.predict(data, model, deadline, context)
        return self.write(prediction, data, model, reply_type, context)

    def context(self) -> ScriptContext:
        """What is known of this request."""
        if not flask.has_request_context():
            return ScriptContext(self.model_dir)
        headers = {name.title(): value for name, value in flask.request.headers.items()}
        return ScriptContext(self.model_dir, headers, request_id())

    def reply_type(self, accept: str | None) -> str:
        """The content type of the reply: negotiated where we write it, else the caller's wish."""
        if self.own.output_fn is None:
            return self.ours.reply_type(accept)
        return preferred_type(accept, self.ours.default_accept)

    def check(self, request: GenerateRequest, model: Synthesizer, reply_type: str) -> None:
        """Refuse what is too large before it is drawn."""
        self.ours.limits.check_count(request.count)
        if self.own.output_fn is None:
            self.ours.check(request, reply_type, model)

    def read(
        self, body: bytes, content_type: str, context: ScriptContext, model: Any, deadline: Deadline
    ) -> Any:
        """Call input_fn. What ours is to draw becomes a GenerateRequest."""
        if self.own.input_fn is None:
            return self.ours.read(body, content_type, model, deadline)
        with self.guarded("input_fn"):
            data: Any = body.decode() if content_type in TEXTS else body
            data = self.own.input_fn(data, content_type, context)
        return data if self.own.predict_fn is not None else as_request(data)

    def predict(self, data: Any, model: Any, deadline: Deadline, context: ScriptContext) -> Any:
        """Call predict_fn: theirs when its turn has come."""
        if self.own.predict_fn is None:
            return self.ours.default_predict_fn(data, model, deadline)
        token = DEADLINE.set(deadline)
        try:
            if self.own.predict_in_parallel:
                with self.guarded("predict_fn"):
                    return self.own.predict_fn(data, model, context)
            with self.queue.turn(deadline), self.guarded("predict_fn"):
                return self.own.predict_fn(data, model, context)
        finally:
            DEADLINE.reset(token)

    def write(
        self, prediction: Any, data: Any, model: Any, accept: str, context: ScriptContext
    ) -> tuple[bytes, str]:
        """Call output_fn."""
        if self.own.output_fn is None:
            return self.ours.default_output_fn(as_faces(prediction, data, model), accept)
        with self.guarded("output_fn"):
            body, content_type = reply_of(self.own.output_fn(prediction, accept, context), accept)
        count = data.count if isinstance(data, GenerateRequest) else 1
        self.ours.limits.check_reply(len(body), count)
        return body, content_type

    @contextlib.contextmanager
    def guarded(self, name: str) -> Iterator[None]:
        """Give what an owner's function raises the place it has in our replies."""
        try:
            yield
        except (FaceGANError, MemoryError):
            raise  # ours, raised by what the function called
        except BaseInferenceToolkitError as error:
            log.info("%s refused.", name, exc_info=error)
            raise refusal_of(error) from error
        except UnsupportedFormatError as error:
            hint = "The model's own code reads and writes other types."
            kind = NotAcceptable if name == "output_fn" else UnsupportedContentType
            raise kind(first_line(error)[:MOST_WORDS], hint) from error
        except ValueError as error:
            if name != "input_fn":
                raise self.fault(name, error) from error
            log.info("input_fn refused.", exc_info=error)
            told = first_line(error)[:MOST_WORDS]
            raise RequestError(told, "The model's own code reads requests.") from error
        except (Exception, SystemExit) as error:
            raise self.fault(name, error) from error

    def fault(self, name: str, error: BaseException) -> OwnCodeError:
        """The error of a function that failed; the log names its line."""
        log.error("%s failed at %s.", name, self.own.place_of(error))
        return OwnCodeError(
            f"The model's own {name} failed.", "The server's log tells why, at the request's id."
        )


class BatchedSynthesizer(Synthesizer):
    """A model whose every drawing goes through its batcher, for an owner's predict_fn."""

    def __init__(self, synthesizer: Synthesizer, batcher: Batcher) -> None:
        super().__init__(synthesizer.backend)
        self.batcher = batcher

    def generate_batch(self, batch: LatentBatch) -> Images:
        """Draw a batch → uint8 images (N, H, W, 3); within the caller's deadline."""
        deadline = DEADLINE.get(Deadline())
        return self.batcher.draw(batch, deadline)


def refusal_of(error: BaseInferenceToolkitError) -> FaceGANError:
    """A refusal with the status that the owner chose, where it is one of a refusal."""
    status = error.status_code
    if isinstance(status, int) and 400 <= status <= 599:
        return OwnRefusal(str(error.message)[:MOST_WORDS], int(status))
    return OwnCodeError(
        "The model's own code failed.", f"It chose the status {status!r}, which is no refusal's."
    )
