"""Draws a model's exported graphs (ONNX) with OpenVINO: CPU servers do without torch.

Against torch on two cores: twice as fast for one image, 1.3 times in full batches, a batch in one
call that needs no interpreter lock, a third of the start (docs/decisions/0010).
"""

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from facegan.errors import ArtifactError
from facegan.model_files import GENERATOR_GRAPH, MAPPING_GRAPH, SYNTHESIS_GRAPH, ModelCard
from facegan.synthesis.company import HEAVY, LARGE, MOST, Array, Company, find_company
from facegan.synthesis.latents import latents_of_seeds
from facegan.synthesis.painter import Pixels
from facegan.synthesis.rows import Rows

# A batch has a compiled graph of its size, which is a sixth faster than one for all sizes and holds
# the weights once more: few sizes.
CANDIDATES = (1, 4)
BYTES_OF_WEIGHT = 4

Call = Callable[[list[Array]], Array]


class GraphPainter:
    """A generator's graphs on processors, in float32; threads may share it, and wait in turn.

    Args:
        files: The graphs' bytes, by their names.
        card: The model's, whose digests the files were checked against.
        cores: How many threads compute; None: as many as OpenVINO thinks best.

    Raises:
        ArtifactError: OpenVINO cannot read them.
    """

    def __init__(
        self, files: Mapping[str, bytes], card: ModelCard, cores: int | None = None
    ) -> None:
        assert card.graph is not None  # who opens a model looks there first
        self.card, self.facts, self.files = card, card.graph, files
        self.settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # processors with bf16 would use it
        }
        if cores is not None:
            self.settings["INFERENCE_NUM_THREADS"] = cores
        self.core = openvino.Core()
        self.compiled: dict[int, Call] = {}
        self.drawing = threading.Lock()

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
    def company(self) -> Company:
        """How many rows are drawn at once; measured when the first are."""
        labels = np.zeros(MOST, np.int64) if self.card.classes else None
        rows = Rows(latents_of_seeds(self.card, range(MOST)), labels)
        is_large = self.card.resolution >= LARGE
        is_heavy = is_large or len(self.files[self.image_graph]) >= BYTES_OF_WEIGHT * HEAVY
        if is_heavy:
            return Company((1,))
        calls = {size: self.compile(self.image_graph, size) for size in (*CANDIDATES, MOST)}

        def draw(*batch: Array) -> Array:
            return calls[len(batch[0])](list(batch))

        return find_company(draw, False, *self.inputs_of(rows), candidates=CANDIDATES)

    def paint(self, rows: Rows) -> Pixels:
        """Draw N ≥ 1 rows, on the calling thread."""
        with self.drawing:
            return self.company.draw(self.paint_batch, *self.inputs_of(rows))

    def inputs_of(self, rows: Rows) -> list[Array]:
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
        singles = [[x[row : row + 1] for x in given] for row in range(len(latents))]
        told = np.array(psi, np.float32)
        return np.concatenate([self.mapping([*single, told]) for single in singles])

    @cached_property
    def mapping(self) -> Call:
        """The graph of styles, for one row: it takes microseconds."""
        return self.compile(MAPPING_GRAPH, 1)

    def paint_batch(self, *batch: Array) -> Pixels:
        """The pixels of a batch of one of the company's sizes."""
        size = len(batch[0])
        if size not in self.compiled:
            self.compiled[size] = self.compile(self.image_graph, size, with_pixels)
        return self.compiled[size](list(batch))

    def compile(
        self, name: str, size: int, change: Callable[[Any], Any] = lambda model: model
    ) -> Call:
        """A graph for one size of batch, as a function of arrays; one thread may call it."""
        try:
            model = self.core.read_model(self.files[name])
        except RuntimeError as cause:
            raise ArtifactError(
                f"{name} of the model cannot be read: {str(cause).splitlines()[0]}",
                "Export it again: facegan export MODEL",
            ) from cause
        model.reshape({place: shape_of(place, size) for place in model.inputs})
        compiled = self.core.compile_model(change(model), "CPU", self.settings)
        request = compiled.create_infer_request()

        def call(arrays: list[Array]) -> Array:
            """Without the interpreter lock; copied, as the result is the next call's memory."""
            result: Array = request.infer(arrays, share_inputs=True)[0].copy()
            return result

        return call


def shape_of(place: Any, size: int) -> Any:
    """The shape of a graph's input in batches of a size; a psi is a number."""
    shape = place.partial_shape
    if len(shape):
        shape[0] = size
    return shape


def with_pixels(model: Any) -> Any:
    """A graph of images in [-1, 1] (N, 3, H, W), made to end in uint8 (N, H, W, 3).

    Rounded to the nearest level, halves to the even one, as torch rounds.
    """
    one, half = np.float32(1), np.float32(127.5)
    images = model.outputs[0].get_node().input_value(0)
    levels = ops.multiply(ops.add(ops.clamp(images, -1.0, 1.0), one), half)
    pixels = ops.convert(ops.round(levels, "half_to_even"), "u8")
    channels_last = ops.transpose(pixels, np.array([0, 2, 3, 1]))
    return openvino.Model([channels_last], model.get_parameters())
