"""Draws a model's exported graphs (ONNX) with OpenVINO: CPU servers do without torch.

Whoever draws alone has all cores for one image after the other. Where several do, each has cores of
its own for its batch: no thread waits for another between two layers, and a batch is one call
without the interpreter lock. Against torch on two cores: twice as fast for one image, 1.3
times in full batches, a third of the start (docs/decisions/0010).
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
    GENERATOR_GRAPH,
    MAPPING_GRAPH,
    SYNTHESIS_GRAPH,
    CheckedGraph,
    ModelCard,
)
from facegan.synthesis.backend import Pixels
from facegan.synthesis.batch_sizes import (
    LARGE_RESOLUTION,
    LARGE_WEIGHTS,
    Array,
    BatchSizes,
    find_equivalent_batch_sizes,
    run_padded,
)
from facegan.synthesis.latent_batch import LatentBatch
from facegan.synthesis.latents import latents_of_seeds

# Each size of batch has a compiled graph, which is a sixth faster than one for all sizes and holds
# the weights once more: few sizes.
MOST = 8
CANDIDATES = (1, 4)
MOST_HANDS = 8
BYTES_OF_WEIGHT = 4
MARGIN, SMALL = 1.25, 1 << 20  # numbers that OpenVINO adds when it reads a graph, for its own ways

PIXELS, FLOATS = 0, 1  # outputs of a graph of images, once it is finished


class OpenVINOBackend:
    """A generator's graphs on processors, in float32; as many threads as it has hands may share it.

    Args:
        files: The graphs' bytes, by their names.
        card: The model's, whose digests the files were checked against.
        checked: What :func:`check_graphs` returned for them; nothing else may be read here.
        cores: How many threads compute; None: one a core.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        card: ModelCard,
        checked: Mapping[str, CheckedGraph],
        cores: int | None = None,
    ) -> None:
        assert card.graph is not None  # who opens a model looks there first
        self.card, self.facts = card, card.graph
        self.files, self.checked = dict(files), checked
        self.models: dict[str, Any] = {}  # as they were read, in place of their files
        self.cores = cores or os.cpu_count() or 1
        weights = len(files[self.image_graph]) / BYTES_OF_WEIGHT
        self.is_heavy = card.resolution >= LARGE_RESOLUTION or weights >= LARGE_WEIGHTS
        self.hands = 1 if self.is_heavy else min(self.cores, MOST_HANDS)
        self.core = openvino.Core()
        self.is_shared, self.painting = False, 0
        self.counting = threading.Lock()
        self.compiled: dict[tuple[int, bool], Graph] = {}

    def enable_concurrency(self) -> int:
        """Expect several threads: one a core, up to eight; one where an image takes all cores."""
        self.is_shared = self.hands > 1
        return self.hands

    @property
    def has_truncation(self) -> bool:
        """Families with styles are those with truncation: a psi enters their mapping."""
        return self.facts.style_layers > 0

    @property
    def style_layers(self) -> int:
        """How many layers take a style of their own; 0 where the family has no styles."""
        return self.facts.style_layers

    @property
    def image_graph(self) -> str:
        """The name of the graph that makes images."""
        return SYNTHESIS_GRAPH if self.style_layers else GENERATOR_GRAPH

    @cached_property
    def batch_sizes(self) -> BatchSizes:
        """How many rows are drawn at once beside others; measured when the first are."""
        return self.agreements[0]

    @cached_property
    def agreements(self) -> tuple[BatchSizes, bool]:
        """The sizes of batches that give the same bits, and whether one alone on all cores does."""
        if self.is_heavy:
            return BatchSizes((1,)), True
        labels = np.zeros(MOST, np.int64) if self.card.classes else None
        inputs = self.inputs_of(LatentBatch(latents_of_seeds(self.card, range(MOST)), labels))

        def floats(is_alone: bool, *batch: Array) -> Array:
            return self.graph(len(batch[0]), is_alone)(batch, FLOATS)

        batch_sizes = find_equivalent_batch_sizes(
            partial(floats, False), False, *inputs, candidates=CANDIDATES
        )
        ones = [floats(True, *(x[row : row + 1] for x in inputs)) for row in range(MOST)]
        is_alike = np.array_equal(np.concatenate(ones), floats(False, *inputs))
        return batch_sizes, 1 in batch_sizes.sizes and is_alike

    def generate(self, rows: LatentBatch) -> Pixels:
        """Draw N ≥ 1 rows, on the calling thread."""
        inputs, batch_sizes = self.inputs_of(rows), self.batch_sizes
        drawn: list[Pixels] = []
        start = 0
        with self.counted():
            while not drawn or start < len(rows):
                is_alone = self.agreements[1] and self.has_all_cores(len(rows) - start)
                size = 1 if is_alone else batch_sizes.size_for(len(rows) - start)
                batch = [x[start : start + size] for x in inputs]
                graph = self.graph(size, is_alone)
                drawn.append(run_padded(lambda *x, graph=graph: graph(x, PIXELS), size, *batch))
                start += size
        return drawn[0] if len(drawn) == 1 else np.concatenate(drawn)

    def has_all_cores(self, count: int) -> bool:
        """Whether one who has so many rows to draw takes them one by one on all cores.

        Where several may come, only for the last one: the others are to find cores of their own.
        """
        return self.painting == 1 and (not self.is_shared or count == 1)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Be one of those that generate."""
        with self.counting:
            self.painting += 1
        try:
            yield
        finally:
            with self.counting:
                self.painting -= 1

    def inputs_of(self, rows: LatentBatch) -> list[Array]:
        """What the graph that makes images takes: styles (N, layers, style_dim), or rows as is."""
        if not self.style_layers:
            return rows.arrays
        if rows.mixed_layers is None:
            return [self.styles_of(rows.latents, rows.labels, rows.truncation_psi)]
        labels = [None, None] if rows.labels is None else rows.labels.T
        own, theirs = (
            self.styles_of(z, c, rows.truncation_psi)
            for z, c in zip(rows.latents.swapaxes(0, 1), labels, strict=True)
        )
        own[:, list(rows.mixed_layers)] = theirs[:, list(rows.mixed_layers)]
        return [own]

    def styles_of(self, latents: Array, labels: Array | None, psi: float) -> Array:
        """A style for every layer, (N, layers, style_dim); row by row, so that bits agree."""
        given = [latents] if labels is None else [latents, labels]
        told = np.array(psi, np.float32)

        def style(*row: Array) -> Array:
            return self.mapping([*row, told], 0)

        rows = range(max(len(latents), 1))
        return np.concatenate([run_padded(style, 1, *(x[r : r + 1] for x in given)) for r in rows])

    @cached_property
    def mapping(self) -> "Graph":
        """The graph of styles, for one row: it takes microseconds."""
        return self.compile(MAPPING_GRAPH, 1)

    def graph(self, size: int, is_alone: bool) -> "Graph":
        """What makes images of a batch of a size, for one who draws alone or beside others."""
        key = size, is_alone
        with self.counting:
            if key not in self.compiled:
                self.compiled[key] = self.compile(self.image_graph, size, is_alone)
            return self.compiled[key]

    def compile(self, name: str, size: int, is_alone: bool = False) -> "Graph":
        """A graph for one size of batch, on all cores or on those of one hand."""
        settings = {
            "NUM_STREAMS": 1 if is_alone else self.hands,
            "INFERENCE_NUM_THREADS": self.cores,
            "INFERENCE_PRECISION_HINT": "f32",  # processors with bf16 would use it
        }
        try:
            if name not in self.models:
                self.models[name] = self.core.read_model(self.files.pop(name))
            model = self.models[name].clone()  # with the same weights, in a tenth of the time
            model.reshape({place: shape_of(place, size) for place in model.inputs})
            check_inferred(model, name, self.checked[name], size)
            finished = with_pixels(model) if name == self.image_graph else model
            return Graph(self.core.compile_model(finished, "CPU", settings))
        except RuntimeError as cause:
            if is_out_of_memory(cause):
                raise
            raise ArtifactError(
                f"OpenVINO cannot draw {name} of the model: {reason_of(cause)}",
                "Export it again: facegan export MODEL",
            ) from cause


class Graph:
    """A compiled graph as a function of arrays, for any number of threads."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self.idle: list[Any] = []  # requests, each with memory of its own

    def __call__(self, arrays: Sequence[Array], output: int) -> Array:
        """One of its outputs, computed without the interpreter lock."""
        try:
            request = self.idle.pop()
        except IndexError:
            request = self.compiled.create_infer_request()
        try:
            outputs = request.infer(list(arrays), share_inputs=True, share_outputs=True)
            result: Array = outputs[output].copy()  # it is the memory of whoever computes next
        finally:
            self.idle.append(request)
        return result


