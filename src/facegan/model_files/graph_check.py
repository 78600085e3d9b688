"""Checks a model's graphs (ONNX) against its card before any runtime reads their bytes.

The graph and its digest in the card come from the same untrusted source. A graph may only have what
facegan's exporter writes (``onnx_reader``, ``graph_operators``), its inputs and outputs must fit
the card, and its cost is limited and known before it is loaded.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facegan.errors import ArtifactError, first_line
from facegan.model_files.card import ENCODER, MAPPING_GRAPH, SYNTHESIS_GRAPH, ModelCard
from facegan.model_files.graph_operators import (
    OPERATORS,
    UnsupportedNode,
    Value,
    apply_operator,
    inputs_of,
    require,
)
from facegan.model_files.onnx_reader import (
    BYTES_OF,
    FLOAT,
    INT64,
    MAX_RANK,
    MAX_SIDE,
    UINT8,
    Content,
    Graph,
    Initializer,
    Node,
    ValueInfo,
    read_graph,
)
from facegan.model_files.protobuf import MalformedMessage
from facegan.model_inputs import CLASS, IMAGE, LABEL_MAP, LATENT, ModelInput

SAMPLES = 2  # the batch size of shape inference; 1 would look like any other dimension of 1
MAX_GRAPH_BYTES = 1 << 30
# Per sample: absolute, at least twice what a preset of 1024 px would take; and per pixel, four
# times what the heaviest preset takes (paper32 of r3gan).
MAX_SAMPLE_BYTES, MAX_SAMPLE_BYTES_PER_PIXEL = 1 << 30, 1 << 16
MAX_MULTIPLICATIONS, MAX_MULTIPLICATIONS_PER_PIXEL = 1 << 38, 1 << 25
# All tensors of a sample, and all that depend on no sample, as multiples of the initialisers.
MAX_TOTAL_FACTOR = 32
MAX_CONSTANT_FACTOR = 8
MIN_CONSTANT_BYTES = 1 << 20


@dataclass(frozen=True)
class CheckedGraph:
    """The output and the cost of a graph that passed the check.

    Attributes:
        made: The shape of its output for one sample.
        nodes: The number of nodes.
        constants: Bytes of the initialisers, and of all tensors computed from them alone.
        sample_bytes: Peak bytes of the other tensors, per sample.
        sample_bytes_total: Bytes of all of them, per sample.
        sample_multiplications: Per sample.
    """

    made: tuple[int, ...]
    nodes: int
    constants: int
    sample_bytes: int
    sample_bytes_total: int
    sample_multiplications: int

    def elements(self, batch_size: int) -> int:
        """Return how many elements all tensors of a batch have, at least."""
        return (self.constants + batch_size * self.sample_bytes_total) // BYTES_OF[FLOAT]


def check_graphs(
    source: Path, files: Mapping[str, Content], card: ModelCard
) -> dict[str, CheckedGraph]:
    """Check the graphs of a model; return the output and the cost of each.

    Args:
        source: Where the graphs come from, for errors.
        files: Their bytes by name.
        card: The model's card.

    Raises:
        ArtifactError: a graph has what facegan does not export, differs from the card, or costs
            far more than an image of this size.
    """
    assert card.graph is not None
    if not card.graph.style_layers:
        return {
            f"{network}.onnx": check_network(source, network, files, card)
            for network in card.networks
        }
    rows = [declared(given, card) for given in card.inputs]
    width = card.settings.get("style_dim")
    styles = (card.graph.style_layers, width if type(width) is int else None)
    taken = [*rows, ValueInfo("psi", FLOAT, ())]
    mapping = check_graph(source, MAPPING_GRAPH, files, card, taken, styles)
    wanted = [ValueInfo("styles", FLOAT, (None, *mapping.made))]
    synthesis = check_graph(source, SYNTHESIS_GRAPH, files, card, wanted, card.image_shape)
    return {MAPPING_GRAPH: mapping, SYNTHESIS_GRAPH: synthesis}


def check_network(
    source: Path, network: str, files: Mapping[str, Content], card: ModelCard
) -> CheckedGraph:
    """Check the graph of one of a card's networks."""
    inputs = [declared(given, card) for given in card.arguments(network)]
    output = (card.latent_dim,) if network == ENCODER else card.image_shape
    return check_graph(source, f"{network}.onnx", files, card, inputs, output)


