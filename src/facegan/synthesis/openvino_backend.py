"""Runs a model's exported graphs (ONNX) with OpenVINO: CPU servers do without torch.

A single caller gets all cores, for one image after the other. With several callers, each thread
runs a batch on cores of its own: no thread waits for another between layers, and a batch is one
call without the interpreter lock. Compared with torch on two cores: twice as fast for one image,
1.3 times in full batches, a third of the start-up time (docs/decisions/0010).
"""

import math
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from facegan.errors import ArtifactError, is_out_of_memory
from facegan.model_files import (
    ENCODER,
    GENERATOR_GRAPH,
    MAPPING_GRAPH,
    SYNTHESIS_GRAPH,
    CheckedGraph,
    ModelCard,
)
from facegan.model_inputs import input_names
from facegan.synthesis.batch_sizes import (
    LARGE_RESOLUTION,
    LARGE_WEIGHTS,
    Array,
    BatchSizes,
    find_equivalent_batch_sizes,
    run_padded,
)
from facegan.synthesis.examples import example_batch
from facegan.synthesis.input_batch import InputBatch, Pixels

# Each batch size has a compiled graph of its own, which is a sixth faster than one for all sizes
# but holds a copy of the weights: so only a few sizes.
MAX_SIZE = 8
CANDIDATES = (1, 4)
MAX_THREADS = 8
BYTES_PER_WEIGHT = 4
MARGIN, SMALL = 1.25, 1 << 20  # elements that OpenVINO may add when it reads a graph

PIXELS, FLOATS = 0, 1  # outputs of the graph of images, see add_pixels