def shape_of(place: Any, size: int) -> Any:
    """The shape of a graph's input in batches of a size; a psi is a number."""
    shape = place.partial_shape
    if len(shape):
        shape[0] = size
    return shape


def reason_of(cause: RuntimeError) -> str:
    """The first line of OpenVINO's error that is not a place in its source."""
    lines = [line for line in str(cause).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (told or lines or ["no reason was given"])[0]


def check_inferred(model: Any, name: str, checked: CheckedGraph, size: int) -> None:
    """Compare the shapes that OpenVINO infers with those that the check worked out.

    Both have read the same bytes; if they differ, what was checked is not what would run.

    Raises:
        ArtifactError: the runtime would make something else, or more.
    """
    made = [tuple(place.shape) for place in model.outputs if not place.partial_shape.is_dynamic]
    places = [place for node in model.get_ops() for place in node.outputs()]
    is_fixed = not any(place.partial_shape.is_dynamic for place in places)
    most = MARGIN * checked.elements(size) + SMALL
    if not is_fixed or made != [(size, *checked.made)] or sum(map(size_of, places)) > most:
        raise ArtifactError(
            f"{name} of the model makes {made} of {size} rows in OpenVINO, or takes more than "
            f"{most:,.0f} numbers.",
            "Export it again: facegan export MODEL",
        )


def size_of(place: Any) -> int:
    """How many numbers the output of a node holds."""
    return math.prod(place.shape)


def with_pixels(model: Any) -> Any:
    """A graph of images in [-1, 1] (N, 3, H, W), which gives them as uint8 (N, H, W, 3) before.

    Rounded to the nearest level, halves to the even one, as torch rounds.
    """
    one, half = np.float32(1), np.float32(127.5)
    images = model.outputs[0].get_node().input_value(0)
    levels = ops.multiply(ops.add(ops.clamp(images, -1.0, 1.0), one), half)
    pixels = ops.convert(ops.round(levels, "half_to_even"), "u8")
    channels_last = ops.transpose(pixels, np.array([0, 2, 3, 1]))
    return openvino.Model([channels_last.output(0), images], model.get_parameters())