def declared(given: ModelInput, card: ModelCard) -> ValueInfo:
    """Return the type and shape in which a graph takes an input."""
    sides = card.image_shape[1:]
    kind, shape = {
        LATENT: (FLOAT, (card.latent_dim,)),
        CLASS: (INT64, ()),
        IMAGE: (UINT8, (*sides, 3)),
        LABEL_MAP: (UINT8, sides),
    }[given.kind]
    return ValueInfo(given.name, kind, (None, *shape))


def check_graph(
    source: Path,
    name: str,
    files: Mapping[str, Content],
    card: ModelCard,
    inputs: Sequence[ValueInfo],
    output: Sequence[int | None],
) -> CheckedGraph:
    """Check one graph, which must have these inputs and this output per sample."""
    try:
        if len(files[name]) > MAX_GRAPH_BYTES:
            raise MalformedMessage(f"it has {len(files[name])} bytes")
        graph = read_graph(files[name])
        check_inputs(graph, inputs)
        inferred = ShapeInference(graph)
        check_declared(graph, inferred.values)
        check_classes(graph, inferred.values, card)
        checked = inferred.checked(output)
        ShapeInference(graph, SAMPLES + 1).checked(
            output
        )  # a constant shape may fit one batch size only
        check_cost(checked, initialized_bytes(graph), card.image_shape[1] * card.image_shape[2])
    except (ValueError, LookupError, TypeError, ArithmeticError) as cause:
        raise ArtifactError(
            f"{source}: {name} is not a graph that facegan exports: {first_line(cause)}.",
            "It is damaged, was changed, or was made by another program. To export it again from "
            "the weights: facegan export MODEL",
        ) from cause
    return checked


def check_inputs(graph: Graph, wanted: Sequence[ValueInfo]) -> None:
    """Compare a graph's inputs with the card."""
    if list(graph.inputs) != list(wanted):
        found, said = (", ".join(map(str, x[:8])) or "nothing" for x in (graph.inputs, wanted))
        raise MalformedMessage(f"it takes {found}, but its card says {said}")


def check_declared(graph: Graph, values: Mapping[str, Value]) -> None:
    """Compare the shapes that a graph declares with the inferred ones."""
    for one in (*graph.value_infos, *graph.outputs):
        value = values.get(one.name)
        if value and (value.type != one.type or not fits(one.shape, value.shape)):
            made = ValueInfo(one.name, value.type, value.shape)
            raise MalformedMessage(f"it declares {one}, but makes {made} of {SAMPLES} rows")


def check_classes(graph: Graph, values: Mapping[str, Value], card: ModelCard) -> None:
    """Compare the numbers of classes with the card, by the comparisons of labels (N, classes).

    Label maps are compared at every pixel: (N, H, W, classes).
    """
    for node in graph.nodes:
        if node.operator != "Equal":
            continue
        shape = values[node.outputs[0]].shape
        classes = len(card.map_classes if len(shape) == 4 else card.classes)
        if shape[-1:] != (classes,):
            raise MalformedMessage(
                f"Equal compares {shape[-1:]} classes, but its card has {classes}"
            )


def check_cost(checked: CheckedGraph, initialized: int, pixels: int) -> None:
    """Limit a graph's cost by its initialisers' bytes and an image's pixels."""
    sample_bytes = min(MAX_SAMPLE_BYTES, MAX_SAMPLE_BYTES_PER_PIXEL * pixels)
    multiplications = min(MAX_MULTIPLICATIONS, MAX_MULTIPLICATIONS_PER_PIXEL * pixels)
    constants = max(MIN_CONSTANT_BYTES, MAX_CONSTANT_FACTOR * initialized)
    for cost, limit, what in (
        (checked.constants, constants, "bytes of constants"),
        (checked.sample_bytes, sample_bytes, "bytes at a time for an image"),
        (checked.sample_bytes_total, MAX_TOTAL_FACTOR * sample_bytes, "bytes for an image"),
        (checked.sample_multiplications, multiplications, "multiplications for an image"),
    ):
        if cost > limit:
            raise MalformedMessage(f"it takes {cost:,} {what}, more than {limit:,}")


