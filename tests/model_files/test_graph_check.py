"""A graph of a stranger's: what is not one of facegan's own is refused before a runtime reads it.

Graphs are changed by the ``onnx`` package, which writes what a stranger would, and by hand where it
would not; none of them may reach OpenVINO.
"""

import contextlib
import dataclasses
import hashlib
import json
import re
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from example_data import MAP_CLASSES
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from facegan import export
from facegan.artifact import Artifact, SkipInit, load_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.errors import ArtifactError, ConfigError, ExportError
from facegan.export import graphs_of
from facegan.gans import FAMILIES, Family, Preset, with_class_count
from facegan.model_files import (
    GraphFacts,
    ModelCard,
    check_graphs,
    copy_artifact,
    pack_artifact,
    read_card,
)
from facegan.model_files.archive import check_archive
from facegan.model_files.graph_check import ShapeInference
from facegan.model_files.graph_operators import OPERATORS
from facegan.model_files.onnx_reader import read_graph
from facegan.model_inputs import IMAGES, LABEL_MAPS, LABELS, default_inputs
from facegan.synthesis import BackendConfig, estimate_memory, open_synthesizer

Model = onnx.ModelProto
Change = Callable[[Model], None]
HERE = Path("model")
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


@pytest.fixture(scope="module")
def files(exported_dir: Path) -> dict[str, bytes]:
    """Every family's graphs."""
    return {path.name: path.read_bytes() for path in exported_dir.glob("*.onnx")}


@pytest.fixture(scope="module")
def card(exported_dir: Path) -> ModelCard:
    return read_card(exported_dir)


@pytest.fixture(scope="module")
def small_files(graphs_dir: Path) -> dict[str, bytes]:
    """One family's, for changes that have nothing to do with the family."""
    return {path.name: path.read_bytes() for path in graphs_dir.glob("*.onnx")}


@pytest.fixture(scope="module")
def small_card(graphs_dir: Path) -> ModelCard:
    return read_card(graphs_dir)


def changed(files: Mapping[str, bytes], change: Change, name: str = "") -> dict[str, bytes]:
    """The graphs, the one that makes images changed."""
    name = name or max(files)  # synthesis.onnx, or generator.onnx
    model = onnx.load_model_from_string(files[name])
    change(model)
    return {**files, name: model.SerializeToString()}


def refused(files: Mapping[str, bytes], card: ModelCard, why: str) -> None:
    with pytest.raises(ArtifactError, match=why) as caught:
        check_graphs(HERE, files, card)
    told = str(caught.value)
    assert "facegan export MODEL" in told and ".onnx" in told and len(told) < 700, told
    assert "\n" not in told


# --- what is ours passes ----------------------------------------------------------------------


def test_exported_graphs_pass_with_their_cost(files: dict[str, bytes], card: ModelCard) -> None:
    checked = check_graphs(HERE, files, card)
    drawn = checked[max(checked)]
    assert drawn.made == card.image_shape
    assert drawn.sample_bytes >= 4 * np.prod(card.image_shape)
    assert drawn.sample_bytes_total >= drawn.sample_bytes
    assert drawn.sample_multiplications > 1000


def test_shapes_are_inferred_as_onnx_does(files: dict[str, bytes]) -> None:
    """Another implementation of the same rules, with its data propagation, node by node."""
    for content in files.values():
        model = onnx.load_model_from_string(content)
        for one in (*model.graph.input, *model.graph.output):
            for side in one.type.tensor_type.shape.dim:
                if side.HasField("dim_param"):
                    side.dim_value = 2
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        values = ShapeInference(read_graph(content)).values
        assert len(inferred.graph.value_info) >= len(model.graph.node) - 1
        for info in inferred.graph.value_info:
            told = info.type.tensor_type
            sides = [side.dim_value for side in told.shape.dim]
            value = values[info.name]
            assert (value.type, list(value.shape)) == (told.elem_type, sides), info.name


def test_older_exports_with_metadata_pass(files: dict[str, bytes], card: ModelCard) -> None:
    """Releases before this one left the exporter's notes in, which are skipped."""

    def note(model: Model) -> None:
        graph = model.graph
        graph.value_info.extend(onnx.shape_inference.infer_shapes(model).graph.value_info)
        for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
            part.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="File /x, line 1\n")

    check_graphs(HERE, changed(files, note), card)


# --- the place of a tensor's bytes ------------------------------------------------------------


def outside(model: Model, location: str, index: int = 0, move: bool = False) -> None:
    tensor = model.graph.initializer[index]
    if move:
        Path(location).write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


@pytest.mark.parametrize("location", [
    "/etc/passwd", "secret.bin", "../secret.bin", "a/../../x", "", "*/_ORT_MEM_ADDR_/*",
    "file:///etc/passwd",
])  # fmt: skip
def test_external_data_is_refused(small_files, small_card: ModelCard, location: str) -> None:
    hostile = changed(small_files, lambda model: outside(model, location))
    refused(hostile, small_card, "pointer to external data")


