"""prelu: against TFLM, imports against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from halves import telling_scales
from onnx import helper
from onnx_case import check_case, operators
from tflite_case import check_case as check_tflite
from tflite_case import int8
from tflm import TensorSpec

from mcugen.normalise import normalise
from mcugen.ops import OPS

SHAPES = [((1, 4, 5, 3), (1, 1, 3)), ((1, 4, 5, 3), (4, 5, 3)), ((1, 6), (6,)), ((1, 4, 3), (1, 1))]
SCALES = [(0.05, 0.01, 0.05), (0.7, 0.002, 0.01), (0.003, 0.03, 0.09)]


@pytest.mark.parametrize(("x", "slopes"), SHAPES)
def test_equals_tflm(x: tuple[int, ...], slopes: tuple[int, ...], rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    for scales in SCALES:
        for _ in range(3):
            zx, zs, zy = (int(z) for z in rng.choice([-128, 127, *rng.integers(-128, 128, 4)], 3))
            data = rng.integers(-128, 128, slopes)
            constant = TensorSpec(slopes, "int8", scales[1], zs, data=data)
            check_tflite("PRELU", {}, [int8(x, scales[0], zx), constant], [int8(x, scales[2], zy)])


def test_multipliers_are_float64(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    slopes = np.arange(-128, 128).reshape(1, 1, 256)
    for x, s, y in telling_scales(lambda a, b, y: a * b / y, 12, rng):
        constant = TensorSpec(slopes.shape, "int8", s, 0, data=slopes)
        shape = (1, 1, 256, 256)
        check_tflite("PRELU", {}, [int8(shape, x, 0), constant], [int8(shape, y, 0)])


@pytest.mark.parametrize("opset", [7, 9, 16])
def test_import(opset: int, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    node = helper.make_node("PRelu", ["x", "s"], ["y"])
    slopes = rng.standard_normal((4, 1, 1)).astype(np.float32)
    graph = check_case(node, {"x": (1, 4, 3, 5)}, {"s": slopes}, opset=opset)
    assert operators(graph) == ["prelu"]
    graph = check_case(node, {"x": (1, 4, 3, 5)}, {"s": np.full((4, 1, 1), 0.2, np.float32)}, opset=opset)
    assert operators(graph) == ["unary"]


def test_behind_a_convolution_it_works_channels_last(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    nodes = [helper.make_node("Conv", ["x", "w"], ["t"]), helper.make_node("PRelu", ["t", "s"], ["y"])]
    constants = {
        "w": rng.standard_normal((4, 2, 1, 1)).astype(np.float32),
        "s": rng.standard_normal((4, 1, 1)).astype(np.float32),
    }
    graph = normalise(check_case(nodes, {"x": (1, 2, 3, 5)}, constants))
    assert [op for op in operators(graph) if op != "transpose"] == ["conv2d", "prelu"]
    (prelu,) = (n for n in graph.nodes if n.op == "prelu")
    assert graph.type(prelu.inputs[1]).shape == (1, 1, 1, 4)


def test_slopes_must_not_widen_the_input() -> None:
    graph = one_node_graph("prelu", [int8_type((1, 1)), int8_type((1, 3))], {}, int8_type((1, 3)))
    with pytest.raises(ValueError, match="slopes"):
        OPS["prelu"].infer(graph.nodes[0], [graph.type("x0"), graph.type("x1")])
