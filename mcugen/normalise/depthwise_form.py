"""Convolutions in the form whose kernels are faster: depthwise ones of one input channel become plain ones, plain ones
with a group for each input channel become depthwise ones; the same sums.

.tflite files hold the former where a first layer reads a spectrogram or a grey image; ONNX has one operator for both.
"""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import DType, Graph, Node, Tensor
from mcugen.ops.conv2d import channels_first
from mcugen.rewrite import with_nodes


def depthwise_form(graph: Graph) -> Graph:
    """The same graph with such nodes in the other form: weights [1, kh, kw, O] and [O, kh, kw, 1]."""
    tensors: dict[str, Tensor] = {}
    nodes = [_other_form(graph, node, tensors) for node in graph.nodes]
    return with_nodes(graph, nodes, tensors) if tensors else graph


def _other_form(graph: Graph, node: Node, tensors: dict[str, Tensor]) -> Node:
    if node.op == "depthwise_conv2d" and graph.type(node.inputs[0]).shape[3] == 1:
        turned = _turned(graph, node, 0, tensors)
        return replace(node, op="conv2d", inputs=turned, attrs={**node.attrs, "groups": 1})
    if node.op == "conv2d" and _is_depthwise(graph, node):
        attrs = {name: value for name, value in node.attrs.items() if name != "groups"}
        return replace(node, op="depthwise_conv2d", inputs=_turned(graph, node, 3, tensors), attrs=attrs)
    return node


def _is_depthwise(graph: Graph, node: Node) -> bool:
    """Whether each input channel is a group. Of int16, with an int32 bias, TFLM adds in 32 bits in plain ones alone."""
    groups = node.attrs["groups"] > 1 and graph.type(node.inputs[1]).shape[3] == 1
    return groups and graph.type(node.inputs[0]).dtype is not DType.INT16 and not channels_first(node)


def _turned(graph: Graph, node: Node, axis: int, tensors: dict[str, Tensor]) -> tuple[str, ...]:
    """The inputs, weights with their output channels on this axis instead of the other one of 0 and 3."""
    x, weights, bias = node.inputs
    old, name = graph.tensors[weights], f"{weights}/turned"
    while name in graph.tensors:
        name += "'"
    data, quant = graph.constant(weights).transpose(3, 1, 2, 0), old.type.quant
    if quant is not None and quant.axis is not None:
        quant = replace(quant, axis=axis)
    ttype = replace(old.type, shape=data.shape, quant=quant)
    tensors[name] = replace(old, name=name, type=ttype, data=data)
    return x, name, bias
