"""Exports a generator as ONNX graphs beside its weights, for servers without torch."""

import dataclasses
import hashlib
import io
import logging
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facegan.artifact import Artifact, load_artifact
from facegan.errors import ArtifactError, ExportError, first_line
from facegan.model_files import (
    CARD_NAME,
    MAPPING_GRAPH,
    SYNTHESIS_GRAPH,
    GraphFacts,
    ModelCard,
    check_graphs,
    write,
)
from facegan.synthesis.activations import activation_bytes
from facegan.synthesis.examples import example_arrays
from facegan.synthesis.network_inputs import PixelNetwork, pixel_network

EXAMPLES = 2  # samples that are traced; 1 would be taken for a constant
MAX_BATCH = 4096
VERBOSE_LOGGERS = ("onnxscript", "onnx_ir")  # they log every step


def export_graphs(model_dir: Path | str) -> ModelCard:
    """Add a model's graphs to its folder, and their digests to its card; all or none.

    There is one of each network that is served. They map what the card says, images and label maps
    as uint8, to images (N, 3, H, W), an encoder to latents; for families with styles in two graphs,
    the first of which also takes psi.

    Raises:
        ArtifactError: there is no model, or the folder cannot be written.
        ExportError: onnx and onnxscript are not installed, or the exporter failed.
    """
    folder = Path(model_dir)
    if not (folder / CARD_NAME).is_file():
        raise ArtifactError(f"{folder} is not a model folder.", f"It has no {CARD_NAME}.")
    artifact = load_artifact(folder, check_graphs_too=False)
    graphs = graphs_of(artifact)
    facts = GraphFacts(
        sha256={name: hashlib.sha256(graph).hexdigest() for name, graph in graphs.items()},
        style_layers=artifact.style_layers,
        batch_bytes=activation_bytes(artifact),
    )
    card = dataclasses.replace(artifact.card, graph=facts)
    check_exported(folder, graphs, card)
    files = {**graphs, CARD_NAME: card.to_json().encode()}
    write({folder / name: content for name, content in files.items()})
    return card


def check_exported(folder: Path, graphs: dict[str, bytes], card: ModelCard) -> None:
    """Raise ExportError if readers of models would refuse the graphs.

    A new version of torch's exporter may use another operator.
    """
    try:
        check_graphs(folder, graphs, card)
    except ArtifactError as cause:
        raise ExportError(
            f"The exported graph would be refused by servers: {cause.message}",
            "A version of torch, onnx or onnxscript may be newer than this facegan knows.",
        ) from cause


def graphs_of(artifact: Artifact) -> dict[str, bytes]:
    """Return a model's graphs by name."""
    if not artifact.style_layers:
        return {
            f"{name}.onnx": graph_of(pixel_network(artifact, name), example_inputs(artifact, name))
            for name in artifact.networks
        }
    inputs = example_inputs(artifact, "generator")
    mapping = StyleMapping(artifact.generator)
    with torch.inference_mode():
        styles = mapping(*(value for _, value in inputs), torch.tensor(1.0)).clone()
    synthesis: Any = artifact.generator.synthesis
    return {
        MAPPING_GRAPH: graph_of(mapping, [*inputs, ("psi", torch.tensor(1.0))]),
        SYNTHESIS_GRAPH: graph_of(synthesis, [("styles", styles)]),
    }


def example_inputs(artifact: Artifact, network: str) -> list[tuple[str, Tensor]]:
    """Return a few rows of what one of an artifact's networks takes."""
    arrays = example_arrays(artifact.card, network, EXAMPLES)
    return [(name, torch.from_numpy(array)) for name, array in arrays.items()]


class StyleMapping(nn.Module):
    """A generator's ``styles`` as a network: latents, labels if it takes any, and psi."""

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latents: Tensor, *rest: Tensor) -> Tensor:
        """Return styles (N, layers, style_dim)."""
        *labels, psi = rest
        w: Tensor = self.generator.map(latents, *labels)
        w = self.generator.mean_w.lerp(w, psi)
        return w[:, None].expand(-1, self.generator.synthesis.layers, -1)


def graph_of(network: nn.Module, inputs: list[tuple[str, Tensor]]) -> bytes:
    """Return a network as ONNX, for any batch size; inputs without dimensions are scalars."""
    batch = torch.export.Dim("rows", min=1, max=MAX_BATCH)  # the name is part of the graph
    shapes: Any = tuple({0: batch} if value.ndim else {} for _, value in inputs)
    if isinstance(network, StyleMapping):  # *rest is one argument to the exporter
        shapes = (shapes[0], shapes[1:])
    elif isinstance(network, PixelNetwork):
        shapes = (shapes,)

    def export() -> bytes:
        program = torch.onnx.export(
            network,
            tuple(value for _, value in inputs),
            input_names=[name for name, _ in inputs],
            dynamic_shapes=shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        model = program.model_proto  # type: ignore[union-attr]
        strip(model)
        graph: bytes = model.SerializeToString(deterministic=True)
        return graph

    return quietly(export)


def strip(model: Any) -> None:
    """Remove metadata that no runtime reads from an onnx.ModelProto.

    torch's exporter writes stack traces into nearly every node: the exporting machine's folders,
    and so its users, would be published with the model.
    """
    graph = model.graph
    graph.ClearField("value_info")
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def quietly(export: Callable[[], bytes]) -> bytes:
    """Call torch's exporter without its output, and raise its failures as ExportError."""
    for name in VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        # Without gradients, layers take their inference form.
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            return export()
    except ImportError as cause:
        raise ExportError(
            f"A model is exported with onnx and onnxscript: {cause}.",
            "pip install 'facegan[training]'",
        ) from cause
    except Exception as cause:  # the exporter's own classes, of several layers
        raise ExportError(f"torch could not export the generator: {first_line(cause)}") from cause
