"""transpose_conv: against TFLM, imports against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from onnx_case import check_case, operators
from tflite_case import check_case as check_tflite
from tflite_case import import_case, int8, ints
from tflm import TensorSpec

from mcugen.errors import UnsupportedError
from mcugen.normalise import normalise
from mcugen.ops.op import clamp_of
from mcugen.read.tflite_import import OperatorFault

# x [h, w, c], output channels, kernel, strides, padding, output rows and columns
GEOMETRY = [
    ((4, 5, 3), 2, (3, 3), (1, 1), "SAME", (4, 5)),
    ((4, 5, 3), 5, (3, 3), (2, 2), "SAME", (8, 10)),
    ((4, 5, 3), 5, (3, 3), (2, 2), "SAME", (7, 9)),
    ((4, 5, 1), 4, (3, 2), (2, 1), "VALID", (9, 6)),
    ((3, 4, 6), 3, (2, 2), (3, 3), "VALID", (9, 12)),
    ((3, 4, 2), 3, (2, 5), (2, 3), "VALID", (6, 14)),
    ((1, 1, 7), 1, (4, 4), (2, 2), "VALID", (4, 4)),
]


def specs(case: tuple, rng: np.random.Generator, per_channel: bool, with_bias: bool) -> tuple:
    """Inputs and output of a random TRANSPOSE_CONV."""
    (h, w, c), o, kernel, _, _, (ho, wo) = case
    sx, sy = float(np.float32(rng.uniform(0.01, 0.2))), float(rng.uniform(0.05, 0.5))
    scales = rng.uniform(0.001, 0.05, o if per_channel else 1).astype(np.float32)
    zx, zy = (int(z) for z in rng.choice([-128, 127, *rng.integers(-128, 128, 4)], 2))
    weights = rng.integers(-127, 128, (o, *kernel, c))
    bias = rng.integers(-20000, 20000, o)
    inputs = [
        ints(1, ho, wo, o),
        TensorSpec(weights.shape, "int8", scales, data=weights),
        int8((1, h, w, c), sx, zx),
        TensorSpec((o,), "int32", scales.astype(np.float64) * sx, data=bias),
    ]
    return inputs[: 4 if with_bias else 3], [int8((1, ho, wo, o), sy, zy)]


@pytest.mark.parametrize("case", GEOMETRY)
@pytest.mark.parametrize("per_channel", [True, False])
def test_equals_tflm(case: tuple, per_channel: bool, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    options = {"padding": case[4], "stride_h": case[3][0], "stride_w": case[3][1]}
    for with_bias in (True, False):
        check_tflite("TRANSPOSE_CONV", options, *specs(case, rng, per_channel, with_bias))


def test_the_fused_activation_equals_tflm(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    options = {"padding": "SAME", "stride_h": 2, "stride_w": 2, "fused_activation_function": "RELU6"}
    graph = check_tflite("TRANSPOSE_CONV", options, *specs(GEOMETRY[1], rng, True, True))
    assert clamp_of(graph.nodes[0]) == (0.0, 6.0)


def test_computed_weights_are_refused(rng_seed: int) -> None:
    inputs, outputs = specs(GEOMETRY[0], np.random.default_rng(rng_seed), True, True)
    inputs[1] = int8(inputs[1].shape)
    with pytest.raises(OperatorFault, match="not constant"):
        import_case("TRANSPOSE_CONV", {"padding": "SAME", "stride_h": 1, "stride_w": 1}, inputs, outputs)


def weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    "attrs",
    [
        {},
        {"strides": [2, 3]},
        {"strides": [2, 2], "pads": [1, 0, 1, 2], "output_padding": [1, 0]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [3, 2], "auto_pad": "SAME_LOWER"},
        {"strides": [2, 3], "auto_pad": "VALID"},
        {"strides": [2, 2], "output_shape": [8, 10]},
        {"strides": [2, 2], "output_shape": [7, 9], "auto_pad": "SAME_UPPER"},
        {"strides": [3, 3]},
        {"group": 2, "strides": [2, 2]},
        {"group": 4, "strides": [2, 2], "pads": [1, 1, 1, 1]},
    ],
)
@pytest.mark.parametrize("opset", [1, 11])
def test_import(attrs: dict, opset: int, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    group = attrs.get("group", 1)
    constants = {"w": weights(rng, 4, 6 // group if group != 4 else 1, 3, 2)}
    constants["b"] = weights(rng, constants["w"].shape[1] * group)
    node = helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], **attrs)
    graph = check_case(node, {"x": (1, 4, 4, 5)}, constants, opset=max(opset, 7))
    assert "transpose_conv" in operators(graph)


def test_import_1d(rng_seed: int) -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[3], pads=[1, 0], output_padding=[1])
    constants = {"w": weights(np.random.default_rng(rng_seed), 4, 5, 4)}
    check_case(node, {"x": (1, 4, 6)}, constants)


def test_scales_and_activations_fold(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["t"], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["t", "s", "b", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["y"]),
    ]
    constants = {"w": weights(rng, 4, 5, 3, 3), "v": np.abs(weights(rng, 5)) + np.float32(0.1)}
    constants |= {name: weights(rng, 5) for name in "sbm"}
    graph = normalise(check_case(nodes, {"x": (1, 4, 3, 4)}, constants))
    (node,) = (n for n in graph.nodes if n.op != "transpose")
    assert node.op == "transpose_conv" and clamp_of(node) == (0.0, np.inf) and len(node.fused) == 2


def test_dilations_are_refused(rng_seed: int) -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], dilations=[2, 2])
    constants = {"w": weights(np.random.default_rng(rng_seed), 4, 5, 3, 3)}
    with pytest.raises(UnsupportedError, match="dilation"):
        check_case(node, {"x": (1, 4, 6, 6)}, constants)
