"""Forms of depthwise convolutions: of integers the same bytes, of floats the same numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import int8_type, random_int8

from mcugen.execute import run
from mcugen.ir import DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.normalise import tidy
from mcugen.normalise.depthwise_form import depthwise_form
from mcugen.ops import OPS

ATTRS = {"strides": (2, 1), "dilations": (1, 2), "pads": (1, 0, 2, 1), "clamp": (-30.0, 30.0)}


def _graph(channels: int, x: TensorType, y: TensorType, quant: Quant | None) -> Graph:
    """A depthwise convolution with multiplier 4."""
    rng, filters = np.random.default_rng(5), 4 * channels
    w, b = rng.integers(-128, 128, (1, 3, 2, filters)), rng.integers(-2000, 2000, filters)
    kinds = [DType.FLOAT32, DType.FLOAT32] if quant is None else [DType.INT8, DType.INT32]
    steps = Quant(tuple(s * x.scale for s in quant.scale), quant.zero_point, None) if quant else None
    if steps is not None and len(steps.scale) > 1:
        steps = replace(steps, axis=0)
    constants = [
        Tensor(name, TensorType(data.shape, kind, q), data.astype(kind.numpy), name)
        for name, data, kind, q in zip("wb", (w, b), kinds, (quant, steps), strict=True)
    ]
    node = Node("y", "depthwise_conv2d", ("x", "w", "b"), ("y",), ATTRS)
    (shape,) = (t.shape for t in OPS[node.op].infer(node, [x, constants[0].type, constants[1].type]))
    tensors = [Tensor("x", x, source="x"), *constants, Tensor("y", replace(y, shape=shape), source="y")]
    return Graph("g", ("x",), ("y",), (node,), {t.name: t for t in tensors})


@pytest.mark.parametrize("scales", [1, 4])
def test_integers(scales: int) -> None:
    quant = Quant(tuple(0.01 * (i + 1) for i in range(scales)), (0,) * scales, 3 if scales > 1 else None)
    graph = _graph(1, int8_type((1, 6, 7, 1), 0.03, -5), int8_type((1,), 0.3, 7), quant)
    made = tidy(graph)
    assert [n.op for n in made.nodes] == ["conv2d"]
    assert made.type(made.nodes[0].inputs[1]).shape == (4, 3, 2, 1)
    x = random_int8(np.random.default_rng(6), (1, 6, 7, 1))
    before, after = (run(g, {"x": x})["y"] for g in (graph, made))
    assert len(np.unique(before)) > 20
    np.testing.assert_array_equal(before, after)


def test_floats() -> None:
    graph = _graph(1, TensorType((1, 6, 7, 1)), TensorType((1,)), None)
    made = depthwise_form(graph)
    assert [n.op for n in made.nodes] == ["conv2d"]
    x = np.random.default_rng(7).normal(size=(1, 6, 7, 1)).astype(np.float32)
    np.testing.assert_array_equal(*(run(g, {"x": x})["y"] for g in (graph, made)))


def test_more_channels_stay() -> None:
    graph = _graph(2, TensorType((1, 6, 7, 2)), TensorType((1,)), None)
    assert depthwise_form(graph) is graph


def test_a_group_for_each_channel() -> None:
    """Plain convolutions that are depthwise ones; those of two inputs a group stay."""
    quant = Quant(tuple(0.01 * (i + 1) for i in range(12)), (0,) * 12, 3)
    depthwise = _graph(3, int8_type((1, 6, 7, 3), 0.03, -5), int8_type((1,), 0.9, 7), quant)
    weights = depthwise.tensors["w"]
    turned = weights.data.transpose(3, 1, 2, 0)  # type: ignore[union-attr]
    ttype = replace(weights.type, shape=turned.shape, quant=replace(quant, axis=0))
    tensors = {**depthwise.tensors, "w": replace(weights, data=turned, type=ttype)}
    node = replace(depthwise.nodes[0], op="conv2d", attrs={**ATTRS, "groups": 3})
    graph = replace(depthwise, tensors=tensors, nodes=(node,))
    made = tidy(graph)
    assert [n.op for n in made.nodes] == ["depthwise_conv2d"]
    x = random_int8(np.random.default_rng(8), (1, 6, 7, 3))
    values = [run(g, {"x": x})["y"] for g in (depthwise, graph, made)]
    for other in values[1:]:
        np.testing.assert_array_equal(values[0], other)
    assert depthwise_form(depthwise) is depthwise
