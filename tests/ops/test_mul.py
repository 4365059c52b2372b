"""mul: the integer reference against TFLM, the float reference against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.ir import TensorType
from mcugen.ops import OPS
from tests.graphs import int8_type, one_node_graph, random_int8
from tests.tflm import TensorSpec, run_tflm

SHAPES = [
    ((1, 7, 5, 3), (1, 7, 5, 3)),
    ((1, 7, 5, 3), (1, 1, 1, 3)),
    ((1, 1, 5, 1), (1, 7, 1, 3)),
    ((1, 6), (1, 1)),
]
SCALES = [(0.05, 0.05, 0.1), (0.0031, 0.7, 0.5), (1.0, 1e-6, 0.9), (0.02, 0.021, 0.0001), (2.0, 3.0, 0.01)]
CLAMPS = {"NONE": (-np.inf, np.inf), "RELU": (0.0, np.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}


@pytest.mark.parametrize("shapes", SHAPES)
def test_equals_tflm(shapes: tuple[tuple[int, ...], ...], rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    out = np.broadcast_shapes(*shapes)
    for scales in SCALES:
        for activation, clamp in CLAMPS.items():
            zeros = rng.choice([-128, 127, *rng.integers(-128, 128, 4)], 3)
            types = [int8_type(s, f, z) for s, f, z in zip((*shapes, out), scales, zeros, strict=True)]
            xs = [random_int8(rng, s) for s in shapes]
            graph = one_node_graph("mul", types[:2], {"clamp": clamp}, types[2])
            (y,) = OPS["mul"].reference(graph.nodes[0], graph, xs)
            specs = [TensorSpec(t.shape, "int8", t.scale, t.zero_point) for t in types]
            options = {"fused_activation_function": activation}
            (expected,) = run_tflm("MUL", options, specs[:2], specs[2:], xs)
            np.testing.assert_array_equal(y, expected)


def test_float_reference(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((4, 3, 2), (1, 1, 2)))
    graph = one_node_graph(
        "mul", [TensorType((1, 3, 2)), TensorType((1, 1, 2))], {"clamp": (0.0, 1.0)}, TensorType((1, 3, 2))
    )
    (y,) = OPS["mul"].float_reference(graph.nodes[0], graph, [a, b])
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.clip(a * b, 0, 1))
