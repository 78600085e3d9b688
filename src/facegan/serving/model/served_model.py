"""A loaded model that is ready to answer: its batcher, and its custom code if it has some."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from facegan.errors import ConfigError
from facegan.serving.batching.batcher import Batcher, BatchObserver
from facegan.serving.batching.deadline import Deadline
from facegan.serving.batching.serial_executor import SerialExecutor
from facegan.serving.custom_code.functions import BatchedSynthesizer, CustomFunctions
from facegan.serving.custom_code.model import as_synthesizer, run_model_fn
from facegan.serving.custom_code.script import InferenceScript, load_script
from facegan.serving.limits import MAX_LATENT_DIM, ServingLimits
from facegan.synthesis import BackendConfig, InputBatch, Synthesizer, open_synthesizer
from facegan.wire import IMAGE_CODECS, PNG, Images, ModelSignature, bare_type
from facegan.wire.signature import LATENTS_ONLY

REPLY_TYPES = tuple(IMAGE_CODECS)

MakeBatcher = Callable[[Synthesizer], Batcher]
Generate = Callable[[InputBatch], Images]


def check_default_accept(content_type: str) -> str:
    """Return a content type without parameters."""
    name = bare_type(content_type)
    if name not in REPLY_TYPES:
        hint = "It must be one of " + ", ".join(REPLY_TYPES) + "."
        raise ConfigError(f"The default type of replies is {content_type!r}.", hint)
    return name


@dataclass(frozen=True)
class ServingSettings:
    """How every model of a server is served."""

    limits: ServingLimits = field(default_factory=ServingLimits)
    default_accept: str = PNG
    make_batcher: MakeBatcher | None = None  # None is a batcher by the limits
    backend_config: BackendConfig = field(default_factory=BackendConfig)
    own_code: bool = True  # whether a model's own code may run
    private_imports: bool = False  # whether several models' code must be kept apart

    def batcher_of(self, synthesizer: Synthesizer) -> Batcher:
        """Build the batcher of a model."""
        if self.make_batcher is not None:
            return self.make_batcher(synthesizer)
        return plain_batcher(synthesizer, self.limits)


def settings_of_many(settings: ServingSettings) -> ServingSettings:
    """Return the settings for many models: their batches take turns, their code is kept apart."""
    check_default_accept(settings.default_accept)  # otherwise the first load fails
    executor = SerialExecutor()

    def make_batcher(synthesizer: Synthesizer) -> Batcher:
        # What is slow the first time is done here, where it takes no turn from other models.
        synthesizer.generate_batch(synthesizer.example_batch())
        generate = executor.serialize(synthesizer.generate_batch)
        return plain_batcher(synthesizer, settings.limits, generate)

    return replace(settings, make_batcher=make_batcher, private_imports=True)


@dataclass(frozen=True)
class ServedModel:
    """A model that is ready to answer.

    Attributes:
        synthesizer: The generator; None if custom code made a model of another kind.
        batcher: Generates for all requests; None without a synthesizer.
        default_accept: The content type of replies if Accept names none.
        script: The model's own code, if it has some.
        functions: Its functions for requests, if it has some.
        input_fn: Its input_fn; None if this package parses requests.
        predict_fn: Its predict_fn; None if the batcher generates.
        output_fn: Its output_fn; None if this package encodes images.
    """

    synthesizer: Synthesizer | None
    batcher: Batcher | None
    default_accept: str = PNG
    script: InferenceScript | None = None
    functions: CustomFunctions | None = None
    input_fn: Callable[[bytes, str], Any] | None = None
    predict_fn: Callable[[Any, Deadline], Any] | None = None
    output_fn: Callable[[Any, str], tuple[bytes | Iterator[bytes], str]] | None = None

    @cached_property
    def request_widths(self) -> tuple[int, int]:
        """The width of the latents, and the length of the longest class name."""
        if self.synthesizer is None:
            return MAX_LATENT_DIM, 0
        card = self.synthesizer.card
        return card.latent_dim, max((len(name) for name, _ in card.classes), default=0)

    @cached_property
    def signature(self) -> ModelSignature:
        """What the model takes; latents, if custom code made a model of another kind."""
        if self.synthesizer is None:
            return LATENTS_ONLY
        return ModelSignature.of(self.synthesizer.card)

    @property
    def reads_json_lines(self) -> bool:
        """Whether a custom input_fn takes whole bodies of JSON Lines."""
        return self.script is not None and self.script.reads_json_lines

    def generate_batch(self, batch: InputBatch, deadline: Deadline) -> Images:
        """Generate a batch together with other requests → uint8 images (N, H, W, 3)."""
        assert self.batcher is not None
        return self.batcher.draw(batch, deadline)

    def observe(self, observer: BatchObserver) -> None:
        """Report the batches to an observer from now on."""
        if self.batcher is not None:
            self.batcher.observer = observer
            observer.watch(self.batcher)

    @property
    def is_healthy(self) -> bool:
        """Whether the workers are alive, and nothing is stuck."""
        is_stuck = self.functions is not None and not self.functions.queue.is_healthy
        return not is_stuck and (self.batcher is None or self.batcher.is_healthy)

    @property
    def is_closing(self) -> bool:
        """Whether new requests are refused."""
        return self.batcher is not None and self.batcher.is_closing

    def close(self, seconds: float = 20.0) -> bool:
        """Answer what was accepted, then release the model; return whether that was in time."""
        is_done = self.batcher is None or self.batcher.close(seconds)
        if self.script is not None:
            self.script.forget()
        return is_done


def plain_batcher(
    synthesizer: Synthesizer,
    limits: ServingLimits,
    generate: Generate | None = None,
    observer: BatchObserver | None = None,
) -> Batcher:
    """Build a batcher by the limits; `generate` replaces the model's own, one call at a time."""
    return Batcher(
        generate or synthesizer.backend.generate,
        observer=observer,
        max_batch_size=synthesizer.batch_sizes.largest,
        workers=1 if generate else synthesizer.enable_concurrency(),
        max_images=limits.max_waiting_images,
        max_bytes=limits.max_waiting_bytes,
        max_requests=limits.max_waiting_requests,
    )


