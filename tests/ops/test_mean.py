"""mean: the integer reference against TFLM, GlobalAveragePool and ReduceMean against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import int8_type, one_node_graph, random_int8
from onnx import helper
from onnx_case import check_case, operators
from tflm import TensorSpec, run_tflm

from mcugen.ir import TensorType
from mcugen.ops import OPS

SCALES = [(0.02, 0.02), (0.5, 0.013), (0.003, 0.4), (0.11, 0.09)]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((1, 7, 5, 6), (1, 2)),
        ((1, 7, 5, 6), (1,)),
        ((1, 4, 9), (2,)),
        ((1, 25, 5, 3), (1, 2, 3)),
        ((1, 3), (1,)),
    ],
)
def test_equals_tflm(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    room = OPS["mean"]
    attrs = {"axes": axes, "keepdims": keepdims}
    for si, so in SCALES:
        zx, zy = (int(z) for z in rng.choice([-128, 127, *rng.integers(-128, 128, 4)], 2))
        x_type = int8_type(shape, si, zx)
        probe = one_node_graph("mean", [x_type], attrs, x_type)
        (inferred,) = room.infer(probe.nodes[0], [x_type])
        y_type = int8_type(inferred.shape, so, zy)
        graph = one_node_graph("mean", [x_type], attrs, y_type)
        x = random_int8(rng, shape)
        (y,) = room.reference(graph.nodes[0], graph, [x])
        assert y.shape == y_type.shape
        constant = TensorSpec((len(axes),), "int32", data=np.array(axes))
        specs = [TensorSpec(t.shape, "int8", t.scale, t.zero_point) for t in (x_type, y_type)]
        (expected,) = run_tflm("MEAN", {"keep_dims": keepdims}, [specs[0], constant], specs[1:], [x])
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(("si", "so"), [(0.1, 1e-7), (0.1, 1e-12), (1e-12, 1.0), (3.0, 1e-37)])
def test_scales_far_apart_saturate_or_vanish(si: float, so: float) -> None:
    graph = one_node_graph(
        "mean", [int8_type((1, 4), si, 0)], {"axes": (1,), "keepdims": False}, int8_type((1,), so, 5)
    )
    for x, expected in (([-1, -1, -1, 0], -128), ([0, 0, 0, 0], 5), ([0, 0, 1, 0], 127)):
        (y,) = OPS["mean"].reference(graph.nodes[0], graph, [np.array([x], np.int8)])
        assert y.tolist() == [expected if si > so else 5]


@pytest.mark.parametrize("x", [(1, 3, 5, 4), (1, 3, 7), (1, 3, 1, 1)])
def test_global_average_pool(x: tuple[int, ...]) -> None:
    check_case(helper.make_node("GlobalAveragePool", ["x"], ["y"]), {"x": x})


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("opset", [7, 18])
@pytest.mark.parametrize(
    ("x", "axes"),
    [
        ((1, 3, 5, 4), (2, 3)),
        ((1, 3, 5, 4), (-1,)),
        ((1, 3, 5, 4), (3, 1)),
        ((1, 3, 5, 4), (0, 1)),
        ((1, 3, 1, 4), (1, 3)),
        ((1, 3, 1, 4), (2,)),
        ((2, 3), (0,)),
        ((1, 3, 4), None),
    ],
)
def test_reduce_mean(x: tuple[int, ...], axes: tuple[int, ...] | None, opset: int, keepdims: int) -> None:
    attrs, constants, inputs = {}, {}, ["x"]
    if axes is not None and opset == 7:
        attrs = {"axes": axes}
    elif axes is not None:
        constants, inputs = {"axes": np.array(axes, np.int64)}, ["x", "axes"]
    node = helper.make_node("ReduceMean", inputs, ["y"], keepdims=keepdims, **attrs)
    check_case(node, {"x": x}, constants, opset=opset)


def test_no_axes_can_mean_nothing_to_do() -> None:
    node = helper.make_node("ReduceMean", ["x"], ["z"], noop_with_empty_axes=1)
    relu = helper.make_node("Relu", ["z"], ["y"])
    assert "mean" not in operators(check_case([node, relu], {"x": (1, 3, 4)}, opset=18))


@pytest.mark.parametrize("axes", [(), (1, 3), (2, 1), (0, 4)])
def test_axes_that_the_operator_does_not_have(axes: tuple[int, ...]) -> None:
    x = TensorType((1, 2, 3, 4))
    graph = one_node_graph("mean", [x], {"axes": axes, "keepdims": True}, x)
    with pytest.raises(ValueError, match="mean of"):
        OPS["mean"].infer(graph.nodes[0], [x])


def test_samples_stay_apart() -> None:
    for axes, batchable in (((1,), True), ((0, 1), False)):
        x = TensorType((1, 4))
        graph = one_node_graph("mean", [x], {"axes": axes, "keepdims": True}, x)
        assert OPS["mean"].batchable(graph.nodes[0], graph) is batchable
