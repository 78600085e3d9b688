"""Parses an ONNX graph as data: its nodes, initialisers, inputs and outputs.

Fields that facegan's exporter does not write are refused, because a runtime might act on them
(external data names files, attributes may hold subgraphs). Only metadata is skipped, as archives of
older releases have some.

Field numbers: github.com/onnx/onnx, onnx/onnx.proto.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from mmap import mmap
from typing import Any

from facegan.model_files.protobuf import (
    FIXED32,
    VARINT,
    Field,
    MalformedMessage,
    MessageReader,
    signed,
)

FLOAT, UINT8, INT64, BOOL = 1, 2, 7, 9  # TensorProto.DataType
BYTES_OF = {FLOAT: 4, UINT8: 1, INT64: 8, BOOL: 1}
TYPE_NAMES = {FLOAT: "float32", UINT8: "uint8", INT64: "int64", BOOL: "bool"}
IR_VERSIONS = range(8, 14)
OPSETS = range(18, 25)  # in which our operators have the same meaning
MAX_NODES = 2048  # six times the deepest preset's
MAX_FIELDS = 200_000  # of all messages
MAX_RANK = 6
MAX_SIDE = 1 << 31
MAX_NAME = 256
FEW = 16  # numbers of an initialiser with shapes, axes, pads or scales

METADATA = Field("metadata", is_skipped=True)
MODEL = {
    1: Field("ir_version", VARINT), 2: Field("producer_name"), 3: Field("producer_version"),
    7: Field("graph"), 8: Field("opsets", is_repeated=True), 14: METADATA,
}  # fmt: skip
GRAPH = {
    1: Field("nodes", is_repeated=True), 2: Field("name"),
    5: Field("initializers", is_repeated=True), 11: Field("inputs", is_repeated=True),
    12: Field("outputs", is_repeated=True), 13: Field("value_infos", is_repeated=True),
    16: METADATA,
}  # fmt: skip
NODE = {
    1: Field("inputs", is_repeated=True), 2: Field("outputs", is_repeated=True), 3: Field("name"),
    4: Field("operator"), 5: Field("attributes", is_repeated=True), 7: Field("domain"), 9: METADATA,
}  # fmt: skip
ATTRIBUTE = {
    1: Field("name"), 2: Field("f", FIXED32), 3: Field("i", VARINT), 4: Field("s"),
    8: Field("ints", VARINT, is_repeated=True), 20: Field("type", VARINT),
}  # fmt: skip
TENSOR = {
    1: Field("dims", VARINT, is_repeated=True), 2: Field("data_type", VARINT), 8: Field("name"),
    9: Field("raw_data"), 16: METADATA,
}  # fmt: skip
VALUE_INFO = {1: Field("name"), 2: Field("type"), 4: METADATA}
TYPE = {1: Field("tensor_type")}
TENSOR_TYPE = {1: Field("elem_type", VARINT), 2: Field("shape")}
SHAPE = {1: Field("dims", is_repeated=True)}
DIMENSION = {1: Field("value", VARINT), 2: Field("param")}
OPSET = {1: Field("domain"), 2: Field("version", VARINT)}

REFUSED_IN_MODEL = {20: "training information", 25: "functions", 26: "device configurations"}
REFUSED_IN_GRAPH = {14: "quantization annotations", 15: "sparse initialisers"}
REFUSED_IN_ATTRIBUTE = {
    5: "a tensor", 6: "a subgraph", 10: "tensors", 11: "subgraphs", 22: "a sparse tensor",
    23: "sparse tensors", 21: "a reference to a function's attribute",
}  # fmt: skip
REFUSED_IN_TENSOR = {13: "a pointer to external data", 14: "a pointer to external data"}
ATTRIBUTE_TYPES = {1: "f", 2: "i", 3: "s", 7: "ints"}  # AttributeProto.AttributeType → field

Shape = tuple[int | None, ...]  # None: any number
Content = bytes | mmap  # of a graph's file


@dataclass(frozen=True)
class Initializer:
    """A constant.

    Attributes:
        numbers: Its values, if they are a few; else None.
    """

    name: str
    type: int
    shape: tuple[int, ...]
    numbers: tuple[float, ...] | None


@dataclass(frozen=True)
class ValueInfo:
    """The declared type and shape of a value."""

    name: str
    type: int
    shape: Shape

    def __str__(self) -> str:
        sides = ["N" if side is None else str(side) for side in self.shape]
        return f"{self.name} {TYPE_NAMES.get(self.type, self.type)}[{', '.join(sides)}]"


@dataclass(frozen=True)
class Node:
    """A use of an operator."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]  # float, int, str or tuple of ints


@dataclass(frozen=True)
class Graph:
    """The graph of an ONNX model."""

    nodes: tuple[Node, ...]
    initializers: tuple[Initializer, ...]
    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]
    value_infos: tuple[ValueInfo, ...]


def read_graph(content: Content) -> Graph:
    """Parse an ONNX file; MalformedMessage if it has anything that facegan does not export."""
    if content[:1] != b"\x08":  # ir_version comes first
        raise MalformedMessage("it is not an ONNX file" if content else "it is empty")
    return GraphReader(MAX_FIELDS).graph(memoryview(content))


