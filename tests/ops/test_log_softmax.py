"""log_softmax: against TFLM over shapes and scales, the import against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from onnx import helper
from onnx_case import check_case, operators
from tflite_case import check_case as check_tflite
from tflite_case import import_case, int8
from tflm import run_tflm

from mcugen.execute import run
from mcugen.ir import Quant
from mcugen.ops import OPS
from mcugen.read.tflite_import import OperatorFault


@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (1, 4, 3), (1, 3, 4, 2), (1, 2000)])
def test_equals_tflm(shape: tuple[int, ...]) -> None:
    for scale in (1e-6, 1e-3, 0.02, 0.11, 0.9, 31.0):
        check_tflite("LOG_SOFTMAX", {}, [int8(shape, scale, -3)], [int8(shape, 1 / 16, 127)])


def test_near_rows_equal_tflm(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    for scale in np.geomspace(1e-4, 2.0, 12):
        x = np.clip(rng.normal(0, 12, (1, 200, 7)).round(), -128, 127).astype(np.int8)
        specs = [int8(x.shape, float(scale), 0)], [int8(x.shape, 1 / 16, 127)]
        graph = import_case("LOG_SOFTMAX", {}, *specs)
        (expected,) = run_tflm("LOG_SOFTMAX", {}, *specs, [x])
        np.testing.assert_array_equal(run(graph, {"x0": x})["y0"], expected)


@pytest.mark.parametrize(("opset", "axis"), [(11, 1), (11, 2), (13, -1), (13, 1)])
def test_import(opset: int, axis: int) -> None:
    node = helper.make_node("LogSoftmax", ["x"], ["y"], axis=axis)
    graph = check_case(node, {"x": (1, 3, 4, 5)}, opset=opset)
    assert "log_softmax" in operators(graph)


def test_scales_below_tflms_go_on() -> None:
    graph = one_node_graph("log_softmax", [int8_type((1, 4), 1e-9)], {}, int8_type((1, 4), 1 / 16, 127))
    (y,) = OPS["log_softmax"].reference(graph.nodes[0], graph, [np.array([[-128, 0, 5, 127]], np.int8)])
    assert y.tolist() == [[105, 105, 105, 105]]  # -log(4) = -1.386 = -22.2 / 16
    assert OPS["log_softmax"].fixed_quant(graph.nodes[0]) == Quant((1 / 16,), (127,))


def test_another_output_scale_is_refused() -> None:
    with pytest.raises(OperatorFault, match="1/16"):
        import_case("LOG_SOFTMAX", {}, [int8((1, 4))], [int8((1, 4))])
