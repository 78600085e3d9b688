"""A model and all that answers for it, from its folder to replies, its owner's code included."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from facegan.model_files import ModelCard
from facegan.serving.batching.batcher import Batcher, BatchObserver
from facegan.serving.batching.deadline import Deadline
from facegan.serving.batching.serial_executor import SerialExecutor
from facegan.serving.custom_code.handler import CustomCodeHandler
from facegan.serving.custom_code.model import as_synthesizer, run_model_fn
from facegan.serving.custom_code.script import InferenceScript, load_script
from facegan.serving.handler import FaceHandler, Generate, writable_type
from facegan.serving.limits import ServingLimits
from facegan.serving.streaming import Draw, answer
from facegan.synthesis import BackendConfig, Synthesizer, open_synthesizer
from facegan.wire import PNG, GenerateRequest

MakeBatcher = Callable[[Synthesizer], Batcher]


class Handler(Protocol):
    """What turns a request's bytes into a reply's."""

    def answer(
        self,
        model: Any,
        body: bytes,
        content_type: str,
        accept: str | None,
        deadline: Deadline | None = None,
    ) -> tuple[bytes, str]:
        """See :meth:`FaceHandler.answer`."""


@dataclass(frozen=True)
class ServingSettings:
    """How every model of a server is served."""

    limits: ServingLimits = field(default_factory=ServingLimits)
    default_accept: str = PNG
    make_batcher: MakeBatcher | None = None  # without one, one by the limits
    backend_config: BackendConfig = field(default_factory=BackendConfig)
    own_code: bool = True  # whether a model's own code may run
    private_imports: bool = False  # whether several models' code must be kept apart

    def batcher_of(self, synthesizer: Synthesizer) -> Batcher:
        """A batcher for a model."""
        if self.make_batcher is not None:
            return self.make_batcher(synthesizer)
        return plain_batcher(synthesizer, self.limits)


def settings_of_many(settings: ServingSettings) -> ServingSettings:
    """The same for a server of many models: their batches take turns, their code is kept apart.

    Raises:
        ConfigError: the default type of replies cannot be written; else the first load would tell.
    """
    writable_type(settings.default_accept)
    executor = SerialExecutor()

    def make_batcher(synthesizer: Synthesizer) -> Batcher:
        # What is slow the first time is done here, where it takes no turn from other models.
        synthesizer.generate_batch(synthesizer.prepare_batch(seeds=[0]))
        generate = executor.serialize(synthesizer.generate_batch)
        return plain_batcher(synthesizer, settings.limits, generate)

    return replace(settings, make_batcher=make_batcher, private_imports=True)


@dataclass(frozen=True)
class ServedModel:
    """A model, ready to answer.

    Attributes:
        model: What `answer` draws with; the owner's code may make it anything.
        handler: Reads, draws and writes.
        synthesizer: The model where it is one that draws from latents; else None.
        batcher: Gathers its callers; None where the owner's code predicts without us.
        own: The owner's code, where there is some.
    """

    model: Any
    handler: Handler
    synthesizer: Synthesizer | None = None
    batcher: Batcher | None = None
    own: InferenceScript | None = None

    def answer(
        self,
        body: bytes,
        content_type: str,
        accept: str | None,
        deadline: Deadline | None = None,
        request_id: str = "",
    ) -> tuple[bytes | Iterator[bytes], str]:
        """A reply's body, whole or as a stream, and its content type; see :func:`answer`."""
        deadline = deadline or Deadline()
        if isinstance(self.handler, FaceHandler):
            request = self.model, body, content_type, accept, deadline, request_id
            return answer(self.handler, *request)
        return self.handler.answer(self.model, body, content_type, accept, deadline)

    @property
    def card(self) -> ModelCard | None:
        """The model's card, if all that callers meet is ours."""
        is_ours = self.synthesizer is not None and isinstance(self.handler, FaceHandler)
        return self.synthesizer.card if is_ours and self.synthesizer else None

    def observe(self, observer: BatchObserver) -> None:
        """Tell an observer of the batches from now on."""
        if self.batcher is not None:
            self.batcher.observer = observer

    @property
    def is_healthy(self) -> bool:
        """Whether the model's thread lives, and nothing is stuck."""
        is_stuck = isinstance(self.handler, CustomCodeHandler) and not self.handler.is_healthy
        return not is_stuck and (self.batcher is None or self.batcher.is_healthy)

    @property
    def is_closing(self) -> bool:
        """Whether it takes nothing new."""
        return self.batcher is not None and self.batcher.is_closing

    def close(self, seconds: float = 20.0) -> bool:
        """Draw what was accepted, then let go; whether that was done in time."""
        is_done = self.batcher is None or self.batcher.close(seconds)
        if self.own is not None:
            self.own.forget()
        return is_done


