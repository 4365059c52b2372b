"""Random integer convolutions and dense layers for tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from graphs import as_int16, int8_type, one_node_graph

from mcugen.ir import DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.ops import OPS


def weighted(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Random weights (channels first) and bias, with multipliers from tiny to absurd."""
    scales = tuple(float(np.float32(s)) for s in 2.0 ** rng.uniform(-14, 22, shape[0]))
    weights = rng.integers(-128, 128, shape).astype(np.int8)
    bias = rng.integers(-(2**20), 2**20, shape[0]).astype(np.int32)
    quant = Quant(scales, (0,) * shape[0], 0)
    return Tensor("w", TensorType(shape, DType.INT8, quant), weights), Tensor(
        "b", TensorType(bias.shape, DType.INT32), bias
    )


def random_zero_point(rng: np.random.Generator) -> int:
    return int(rng.integers(-128, 128))


def random_conv(rng: np.random.Generator, groups: int | None = None) -> Graph:
    """One integer convolution with everything random."""
    groups = int(rng.choice([1, 1, 1, 2, 3])) if groups is None else groups
    ci, co = groups * int(rng.integers(1, 6)), groups * int(rng.integers(1, 6))
    kh, kw = (int(v) for v in rng.integers(1, 5, 2))
    dh, dw = (int(v) for v in rng.integers(1, 3, 2))
    attrs = {
        "strides": tuple(int(v) for v in rng.integers(1, 4, 2)),
        "dilations": (dh, dw),
        "pads": tuple(int(v) for v in rng.integers(0, 3, 4)),
        "groups": groups,
        "clamp": (0.0, 6.0) if rng.random() < 0.3 else (-np.inf, np.inf),
    }
    h, w = (kh - 1) * dh + int(rng.integers(1, 7)), (kw - 1) * dw + int(rng.integers(1, 7))
    x = Tensor("x", int8_type((1, h, w, ci), 0.05, random_zero_point(rng)))
    weights, bias = weighted(rng, (co, kh, kw, ci // groups))
    (shape,) = OPS["conv2d"].infer(Node("y", "conv2d", (), (), attrs), [x.type, weights.type, bias.type])
    return one_node_graph(
        "conv2d", [x, weights, bias], attrs, int8_type(shape.shape, 0.3, random_zero_point(rng))
    )


def random_dense(rng: np.random.Generator, lead: tuple[int, ...], depth: int | None = None) -> Graph:
    """One integer dense layer over the leading axes `lead`."""
    few, channels = (int(v) for v in rng.integers(1, 40, 2))
    depth = few if depth is None else depth
    x = Tensor("x", int8_type((*lead, depth), 0.05, random_zero_point(rng)))
    clamp = (-1.0, 2.0) if rng.random() < 0.3 else (-np.inf, np.inf)
    y = int8_type((*lead, channels), 0.3, random_zero_point(rng))
    return one_node_graph("fully_connected", [x, *weighted(rng, (channels, depth))], {"clamp": clamp}, y)


def random_depthwise(
    rng: np.random.Generator,
    kernel: tuple[int, int] | None = None,
    usual: bool = False,
    pads: int = 5,
    channels: tuple[int, int] | None = None,
    relu: bool = True,
    room: int = 7,
    narrow: bool = False,
) -> Graph:
    """One integer depthwise convolution with everything random. `usual`: with such scales as layers of networks
    have, and, with `relu`, a fused ReLU; pads below `pads`; channels and depth multiplier; x exceeds the filter by
    less than `room`; `narrow`: x is one column, without padding beside it."""
    c, m = (int(v) for v in rng.choice([1, 1, 2, 3, 5], 2)) if channels is None else channels
    drawn, strides, dilations = (tuple(int(v) for v in rng.integers(1, top, 2)) for top in (5, 4, 3))
    kernel = drawn if kernel is None else kernel
    attrs = {
        "strides": strides,
        "dilations": dilations,
        "pads": tuple(int(v) for v in rng.integers(0, pads, 4)),
        "clamp": (0.0, 6.0) if not usual and rng.random() < 0.3 else (-np.inf, np.inf),
    }
    size = [(k - 1) * d + int(rng.integers(1, room)) for k, d in zip(kernel, dilations, strict=True)]
    if narrow:
        kernel, size[1] = (kernel[0], 1), 1
        attrs["pads"] = (attrs["pads"][0], 0, attrs["pads"][2], 0)
    x = int8_type((1, *size, c), 0.05, int(rng.integers(-128, 128)))
    weights = rng.integers(-128, 128, (1, *kernel, c * m)).astype(np.int8)
    powers = rng.uniform(-5, 0, c * m) if usual else rng.uniform(-14, 22, c * m)
    scales = tuple(float(np.float32(s)) for s in 2.0**powers)
    bias = rng.integers(-(2**20), 2**20, c * m).astype(np.int32) // (64 if usual else 1)
    operands = [
        x,
        Tensor("w", TensorType(weights.shape, DType.INT8, Quant(scales, (0,) * (c * m), 3)), weights),
        Tensor("b", TensorType(bias.shape, DType.INT32), bias),
    ]
    probe = one_node_graph("depthwise_conv2d", operands, attrs, x)
    types = [probe.type(i) for i in probe.nodes[0].inputs]
    (y,) = OPS["depthwise_conv2d"].infer(probe.nodes[0], types)
    zero_point = -128 if usual and relu else int(rng.integers(-128, 128))
    return one_node_graph(
        "depthwise_conv2d", operands, attrs, int8_type(y.shape, 1.0 if usual else 0.3, zero_point)
    )


def int16_layer(
    rng: np.random.Generator, graph: Graph, right: tuple[int, int], clamp: tuple[float, float] | None = None
) -> Graph:
    """A layer of int16 by int8 of the shapes of `graph`, rescaled with one rounding: sums times 16 bits are shifted to
    the right by any number of bits between the two of `right`; biases take outputs to both ends of int16."""
    graph = as_int16(graph)
    node, w, b = graph.nodes[0], graph.tensors["w"], graph.tensors["b"]
    assert w.type.quant is not None
    x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
    shifts = rng.integers(right[0], right[1], len(w.type.quant.scale), endpoint=True)
    scales = 2.0 ** (15 - shifts) * rng.uniform(0.51, 0.99, shifts.size) * y.scale / x.scale
    quant = replace(w.type.quant, scale=tuple(float(np.float32(s)) for s in scales))
    bias = (rng.uniform(-1, 1, shifts.size) * 2.0 ** np.minimum(shifts, 30)).astype(np.int64)
    tensors = {"w": replace(w, type=replace(w.type, quant=quant)), "b": replace(b, data=bias)}
    if clamp is not None:
        graph = replace(graph, nodes=(node.with_attrs(clamp=clamp),))
    return replace(graph, tensors={**graph.tensors, **tensors})
