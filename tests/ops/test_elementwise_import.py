"""ONNX forms of element-wise operators and Softmax over opsets: the imported graph equals onnxruntime."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mcugen.errors import ModelError, UnsupportedError
from mcugen.execute import run
from mcugen.ir import Array, Graph
from mcugen.normalise import normalise
from mcugen.ops import OPS
from mcugen.ops.functions import X
from mcugen.read.onnx_import import import_onnx

F32 = np.float32
SHAPE = (1, 3, 4, 5)


def save(
    folder: Path,
    op: str,
    operands: Sequence[tuple[int, ...] | Array | None],
    attrs: Mapping[str, object],
    opset: int,
    output: Sequence[int] | None = None,
) -> Path:
    """A model of one node. Shapes become inputs x0, x1, ..., arrays constants, None an omitted input."""
    names, inputs, constants = [], [], []
    for i, operand in enumerate(operands):
        names.append("" if operand is None else f"x{i}")
        if isinstance(operand, tuple):
            inputs.append(helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, operand))
        elif operand is not None:
            constants.append(numpy_helper.from_array(operand, f"x{i}"))
    node = helper.make_node(op, names, ["y"], name="node", **attrs)
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)]
    graph = helper.make_graph([node], "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path = folder / "m.onnx"
    onnx.save(model, path)
    return path


def imported(path: Path) -> Graph:
    """The imported graph, after checking it and its normalised form against onnxruntime."""
    graph = import_onnx(path).graph
    rng = np.random.default_rng(0)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds = {i.name: rng.uniform(0.05, 3.9, i.shape).astype(F32) for i in session.get_inputs()}
    signs = {n: f * rng.choice(F32([-1, 1]), f.shape) for n, f in feeds.items()}
    positive = {"Log", "Sqrt", "Pow", "Acosh"}
    inside = {"Asin", "Acos", "Atanh"}
    op = onnx.load(path).graph.node[0].op_type
    given = feeds if op in positive else {n: f / F32(4) for n, f in signs.items()} if op in inside else signs
    if op == "Acosh":
        given = {n: f + F32(1) for n, f in feeds.items()}
    (expected,) = session.run(None, given)
    for form in (graph, normalise(graph)):
        result = run(form, given)[form.outputs[0]]
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-6)
    return graph


def ops(graph: Graph) -> list[str]:
    return [n.op for n in graph.nodes]


def values(*numbers: float) -> Array:
    return np.array(numbers, F32)


UNARY = [
    ("Relu", {}, 7),
    ("LeakyRelu", {}, 7),
    ("LeakyRelu", {"alpha": 0.3}, 16),
    ("Sigmoid", {}, 7),
    ("HardSigmoid", {}, 7),
    ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, 22),
    ("Tanh", {}, 13),
    ("HardSwish", {}, 14),
    ("Elu", {"alpha": 0.7}, 7),
    ("Selu", {}, 7),
    ("Celu", {"alpha": 2.0}, 12),
    ("ThresholdedRelu", {"alpha": 0.5}, 10),
    ("Shrink", {"lambd": 0.3, "bias": 0.1}, 9),
    ("Softplus", {}, 7),
    ("Softsign", {}, 7),
    ("Mish", {}, 18),
    ("Gelu", {}, 20),
    ("Gelu", {"approximate": "tanh"}, 20),
    *(
        (name, {}, 13)
        for name in ("Erf", "Exp", "Log", "Sqrt", "Abs", "Neg", "Reciprocal", "Sign", "Floor", "Ceil")
    ),
    *(
        (name, {}, 14)
        for name in ("Round", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh")
    ),
    *((name, {}, 14) for name in ("Acosh", "Atanh")),
]


@pytest.mark.parametrize(("op", "attrs", "opset"), UNARY)
def test_unary(op: str, attrs: Mapping[str, object], opset: int, tmp_path: Path) -> None:
    assert ops(imported(save(tmp_path, op, [SHAPE], attrs, opset, SHAPE))) == ["unary"]


def test_every_unary_import_is_tested() -> None:
    elsewhere = {"Clip", "Pow", "Swish"}  # Swish: not yet in onnxruntime's opsets
    assert set(OPS["unary"].onnx) == {op for op, _, _ in UNARY} | elsewhere


@pytest.mark.parametrize(
    ("operands", "attrs", "opset", "function"),
    [
        ([SHAPE], {"min": -1.0, "max": 2.0}, 7, ("clip", X, -1.0, 2.0)),
        ([SHAPE], {"max": 2.0}, 7, ("clip", X, -math.inf, 2.0)),
        ([SHAPE, values(0.0).reshape(()), values(6.0).reshape(())], {}, 11, ("clip", X, 0.0, 6.0)),
        ([SHAPE, None, values(1.5).reshape(())], {}, 13, ("clip", X, -math.inf, 1.5)),
        ([SHAPE, values(0.5).reshape(())], {}, 13, ("clip", X, 0.5, math.inf)),
    ],
)
def test_clip(
    operands: list[tuple[int, ...] | Array | None],
    attrs: Mapping[str, object],
    opset: int,
    function: tuple[object, ...],
    tmp_path: Path,
) -> None:
    graph = imported(save(tmp_path, "Clip", operands, attrs, opset, SHAPE))
    assert [n.attrs["function"] for n in graph.nodes] == [function]


@pytest.mark.parametrize(
    ("op", "operands", "wanted"),
    [
        ("Add", [SHAPE, SHAPE], ["add"]),
        ("Sub", [SHAPE, (5,)], ["reshape", "sub"]),
        ("Mul", [(4, 1), SHAPE], ["reshape", "mul"]),
        ("Mul", [SHAPE, (1, 3, 1, 1)], ["mul"]),
        ("Add", [SHAPE, values(1, 2, 3, 4, 5)], ["add"]),
        ("Add", [values(1, 2, 3).reshape(3, 1, 1), SHAPE], ["add"]),
        ("Add", [SHAPE, values(0.5)], ["unary"]),
        ("Sub", [SHAPE, values(0.5).reshape(1, 1, 1, 1)], ["unary"]),
        ("Sub", [values(0.5).reshape(()), SHAPE], ["unary"]),
        ("Sub", [values(1, 2, 3, 4, 5), SHAPE], ["sub"]),
        ("Mul", [np.full(SHAPE, -2, F32), SHAPE], ["unary"]),
        ("Mul", [(1, 1), np.full(SHAPE, -2, F32)], ["reshape", "mul"]),
        ("Div", [SHAPE, values(4.0)], ["unary"]),
        ("Div", [SHAPE, values(1, 2, 3, 4, 5)], ["mul"]),
        ("Div", [values(1.0), SHAPE], ["unary"]),
        ("Sum", [SHAPE, SHAPE, (5,)], ["add", "reshape", "add"]),
        ("Pow", [SHAPE, values(2.0)], ["unary"]),
        ("Max", [SHAPE, values(0.25)], ["unary"]),
        ("Min", [values(0.25).reshape(()), SHAPE], ["unary"]),
        ("Max", [(4, 5), values(0.25).reshape(1, 1, 1)], ["unary", "reshape"]),
        ("Pow", [(4, 5), values(3.0).reshape(1, 1, 1)], ["unary", "reshape"]),
        ("Mul", [(4, 5), values(3.0).reshape(1, 1, 1)], ["reshape", "mul"]),
        ("PRelu", [SHAPE, values(0.25)], ["unary"]),
        ("PRelu", [SHAPE, np.full((3, 1, 1), 0.1, F32)], ["unary"]),
    ],
)
@pytest.mark.parametrize("opset", [9, 17])
def test_binary(
    op: str, operands: list[tuple[int, ...] | Array], wanted: list[str], opset: int, tmp_path: Path
) -> None:
    assert ops(imported(save(tmp_path, op, operands, {}, opset))) == wanted


@pytest.mark.parametrize(
    ("shape", "attrs", "opset", "wanted"),
    [
        ((1, 6), {}, 9, ["softmax"]),
        ((1, 6), {"axis": -1}, 13, ["softmax"]),
        (SHAPE, {}, 13, ["softmax"]),
        (SHAPE, {"axis": 1}, 13, ["transpose", "softmax", "transpose"]),
        (SHAPE, {"axis": 1}, 11, ["reshape", "softmax", "reshape"]),
        (SHAPE, {"axis": 3}, 11, ["softmax"]),
        (SHAPE, {"axis": 0}, 9, ["reshape", "softmax", "reshape"]),
    ],
)
def test_softmax(
    shape: tuple[int, ...], attrs: Mapping[str, object], opset: int, wanted: list[str], tmp_path: Path
) -> None:
    assert ops(imported(save(tmp_path, "Softmax", [shape], attrs, opset, shape))) == wanted


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "error", "words"),
    [
        ("Div", [SHAPE, values(1, 2, 0, 4, 5)], {}, ModelError, "division by 0"),
        ("Pow", [SHAPE, values(1, 2, 3, 4, 5)], {}, UnsupportedError, "one exponent"),
        ("Clip", [SHAPE, (1,)], {}, UnsupportedError, "constant"),
        ("Softmax", [(1, 5000)], {}, UnsupportedError, "4095"),
    ],
)
def test_what_cannot_be_is_told(
    op: str,
    operands: list[tuple[int, ...] | Array],
    attrs: Mapping[str, object],
    error: type[Exception],
    words: str,
    tmp_path: Path,
) -> None:
    path = save(tmp_path, op, operands, attrs, 17)
    with pytest.raises(error, match=words) as raised:
        import_onnx(path)
    assert f'onnx:{op} "node"' in str(raised.value)


def test_neutral_constants_vanish(tmp_path: Path) -> None:
    relu = helper.make_node("Relu", ["x"], ["a"])
    times_one = helper.make_node("Mul", ["a", "one"], ["b"])
    plus_nothing = helper.make_node("Add", ["b", "nothing"], ["y"])
    constants = [numpy_helper.from_array(values(1.0), "one"), numpy_helper.from_array(values(0.0), "nothing")]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, SHAPE) for n in ("x", "y")]
    graph = helper.make_graph([relu, times_one, plus_nothing], "g", value[:1], value[1:], constants)
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    assert ops(imported(path)) == ["unary"]


@pytest.mark.parametrize(
    ("attrs", "function"),
    [({}, ("silu", X)), ({"alpha": 0.5}, ("mul", X, ("sigmoid", ("mul", X, 0.5))))],
)
def test_swish(attrs: Mapping[str, object], function: tuple[object, ...], tmp_path: Path) -> None:
    (node,) = import_onnx(save(tmp_path, "Swish", [SHAPE], attrs, 24, SHAPE)).graph.nodes
    assert node.attrs["function"] == function


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_a_number_behind_a_dense_layer_is_folded(op: str, tmp_path: Path) -> None:
    """A layer with one output has a bias of one element."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node(op, ["a", "c"], ["y"])]
    constants = [
        numpy_helper.from_array(np.ones((6, 1), F32), "w"),
        numpy_helper.from_array(values(0.5), "c"),
    ]
    ports = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", (1, 6)), ("y", (1, 1)))
    ]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], constants)
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    assert ops(normalise(imported(path))) == ["fully_connected"]
