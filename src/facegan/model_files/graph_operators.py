"""The operators that a graph may use, their attributes, and shape inference.

They are those that facegan's exporter writes: a test exports every family and preset. A family that
needs another operator adds a line to ``OPERATORS``. Shapes follow github.com/onnx/onnx,
docs/Operators.md.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from facegan.model_files.onnx_reader import BOOL, FEW, FLOAT, INT64, UINT8, Node
from facegan.model_files.protobuf import MalformedMessage

MAX_KERNEL = 16  # side of a convolution's kernel
MAX_STRIDE = 4
MAX_PAD = 16
MAX_STEP = 4096  # of a slice: label maps are read at every so many pixels

Sides = tuple[int, ...]
Attributes = Mapping[str, Any]


@dataclass(frozen=True)
class Value:
    """What is known of a tensor.

    Attributes:
        type: Its element type.
        shape: Its sides.
        numbers: Its values, if they are a few known numbers; else None.
    """

    type: int
    shape: Sides
    numbers: tuple[float, ...] | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)


class UnsupportedNode(MalformedMessage):
    """A node's inputs or attributes are not among those that facegan exports."""


Rule = Callable[[Attributes, Sequence[Value]], list[Value]]


@dataclass(frozen=True)
class Operator:
    """An allowed operator.

    Attributes:
        inputs: Allowed numbers of inputs.
        rule: Returns the outputs, or raises UnsupportedNode.
        attributes: Tests of the allowed attributes; others are refused.
        multiplies: Multiplications per element of the output.
        omitted: The position of an input that is left out, with an empty name; it is not counted.
    """

    inputs: tuple[int, ...]
    rule: Rule
    attributes: Mapping[str, Callable[[Any], bool]]
    multiplies: Callable[[Sequence[Value]], int] = lambda inputs: 1
    omitted: int | None = None


def inputs_of(node: Node) -> tuple[str, ...]:
    """Return the names of a node's inputs, without one that its operator leaves out."""
    place = OPERATORS[node.operator].omitted
    return tuple(name for index, name in enumerate(node.inputs) if index != place or name)


def apply_operator(node: Node, inputs: Sequence[Value]) -> tuple[list[Value], int]:
    """Return a node's outputs, and how many multiplications they take."""
    operator = OPERATORS[node.operator]
    require(len(inputs) in operator.inputs, f"it takes {len(inputs)} inputs")
    for name, value in node.attributes.items():
        fits = operator.attributes.get(name)
        require(fits is not None and fits(value), f"its attribute {name} is {str(value)[:60]}")
    made = operator.rule(node.attributes, inputs)
    return made, sum(value.size for value in made) * operator.multiplies(inputs)


def require(condition: bool, reason: str) -> None:
    """Raise UnsupportedNode unless a condition holds."""
    if not condition:
        raise UnsupportedNode(reason)


# --- rules ------------------------------------------------------------------------------------