def test_a_weight_moved_to_external_data_is_refused(files, card: ModelCard, tmp_path: Path) -> None:
    """It is not the content but the place."""
    place = str(tmp_path / "w.bin")
    for name in files:
        hostile = changed(files, lambda model: outside(model, place, move=True), name)
        refused(hostile, card, "pointer to external data")


def test_external_data_beside_the_bytes_is_refused(small_files, small_card: ModelCard) -> None:
    """Either of the two fields, with the bytes still there."""

    def only_location(model: Model) -> None:
        model.graph.initializer[0].data_location = TensorProto.EXTERNAL

    def only_pointer(model: Model) -> None:
        model.graph.initializer[0].external_data.add(key="location", value="x")

    for change in (only_location, only_pointer):
        refused(changed(small_files, change), small_card, "pointer to external data")


# --- what a graph may hold --------------------------------------------------------------------


def tiny_graph() -> onnx.GraphProto:
    made = helper.make_tensor_value_info("y", FLOAT, [1])
    return helper.make_graph([helper.make_node("Tanh", ["latents"], ["y"])], "g", [], [made])


def add(*nodes: onnx.NodeProto) -> Change:
    """Add nodes beside what is there; nothing need use them."""
    return lambda model: model.graph.node.extend(nodes)


def constant(model: Model, name: str, values: object, kind: type = np.int64) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array(values, kind), name))


FOREIGN = {
    "Loop": helper.make_node("Loop", ["latents", "latents"], ["y"], body=tiny_graph()),
    "If": helper.make_node("If", ["latents"], ["y"], then_branch=tiny_graph()),
    "Scan": helper.make_node("Scan", ["latents"], ["y"], body=tiny_graph(), num_scan_inputs=1),
    "SequenceMap": helper.make_node("SequenceMap", ["latents"], ["y"], body=tiny_graph()),
    "ConstantOfShape": helper.make_node("ConstantOfShape", ["latents"], ["y"]),
    "Tile": helper.make_node("Tile", ["latents", "latents"], ["y"]),
    "Range": helper.make_node("Range", ["latents"] * 3, ["y"]),
    "Upsample": helper.make_node("Upsample", ["latents", "latents"], ["y"]),
    "MatMul": helper.make_node("MatMul", ["latents", "latents"], ["y"]),
    "OneHot": helper.make_node("OneHot", ["latents"] * 3, ["y"]),
    "Constant": helper.make_node(
        "Constant", [], ["y"], value=helper.make_tensor("t", FLOAT, [1], [0.0])
    ),
    "RandomNormal": helper.make_node("RandomNormal", [], ["y"], shape=[9]),
    "StringNormalizer": helper.make_node("StringNormalizer", ["latents"], ["y"]),
    "NoSuchOperator": helper.make_node("NoSuchOperator", ["latents"], ["y"]),
    "relu": helper.make_node("relu", ["latents"], ["y"]),
    "": helper.make_node("", ["latents"], ["y"]),
}


@pytest.mark.parametrize("operator", FOREIGN)
def test_an_operator_that_is_not_exported_is_refused(
    small_files, small_card: ModelCard, operator: str
) -> None:
    """By its name, or by the subgraph or tensor that it brings."""
    hostile = changed(small_files, add(FOREIGN[operator]))
    refused(hostile, small_card, "is not one that facegan exports|a subgraph|a tensor")


def subgraph_in_relu(model: Model) -> None:
    model.graph.node.append(helper.make_node("Relu", ["latents"], ["y"], body=tiny_graph()))


def subgraphs_in_relu(model: Model) -> None:
    model.graph.node.append(helper.make_node("Relu", ["latents"], ["y"], body=[tiny_graph()] * 2))


def tensor_in_relu(model: Model) -> None:
    tensor = helper.make_tensor("t", FLOAT, [1], [0.0])
    model.graph.node.append(helper.make_node("Relu", ["latents"], ["y"], value=tensor))


def other_domain(model: Model) -> None:
    model.graph.node.append(helper.make_node("Relu", ["latents"], ["y"], domain="com.microsoft"))


def other_domain_imported(model: Model) -> None:
    model.opset_import.append(helper.make_opsetid("org.openvinotoolkit", 1))


def no_opset(model: Model) -> None:
    model.ClearField("opset_import")


def two_opsets(model: Model) -> None:
    model.opset_import.append(helper.make_opsetid("", 9))


def old_opset(model: Model) -> None:
    model.opset_import[0].version = 9


def new_ir(model: Model) -> None:
    model.ir_version = 99


def function(model: Model) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    made = helper.make_function("", "Tanh", ["x"], ["y"], [node], [helper.make_opsetid("", 20)])
    model.functions.append(made)


def sparse(model: Model) -> None:
    values = helper.make_tensor("v", FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [10**9]))


