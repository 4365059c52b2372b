"""Scales and offsets per channel that no layer could take become one 1x1 depthwise convolution.

`(x - mean) / std` inside a model is a subtraction, a multiplication and perhaps a division by 255: three layers, each
with an 8-bit constant. As a depthwise convolution it is one layer, its scales per channel and its offsets in 32 bits.
"""

from __future__ import annotations

import math

import numpy as np

from mcugen.ir import Graph, Node, Tensor, TensorType
from mcugen.normalise.fold_affine import affine_map, fold_affine
from mcugen.ops.functions import affine
from mcugen.ops.op import NO_CLAMP, clamp_of
from mcugen.rewrite import sole_consumer, with_nodes


def _by_channel(graph: Graph, node: Node) -> str | None:
    """The activation of a node that adds or multiplies a constant per channel (last axis)."""
    if node.op not in ("add", "sub", "mul") or clamp_of(node) != NO_CLAMP:
        return None
    active = [i for i in node.inputs if not graph.is_constant(i)]
    shape = graph.type(node.outputs[0]).shape
    if len(active) != 1 or len(node.inputs) != 2 or graph.type(active[0]).shape != shape:
        return None
    if not 2 <= len(shape) <= 4 or shape[0] != 1 or shape[-1] == 1:
        return None
    return active[0] if affine_map(graph, node, active[0], shape[-1]) is not None else None


def _before_such(graph: Graph, node: Node, users: dict[str, list[Node]]) -> bool:
    """Whether a scalar a * x + b is read by nothing but a node by channels, which then takes it along."""
    if node.op != "unary" or affine(node.attrs["function"]) is None:
        return False
    user = sole_consumer(graph, node.outputs[0], users)
    return user is not None and (_by_channel(graph, user) is not None or _before_such(graph, user, users))


def scale_channels(graph: Graph) -> Graph:
    """The graph with such nodes, and scalar ones right before them, as depthwise convolutions, as few as possible."""
    users = graph.consumers()
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}

    def add(name: str, tensor_type: TensorType, data: object = None) -> str:
        while name in graph.tensors or name in tensors:
            name += "'"
        array = None if data is None else np.asarray(data, np.float32).reshape(tensor_type.shape)
        tensors[name] = Tensor(
            name, tensor_type, array, "" if data is not None else graph.tensors[out].source
        )
        return name

    for node in graph.nodes:
        x = _by_channel(graph, node) or (node.inputs[0] if _before_such(graph, node, users) else None)
        out = node.outputs[0]
        shape = graph.type(out).shape
        maps = affine_map(graph, node, x, shape[-1]) if x is not None else None
        if x is None or maps is None:
            nodes.append(node)
            continue
        pixels = shape if len(shape) == 4 else (1, math.prod(shape[1:-1]), 1, shape[-1])
        constants = (
            add(f"{out}/scale", TensorType((1, 1, 1, shape[-1])), maps[0]),
            add(f"{out}/offset", TensorType(shape[-1:]), maps[1]),
        )
        attrs = {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0)}
        if shape == pixels:
            nodes.append(
                Node(out, "depthwise_conv2d", (x, *constants), (out,), attrs, node.origin, node.fused)
            )
            continue
        inner, result = add(f"{out}/pixels", TensorType(pixels)), add(f"{out}/scaled", TensorType(pixels))
        nodes += [
            Node(inner, "reshape", (x,), (inner,), {"shape": pixels}, node.origin),
            Node(result, "depthwise_conv2d", (inner, *constants), (result,), attrs, node.origin, node.fused),
            Node(out, "reshape", (result,), (out,), {"shape": shape}, node.origin),
        ]
    return fold_affine(with_nodes(graph, nodes, tensors)) if tensors else graph
