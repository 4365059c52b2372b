"""arg_max and arg_min: the integer references against TFLM, ONNX's forms against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx_case
import pytest
from onnx import helper
from tflite_case import check_case, import_case, int8, ints, operators
from tflm import TensorSpec

from mcugen.ir import DType
from mcugen.ops import OPS
from mcugen.read.tflite_import import OperatorFault


@pytest.mark.parametrize("op", ["ARG_MAX", "ARG_MIN"])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((1, 10), 1), ((1, 300), -1), ((1, 3, 4, 5), 3), ((1, 3, 4, 5), 1), ((4, 6), 0), ((1, 1), 1)],
)
def test_equals_tflm(op: str, shape: tuple[int, ...], axis: int) -> None:
    out = tuple(d for i, d in enumerate(shape) if i != axis % len(shape))
    for seed in range(4):
        graph = check_case(op, {}, [int8(shape), ints([axis])], [TensorSpec(out, "int32")], seed)
        assert graph.type("y0").dtype == DType.INT32 and graph.type("y0").quant is None


def test_of_equals_the_first_or_the_last() -> None:
    graph = import_case("ARG_MAX", {}, [int8((2, 5)), ints([1])], [TensorSpec((2,), "int64")])
    assert graph.type("y0").dtype == DType.INT32
    x = np.array([[3, 7, 7, -1, 7], [-128] * 5], np.int8)
    for op, last, expected in (
        ("arg_max", False, [1, 0]),
        ("arg_max", True, [4, 4]),
        ("arg_min", False, [3, 0]),
        ("arg_min", True, [3, 4]),
    ):
        (y,) = OPS[op].reference(graph.nodes[0].with_attrs(last=last), graph, [x])
        assert y.tolist() == expected and y.dtype == np.int32


def test_what_tflite_imports_refuse() -> None:
    with pytest.raises(OperatorFault, match="indices of type int8"):
        import_case("ARG_MAX", {}, [int8((1, 4)), ints([1])], [int8((1,))])
    with pytest.raises(OperatorFault, match="axis"):
        import_case("ARG_MAX", {}, [int8((1, 4)), ints([0, 1])], [TensorSpec((1,), "int32")])


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axis", [1, -1])
def test_onnx(op_type: str, keepdims: int, axis: int) -> None:
    for opset, attrs in ((11, {}), (13, {"select_last_index": 1})):
        node = helper.make_node(op_type, ["x"], ["z"], axis=axis, keepdims=keepdims, **attrs)
        cast = helper.make_node("Cast", ["z"], ["y"], to=1)
        graph = onnx_case.check_case([node, cast], {"x": (1, 3, 4, 5)}, opset=opset)
        assert operators(graph)[0] == {"ArgMax": "arg_max", "ArgMin": "arg_min"}[op_type]