def unary(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer an element-wise function of floats."""
    return [Value(of_type(FLOAT, inputs[0]).type, inputs[0].shape)]


def arithmetic(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a function of two broadcast tensors of floats."""
    return [Value(FLOAT, broadcast(*(of_type(FLOAT, value).shape for value in inputs)))]


def comparison_of(kind: int) -> Rule:
    """Return the rule of a comparison of two broadcast tensors of a type."""

    def rule(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        return [Value(BOOL, broadcast(*(of_type(kind, value).shape for value in inputs)))]

    return rule


def where(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a choice between two tensors of floats."""
    of_type(BOOL, inputs[0])
    shapes = [inputs[0].shape, *(of_type(FLOAT, value).shape for value in inputs[1:])]
    return [Value(FLOAT, broadcast(*shapes))]


def cast(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a cast to floats, or of the classes of a label map to integers."""
    require("to" in attributes, "it has no target type")
    require(attributes["to"] == FLOAT or inputs[0].type == UINT8, "it casts to integers")
    return [Value(attributes["to"], inputs[0].shape)]


def normalization(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a normalisation: images (N, C, H, W), and a few tensors of a number per channel."""
    x = of_rank(4, inputs[0])
    require(all(v == Value(FLOAT, (x.shape[1],)) for v in inputs[1:]), "its channels differ")
    return [Value(FLOAT, x.shape)]


def concat(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a concatenation of tensors, or of the known numbers of a shape."""
    first = inputs[0]
    axis = axis_of(attributes.get("axis"), first)
    rest = [without(value.shape, axis) for value in inputs]
    kinds = {value.type for value in inputs}
    require(len(kinds) == 1 and BOOL not in kinds, "its inputs have several types")
    require(all(sides == rest[0] for sides in rest), "its inputs do not fit together")
    together = sum(value.shape[axis] for value in inputs)
    shape = (*first.shape[:axis], together, *first.shape[axis + 1 :])
    parts = [value.numbers for value in inputs]
    known = None
    if len(shape) == 1 and together <= FEW and None not in parts:
        known = tuple(number for part in parts for number in part or ())
    return [Value(first.type, shape, known)]


def conv(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a convolution: images (N, C, H, W), kernels (M, C / group, k, k)."""
    x, w = (of_rank(4, value) for value in inputs[:2])
    group, strides, pads = convolution(attributes, w)
    require(w.shape[1] * group == x.shape[1] and w.shape[0] % group == 0, "its channels differ")
    check_bias(inputs, w.shape[0])
    sides = [
        (side + pads[i] + pads[i + 2] - w.shape[2 + i]) // strides[i] + 1
        for i, side in enumerate(x.shape[2:])
    ]
    return [Value(FLOAT, positive((x.shape[0], w.shape[0], *sides)))]


def conv_transpose(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a transposed convolution: images (N, C, H, W), kernels (C, M / group, k, k)."""
    x, w = (of_rank(4, value) for value in inputs[:2])
    group, strides, pads = convolution(attributes, w)
    require(w.shape[0] == x.shape[1] and w.shape[0] % group == 0, "its channels differ")
    check_bias(inputs, w.shape[1] * group)
    more = attributes.get("output_padding", (0, 0))
    require(all(side < strides[i] for i, side in enumerate(more)), f"its output_padding is {more}")
    sides = [
        (side - 1) * strides[i] + w.shape[2 + i] - pads[i] - pads[i + 2] + more[i]
        for i, side in enumerate(x.shape[2:])
    ]
    return [Value(FLOAT, positive((x.shape[0], w.shape[1] * group, *sides)))]


def convolution(attributes: Attributes, w: Value) -> tuple[int, Sides, Sides]:
    """Return the group, strides and pads of a convolution."""
    wanted = {"group", "strides", "pads", "kernel_shape"}
    require(wanted <= attributes.keys(), "it lacks attributes")
    kernel = w.shape[2:]
    require(attributes["kernel_shape"] == kernel, "its kernel has another shape")
    require(all(side <= MAX_KERNEL for side in kernel), f"its kernel is {kernel}")
    pads = attributes["pads"]
    require(all(pad < kernel[i % 2] for i, pad in enumerate(pads)), f"its pads are {pads}")
    return attributes["group"], attributes["strides"], pads


def check_bias(inputs: Sequence[Value], channels: int) -> None:
    """Check the third input of a convolution, if it has one."""
    require(inputs[2:] in ([], [Value(FLOAT, (channels,))]), "its bias has another shape")


def expand(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a broadcast to a known shape."""
    shape = positive(known(inputs[1]))
    return [Value(FLOAT, broadcast(of_type(FLOAT, inputs[0]).shape, shape))]


def gather(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer the selection of one known index along an axis."""
    x, index = of_type(FLOAT, inputs[0]), inputs[1]
    axis = axis_of(attributes.get("axis"), x)
    (number,) = known(index) if not index.shape else (-1,)
    require(0 <= number < x.shape[axis], "its index is out of range")
    return [Value(FLOAT, without(x.shape, axis))]


def gemm(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a matrix product of (N, K) and (M, K) or (K, M), plus a bias."""
    a, b = (of_rank(2, value) for value in inputs[:2])
    k, m = b.shape[::-1] if attributes.get("transB", 0) else b.shape
    require(a.shape[1] == k, "its matrices do not fit")
    shape = (a.shape[0], m)
    for bias in inputs[2:]:
        require(broadcast(of_type(FLOAT, bias).shape, shape) == shape, "its bias does not fit")
    return [Value(FLOAT, shape)]


def pad(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer padding by known sizes: with zeros, or with what is next to the border, reflected."""
    x, pads = of_type(FLOAT, inputs[0]), known(inputs[1])
    rank = len(x.shape)
    is_few = len(pads) == 2 * rank and all(0 <= side <= MAX_PAD for side in pads)
    require(is_few, f"its pads are {pads}")
    if attributes.get("mode") == "reflect":
        is_inside = all(pads[i] < x.shape[i % rank] or not pads[i] for i in range(2 * rank))
        require(is_inside, f"its pads are {pads}")
    return [Value(FLOAT, tuple(s + pads[i] + pads[rank + i] for i, s in enumerate(x.shape)))]


def reduce(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a sum or mean over known axes."""
    x = of_type(FLOAT, inputs[0])
    axes = axes_of(known(inputs[1]), len(x.shape))
    is_kept = attributes.get("keepdims", 1)
    shape = [
        1 if axis in axes else side
        for axis, side in enumerate(x.shape)
        if is_kept or axis not in axes
    ]
    return [Value(FLOAT, tuple(shape))]


def reshape(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a reshape to a known shape, of which one side may be -1."""
    x, shape = of_type(FLOAT, inputs[0]), known(inputs[1])
    fixed = math.prod(side for side in shape if side != -1)
    require(shape.count(-1) < 2 and fixed > 0 and min(shape, default=1) >= -1, f"{shape}")
    full = tuple(x.size // fixed if side == -1 else side for side in shape)
    require(math.prod(full) == x.size, f"{x.shape} has no shape {shape}")
    return [Value(FLOAT, full)]


def resize(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer the repetition of the pixels of images (N, C, H, W) by known factors."""
    x, scales = of_rank(4, inputs[0]), of_type(FLOAT, inputs[1]).numbers or ()
    is_few = len(scales) == 4 and all(scale in range(1, MAX_STRIDE + 1) for scale in scales)
    require(is_few and scales[:2] == (1, 1), f"its scales are {scales}")
    return [Value(FLOAT, tuple(s * int(k) for s, k in zip(x.shape, scales, strict=True)))]


def shape_of(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a tensor's shape, or part of it, as known numbers."""
    sides = inputs[0].shape[attributes.get("start", 0) : attributes.get("end", None)]
    require(len(sides) > 0, "it selects no dimension")
    return [Value(INT64, (len(sides),), sides)]


def slice_of(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a slice between known indices."""
    x = of_type(FLOAT, inputs[0])
    starts, ends, axes, steps = map(known, inputs[1:])
    require(len(starts) == len(ends) == len(axes) == len(steps), "its lists differ in length")
    axes_of(axes, len(x.shape))
    shape = list(x.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        require(1 <= step <= MAX_STEP, f"its step is {step}")
        shape[axis] = len(range(*slice(start, end, step).indices(shape[axis])))
    return [Value(FLOAT, positive(tuple(shape)))]


def split(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a split into equal parts along an axis."""
    x, count = of_type(FLOAT, inputs[0]), attributes.get("num_outputs", 0)
    axis = axis_of(attributes.get("axis", 0), x)
    require(count > 0 and x.shape[axis] % count == 0, f"it splits into {count} parts")
    shape = (*x.shape[:axis], x.shape[axis] // count, *x.shape[axis + 1 :])
    return [Value(FLOAT, shape)] * count


def transpose(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer a permutation of axes."""
    x, order = of_type(FLOAT, inputs[0]), attributes.get("perm", ())
    require(sorted(order) == list(range(len(x.shape))), f"its order is {order}")
    return [Value(FLOAT, tuple(x.shape[axis] for axis in order))]


def unsqueeze(attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
    """Infer the insertion of axes of one element."""
    x, new = inputs[0], known(inputs[1])
    require(x.type in (FLOAT, INT64), "its type is unsupported")
    axes, sides = axes_of(new, len(x.shape) + len(new)), iter(x.shape)
    shape = (1 if axis in axes else next(sides) for axis in range(len(x.shape) + len(new)))
    return [Value(x.type, tuple(shape))]


# --- helpers of the rules -----------------------------------------------------------------------


def of_type(kind: int, value: Value) -> Value:
    """Return a value; refuse another type."""
    require(value.type == kind, "an input has another type")
    return value


def of_rank(rank: int, value: Value) -> Value:
    """Return a value of floats; refuse another rank."""
    require(len(value.shape) == rank, f"an input has {len(value.shape)} sides")
    return of_type(FLOAT, value)


def known(value: Value) -> tuple[int, ...]:
    """Return a value's known integers; refuse one that depends on the inputs."""
    if value.numbers is None or value.type != INT64:
        raise UnsupportedNode("a shape or axis is not a constant")
    return tuple(map(int, value.numbers))


def broadcast(*shapes: Sides) -> Sides:
    """Return the shape that all these broadcast to."""
    rank = max(map(len, shapes))
    columns = zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True)
    sides = [{side for side in column if side != 1} for column in columns]
    require(all(len(side) < 2 for side in sides), "its inputs do not broadcast")
    return tuple(side.pop() if side else 1 for side in sides)


def axis_of(axis: Any, value: Value) -> int:
    """Return an axis as a non-negative index."""
    rank = len(value.shape)
    require(isinstance(axis, int) and -rank <= axis < rank, f"its axis is {axis}")
    return int(axis) % rank


def axes_of(axes: Sequence[int], rank: int) -> set[int]:
    """Return different axes as non-negative indices."""
    chosen = {axis % rank for axis in axes if -rank <= axis < rank}
    require(len(chosen) == len(axes) > 0, f"its axes are {tuple(axes)}")
    return chosen


def without(shape: Sides, axis: int) -> Sides:
    """Return a shape without one dimension."""
    return (*shape[:axis], *shape[axis + 1 :])


def positive(shape: Sides) -> Sides:
    """Return a shape; refuse dimensions below 1."""
    require(all(side > 0 for side in shape), f"a shape is {shape}")
    return shape


# --- the list ---------------------------------------------------------------------------------


def one_of(*values: Any) -> Callable[[Any], bool]:
    """Return a test for one of a few values, of the same type."""
    return lambda value: any(type(value) is type(one) and value == one for one in values)


def is_float(value: Any) -> bool:
    """Return whether a value is a finite float."""
    return isinstance(value, float) and math.isfinite(value)


def is_positive(value: Any) -> bool:
    """Return whether a value is a finite float, 0 or more."""
    return is_float(value) and value >= 0


def is_int(value: Any) -> bool:
    """Return whether a value is an integer; the rules check its range."""
    return isinstance(value, int)


def ints(count: int, low: int, high: int) -> Callable[[Any], bool]:
    """Return a test for `count` integers in a range."""
    return lambda value: (
        isinstance(value, tuple) and len(value) == count and all(low <= x <= high for x in value)
    )


ONE, TWO, THREE = (1,), (2,), (3,)
CONVOLUTION: dict[str, Callable[[Any], bool]] = {
    "auto_pad": one_of("NOTSET"),
    "dilations": one_of((1, 1)),
    "group": lambda value: isinstance(value, int) and value > 0,
    "kernel_shape": ints(2, 1, MAX_KERNEL),
    "pads": ints(4, 0, MAX_PAD),
    "strides": ints(2, 1, MAX_STRIDE),
}
REDUCTION = {"keepdims": one_of(0, 1), "noop_with_empty_axes": one_of(0)}
NEAREST: dict[str, Callable[[Any], bool]] = {
    "antialias": one_of(0),
    "coordinate_transformation_mode": one_of("asymmetric"),
    "cubic_coeff_a": is_float,  # for other modes, as is the value outside
    "exclude_outside": one_of(0),
    "extrapolation_value": is_float,
    "keep_aspect_ratio_policy": one_of("stretch"),
    "mode": one_of("nearest"),
    "nearest_mode": one_of("floor"),
}
OPERATORS: dict[str, Operator] = {
    **dict.fromkeys(("Relu", "Tanh", "Sqrt", "Reciprocal"), Operator(ONE, unary, {})),
    "LeakyRelu": Operator(ONE, unary, {"alpha": is_float}),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow"), Operator(TWO, arithmetic, {})),
    "Equal": Operator(TWO, comparison_of(INT64), {}),
    "Less": Operator(TWO, comparison_of(FLOAT), {}),
    "Where": Operator(THREE, where, {}),
    "Cast": Operator(ONE, cast, {"to": one_of(FLOAT, INT64)}),
    "BatchNormalization": Operator(
        (5,), normalization, {"epsilon": is_positive, "momentum": is_float}
    ),
    "Concat": Operator(tuple(range(1, 9)), concat, {"axis": is_int}),
    "Conv": Operator((2, 3), conv, CONVOLUTION, lambda inputs: math.prod(inputs[1].shape[1:])),
    "ConvTranspose": Operator(
        (2, 3),
        conv_transpose,
        {**CONVOLUTION, "output_padding": ints(2, 0, MAX_STRIDE)},
        lambda inputs: math.prod(inputs[1].shape[2:]) * inputs[1].shape[0],
    ),
    "Expand": Operator(TWO, expand, {}),
    "Gather": Operator(TWO, gather, {"axis": is_int}),
    "Gemm": Operator(
        (2, 3),
        gemm,
        {"alpha": is_float, "beta": is_float, "transA": one_of(0), "transB": one_of(0, 1)},
        lambda inputs: inputs[0].shape[1],
    ),
    "InstanceNormalization": Operator(
        THREE, normalization, {"epsilon": is_positive}, lambda inputs: 4
    ),
    "Pad": Operator(TWO, pad, {"mode": one_of("constant", "reflect")}),
    "ReduceMean": Operator(TWO, reduce, REDUCTION),
    "ReduceSum": Operator(TWO, reduce, REDUCTION),
    "Reshape": Operator(TWO, reshape, {"allowzero": one_of(0, 1)}),
    "Resize": Operator(TWO, resize, NEAREST, omitted=1),
    "Shape": Operator(ONE, shape_of, {"start": is_int, "end": is_int}),
    "Slice": Operator((5,), slice_of, {}),
    "Split": Operator(ONE, split, {"axis": is_int, "num_outputs": one_of(2)}),
    "Transpose": Operator(ONE, transpose, {"perm": lambda value: isinstance(value, tuple)}),
    "Unsqueeze": Operator(TWO, unsqueeze, {}),
}