class GraphReader(MessageReader):
    """Parses a model's messages; all methods raise MalformedMessage."""

    def graph(self, view: memoryview) -> Graph:
        """Return the graph of a model of a supported version."""
        model = self.read(view, "the model", MODEL, REFUSED_IN_MODEL)
        if model.get("ir_version") not in IR_VERSIONS:
            raise MalformedMessage(f"its ir_version is {model.get('ir_version')}")
        opsets = [self.read(opset, "an operator set", OPSET) for opset in model["opsets"][:4]]
        versions = [(text(opset.get("domain", b"")), opset.get("version")) for opset in opsets]
        if len(versions) != 1 or versions[0][0] or versions[0][1] not in OPSETS:
            raise MalformedMessage(f"it imports the operator sets {versions}")
        if "graph" not in model:
            raise MalformedMessage("it has no graph")
        graph = self.read(model["graph"], "the graph", GRAPH, REFUSED_IN_GRAPH)
        if len(graph["nodes"]) > MAX_NODES:
            raise MalformedMessage(f"it has {len(graph['nodes'])} nodes")
        return Graph(
            nodes=tuple(map(self.node, graph["nodes"])),
            initializers=tuple(map(self.initializer, graph["initializers"])),
            inputs=tuple(map(self.value_info, graph["inputs"])),
            outputs=tuple(map(self.value_info, graph["outputs"])),
            value_infos=tuple(map(self.value_info, graph["value_infos"])),
        )

    def node(self, view: memoryview) -> Node:
        """Return a node; its operator is not checked here."""
        node = self.read(view, "a node", NODE)
        operator = text(node.get("operator", b""))
        if domain := text(node.get("domain", b"")):
            raise MalformedMessage(f"the operator {operator} has the domain {domain}")
        attributes: dict[str, Any] = {}
        for one in node["attributes"]:
            name, value = self.attribute(one, operator)
            if name in attributes:
                raise MalformedMessage(f"{operator} has two of {name}")
            attributes[name] = value
        inputs, outputs = (tuple(map(text, node[key])) for key in ("inputs", "outputs"))
        return Node(operator, inputs, outputs, attributes)

    def attribute(self, view: memoryview, operator: str) -> tuple[str, Any]:
        """Return an attribute's name and value."""
        kind = f"an attribute of {operator}"
        attribute = self.read(view, kind, ATTRIBUTE, REFUSED_IN_ATTRIBUTE)
        if not attribute["ints"]:
            del attribute["ints"]
        name = text(attribute.pop("name", b""))
        field = ATTRIBUTE_TYPES.get(attribute.pop("type", 0), "")
        if list(attribute) != [field]:
            raise MalformedMessage(f"{kind} does not have exactly the value of its type")
        value = attribute[field]
        if field == "f":
            return name, struct.unpack("<f", value)[0]
        if field == "s":
            return name, text(value)
        return name, signed(value) if field == "i" else tuple(map(signed, value))

    def initializer(self, view: memoryview) -> Initializer:
        """Return an initialiser; its bytes must fit its shape."""
        tensor = self.read(view, "an initialiser", TENSOR, REFUSED_IN_TENSOR)
        name, kind = text(tensor.get("name", b"")), tensor.get("data_type", 0)
        if kind not in (FLOAT, INT64):
            raise MalformedMessage(f"the initialiser {name} is of type {kind}")
        shape = shape_of(name, tensor["dims"])
        raw, count = tensor.get("raw_data", b""), math.prod(shape)
        if len(raw) != count * BYTES_OF[kind]:
            raise MalformedMessage(f"the initialiser {name} has {len(raw)} bytes for {shape}")
        if len(shape) > 1 or count > FEW:
            return Initializer(name, kind, shape, None)
        letter = "q" if kind == INT64 else "f"
        return Initializer(name, kind, shape, struct.unpack(f"<{count}{letter}", raw))

    def value_info(self, view: memoryview) -> ValueInfo:
        """Return a value's declaration, which must be a tensor with a shape."""
        info = self.read(view, "a value", VALUE_INFO)
        name = text(info.get("name", b""))
        for key, fields in (("type", TYPE), ("tensor_type", TENSOR_TYPE), ("shape", SHAPE)):
            if key not in info:
                raise MalformedMessage(f"the value {name} has no {key}")
            info |= self.read(info[key], f"the {key} of {name}", fields)
        dims = [self.read(dim, f"the shape of {name}", DIMENSION) for dim in info["dims"]]
        if any(len(dim) != 1 for dim in dims):
            raise MalformedMessage(f"{name} has a dimension without a size")
        sides = shape_of(name, [dim.get("value", 1) for dim in dims])
        shape = tuple(
            side if "value" in dim else None for dim, side in zip(dims, sides, strict=True)
        )
        return ValueInfo(name, info.get("elem_type", 0), shape)


def shape_of(name: str, sides: Sequence[int]) -> tuple[int, ...]:
    """Return a shape; refuse too many dimensions, or any below 1."""
    if len(sides) > MAX_RANK or not all(0 < side < MAX_SIDE for side in sides):
        raise MalformedMessage(
            f"{name} has the sides {', '.join(map(str, map(signed, sides[:8])))}"
        )
    return tuple(sides)


def text(view: memoryview | bytes) -> str:
    """Return a name: short, printable ASCII."""
    name = bytes(view[: MAX_NAME + 1]).decode("ascii", errors="replace")
    if len(name) > MAX_NAME or not (name.isascii() and (name.isprintable() or not name)):
        raise MalformedMessage(f"the name {name[:40]!a}")
    return name