class OpenVINOBackend:
    """A generator's graphs on CPUs, in float32; several threads may share it.

    Args:
        files: The graphs' bytes by name.
        card: The model's card; the files were checked against its digests.
        checked: What :func:`check_graphs` returned for them; nothing else may be read here.
        cores: How many threads compute; None: one per core.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        card: ModelCard,
        checked: Mapping[str, CheckedGraph],
        cores: int | None = None,
    ) -> None:
        assert card.graph is not None
        self.card = card
        self.style_layers = card.graph.style_layers
        self.has_truncation = self.style_layers > 0  # psi is an input of the mapping graph
        only = SYNTHESIS_GRAPH if self.style_layers else GENERATOR_GRAPH
        self.image_graphs: dict[str | None, str] = {  # by direction
            direction: f"{direction}.onnx" if direction else only
            for direction in card.directions or (None,)
        }
        self.argument_names = input_names(card.arguments(card.networks[0]))
        self.files, self.checked = dict(files), checked
        self.models: dict[str, Any] = {}  # parsed graphs, which replace their files
        self.cores = cores or os.cpu_count() or 1
        weights = len(files[next(iter(self.image_graphs.values()))]) / BYTES_PER_WEIGHT
        self.is_large = card.resolution >= LARGE_RESOLUTION or weights >= LARGE_WEIGHTS
        self.threads = 1 if self.is_large else min(self.cores, MAX_THREADS)
        self.core = openvino.Core()
        self.is_concurrent, self.active_calls = False, 0
        self.lock = threading.Lock()
        self.compiled: dict[tuple[str, int, bool], CompiledGraph] = {}

    def enable_concurrency(self) -> int:
        """Expect several threads: one per core, up to eight; one if an image uses all cores."""
        self.is_concurrent = self.threads > 1
        return self.threads

    @property
    def batch_sizes(self) -> BatchSizes:
        """The batch sizes in use; measured at the first batch."""
        return self.equivalence[0]

    @cached_property
    def equivalence(self) -> tuple[BatchSizes, bool]:
        """Batch sizes with equal bits, and whether one image on all cores has the same bits.

        In all directions.
        """
        if self.is_large:
            return BatchSizes((1,)), True
        inputs = self.inputs_of(example_batch(self.card, MAX_SIZE))

        def floats(all_cores: bool, *arrays: Array) -> Array:
            graphs = (self.graph(it, len(arrays[0]), all_cores) for it in self.image_graphs)
            return np.concatenate([graph(arrays, FLOATS) for graph in graphs], axis=1)

        batch_sizes = find_equivalent_batch_sizes(
            partial(floats, False), False, *inputs, candidates=CANDIDATES
        )
        singles = [floats(True, *(x[i : i + 1] for x in inputs)) for i in range(MAX_SIZE)]
        is_equal = np.array_equal(np.concatenate(singles), floats(False, *inputs))
        return batch_sizes, 1 in batch_sizes.sizes and is_equal

    def generate(self, batch: InputBatch) -> Pixels:
        """Generate N ≥ 1 images, on the calling thread."""
        inputs, (batch_sizes, is_equal) = self.inputs_of(batch), self.equivalence
        outputs: list[Pixels] = []
        start, count = 0, len(inputs[0])
        with self.count_call():
            while not outputs or start < count:
                remaining = count - start
                all_cores = is_equal and self.may_use_all_cores(remaining)
                size = 1 if all_cores else batch_sizes.next_size(remaining)
                arrays = [x[start : start + size] for x in inputs]
                graph = self.graph(batch.direction, size, all_cores)
                if len(arrays[0]) == size:
                    outputs.append(graph(arrays, PIXELS))
                else:
                    outputs.append(run_padded(lambda *x, run=graph: run(x, PIXELS), size, *arrays))
                start += size
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def may_use_all_cores(self, remaining: int) -> bool:
        """Return whether a call with this many images left runs them one by one on all cores.

        If other calls may come, only for the last image: they shall find free cores.
        """
        return self.active_calls == 1 and (not self.is_concurrent or remaining == 1)

    @contextmanager
    def count_call(self) -> Iterator[None]:
        """Count a call as active."""
        with self.lock:
            self.active_calls += 1
        try:
            yield
        finally:
            with self.lock:
                self.active_calls -= 1

    def inputs_of(self, batch: InputBatch) -> list[Array]:
        """Return the image graph's inputs: styles (N, layers, style_dim), or the batch's arrays."""
        if not self.style_layers and "styles" not in batch.arrays:
            return [batch.arrays[name] for name in self.argument_names]
        if not self.style_layers:
            return batch.arguments(self.card, self.latents_of)
        arrays, psi = list(batch.arrays.values()), batch.truncation_psi
        if batch.mixed_layers is None:
            return [self.styles_of(arrays, psi)]
        first, second = (self.styles_of([x[:, i] for x in arrays], psi) for i in (0, 1))
        first[:, list(batch.mixed_layers)] = second[:, list(batch.mixed_layers)]
        return [first]

    def latents_of(self, styles: Pixels) -> Array:
        """Encode style images (N, H, W, 3) as latents, one by one: N does not change bits."""
        return np.concatenate([self.encoder([style[None]], 0) for style in styles])

    def styles_of(self, arrays: Sequence[Array], psi: float) -> Array:
        """Return styles (N, layers, style_dim), one by one, so that N does not change bits."""
        truncation_psi = np.array(psi, np.float32)

        def style(*sample: Array) -> Array:
            return self.mapping([*sample, truncation_psi], 0)

        samples = ([x[i : i + 1] for x in arrays] for i in range(max(len(arrays[0]), 1)))
        return np.concatenate([run_padded(style, 1, *sample) for sample in samples])

    @cached_property
    def mapping(self) -> "CompiledGraph":
        """The graph of styles, for one sample: it takes microseconds."""
        return self.compile(MAPPING_GRAPH, 1)

    @cached_property
    def encoder(self) -> "CompiledGraph":
        """The graph of a style image's latents, for one sample."""
        return self.compile(f"{ENCODER}.onnx", 1)

    def graph(self, direction: str | None, size: int, all_cores: bool) -> "CompiledGraph":
        """Return an image graph for a batch size, on all cores or on one thread's."""
        key = self.image_graphs[direction], size, all_cores
        with self.lock:
            if key not in self.compiled:
                self.compiled[key] = self.compile(*key)
            return self.compiled[key]

    def compile(self, name: str, size: int, all_cores: bool = False) -> "CompiledGraph":
        """Compile a graph for one batch size, on all cores or on one thread's."""
        settings = {
            "NUM_STREAMS": 1 if all_cores else self.threads,
            "INFERENCE_NUM_THREADS": self.cores,
            "INFERENCE_PRECISION_HINT": "f32",  # processors with bf16 would use it
        }
        try:
            if name not in self.models:
                self.models[name] = self.core.read_model(self.files.pop(name))
            model = self.models[name].clone()  # shares the weights, in a tenth of the time
            model.reshape({node: batch_shape(node, size) for node in model.inputs})
            check_inferred_shapes(model, name, self.checked[name], size)
            finished = add_pixels(model) if name in self.image_graphs.values() else model
            return CompiledGraph(self.core.compile_model(finished, "CPU", settings))
        except RuntimeError as cause:
            if is_out_of_memory(cause):
                raise
            raise ArtifactError(
                f"OpenVINO cannot run {name} of the model: {reason_of(cause)}",
                "Export it again: facegan export MODEL",
            ) from cause


