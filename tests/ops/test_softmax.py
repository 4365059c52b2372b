"""softmax: the integer reference against TFLM, the float reference against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.ir import Array, Quant, TensorType
from mcugen.ops import OPS
from tests.graphs import int8_type, one_node_graph, random_int8
from tests.tflm import TensorSpec, run_tflm


def reference(x: Array, scale: float, zero_point: int, beta: float = 1.0) -> Array:
    graph = one_node_graph(
        "softmax", [int8_type(x.shape, scale, zero_point)], {"beta": beta}, int8_type(x.shape, 1 / 256, -128)
    )
    (y,) = OPS["softmax"].reference(graph.nodes[0], graph, [x])
    return y


@pytest.mark.parametrize("shape", [(1, 12), (3, 2), (1, 5, 4, 7), (1, 1), (2, 300)])
@pytest.mark.parametrize("scale", [1e-4, 0.02, 0.1, 0.77, 20.0])
def test_equals_tflm(shape: tuple[int, ...], scale: float, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    for beta in (1.0, 0.3):
        for x in (random_int8(rng, shape), np.full(shape, -128, np.int8), rng.integers(120, 128, shape)):
            x = x.astype(np.int8)
            (expected,) = run_tflm(
                "SOFTMAX",
                {"beta": beta},
                [TensorSpec(shape, "int8", scale, 5)],
                [TensorSpec(shape, "int8", 1 / 256, -128)],
                [x],
            )
            np.testing.assert_array_equal(reference(x, scale, 5, beta), expected)


def test_float_reference_survives_large_numbers() -> None:
    x = np.array([[1000.0, 1000.0, -1e30]], np.float32)
    graph = one_node_graph("softmax", [TensorType((1, 3))], {"beta": 1.0}, TensorType((1, 3)))
    (y,) = OPS["softmax"].float_reference(graph.nodes[0], graph, [x])
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, [[0.5, 0.5, 0.0]])


def test_output_quantization_is_fixed() -> None:
    graph = one_node_graph("softmax", [TensorType((1, 3))], {"beta": 1.0}, TensorType((1, 3)))
    assert OPS["softmax"].fixed_quant(graph.nodes[0]) == Quant((1 / 256,), (-128,))
