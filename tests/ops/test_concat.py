"""concat: the integer reference against TFLM, constants among the inputs, the import against onnxruntime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import int8_type, one_node_graph, random_int8
from onnx import helper
from onnx_case import check_case, operators
from tflm import TensorSpec, run_tflm

from mcugen.ir import Quant, Tensor, TensorType
from mcugen.ops import OPS


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_equals_tflm(axis: int, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    shapes = [
        tuple(int(rng.integers(1, 5)) if i == axis else 3 - (i == 0) * 2 for i in range(4)) for _ in "abc"
    ]
    types = [int8_type(s, 0.2, 9) for s in shapes]
    probe = one_node_graph("concat", types, {"axis": axis}, types[0])
    (inferred,) = OPS["concat"].infer(probe.nodes[0], types)
    y_type = int8_type(inferred.shape, 0.2, 9)
    graph = one_node_graph("concat", types, {"axis": axis}, y_type)
    xs = [random_int8(rng, s) for s in shapes]
    (y,) = OPS["concat"].reference(graph.nodes[0], graph, xs)
    specs = [TensorSpec(t.shape, "int8", t.scale, t.zero_point) for t in (*types, y_type)]
    (expected,) = run_tflm("CONCATENATION", {"axis": axis}, specs[:-1], specs[-1:], xs)
    np.testing.assert_array_equal(y, expected)
    assert OPS["concat"].same_quant(graph.nodes[0], graph) == ("x0", "x1", "x2", "y")


def test_constants_take_the_quantization_of_the_output() -> None:
    constant = Tensor("c", TensorType((1, 2)), np.array([[0.25, 50.0]], np.float32))
    graph = one_node_graph("concat", [TensorType((1, 3)), constant], {"axis": 1}, TensorType((1, 5)))
    node, room = graph.nodes[0], OPS["concat"]
    quant = Quant((0.5,), (10,))
    same, tensors = room.quantize(
        node, graph, dict.fromkeys(("x0", "y"), replace(int8_type(()), quant=quant))
    )
    assert same is node and list(tensors) == ["c"]
    assert tensors["c"].type.quant == quant
    assert tensors["c"].data is not None and tensors["c"].data.tolist() == [[11, 110]]
    assert room.same_quant(node, graph) == ("x0", "y")
    x = np.arange(6, dtype=np.float32).reshape(2, 3)  # two samples
    (y,) = room.float_reference(node, graph, [x, constant.data])
    np.testing.assert_array_equal(y, [[0, 1, 2, 0.25, 50], [3, 4, 5, 0.25, 50]])


@pytest.mark.parametrize("axis", [1, -1, 0])
def test_import(axis: int) -> None:
    constants = {"c": np.full((1, 2, 3), 0.5, np.float32)}
    node = helper.make_node("Concat", ["x", "c", "z"], ["y"], axis=axis)
    check_case(node, {"x": (1, 2, 3), "z": (1, 2, 3)}, constants)


def test_one_input_is_no_node() -> None:
    nodes = [helper.make_node("Concat", ["x"], ["z"], axis=1), helper.make_node("Relu", ["z"], ["y"])]
    assert "concat" not in operators(check_case(nodes, {"x": (1, 3)}))


def test_shapes_that_do_not_fit() -> None:
    types = [TensorType((1, 2, 3)), TensorType((1, 2, 4))]
    graph = one_node_graph("concat", types, {"axis": 1}, types[0])
    with pytest.raises(ValueError, match="along axis 1"):
        OPS["concat"].infer(graph.nodes[0], types)


def test_samples_stay_apart() -> None:
    for axis, batchable in ((1, True), (0, False)):
        t = TensorType((1, 2))
        graph = one_node_graph("concat", [t, t], {"axis": axis}, t)
        assert OPS["concat"].batchable(graph.nodes[0], graph) is batchable
