"""Fold per-channel multiplications and additions into the convolution or dense layer before them.

BatchNormalization arrives as a 1x1 depthwise convolution; MatMul's bias, and scales and offsets written as Mul, Add
or Sub with constants along the last axis, as those operators. Exact up to float rounding, computed in float64.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcugen.ir import Array, Graph, Node, Tensor
from mcugen.ops.functions import affine
from mcugen.ops.op import NO_CLAMP, clamp_of
from mcugen.rewrite import fused_origins, sole_consumer, with_nodes

CHANNEL_AXIS = {"conv2d": 0, "depthwise_conv2d": 3, "fully_connected": 0}


def _vector(graph: Graph, name: str, channels: int) -> Array | None:
    """A constant that varies along the last axis only, as float64 [channels]."""
    if not graph.is_constant(name):
        return None
    data = graph.constant(name).astype(np.float64)
    if data.size == 1:
        return np.full(channels, data.reshape(()))
    return data.reshape(-1) if data.size == channels == data.shape[-1] else None


def _affine(graph: Graph, node: Node, x: str, channels: int) -> tuple[Array, Array] | None:
    """(scale, offset) float64 [channels] of a node that is x * scale + offset."""
    one, zero = np.ones(channels), np.zeros(channels)
    if clamp_of(node) != NO_CLAMP and node.op != "depthwise_conv2d":
        return None
    if node.op == "depthwise_conv2d":
        weights = graph.constant(node.inputs[1])
        plain = node.attrs["pads"] == (0, 0, 0, 0) and node.attrs["strides"] == (1, 1)
        if not plain or weights.shape != (1, 1, 1, channels) or clamp_of(node) != NO_CLAMP:
            return None
        return weights.reshape(-1).astype(np.float64), graph.constant(node.inputs[2]).astype(np.float64)
    if node.op == "unary":
        numbers = affine(node.attrs["function"])
        return None if numbers is None else (one * numbers[0], one * numbers[1])
    if node.op not in ("add", "sub", "mul") or len(node.inputs) != 2 or node.inputs[0] == node.inputs[1]:
        return None
    other = _vector(graph, node.inputs[1] if node.inputs[0] == x else node.inputs[0], channels)
    if other is None:
        return None
    if node.op == "mul":
        return other, zero
    if node.op == "add":
        return one, other
    return (one, -other) if node.inputs[0] == x else (-one, other)


def _fold(
    graph: Graph, layer: Node, affine: tuple[Array, Array], tensors: dict[str, Tensor]
) -> tuple[str, str]:
    """New weights and bias of a layer with an affine map behind it; returns their names."""
    scale, offset = affine
    weights, bias = graph.tensors[layer.inputs[1]], graph.tensors[layer.inputs[2]]
    assert weights.data is not None and bias.data is not None
    shape = [1] * weights.data.ndim
    shape[CHANNEL_AXIS[layer.op]] = -1
    scaled = (weights.data.astype(np.float64) * scale.reshape(shape)).astype(np.float32)
    moved = (bias.data.astype(np.float64) * scale + offset).astype(np.float32)
    names = []
    for tensor, data in ((weights, scaled), (bias, moved)):
        name = f"{tensor.name}/folded"
        while name in graph.tensors or name in tensors:
            name += "'"
        tensors[name] = replace(tensor, name=name, data=data)
        names.append(name)
    return names[0], names[1]


def _step(graph: Graph) -> Graph | None:
    """One fold, or None if there is nothing left to fold."""
    consumers = graph.consumers()
    for layer in graph.nodes:
        if layer.op not in CHANNEL_AXIS or clamp_of(layer) != NO_CLAMP:
            continue
        channels = graph.type(layer.outputs[0]).shape[-1]
        between: list[Node] = []
        user = sole_consumer(graph, layer.outputs[0], consumers)
        while user is not None and user.op == "reshape" and graph.type(user.outputs[0]).shape[-1] == channels:
            between.append(user)
            user = sole_consumer(graph, user.outputs[0], consumers)
        if user is None:
            continue
        x = between[-1].outputs[0] if between else layer.outputs[0]
        affine = _affine(graph, user, x, channels)
        if affine is None or graph.type(user.outputs[0]).shape != graph.type(x).shape:
            continue
        tensors: dict[str, Tensor] = {}
        w, b = _fold(graph, layer, affine, tensors)
        folded = replace(layer, inputs=(layer.inputs[0], w, b), fused=fused_origins(layer, user))
        if between:
            last = replace(between[-1], name=user.outputs[0], outputs=user.outputs)
        else:
            folded = replace(folded, name=user.outputs[0], outputs=user.outputs)
            last = folded
        swap = {layer.name: folded, (between[-1] if between else layer).name: last, user.name: None}
        nodes = [swap.get(n.name, n) for n in graph.nodes]
        return with_nodes(graph, [n for n in nodes if n is not None], tensors)
    return None


def fold_affine(graph: Graph) -> Graph:
    """The graph with every such chain folded."""
    while (folded := _step(graph)) is not None:
        graph = folded
    return graph