class ShapeInference:
    """Infers the shape of every tensor of a graph for a batch size, and the cost."""

    def __init__(self, graph: Graph, rows: int = SAMPLES) -> None:
        self.graph, self.rows = graph, rows
        tensors = [
            (one.name, Value(one.type, one.shape, one.numbers)) for one in graph.initializers
        ]
        self.values = dict(tensors)
        self.fixed = set(self.values)  # tensors that do not depend on the inputs
        for one in graph.inputs:
            self.values[one.name] = Value(one.type, tuple(side or rows for side in one.shape))
        if len(self.values) < len(tensors) + len(graph.inputs) or "" in self.values:
            raise MalformedMessage("two of its tensors have one name, or one has none")
        self.constants = initialized_bytes(graph)
        self.last = {name: node for node in graph.nodes for name in node.inputs}
        self.live: dict[str, int] = {}  # bytes of tensors that later nodes use
        self.peak = self.together = self.multiplications = 0
        for node in graph.nodes:
            self.count(node, self.infer(node))

    def infer(self, node: Node) -> list[Value]:
        """Add a node's outputs to the known tensors, and return them."""
        if node.operator not in OPERATORS:
            raise MalformedMessage(
                f"the operator {node.operator!r} is not one that facegan exports"
            )
        inputs = inputs_of(node)
        unknown = [name for name in inputs if name not in self.values]
        known = [name for name in node.outputs if name in self.values or not name]
        if unknown or known or len({*node.outputs}) < len(node.outputs):
            name = next(iter(unknown or node.outputs), "")
            raise MalformedMessage(f"{node.operator}: {name!r} is not made once, before its use")
        try:
            made, multiplications = apply_operator(node, [self.values[x] for x in inputs])
            require(len(made) == len(node.outputs), f"it has {len(node.outputs)} outputs")
            for value in made:
                require(len(value.shape) <= MAX_RANK, f"it makes {len(value.shape)} sides")
                require(value.size < MAX_SIDE, f"it makes {'x'.join(map(str, value.shape))}")
        except UnsupportedNode as cause:
            name = f"{node.operator} ({', '.join(node.outputs)})"
            raise MalformedMessage(f"{name}: {cause}") from cause
        self.values |= zip(node.outputs, made, strict=True)
        self.multiplications += multiplications
        return made

    def count(self, node: Node, made: Sequence[Value]) -> None:
        """Add a node's outputs to the cost."""
        if self.fixed.issuperset(inputs_of(node)):
            self.fixed.update(node.outputs)
            self.constants += sum(map(bytes_of, made))
            return
        self.together += sum(map(bytes_of, made))
        self.live |= zip(node.outputs, map(bytes_of, made), strict=True)
        self.peak = max(self.peak, sum(self.live.values()))
        for name in node.inputs:
            if self.last[name] is node:
                self.live.pop(name, None)

    def checked(self, wanted: Sequence[int | None]) -> CheckedGraph:
        """Return the checked graph; its one output must have this shape per sample."""
        names = [one.name for one in self.graph.outputs]
        if len(names) != 1 or names[0] not in self.values:
            raise MalformedMessage(f"it has {len(names)} outputs, or one that no node computes")
        made = self.values[names[0]]
        if made.type != FLOAT or not fits((self.rows, *wanted), made.shape):
            rows = "N" if made.shape[:1] == (self.rows,) else "".join(map(str, made.shape[:1]))
            found = "x".join(map(str, (rows, *made.shape[1:])))
            said = "x".join(map(str, ("N", *wanted)))
            raise MalformedMessage(f"it makes {found}, but its card says {said}")
        sums = (self.peak, self.together, self.multiplications)
        per_row = (-(-cost // self.rows) for cost in sums)
        return CheckedGraph(made.shape[1:], len(self.graph.nodes), self.constants, *per_row)


def initialized_bytes(graph: Graph) -> int:
    """Return the bytes of all initialisers."""
    return sum(bytes_of(one) for one in graph.initializers)


def bytes_of(one: Value | Initializer) -> int:
    """Return the bytes of a tensor."""
    return math.prod(one.shape) * BYTES_OF[one.type]


def fits(wanted: Sequence[int | None], shape: Sequence[int]) -> bool:
    """Return whether a shape fits; None fits any dimension."""
    return len(wanted) == len(shape) and all(
        want is None or want == side for want, side in zip(wanted, shape, strict=True)
    )
