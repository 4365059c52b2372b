"""l2_norm: against TFLM, the import against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from onnx import helper
from onnx_case import check_case, operators
from tflite_case import check_case as check_tflite
from tflite_case import import_case, int8
from tflm import run_tflm

from mcugen.errors import ModelError
from mcugen.execute import run
from mcugen.ir import Quant
from mcugen.ops import OPS
from mcugen.read.tflite_import import OperatorFault


@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (1, 4, 3), (1, 3, 4, 300)])
def test_equals_tflm(shape: tuple[int, ...]) -> None:
    for zero_point in (-128, -3, 127):
        check_tflite("L2_NORMALIZATION", {}, [int8(shape, 0.1, zero_point)], [int8(shape, 1 / 128, 0)])


def test_small_rows_equal_tflm(rng_seed: int) -> None:
    """Sums of squares from 0 on, which take the paths of their own."""
    rng = np.random.default_rng(rng_seed)
    for spread in (1, 2, 4, 9):
        x = (5 + rng.integers(-spread, spread + 1, (1, 300, 3))).astype(np.int8)
        specs = [int8(x.shape, 0.1, 5)], [int8(x.shape, 1 / 128, 0)]
        graph = import_case("L2_NORMALIZATION", {}, *specs)
        (expected,) = run_tflm("L2_NORMALIZATION", {}, *specs, [x])
        np.testing.assert_array_equal(run(graph, {"x0": x})["y0"], expected)


@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_import(axis: int) -> None:
    node = helper.make_node("LpNormalization", ["x"], ["y"], axis=axis)
    graph = check_case(node, {"x": (1, 3, 4, 5)})
    assert "l2_norm" in operators(graph)
    assert OPS["l2_norm"].fixed_quant(graph.nodes[0]) == Quant((1 / 128,), (0,))


def test_other_norms_and_activations_are_refused() -> None:
    node = helper.make_node("LpNormalization", ["x"], ["y"], p=1)
    with pytest.raises(Exception, match="p = 1"):
        check_case(node, {"x": (1, 3)})
    with pytest.raises(OperatorFault, match="fused activation"):
        import_case("L2_NORMALIZATION", {"fused_activation_function": "RELU"}, [int8((1, 3))], [int8((1, 3))])
    with pytest.raises(ModelError, match="33,025"):
        check_case(helper.make_node("LpNormalization", ["x"], ["y"]), {"x": (1, 33026)})


def test_rows_of_zeros_stay_zero() -> None:
    graph = one_node_graph("l2_norm", [int8_type((1, 3))], {}, int8_type((1, 3), 1 / 128))
    (y,) = OPS["l2_norm"].float_reference(graph.nodes[0], graph, [np.zeros((1, 3), np.float32)])
    assert (y == 0).all()
