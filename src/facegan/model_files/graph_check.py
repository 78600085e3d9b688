"""Checks a model's graphs (ONNX) against its card before any runtime reads their bytes.

A graph comes from a stranger, and so does the digest in the card: neither proves anything. A graph
may hold what facegan's exporter writes and nothing else (``onnx_reader``, ``graph_operators``), it
must take and make what the card says, and what it costs is bounded and known before it is loaded.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facegan.errors import ArtifactError, first_line
from facegan.model_files.card import (
    GENERATOR_GRAPH,
    MAPPING_GRAPH,
    SYNTHESIS_GRAPH,
    ModelCard,
)
from facegan.model_files.graph_operators import (
    OPERATORS,
    Unfit,
    Value,
    apply_operator,
    require,
)
from facegan.model_files.onnx_reader import (
    BYTES_OF,
    FLOAT,
    INT64,
    MAX_RANK,
    MAX_SIDE,
    Content,
    Graph,
    Initializer,
    Node,
    ValueInfo,
    read_graph,
)
from facegan.model_files.protobuf import MalformedMessage

ROWS = 2  # shapes are worked out for two; of one, a row would look like any side of one
MAX_GRAPH_BYTES = 1 << 30
# For one row: absolute, twice or more what a preset of 1024 px would take, and for each pixel of an
# image, four times what the heaviest takes (paper32 of r3gan).
MAX_ROW_BYTES, MAX_ROW_BYTES_OF_PIXEL = 1 << 30, 1 << 16
MAX_MULTIPLICATIONS, MAX_MULTIPLICATIONS_OF_PIXEL = 1 << 38, 1 << 25
# All tensors of a row together, and those that depend on no row, of which the initialisers are one.
MAX_ROW_BYTES_TOGETHER = 32
MAX_CONSTANT_SHARE = 8
MIN_CONSTANT_BYTES = 1 << 20


@dataclass(frozen=True)
class CheckedGraph:
    """What is known of a graph that was found to be one of facegan's.

    Attributes:
        made: The shape of what it makes of one row.
        nodes: How many operators it uses.
        constants: Bytes of the initialisers, and of all tensors that are made of them alone.
        row_bytes: Of the tensors that are there at the same time, for one row of a batch.
        row_bytes_together: Of all its tensors, for one row.
        row_multiplications: For one row.
    """

    made: tuple[int, ...]
    nodes: int
    constants: int
    row_bytes: int
    row_bytes_together: int
    row_multiplications: int

    def elements(self, rows: int) -> int:
        """Return how many numbers all tensors hold for a batch, at least."""
        return (self.constants + rows * self.row_bytes_together) // BYTES_OF[FLOAT]


def check_graphs(
    source: Path, files: Mapping[str, Content], card: ModelCard
) -> dict[str, CheckedGraph]:
    """Return what each graph of a model takes, once it is known to be one of facegan's.

    Args:
        source: Where the graphs were read, for messages.
        files: Their bytes, by their names.
        card: The model's, which names its graphs.

    Raises:
        ArtifactError: a graph holds what facegan does not export, differs from the card, or takes
            far more than an image of this size; it is named.
    """
    assert card.graph is not None  # who reads graphs looks there first
    rows = [ValueInfo("latents", FLOAT, (None, card.latent_dim))]
    if card.classes:
        rows.append(ValueInfo("labels", INT64, (None,)))
    images = card.image_shape
    if not card.graph.style_layers:
        return {GENERATOR_GRAPH: check_graph(source, GENERATOR_GRAPH, files, card, rows, images)}
    told = card.settings.get("style_dim")
    styles = (card.graph.style_layers, told if type(told) is int else None)
    taken = [*rows, ValueInfo("psi", FLOAT, ())]
    mapping = check_graph(source, MAPPING_GRAPH, files, card, taken, styles)
    wanted = [ValueInfo("styles", FLOAT, (None, *mapping.made))]
    synthesis = check_graph(source, SYNTHESIS_GRAPH, files, card, wanted, images)
    return {MAPPING_GRAPH: mapping, SYNTHESIS_GRAPH: synthesis}


def check_graph(
    source: Path,
    name: str,
    files: Mapping[str, Content],
    card: ModelCard,
    inputs: Sequence[ValueInfo],
    output: Sequence[int | None],
) -> CheckedGraph:
    """Return what is known of a graph, which must take these inputs and make a shape of each row.

    Raises:
        ArtifactError: as :func:`check_graphs`.
    """
    try:
        if len(files[name]) > MAX_GRAPH_BYTES:
            raise MalformedMessage(f"it has {len(files[name])} bytes")
        graph = read_graph(files[name])
        check_inputs(graph, inputs)
        work = Work(graph)
        check_declared(graph, work.values)
        check_classes(graph, work.values, len(card.classes))
        checked = work.checked(output)
        Work(graph, ROWS + 1).checked(output)  # a shape may be a constant that fits only one number
        check_cost(checked, initialized_bytes(graph), card.image_shape[1] * card.image_shape[2])
    except (ValueError, LookupError, TypeError, ArithmeticError) as cause:
        raise ArtifactError(
            f"{source}: {name} is not a graph that facegan draws: {first_line(cause)}.",
            "It is damaged, was changed, or another program made it. To make it anew from the "
            "model's weights: facegan export MODEL",
        ) from cause
    return checked


def check_inputs(graph: Graph, wanted: Sequence[ValueInfo]) -> None:
    """Compare what a graph takes with what the card says that it takes."""
    if list(graph.inputs) != list(wanted):
        told = [", ".join(map(str, infos[:8])) or "nothing" for infos in (graph.inputs, wanted)]
        raise MalformedMessage(f"it takes {told[0]}, but its card says {told[1]}")


def check_declared(graph: Graph, values: Mapping[str, Value]) -> None:
    """Compare the shapes that a graph declares with those that its nodes make."""
    for one in (*graph.value_infos, *graph.outputs):
        value = values.get(one.name)
        if value and (value.type != one.type or not fits(one.shape, value.shape)):
            made = ValueInfo(one.name, value.type, value.shape)
            raise MalformedMessage(f"it declares {one}, but makes {made} of {ROWS} rows")


def check_classes(graph: Graph, values: Mapping[str, Value], classes: int) -> None:
    """Compare the number of classes: labels are only ever compared with each of them."""
    for node in graph.nodes:
        if node.operator != "Equal":
            continue
        known = values[node.outputs[0]].shape[-1:]
        if known != (classes,):
            raise MalformedMessage(f"Equal tells {known} classes apart, but its card {classes}")


def check_cost(checked: CheckedGraph, initialized: int, pixels: int) -> None:
    """Bound what a graph takes by its initialisers' bytes, and by an image's pixels."""
    row_bytes = min(MAX_ROW_BYTES, MAX_ROW_BYTES_OF_PIXEL * pixels)
    multiplications = min(MAX_MULTIPLICATIONS, MAX_MULTIPLICATIONS_OF_PIXEL * pixels)
    constants = max(MIN_CONSTANT_BYTES, MAX_CONSTANT_SHARE * initialized)
    for told, most, what in (
        (checked.constants, constants, "bytes of constants"),
        (checked.row_bytes, row_bytes, "bytes at a time for an image"),
        (checked.row_bytes_together, MAX_ROW_BYTES_TOGETHER * row_bytes, "bytes for an image"),
        (checked.row_multiplications, multiplications, "multiplications for an image"),
    ):
        if told > most:
            raise MalformedMessage(f"it takes {told:,} {what}, more than {most:,}")


class Work:
    """Every tensor of a graph, worked out node by node for some rows, and what that costs.

    Raises:
        MalformedMessage: a node is none of facegan's, or takes what is not made before it.
    """

    def __init__(self, graph: Graph, rows: int = ROWS) -> None:
        self.graph, self.rows = graph, rows
        tensors = [
            (one.name, Value(one.type, one.shape, one.numbers)) for one in graph.initializers
        ]
        self.values = dict(tensors)
        self.fixed = set(self.values)  # those that depend on no row
        for one in graph.inputs:
            self.values[one.name] = Value(one.type, tuple(side or rows for side in one.shape))
        if len(self.values) < len(tensors) + len(graph.inputs) or "" in self.values:
            raise MalformedMessage("two of its tensors have one name, or one has none")
        self.constants = initialized_bytes(graph)
        self.last = {name: node for node in graph.nodes for name in node.inputs}
        self.live: dict[str, int] = {}  # the bytes of what a later node takes
        self.peak = self.together = self.multiplications = 0
        for node in graph.nodes:
            self.count(node, self.infer(node))

    def infer(self, node: Node) -> list[Value]:
        """Add what a node makes to the tensors that are known, and return that."""
        if node.operator not in OPERATORS:
            raise MalformedMessage(f"facegan exports no operator {node.operator!r}")
        unknown = [name for name in node.inputs if name not in self.values]
        known = [name for name in node.outputs if name in self.values or not name]
        if unknown or known or len({*node.outputs}) < len(node.outputs):
            name = next(iter(unknown or node.outputs), "")
            raise MalformedMessage(f"{node.operator}: {name!r} is not made once, before its use")
        try:
            made, multiplications = apply_operator(node, [self.values[x] for x in node.inputs])
            require(len(made) == len(node.outputs), f"it has {len(node.outputs)} outputs")
            for value in made:
                require(len(value.shape) <= MAX_RANK, f"it makes {len(value.shape)} sides")
                require(value.size < MAX_SIDE, f"it makes {'x'.join(map(str, value.shape))}")
        except Unfit as cause:
            told = f"{node.operator} ({', '.join(node.outputs)})"
            raise MalformedMessage(f"{told}: {cause}") from cause
        self.values |= zip(node.outputs, made, strict=True)
        self.multiplications += multiplications
        return made

    def count(self, node: Node, made: Sequence[Value]) -> None:
        """Add what a node's outputs take to the sums."""
        if self.fixed.issuperset(node.inputs):
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
        """Return what is known of the graph, whose one output must have a shape for each row."""
        names = [one.name for one in self.graph.outputs]
        if len(names) != 1 or names[0] not in self.values:
            raise MalformedMessage(f"it has {len(names)} outputs, or one that no node makes")
        made = self.values[names[0]]
        if made.type != FLOAT or not fits((self.rows, *wanted), made.shape):
            rows = "N" if made.shape[:1] == (self.rows,) else "".join(map(str, made.shape[:1]))
            told = "x".join(map(str, (rows, *made.shape[1:])))
            said = "x".join(map(str, ("N", *wanted)))
            raise MalformedMessage(f"it makes {told}, but its card says {said}")
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
    """Tell whether a shape is the one that is wanted; None fits any side."""
    return len(wanted) == len(shape) and all(
        want is None or want == side for want, side in zip(wanted, shape, strict=True)
    )