def serve(synthesizer: Synthesizer, settings: ServingSettings) -> ServedModel:
    """Serve a model, and generate once, so that what can fail or is slow the first time is over."""
    default_accept = check_default_accept(settings.default_accept)
    served = ServedModel(synthesizer, settings.batcher_of(synthesizer), default_accept)
    served.generate_batch(synthesizer.example_batch(), Deadline())
    return served


def open_model(model_dir: Path, settings: ServingSettings) -> ServedModel:
    """Load the model in a folder, and its ``code/inference.py`` if there is one."""
    script = load_script(model_dir, settings.own_code, settings.private_imports)
    if script is None:
        return serve(open_synthesizer(model_dir, settings.backend_config), settings)
    try:
        return serve_script(model_dir, script, settings)
    except BaseException:
        script.forget()
        raise


def serve_script(
    model_dir: Path, script: InferenceScript, settings: ServingSettings
) -> ServedModel:
    """Serve a model with its own functions, and this project's for those that are missing."""
    model = run_model_fn(script, model_dir)
    if model is None:
        model = open_synthesizer(model_dir, settings.backend_config)
    if script.predict_fn is None or script.model_fn is None:
        model = as_synthesizer(model, script, model_dir, settings.backend_config)
    max_waiting = settings.limits.max_waiting_requests
    if not isinstance(model, Synthesizer):
        default_accept = check_default_accept(settings.default_accept)
        served = ServedModel(None, None, default_accept, script)
        return with_functions(served, CustomFunctions(script, model, model_dir, max_waiting))
    served = replace(serve(model, settings), script=script)
    if not (script.input_fn or script.predict_fn or script.output_fn):
        return served
    assert served.batcher is not None
    batched = BatchedSynthesizer(model, served.batcher)
    return with_functions(served, CustomFunctions(script, batched, model_dir, max_waiting))


def with_functions(served: ServedModel, functions: CustomFunctions) -> ServedModel:
    """Return a model that calls the custom functions that its script has."""
    script = functions.script
    return replace(
        served,
        functions=functions,
        input_fn=functions.read if script.input_fn else None,
        predict_fn=functions.predict if script.predict_fn else None,
        output_fn=functions.write if script.output_fn else None,
    )