def training(model: Model) -> None:
    model.training_info.add().initialization.CopyFrom(tiny_graph())


def quantized(model: Model) -> None:
    model.graph.quantization_annotation.add(tensor_name="latents")


def typed_data(model: Model) -> None:
    tensor = model.graph.initializer[0]
    tensor.float_data.extend(numpy_helper.to_array(tensor).ravel().tolist())
    tensor.ClearField("raw_data")


def doubles(model: Model) -> None:
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64),
                                            tensor.name))  # fmt: skip


def strings(model: Model) -> None:
    model.graph.initializer.append(helper.make_tensor("s", TensorProto.STRING, [1], [b"x"]))


def huge_dims(model: Model) -> None:
    model.graph.initializer[0].dims[0] = 2**40


def negative_dims(model: Model) -> None:
    model.graph.initializer[0].dims[0] = -1


def no_dims(model: Model) -> None:
    del model.graph.initializer[0].dims[:]


def short_bytes(model: Model) -> None:
    tensor = model.graph.initializer[0]
    tensor.raw_data = tensor.raw_data[:-4]


def empty_tensor(model: Model) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((0, 2**30), np.float32), "e"))


def many_sides(model: Model) -> None:
    constant(model, "m", np.zeros((1,) * 40), np.float32)


def two_of_a_name(model: Model) -> None:
    constant(model, model.graph.initializer[0].name, [1.0], np.float32)


def shadowed_input(model: Model) -> None:
    constant(model, "latents", [1.0], np.float32)


def cycle(model: Model) -> None:
    model.graph.node.extend([
        helper.make_node("Relu", ["b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]),
    ])  # fmt: skip


def unknown_input(model: Model) -> None:
    model.graph.node.append(helper.make_node("Relu", ["nowhere"], ["y"]))


def empty_name(model: Model) -> None:
    model.graph.node.append(helper.make_node("Relu", [""], ["y"]))


def made_twice(model: Model) -> None:
    model.graph.node.append(helper.make_node("Relu", ["latents"], [model.graph.node[0].output[0]]))


def long_name(model: Model) -> None:
    model.graph.node.append(helper.make_node("Relu", ["latents"], ["y" * 300]))


def strange_name(model: Model) -> None:
    model.graph.node.append(helper.make_node("Relu", ["latents"], ["y\x1b[31m\n"]))


def deep_chain(model: Model) -> None:
    names = ["latents", *(f"c{number}" for number in range(3000))]
    for one, two in pairwise(names):
        model.graph.node.append(helper.make_node("Relu", [one], [two]))


def optional_input(model: Model) -> None:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, [1]))
    model.graph.value_info.append(helper.make_value_info("o", kind))


def sequence_input(model: Model) -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, [1]))
    model.graph.input.append(helper.make_value_info("o", kind))


