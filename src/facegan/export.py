"""Exports a generator as graphs (ONNX) beside its weights, to be drawn where there is no torch."""

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
    GENERATOR_GRAPH,
    MAPPING_GRAPH,
    SYNTHESIS_GRAPH,
    GraphFacts,
    ModelCard,
    check_graphs,
    write,
)
from facegan.synthesis.activations import activation_bytes

EXAMPLES = 2  # rows that are traced; 1 would be taken for a constant
MOST_ROWS = 4096
TALKERS = ("onnxscript", "onnx_ir")  # a line for every step, on behalf of their authors


def export_graphs(model_dir: Path | str) -> ModelCard:
    """Add a model's graphs to its folder, and their digests to its card; all or none.

    What they say: latents (N, latent_dim), and labels (N,) of a conditional model, → images
    (N, 3, H, W); of families with styles in two parts, the first of which takes a psi as well.

    Raises:
        ArtifactError: there is no model, or the folder cannot be written.
        ExportError: onnx and onnxscript are not installed, or the exporter failed.
    """
    folder = Path(model_dir)
    if not (folder / CARD_NAME).is_file():
        raise ArtifactError(f"{folder} is no folder of a model.", f"It holds no {CARD_NAME}.")
    artifact = load_artifact(folder, looks_at_graphs=False)
    graphs = graphs_of(artifact)
    facts = GraphFacts(
        sha256={name: hashlib.sha256(graph).hexdigest() for name, graph in graphs.items()},
        style_layers=layers_of(artifact),
        batch_bytes=activation_bytes(artifact),
    )
    card = dataclasses.replace(artifact.card, graph=facts)
    check_exported(folder, graphs, card)
    files = {**graphs, CARD_NAME: card.to_json().encode()}
    write({folder / name: content for name, content in files.items()})
    return card


def check_exported(folder: Path, graphs: dict[str, bytes], card: ModelCard) -> None:
    """Check that the graphs are such as every reader of models accepts.

    Raises:
        ExportError: they are not, as where torch's exporter takes another operator than it did.
    """
    try:
        check_graphs(folder, graphs, card)
    except ArtifactError as cause:
        raise ExportError(
            f"The exported graph would be refused by servers: {cause.message}",
            "A version of torch, onnx or onnxscript may be newer than this facegan knows.",
        ) from cause


def graphs_of(artifact: Artifact) -> dict[str, bytes]:
    """A generator's graphs by their names."""
    latents = torch.randn(EXAMPLES, artifact.card.latent_dim)
    rows = [("latents", latents)]
    if artifact.classes:
        rows.append(("labels", torch.zeros(EXAMPLES, dtype=torch.int64)))
    if not artifact.has_style_mixing:
        return {GENERATOR_GRAPH: graph_of(artifact.generator, rows)}
    styles = Styles(artifact.generator)
    with torch.inference_mode():
        made = styles(*(value for _, value in rows), torch.tensor(1.0)).clone()
    synthesis: Any = artifact.generator.synthesis
    return {
        MAPPING_GRAPH: graph_of(styles, [*rows, ("psi", torch.tensor(1.0))]),
        SYNTHESIS_GRAPH: graph_of(synthesis, [("styles", made)]),
    }


def layers_of(artifact: Artifact) -> int:
    """How many layers take a style of their own; 0 where the family has none."""
    generator: Any = artifact.generator
    return int(generator.synthesis.layers) if artifact.has_style_mixing else 0


class Styles(nn.Module):
    """A generator's ``styles`` as a network: latents, labels if it takes some, and psi."""

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latents: Tensor, *rest: Tensor) -> Tensor:
        """(N, layers, style_dim)."""
        *labels, psi = rest
        w: Tensor = self.generator.map(latents, *labels)
        w = self.generator.mean_w.lerp(w, psi)
        return w[:, None].expand(-1, self.generator.synthesis.layers, -1)


def graph_of(network: nn.Module, inputs: list[tuple[str, Tensor]]) -> bytes:
    """A network as ONNX, for any number of rows; inputs without dimensions are numbers.

    Raises:
        ExportError: the exporter's packages are missing, or it failed.
    """
    rows = torch.export.Dim("rows", min=1, max=MOST_ROWS)
    shapes: Any = tuple({0: rows} if value.ndim else {} for _, value in inputs)
    if isinstance(network, Styles):  # its rest are one argument to the exporter
        shapes = (shapes[0], shapes[1:])

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
    """Remove from an onnx.ModelProto what no runtime reads.

    torch's exporter writes the stack of the exporting machine into nearly every node: its folders,
    and so its users, would be published with the model.
    """
    graph = model.graph
    graph.ClearField("value_info")
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def quietly(export: Callable[[], bytes]) -> bytes:
    """Call torch's exporter without what it prints and logs, its failures as ours."""
    for name in TALKERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        # Without gradients layers take the form in which they serve.
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            return export()
    except ImportError as cause:
        raise ExportError(
            f"A model is exported with onnx and onnxscript: {cause}.",
            "pip install 'facegan[training]'",
        ) from cause
    except Exception as cause:  # the exporter's own classes, of several layers
        told = first_line(cause)
        raise ExportError(f"torch could not export the generator: {told}") from cause
