"""squared_difference: against TFLM, and the float reference against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import one_node_graph
from halves import telling_scales
from tflite_case import check_case, import_case, int8
from tflm import TensorSpec

from mcugen.ir import TensorType
from mcugen.ops import OPS

SHAPES = [((1, 4, 5, 3), (1, 4, 5, 3)), ((1, 4, 5, 3), (3,)), ((1, 1, 5, 1), (1, 4, 1, 3)), ((1, 6), (1, 1))]
# (scale of a, of b, of y): alike, unlike, saturating, vanishing
SCALES = [(0.05, 0.05, 0.6), (0.003, 0.7, 90.0), (0.7, 1e-6, 50.0), (0.02, 0.021, 0.001), (0.01, 0.013, 7.0)]


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_equals_tflm(a: tuple[int, ...], b: tuple[int, ...], rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    for scales in SCALES:
        for _ in range(3):
            zeros = (int(z) for z in rng.choice([-128, 127, *rng.integers(-128, 128, 4)], 3))
            shapes = (a, b, np.broadcast_shapes(a, b))
            *operands, y = (int8(*spec) for spec in zip(shapes, scales, zeros, strict=True))
            check_case("SQUARED_DIFFERENCE", {}, operands, [y])


def test_multipliers_are_float64(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    every = np.broadcast_to(np.arange(-128, 128), (1, 256, 256))
    for a, b, y in telling_scales(lambda a, b, y: (2 * max(a, b)) ** 2 / (16384 * y), 12, rng):
        operand = TensorSpec(every.shape, "int8", b, 0, data=every)
        check_case("SQUARED_DIFFERENCE", {}, [int8(every.shape, a, 0), operand], [int8(every.shape, y, 0)])


def test_float_reference(rng_seed: int) -> None:
    a, b = np.random.default_rng(rng_seed).standard_normal((2, 4, 3)).astype(np.float32)
    types = [TensorType((1, 3)), TensorType((1, 3))]
    graph = one_node_graph("squared_difference", types, {"clamp": (0.1, 1.0)}, types[0])
    (y,) = OPS["squared_difference"].float_reference(graph.nodes[0], graph, [a, b])
    np.testing.assert_array_equal(y, np.clip((a - b) ** 2, np.float32(0.1), np.float32(1.0)))


def test_a_tiny_output_scale_saturates() -> None:
    operands = [int8((1, 64), 1.0, 0)] * 2
    graph = import_case("SQUARED_DIFFERENCE", {}, operands, [int8((1, 64), 1e-9, -128)])
    x = np.arange(64, dtype=np.int8).reshape(1, 64)
    (y,) = OPS["squared_difference"].reference(graph.nodes[0], graph, [x, np.zeros_like(x)])
    assert y[0, 0] == -128 and (y[0, 1:] == 127).all()
