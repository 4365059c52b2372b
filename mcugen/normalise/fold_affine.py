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

CHANNEL_AXIS = {"conv2d": 0, "depthwise_conv2d": 3, "fully_connected": 0, "transpose_conv": 0}


def _vector(graph: Graph, name: str, channels: int) -> Array | None:
    """A constant that varies along the last axis only, as float64 [channels]."""
    if not graph.is_constant(name):
        return None
    data = graph.constant(name).astype(np.float64)
    if data.size == 1:
        return np.full(channels, data.reshape(()))
    return data.reshape(-1) if data.size == channels == data.shape[-1] else None


def affine_map(graph: Graph, node: Node, x: str, channels: int) -> tuple[Array, Array] | None:
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


class _Walk:
    """The nodes so far, in execution order, and where each tensor comes from."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.consumers = graph.consumers()
        self.nodes: list[Node] = []
        self.place: dict[str, int] = {}  # tensor -> index of its node
        self.tensors: dict[str, Tensor] = {}

    def append(self, node: Node) -> None:
        self.place[node.outputs[0]] = len(self.nodes)
        self.nodes.append(node)

    def layer_before(self, x: str) -> int | None:
        """Index of the layer whose output, perhaps reshaped, nobody but the reader of x sees."""
        channels = self.graph.type(x).shape[-1:]
        name = x
        while name in self.place and sole_consumer(self.graph, name, self.consumers) is not None:
            node = self.nodes[self.place[name]]
            if self.graph.type(name).shape[-1:] != channels:
                return None
            if node.op in CHANNEL_AXIS:
                return self.place[name] if clamp_of(node) == NO_CLAMP else None
            if node.op != "reshape":
                return None
            name = node.inputs[0]
        return None

    def folds(self, node: Node) -> bool:
        """Fold the node into the layer before it, if it can be."""
        active = [i for i in node.inputs if not self.graph.is_constant(i)]
        index = self.layer_before(active[0]) if len(active) == 1 else None
        if index is None or self.graph.type(node.outputs[0]).shape != self.graph.type(active[0]).shape:
            return False
        x = active[0]
        maps = affine_map(self.graph, node, x, self.graph.type(x).shape[-1])
        if maps is None:
            return False
        layer = self.nodes[index]
        constants = self._constants(layer, maps)
        if constants is None:
            return False
        self.nodes[index] = replace(
            layer, inputs=(layer.inputs[0], *constants), fused=fused_origins(layer, node)
        )
        last = self.place[x]  # the layer itself, or the last reshape behind it
        self.nodes[last] = replace(self.nodes[last], name=node.outputs[0], outputs=node.outputs)
        self.place[node.outputs[0]] = last
        return True

    def _constants(self, layer: Node, maps: tuple[Array, Array]) -> tuple[str, str] | None:
        """Names of the layer's new weights and bias; None if they leave float32."""
        scale, offset = maps
        weights, bias = (self.tensors.get(i) or self.graph.tensors[i] for i in layer.inputs[1:])
        assert weights.data is not None and bias.data is not None
        shape = [1] * weights.data.ndim
        shape[CHANNEL_AXIS[layer.op]] = -1
        with np.errstate(all="ignore"):
            scaled = (weights.data.astype(np.float64) * scale.reshape(shape)).astype(np.float32)
            moved = (bias.data.astype(np.float64) * scale + offset).astype(np.float32)
        if not (np.isfinite(scaled).all() and np.isfinite(moved).all()):
            return None
        quant = weights.type.quant
        if quant is not None:  # the file's integers stay, but for their sign
            factors = np.abs(np.asarray(quant.scale) * scale).astype(np.float32)
            kept = weights.data.astype(np.float64) / np.asarray(quant.scale).reshape(shape)
            turned = (kept < -127.5) & (scale.reshape(shape) < 0.0)
            if turned.any() or ((factors < 1e-30) & (scale != 0.0)).any():
                return None
            factors[scale == 0.0] = 1.0
            quant = replace(quant, scale=tuple(float(f) for f in factors))
        weights = replace(weights, type=replace(weights.type, quant=quant))
        names = []
        for tensor, data in ((weights, scaled), (bias, moved)):
            name = f"{tensor.name}/folded"
            while name in self.graph.tensors or name in self.tensors:
                name += "'"
            self.tensors[name] = replace(tensor, name=name, data=data)
            names.append(name)
        return names[0], names[1]


def fold_affine(graph: Graph) -> Graph:
    """The graph with every such chain folded."""
    walk = _Walk(graph)
    for node in graph.nodes:
        if not walk.folds(node):
            walk.append(node)
    return with_nodes(graph, walk.nodes, walk.tensors)