def plain_batcher(
    synthesizer: Synthesizer,
    limits: ServingLimits,
    draw: Draw | None = None,
    observer: BatchObserver | None = None,
) -> Batcher:
    """A batcher by the limits; `draw` takes the place of the model's own, one call at a time."""
    return Batcher(
        draw or synthesizer.generate_batch,
        observer=observer,
        max_batch_size=synthesizer.batch_sizes.largest,
        workers=1 if draw else synthesizer.enable_concurrency(),
        max_images=limits.max_waiting_images,
        max_requests=limits.max_waiting_requests,
    )


def generate_with(batcher: Batcher) -> Generate:
    """Draw through a batcher."""
    return lambda _, batch, deadline: batcher.draw(batch, deadline)


def serve(synthesizer: Synthesizer, settings: ServingSettings) -> ServedModel:
    """Serve a model of ours; it has drawn when this returns.

    What can fail or is slow the first time is then behind it.

    Raises:
        ConfigError: the default type of replies cannot be written.
    """
    batcher = settings.batcher_of(synthesizer)
    handler = FaceHandler(settings.limits, settings.default_accept, generate_with(batcher))
    handler.default_predict_fn(GenerateRequest(seeds=[0]), synthesizer)
    return ServedModel(synthesizer, handler, synthesizer, batcher)


def open_model(model_dir: Path, settings: ServingSettings) -> ServedModel:
    """Load the model in a folder, and its owner's ``code/inference.py`` where there is one.

    Raises:
        ArtifactError: there is no model, or a damaged one.
        OwnCodeError: the code is forbidden, does not load, or does not fit ours.
        ConfigError: as :func:`serve`.
    """
    own = load_script(model_dir, settings.own_code, settings.private_imports)
    if own is None:
        return serve(open_synthesizer(model_dir, settings.backend_config), settings)
    try:
        return serve_own(model_dir, own, settings)
    except BaseException:
        own.forget()
        raise


def serve_own(model_dir: Path, own: InferenceScript, settings: ServingSettings) -> ServedModel:
    """Serve a model by its owner's functions, and ours where there are none of theirs."""
    made = run_model_fn(own, model_dir)
    if made is None:
        made = open_synthesizer(model_dir, settings.backend_config)
    if own.predict_fn is None or own.model_fn is None:
        made = as_synthesizer(made, own, model_dir, settings.backend_config)
    synthesizer = made if isinstance(made, Synthesizer) else None
    if synthesizer is None:
        ours = FaceHandler(settings.limits, settings.default_accept)
        return ServedModel(made, CustomCodeHandler(own, ours, model_dir), own=own)
    served = serve(synthesizer, settings)
    assert isinstance(served.handler, FaceHandler) and served.batcher is not None
    if not (own.input_fn or own.predict_fn or own.output_fn):
        return replace(served, own=own)
    handler = CustomCodeHandler(own, served.handler, model_dir)
    model = handler.model_for_predict_fn(synthesizer, served.batcher)
    return ServedModel(model, handler, synthesizer, served.batcher, own)
