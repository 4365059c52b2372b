"""sum, reduce_max and reduce_min: the integer references against TFLM, ONNX's forms against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx_case
import pytest
from onnx import helper
from tflite_case import check_case, import_case, int8, ints, operators

from mcugen.ops import OPS
from mcugen.read.tflite_import import OperatorFault

SHAPES = [
    ((1, 7, 5, 6), (1, 2)),
    ((1, 7, 5, 6), (1,)),
    ((1, 7, 5, 6), (-1,)),
    ((1, 4, 9), (2,)),
    ((1, 25, 5, 3), (1, 2, 3)),
    ((1, 5, 4, 3), (3, 1)),  # not neighbours
    ((1, 5, 4, 3), (0, 2)),
    ((1, 3), (1,)),
    ((1, 1, 4), (1,)),
    ((4, 3), (0,)),
]


def reduced(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    gone = {a % len(shape) for a in axes}
    return tuple(1 if i in gone else d for i, d in enumerate(shape) if keepdims or i not in gone)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("shape", "axes"), SHAPES)
@pytest.mark.parametrize("op", ["SUM", "MEAN"])
def test_sums_equal_tflm(op: str, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> None:
    rng = np.random.default_rng(len(shape))
    out = reduced(shape, axes, keepdims)
    for si, so in ((0.02, 0.02), (0.5, 0.013), (0.003, 0.4), (0.11, 0.09), (0.1, 7.0)):
        zx, zy = (int(z) for z in rng.choice([-128, 127, *rng.integers(-128, 128, 4)], 2))
        check_case(op, {"keep_dims": keepdims}, [int8(shape, si, zx), ints([*axes])], [int8(out, so, zy)])


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("shape", "axes"), SHAPES)
@pytest.mark.parametrize("op", ["REDUCE_MAX", "REDUCE_MIN"])
def test_extremes_equal_tflm(op: str, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> None:
    out = reduced(shape, axes, keepdims)
    check_case(op, {"keep_dims": keepdims}, [int8(shape), ints([*axes])], [int8(out)])


def test_neighbours_need_no_transpose() -> None:
    for axes, expected in (((1, 2), ["sum"]), ((1, 3), ["transpose", "sum"])):
        out = reduced((1, 4, 5, 6), axes, False)
        assert operators(import_case("SUM", {}, [int8((1, 4, 5, 6)), ints(axes)], [int8(out)])) == expected


def test_what_tflite_imports_refuse() -> None:
    with pytest.raises(OperatorFault, match="over no axes"):
        import_case("SUM", {}, [int8((1, 4)), ints([])], [int8((1, 4))])
    with pytest.raises(OperatorFault, match="axis 2 of a tensor with 2 axes"):
        import_case("SUM", {}, [int8((1, 4)), ints([2])], [int8((1, 4))])


@pytest.mark.parametrize("op_type", ["ReduceMax", "ReduceMin", "ReduceSum"])
@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((1, 3, 4, 5), (2, 3)),
        ((1, 3, 4, 5), (1,)),
        ((1, 3, 4, 5), (1, 3)),
        ((1, 6, 2), (-1,)),
        ((1, 4), (1,)),
        ((1, 3, 1), (2,)),
    ],
)
def test_onnx(op_type: str, opset: int, keepdims: int, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    as_input = opset >= (13 if op_type == "ReduceSum" else 18)
    attrs = {} if as_input else {"axes": axes}
    node = helper.make_node(
        op_type, ["x", "a"] if as_input else ["x"], ["y"], "n", keepdims=keepdims, **attrs
    )
    onnx_case.check_case(node, {"x": shape}, {"a": np.array(axes)} if as_input else {}, opset=opset)


def test_all_axes_and_none() -> None:
    node = helper.make_node("ReduceMax", ["x"], ["y"], "n", keepdims=1)
    assert operators(onnx_case.check_case(node, {"x": (1, 3, 4)}, opset=13)) == ["reduce_max"]
    node = helper.make_node("ReduceSum", ["x"], ["y"], "n", noop_with_empty_axes=1)
    assert operators(onnx_case.check_case(node, {"x": (1, 3)}, opset=13)) == ["reshape"]
    constants = {"a": np.array([], np.int64)}
    node = helper.make_node("ReduceMin", ["x", "a"], ["y"], "n", noop_with_empty_axes=1)
    assert operators(onnx_case.check_case(node, {"x": (1, 3)}, constants, opset=18)) == ["reshape"]


def test_extremes_share_the_quantization() -> None:
    graph = import_case("REDUCE_MIN", {}, [int8((1, 4, 5)), ints(1)], [int8((1, 5))])
    assert OPS["reduce_min"].same_quant(graph.nodes[0], graph) == ("x0", "y0")
    assert OPS["sum"].same_quant(graph.nodes[0], graph) == ()