class CompiledGraph:
    """A compiled graph as a function of arrays, for any number of threads."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self.idle: list[Any] = []  # inference requests, each with memory of its own

    def __call__(self, arrays: Sequence[Array], output: int) -> Array:
        """Compute one of the outputs, without the interpreter lock."""
        try:
            request = self.idle.pop()
        except IndexError:
            request = self.compiled.create_infer_request()
        try:
            outputs = request.infer(list(arrays), share_inputs=True, share_outputs=True)
            result: Array = outputs[output].copy()  # the next call overwrites the memory
        finally:
            self.idle.append(request)
        return result


def batch_shape(node: Any, size: int) -> Any:
    """Return the shape of a graph's input for a batch size; psi is a scalar."""
    shape = node.partial_shape
    if len(shape):
        shape[0] = size
    return shape


def reason_of(cause: RuntimeError) -> str:
    """Return the first line of OpenVINO's error that is not a location in its source."""
    lines = [line for line in str(cause).splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (reasons or lines or ["no reason was given"])[0]


def check_inferred_shapes(model: Any, name: str, checked: CheckedGraph, size: int) -> None:
    """Compare the shapes that OpenVINO infers with those of our own check.

    Both read the same bytes; if they differ, what was checked is not what would run.

    Raises:
        ArtifactError: OpenVINO would compute something else, or more.
    """
    made = [tuple(node.shape) for node in model.outputs if not node.partial_shape.is_dynamic]
    outputs = [output for op in model.get_ops() for output in op.outputs()]
    is_static = not any(output.partial_shape.is_dynamic for output in outputs)
    limit = MARGIN * checked.elements(size) + SMALL
    if (
        not is_static
        or made != [(size, *checked.made)]
        or sum(math.prod(output.shape) for output in outputs) > limit
    ):
        raise ArtifactError(
            f"{name} of the model makes {made} of {size} rows in OpenVINO, or takes more than "
            f"{limit:,.0f} numbers.",
            "Export it again: facegan export MODEL",
        )


def add_pixels(model: Any) -> Any:
    """Add an output of uint8 pixels (N, H, W, 3) before a graph's images (N, 3, H, W) in [-1, 1].

    Rounded to the nearest level, halves to even, as torch does.
    """
    one, half = np.float32(1), np.float32(127.5)
    images = model.outputs[0].get_node().input_value(0)
    levels = ops.multiply(ops.add(ops.clamp(images, -1.0, 1.0), one), half)
    pixels = ops.convert(ops.round(levels, "half_to_even"), "u8")
    channels_last = ops.transpose(pixels, np.array([0, 2, 3, 1]))
    return openvino.Model([channels_last.output(0), images], model.get_parameters())