CHANGES = {
    change.__name__: (change, why)
    for change, why in [
        (subgraph_in_relu, "a subgraph"), (subgraphs_in_relu, "subgraphs"),
        (tensor_in_relu, "a tensor"), (other_domain, "domain com.microsoft"),
        (other_domain_imported, "operator sets"), (no_opset, "operator sets"),
        (two_opsets, "operator sets"), (old_opset, "operator sets"), (new_ir, "ir_version is 99"),
        (function, "functions"), (sparse, "sparse"), (training, "training"),
        (quantized, "quantization"), (typed_data, "has field 4"), (doubles, "of type 11"),
        (strings, "has field 6|of type 8"), (huge_dims, "sides"), (negative_dims, "sides -1"),
        (no_dims, r"bytes for \(\)"), (short_bytes, "bytes for"), (empty_tensor, "sides 0"),
        (many_sides, "sides"), (two_of_a_name, "one name"), (shadowed_input, "one name"),
        (cycle, "'b' is not made"), (unknown_input, "'nowhere' is not made"),
        (empty_name, "is not made"), (made_twice, "is not made once"), (long_name, "the name 'yyy"),
        (strange_name, "the name"), (deep_chain, "nodes"), (optional_input, "has field"),
        (sequence_input, "has field"),
    ]
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_not_exported_is_refused(small_files, small_card: ModelCard, name: str) -> None:
    change, why = CHANGES[name]
    refused(changed(small_files, change), small_card, why)


# --- what operators may be told ---------------------------------------------------------------


def set_attribute(operator: str, name: str, value: object) -> Change:
    def change(model: Model) -> None:
        node = next(node for node in model.graph.node if node.op_type == operator)
        kept = [one for one in node.attribute if one.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return change


@pytest.mark.parametrize(("name", "value"), [
    ("strides", [10**6, 10**6]), ("strides", [0, 0]), ("strides", [-2, -2]), ("strides", [2]),
    ("pads", [2**62] * 4), ("pads", [-(2**62)] * 4), ("pads", [4, 4, 4, 4]), ("pads", [1]),
    ("group", 0), ("group", -1), ("group", 2**40), ("group", 3), ("dilations", [10**6, 10**6]),
    ("output_padding", [10**6, 10**6]), ("kernel_shape", [10**9, 10**9]), ("kernel_shape", [3, 3]),
    ("auto_pad", "SAME_UPPER"), ("output_shape", [10**6, 10**6]), ("group", 1.0), ("strides", 2),
    ("unheard_of", 1),
])  # fmt: skip
def test_a_convolution_has_the_attributes_of_ours(
    small_files, small_card: ModelCard, name: str, value: object
) -> None:
    refused(changed(small_files, set_attribute("ConvTranspose", name, value)), small_card,
            "ConvTranspose")  # fmt: skip


def image_value(model: Model) -> str:
    """The name of what makes the images."""
    return str(model.graph.output[0].name)


def replace_output(model: Model, *nodes: onnx.NodeProto) -> None:
    """Put nodes behind what makes images; the last one's output, "out", is the graph's."""
    model.graph.node.extend(nodes)
    model.graph.output[0].name = "out"


def expanded(model: Model) -> None:
    constant(model, "shape", [10**5, 3, 32, 32])
    replace_output(model, helper.make_node("Expand", [image_value(model), "shape"], ["out"]))


def expanded_twice(model: Model) -> None:
    """A constant alone, to fold: 4 GB of a number."""
    constant(model, "shape", [1 << 10, 1 << 10, 1 << 10])
    constant(model, "one", [[[1.0]]], np.float32)
    model.graph.node.append(helper.make_node("Expand", ["one", "shape"], ["y"]))


def outer_product(model: Model) -> None:
    constant(model, "column", np.zeros((1 << 16, 1)), np.float32)
    constant(model, "row", np.zeros((1, 1 << 16)), np.float32)
    model.graph.node.append(helper.make_node("Mul", ["column", "row"], ["y"]))


def doubled_often(model: Model) -> None:
    names = [image_value(model), *(f"d{number}" for number in range(40))]
    for one, two in pairwise(names):
        model.graph.node.append(helper.make_node("Concat", [one, one], [two], axis=0))


def padded_much(model: Model) -> None:
    constant(model, "pads", [0, 0, 0, 0, 0, 0, 10**6, 10**6])
    model.graph.node.append(
        helper.make_node("Pad", [image_value(model), "pads"], ["y"], mode="constant")
    )


def shape_from_a_shape(model: Model) -> None:
    """Rows times rows: what grows with the square of a batch."""
    model.graph.node.extend([
        helper.make_node("Shape", ["latents"], ["n"], start=0, end=1),
        helper.make_node("Concat", ["n"] * 4, ["nn"], axis=0),
        helper.make_node("Concat", ["nn", "nn"], ["n8"], axis=0),
    ])  # fmt: skip
    constant(model, "one", 1.0, np.float32)
    model.graph.node.append(helper.make_node("Expand", ["one", "n8"], ["y"]))


def shape_of_latents(model: Model) -> None:
    """A shape that depends on what is drawn."""
    constant(model, "one", 1.0, np.float32)
    model.graph.node.extend([
        helper.make_node("Cast", ["latents"], ["whole"], to=INT64),
        helper.make_node("Expand", ["one", "whole"], ["y"]),
    ])  # fmt: skip


def shape_added(model: Model) -> None:
    constant(model, "one", 1.0, np.float32)
    constant(model, "much", [10**6])
    model.graph.node.extend([
        helper.make_node("Shape", ["latents"], ["n"], start=0, end=1),
        helper.make_node("Mul", ["n", "much"], ["more"]),
        helper.make_node("Expand", ["one", "more"], ["y"]),
    ])  # fmt: skip


def index_outside(model: Model) -> None:
    """OpenVINO's kernels need not look whether an index is in the tensor."""
    constant(model, "index", 10**6)
    model.graph.node.append(helper.make_node("Gather", ["latents", "index"], ["y"], axis=1))


def index_before(model: Model) -> None:
    constant(model, "index", -(10**6))
    model.graph.node.append(helper.make_node("Gather", ["latents", "index"], ["y"], axis=1))


def index_of_labels(model: Model) -> None:
    constant(model, "index", list(range(10**3)))
    model.graph.node.append(helper.make_node("Gather", ["latents", "index"], ["y"], axis=1))


def broken_reshape(model: Model) -> None:
    constant(model, "shape", [7, -1])
    model.graph.node.append(helper.make_node("Reshape", ["latents", "shape"], ["y"]))


def open_reshape(model: Model) -> None:
    constant(model, "shape", [-1, -1])
    model.graph.node.append(helper.make_node("Reshape", ["latents", "shape"], ["y"]))


def much_work(model: Model) -> None:
    """Small tensors and few weights, but minutes of multiplications."""
    told = {"group": 1, "strides": [1, 1], "pads": [1] * 4, "kernel_shape": [3, 3]}
    constant(model, "widen", np.zeros((512, 3, 3, 3)), np.float32)
    constant(model, "kernel", np.zeros((512, 512, 3, 3)), np.float32)
    names = [image_value(model), "wide", *(f"w{number}" for number in range(24))]
    for one, two in pairwise(names):
        kernel = "widen" if two == "wide" else "kernel"
        model.graph.node.append(helper.make_node("Conv", [one, kernel], [two], **told))


GROWING = {
    change.__name__: (change, why)
    for change, why in [
        (expanded, "do not broadcast"), (expanded_twice, "bytes of constants"),
        (outer_product, "makes 65536x65536"), (doubled_often, "makes|bytes"),
        (padded_much, "its pads are"), (shape_from_a_shape, "makes 8 sides"),
        (shape_of_latents, "casts to integers"), (shape_added, "another type"),
        (index_outside, "out of range"), (index_before, "out of range"),
        (index_of_labels, "not a constant|out of range"), (broken_reshape, "no shape"),
        (open_reshape, r"\(-1, -1\)"), (much_work, "multiplications"),
    ]
}  # fmt: skip


@pytest.mark.parametrize("name", GROWING)
def test_an_operators_output_is_limited(small_files, small_card: ModelCard, name: str) -> None:
    change, why = GROWING[name]
    hostile = changed(small_files, change)
    tracemalloc.start()
    began = time.perf_counter()
    refused(hostile, small_card, why)
    assert time.perf_counter() - began < 3
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20, "nothing is allocated to find out"
    tracemalloc.stop()


def test_every_operator_refuses_inputs_of_another_type(small_files, small_card: ModelCard) -> None:
    """Each with one to six inputs of every kind: a sentence, or a node that is worked out."""
    for operator in OPERATORS:
        for count in range(7):
            for name in ("latents", "whole", "number", "list"):

                def change(model: Model, operator=operator, count=count, name=name) -> None:
                    constant(model, "whole", 7)
                    constant(model, "list", [1, -9, 2**62])
                    constant(model, "number", 0.5, np.float32)
                    model.graph.node.append(helper.make_node(operator, [name] * count, ["y"]))

                try:
                    check_graphs(HERE, changed(small_files, change), small_card)
                except ArtifactError as error:
                    assert operator in error.message


# --- graph against card -----------------------------------------------------------------------


def resize(model: Model) -> None:
    """Twice the card's side, declared as the card's."""
    kernel = np.zeros((3, 3, 4, 4), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(kernel, "up"))
    told = {"strides": [2, 2], "pads": [1] * 4, "group": 1, "kernel_shape": [4, 4]}
    last = image_value(model)
    replace_output(model, helper.make_node("ConvTranspose", [last, "up"], ["out"], **told))


def resize_and_say_so(model: Model) -> None:
    resize(model)
    for side in model.graph.output[0].type.tensor_type.shape.dim[2:]:
        side.dim_value *= 2


def one_channel(model: Model) -> None:
    kernel = np.zeros((1, 3, 1, 1), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(kernel, "grey"))
    told = {"strides": [1, 1], "pads": [0] * 4, "group": 1, "kernel_shape": [1, 1]}
    last = image_value(model)
    replace_output(model, helper.make_node("Conv", [last, "grey"], ["out"], **told))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1


def one_rank_less(model: Model) -> None:
    constant(model, "axes", [1])
    last = image_value(model)
    replace_output(model, helper.make_node("ReduceMean", [last, "axes"], ["out"], keepdims=0))
    del model.graph.output[0].type.tensor_type.shape.dim[1]


def one_row(model: Model) -> None:
    """The same image for any number of rows."""
    constant(model, "axes", [0])
    last = image_value(model)
    replace_output(model, helper.make_node("ReduceMean", [last, "axes"], ["out"], keepdims=1))


def shape_of_two_rows(model: Model) -> None:
    """A constant that fits one number of rows alone."""
    constant(
        model,
        "two",
        [2, 3, *(d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim[2:])],
    )
    replace_output(model, helper.make_node("Reshape", [image_value(model), "two"], ["out"]))


def two_outputs(model: Model) -> None:
    model.graph.output.append(model.graph.output[0])


def no_output(model: Model) -> None:
    del model.graph.output[:]


def output_of_nothing(model: Model) -> None:
    model.graph.output[0].name = "nothing"


def whole_numbers(model: Model) -> None:
    model.graph.output[0].type.tensor_type.elem_type = INT64


def no_inputs(model: Model) -> None:
    del model.graph.input[:]


def input_more(model: Model) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", FLOAT, ["rows", 4]))


def input_renamed(model: Model) -> None:
    for node in model.graph.node:
        node.input[:] = ["z" if name == model.graph.input[0].name else name for name in node.input]
    model.graph.input[0].name = "z"


def input_of_whole_numbers(model: Model) -> None:
    model.graph.input[0].type.tensor_type.elem_type = INT64


def input_wider(model: Model) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value += 1


def input_of_any_width(model: Model) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[-1].dim_param = "wide"


def input_of_one_row(model: Model) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def input_without_shape(model: Model) -> None:
    model.graph.input[0].type.tensor_type.ClearField("shape")


LIES = {
    change.__name__: (change, why)
    for change, why in [
        (resize, "declares|makes"), (resize_and_say_so, "makes Nx3x64x64, but its card says"),
        (one_channel, "makes Nx1x32x32"), (one_rank_less, "makes Nx32x32"), (one_row, "makes"),
        (shape_of_two_rows, "has no shape"),
        (two_outputs, "2 outputs"), (no_output, "0 outputs"),
        (output_of_nothing, "no node computes"),
        (whole_numbers, "declares"), (no_inputs, "takes nothing"), (input_more, "more float32"),
        (input_renamed, "takes z"), (input_of_whole_numbers, "int64"), (input_wider, "takes"),
        (input_of_any_width, "takes"), (input_of_one_row, "takes"), (input_without_shape, "shape"),
    ]
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_graph_of_another_model_is_refused(files, card: ModelCard, name: str) -> None:
    """Of every family."""
    change, why = LIES[name]
    refused(changed(files, change), card, why)


def replaced(card: ModelCard, **facts: object) -> ModelCard:
    assert card.graph is not None
    graph = {name: facts.pop(name) for name in ("style_layers",) if name in facts}
    return dataclasses.replace(
        card,
        graph=dataclasses.replace(card.graph, **graph),  # type: ignore[arg-type]
        **facts,  # type: ignore[arg-type]
    )


def test_a_card_that_contradicts_the_graph_is_refused(files, card: ModelCard) -> None:
    assert card.graph is not None
    side, layers = card.resolution, card.graph.style_layers
    contradictions: list[dict[str, object]] = [
        {"image_shape": (3, 2 * side, 2 * side)}, {"image_shape": (3, side // 2, side // 2)},
        {"image_shape": (1, side, side)}, {"image_shape": (3, side, side // 2)},
        {"network_inputs": (IMAGES, LABEL_MAPS)}, {"network_inputs": (LABELS,)},
    ]  # fmt: skip
    if card.takes("latents"):
        contradictions += [{"latent_dim": wide} for wide in (card.latent_dim + 1, 4096, 1, 2)]
    if card.takes("label_maps"):
        more = (*card.map_classes, ("one more", "#ffffff"))
        contradictions += [{"map_classes": more}, {"map_classes": more[:2]}]
    if not card.network_inputs:
        contradictions += [
            {"classes": () if card.classes else (("a", 1),)},
            {"classes": (*card.classes, ("one more", 1))},
            {"classes": tuple((str(number), 1) for number in range(50_000))},
        ]
    if layers:
        contradictions.append({"style_layers": layers + 1})
    for facts in contradictions:
        refused(files, replaced(card, **facts), "card")


# --- bytes that are no graph ------------------------------------------------------------------


def of_bytes(small_files: Mapping[str, bytes], content: bytes) -> dict[str, bytes]:
    return dict.fromkeys(small_files, content)


@pytest.mark.parametrize("content", [
    b"", b"\0", b"no graph", b"\x08", b"\x08\x0a", b"\x08\x0a" * 300_000, b"<?xml version='1.0'?>",
    b"<net name='x'/>", b"PK\x03\x04", b"\x80\x04pickle", b"\x08\x0a\x3a\xff\xff\xff\xff\x0f",
    b"\x08" + b"\xff" * 20, b"\x08\x8a\x00", b"\x0a" * 100, b"\x08\x0a\x0b\x0b\x0c",
])  # fmt: skip
def test_bytes_that_are_not_an_onnx_file_are_refused(
    small_files, small_card, content: bytes
) -> None:
    refused(of_bytes(small_files, content), small_card, "not a graph")


def test_a_truncated_file_is_refused(small_files, small_card: ModelCard) -> None:
    whole = small_files["generator.onnx"]
    for end in (*range(0, 200), *range(200, len(whole), 997), len(whole) - 1):
        refused(of_bytes(small_files, whole[:end]), small_card, "not a graph")


def test_a_duplicate_field_is_refused(small_files, small_card: ModelCard) -> None:
    """Readers take the last, or merge both: two of them could see two graphs."""
    whole = small_files["generator.onnx"]
    for more in (b"\x08\x0a", b"\x3a\x00", whole):
        refused(of_bytes(small_files, whole + more), small_card, "two of|operator sets")


def test_millions_of_empty_fields_are_refused_at_once(small_files, small_card: ModelCard) -> None:
    """Two bytes each: of metadata, of nodes, of a node's inputs."""
    whole = small_files["generator.onnx"]
    began = time.perf_counter()
    for part in (b"\x72\x00", b"\x42\x00"):
        refused(of_bytes(small_files, whole + part * 5_000_000), small_card, "too many fields")
    assert time.perf_counter() - began < 5


@given(st.data())
def test_changed_bytes_are_a_graph_or_refused(small_files, small_card, data) -> None:
    """A whole one with some bytes changed: never another error."""
    whole = bytearray(small_files["generator.onnx"])
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, min(3000, len(whole) - 1)))] = data.draw(st.integers(0, 255))
    try:
        check_graphs(HERE, of_bytes(small_files, bytes(whole)), small_card)
    except ArtifactError as error:
        assert "generator.onnx" in error.message


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(small_files, small_card, content: bytes) -> None:
    refused(of_bytes(small_files, b"\x08\x0a" + content), small_card, "not a graph")


def test_the_check_takes_milliseconds(small_files, small_card: ModelCard) -> None:
    """And does not copy the weights: 8 MB more of them change nothing."""

    def heavier(model: Model) -> None:
        constant(model, "heavy", np.zeros((1 << 21,)), np.float32)

    large = changed(small_files, heavier)
    tracemalloc.start()
    began = time.perf_counter()
    check_graphs(HERE, large, small_card)
    took = time.perf_counter() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 1 and peak < 2 * 2**20, (took, peak)


# --- every reader, before a runtime -----------------------------------------------------------


def model_with(exported: Path, target: Path, change: Change) -> Path:
    """A model whose card describes the changed graph: its author made both."""
    copy_artifact(exported, target)
    name = max(path.name for path in target.glob("*.onnx"))
    model = onnx.load(target / name)
    change(model)
    (target / name).write_bytes(model.SerializeToString())
    text = json.loads((target / "model_card.json").read_text())
    text["graph"]["sha256"][name] = hashlib.sha256((target / name).read_bytes()).hexdigest()
    (target / "model_card.json").write_text(json.dumps(text))
    return target


def test_a_hostile_graph_is_refused_by_every_reader(
    graphs_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what foresees its size, draws or registers it; before OpenVINO is imported."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 10**6)
    folder = model_with(graphs_dir, tmp_path / "model", lambda model: outside(model, str(secret)))
    archive = pack_artifact(folder, tmp_path / "model.tar.gz")
    for use in (open_synthesizer, estimate_memory):
        with pytest.raises(ArtifactError, match="external data"):
            use(folder, BackendConfig("openvino"))
    for look in (lambda: check_archive(archive), lambda: load_artifact(archive),
                 lambda: open_synthesizer(folder, BackendConfig("torch"))):  # fmt: skip
        with pytest.raises(ArtifactError, match="external data"):
            look()
    for model in (folder, archive):
        drawn = tmp_path / "a.png"
        command = ["generate", str(model), "--seeds", "1", "--out", str(drawn)]
        assert run_safely(facegan, command) == 6 and not drawn.exists()
        assert "external data" in capsys.readouterr().err
    program = (
        "import sys; sys.modules['openvino'] = None\n"
        "from pathlib import Path\n"
        "from facegan.synthesis.load import load_graphs, read_card\n"
        "from facegan.errors import ArtifactError\n"
        "folder = Path(sys.argv[1])\n"
        "try: load_graphs(folder, read_card(folder), None)\n"
        "except ArtifactError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True
    )
    assert "external data" in done.stdout, done.stderr


def test_memory_is_estimated_from_the_graph_not_the_card(graphs_dir: Path, tmp_path: Path) -> None:
    """A card that claims nothing, or all, changes nothing."""
    folder = tmp_path / "model"
    copy_artifact(graphs_dir, folder)
    honest = estimate_memory(folder, BackendConfig("openvino"))
    text = json.loads((folder / "model_card.json").read_text())
    for claim in (0, 1 << 22):
        text["graph"]["batch_bytes"] = claim
        (folder / "model_card.json").write_text(json.dumps(text))
        assert estimate_memory(folder, BackendConfig("openvino")) == honest
    assert honest.activations >= 8 * 3 * 32 * 32 * 4


def test_memory_is_estimated_without_reading_weights(graphs_dir: Path, tmp_path: Path) -> None:
    """A file of nothing but a hole could have a gigabyte of them."""

    def heavy(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(1 << 24, np.float32), "w"))

    folder = model_with(graphs_dir, tmp_path / "model", heavy)
    tracemalloc.start()
    found = estimate_memory(folder, BackendConfig("openvino"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.weights > 64 << 20 and peak < 16 << 20


def test_openvino_must_infer_the_same_shapes(
    graphs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the two readers of a graph ever differ, nothing is drawn."""
    from facegan.synthesis import load

    check = load.check_graphs
    for facts in ({"made": (3, 16, 16)}, {"constants": 0, "sample_bytes_total": -(1 << 22)}):

        def lie(*given: object, facts=facts) -> dict[str, object]:
            return {k: dataclasses.replace(v, **facts) for k, v in check(*given).items()}

        monkeypatch.setattr(load, "check_graphs", lie)
        with pytest.raises(ArtifactError, match="in OpenVINO"):
            open_synthesizer(graphs_dir, BackendConfig("openvino")).generate(seeds=[1])


# --- what leaves us ---------------------------------------------------------------------------


def texts_of(message: Message) -> Iterator[str]:
    """Every text in a message and in those inside it, but no weights."""
    for field, value in message.ListFields():
        for one in value if field.is_repeated else [value]:
            if isinstance(one, Message):
                yield from texts_of(one)
            elif field.name != "raw_data" and isinstance(one, (str, bytes)):
                yield one if isinstance(one, str) else one.decode()


def test_exports_have_no_trace_of_the_machine(files: dict[str, bytes]) -> None:
    """No folder, no user, no notes of the exporter; printable text only, to see it."""
    for content in files.values():
        model = onnx.load_model_from_string(content)
        text = "\n".join(texts_of(model))
        assert not re.search(r"[/\\]|pkg\.|\.py|trace|facegan|site-packages", text)
        for word in (Path.home().name, Path.cwd().name):
            assert word not in text.split(), word


def test_the_same_weights_give_the_same_graphs(graphs_dir: Path, small_files) -> None:
    """Bit for bit; nothing counts up from one export to the next."""
    artifact = load_artifact(graphs_dir)
    assert graphs_of(artifact) == small_files


def test_an_export_that_servers_would_refuse_fails_at_once(
    graphs_dir: Path, small_files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a newer exporter takes an operator that is not on the list; nothing is written."""
    copy_artifact(graphs_dir, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    newer = changed(small_files, add(FOREIGN["MatMul"]))
    monkeypatch.setattr(export, "graphs_of", lambda artifact: newer)
    with pytest.raises(ExportError, match=r"refused by servers.*MatMul"):
        export.export_graphs(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def structures() -> Iterator[Artifact]:
    """Every preset of every family with its own numbers, at its smallest side, each once.

    A larger side adds stages of the same layers. (All presets at their own sides take a minute;
    that was done by hand.)
    """
    seen = set()
    for family in FAMILIES.values():
        for name, preset in family.presets.items():
            empty = smallest(family, name, preset)
            layers = repr(empty.networks), empty.card.settings["conditional"]
            if layers not in seen:
                seen.add(layers)
                for network in empty.networks.values():
                    network.eval().requires_grad_(False)
                    for parameter in network.parameters():
                        parameter.data.fill_(0.01)  # instead of whatever was in the memory
                yield empty


NARROW = {"width": 8, "widest": 16, "hidden": 4, "encoder_width": 4}


def smallest(family: Family, name: str, preset: Preset) -> Artifact:
    """A preset's networks at the smallest side that it can make.

    Those that take pixels are narrow, too: the paper's have a hundred million weights at 256 px.
    """
    inputs = family.inputs(preset)
    if inputs != default_inputs(preset.conditional):
        narrow = {key: width for key, width in NARROW.items() if hasattr(preset, key)}
        preset = dataclasses.replace(preset, **narrow)
    else:
        inputs = ()
    classes = {"a": 1, "b": 1, "c": 1} if preset.conditional else {}
    card = ModelCard(
        family=family.name,
        preset=name,
        settings=preset.as_dict(),
        image_shape=(3, 4, 4),
        latent_dim=preset.latent_dim,
        weights_sha256="0" * 64,
        classes=tuple(classes.items()),
        network_inputs=inputs,
        directions=family.directions(preset),
        map_classes=tuple(MAP_CLASSES.items()) if LABEL_MAPS in inputs else (),
    )
    preset = with_class_count(family, preset, classes, MAP_CLASSES)
    for side in (4, 8, 16, 32, 64, 128, 256):
        shape = (3, side, side)
        with contextlib.suppress(ConfigError):
            family.check_shape(preset, shape)
            with SkipInit(2**40):
                networks = family.build_served(preset, shape)
            found = dataclasses.replace(card, image_shape=shape)
            first = networks.pop(found.networks[0])
            return Artifact(first, found, family, preset, networks)
    raise AssertionError(f"{family.name} {name} makes no small images")


OF_OLDER_GRAPHS = {"Div", "Pad"}  # r3gan doubled its maps by slices; such models are still served


def test_every_family_and_preset_passes_and_uses_the_whole_list() -> None:
    """Whatever is on the list is there because a preset needs it, or needed it once."""
    used = set()
    for artifact in structures():
        graphs = graphs_of(artifact)
        facts = GraphFacts(dict.fromkeys(graphs, ""), artifact.style_layers)
        check_graphs(HERE, graphs, dataclasses.replace(artifact.card, graph=facts))
        for content in graphs.values():
            used |= {node.operator for node in read_graph(content).nodes}
    assert used | OF_OLDER_GRAPHS == set(OPERATORS)
