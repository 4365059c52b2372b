"""minimum and maximum: against TFLM, imports against onnxruntime, and what our quantizer makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from onnx import helper
from onnx_case import check_case, operators
from tflite_case import check_case as check_tflite
from tflite_case import import_case, int8
from tflm import TensorSpec

from mcugen.ir import DType, Tensor, TensorType
from mcugen.normalise import normalise
from mcugen.ops import OPS
from mcugen.ops.op import quantize_array
from mcugen.quantize.ptq import quantize
from mcugen.read.tflite_import import OperatorFault

SHAPES = [((1, 4, 5, 3), (1, 4, 5, 3)), ((1, 4, 5, 3), (3,)), ((1, 1, 5, 1), (1, 4, 1, 3)), ((1, 6), (1, 1))]


@pytest.mark.parametrize("op", ["MINIMUM", "MAXIMUM"])
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_equals_tflm(op: str, a: tuple[int, ...], b: tuple[int, ...], rng_seed: int) -> None:
    out = np.broadcast_shapes(a, b)
    check_tflite(op, {}, [int8(a), int8(b)], [int8(out)])
    data = np.random.default_rng(rng_seed).integers(-128, 128, b)
    check_tflite(op, {}, [int8(a), TensorSpec(b, "int8", 0.1, -9, data=data)], [int8(out)])


def test_operands_of_other_scales_are_refused() -> None:
    with pytest.raises(OperatorFault, match="different scales"):
        import_case("MAXIMUM", {}, [int8((1, 4)), int8((1, 4), 0.2)], [int8((1, 4))])


@pytest.mark.parametrize("op", ["Min", "Max"])
@pytest.mark.parametrize("opset", [8, 12, 13])
def test_import_of_tensors(op: str, opset: int, rng_seed: int) -> None:
    name = {"Min": "minimum", "Max": "maximum"}[op]
    node = helper.make_node(op, ["x", "z", "x"], ["y"])
    graph = check_case(node, {"x": (1, 3, 4, 2), "z": (4, 1)}, opset=opset)
    assert operators(graph).count(name) == 2
    slopes = np.random.default_rng(rng_seed).standard_normal((3, 1, 1)).astype(np.float32)
    bounds = {"c": slopes, "low": np.float32(-0.5), "high": np.float32([[[[[0.75]]]]])}
    node = helper.make_node(op, ["c", "low", "x", "high", "z"], ["y"])
    graph = check_case(node, {"x": (1, 3, 4, 2), "z": (1, 3, 1, 1)}, bounds, opset=opset)
    assert operators(graph).count("unary") == 1


def test_layout_and_functions_of_one_tensor(rng_seed: int) -> None:
    """Behind a convolution the operator works channels last; max(x, 0.1 x) is a leaky ReLU."""
    rng = np.random.default_rng(rng_seed)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t"]),
        helper.make_node("Max", ["t", "c"], ["u"]),
        helper.make_node("Mul", ["u", "tenth"], ["v"]),
        helper.make_node("Max", ["u", "v"], ["y"]),
    ]
    constants = {
        "w": rng.standard_normal((4, 2, 1, 1)).astype(np.float32),
        "c": rng.standard_normal((4, 1, 1)).astype(np.float32),
        "tenth": np.float32(0.125),
    }
    graph = normalise(check_case(nodes, {"x": (1, 2, 3, 5)}, constants))
    assert [op for op in operators(graph) if op != "transpose"] == ["conv2d", "maximum", "unary"]
    assert graph.nodes[-2].attrs["function"] == ("leaky_relu", ("x",), 0.125)


def test_our_quantizer_shares_one_scale() -> None:
    constant = Tensor("c", TensorType((1, 1, 3)), np.float32([[[-9.0, 0.0, 0.5]]]))
    types = [TensorType((1, 4, 3)), constant]
    graph = one_node_graph("minimum", types, {}, TensorType((1, 4, 3)))
    integer = quantize(graph, {"x0": (-1.0, 1.0), "y": (-3.0, 1.0)})
    x, y, c = (integer.type(n) for n in ("x0", "y", "c"))
    assert x.quant == y.quant == c.quant and c.dtype is DType.INT8
    np.testing.assert_array_equal(integer.constant("c"), quantize_array(constant.data, y.quant))


def test_shapes_that_do_not_fit() -> None:
    graph = one_node_graph("minimum", [int8_type((1, 2)), int8_type((1, 3))], {}, int8_type((1, 3)))
    with pytest.raises(ValueError, match="2"):
        OPS["minimum"].infer(graph.nodes[0], [graph.type("x0"), graph.type("x1")])
