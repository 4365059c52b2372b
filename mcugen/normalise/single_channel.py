"""Depthwise convolutions of one input channel become convolutions: the same sums, but kernels that are faster.

.tflite files hold them where a first layer reads a spectrogram or a grey image; ONNX calls them convolutions itself.
"""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node, Tensor
from mcugen.rewrite import with_nodes


def single_channel(graph: Graph) -> Graph:
    """The same graph with such nodes as conv2d, their weights [1, kh, kw, M] as [M, kh, kw, 1]."""
    tensors: dict[str, Tensor] = {}
    nodes = [_convolution(graph, node, tensors) for node in graph.nodes]
    return with_nodes(graph, nodes, tensors) if tensors else graph


def _convolution(graph: Graph, node: Node, tensors: dict[str, Tensor]) -> Node:
    if node.op != "depthwise_conv2d" or graph.type(node.inputs[0]).shape[3] != 1:
        return node
    x, weights, bias = node.inputs
    old, name = graph.tensors[weights], f"{weights}/filters"
    while name in graph.tensors:
        name += "'"
    data, quant = graph.constant(weights).transpose(3, 1, 2, 0), old.type.quant
    if quant is not None and quant.axis is not None:
        quant = replace(quant, axis=0)
    ttype = replace(old.type, shape=data.shape, quant=quant)
    tensors[name] = replace(old, name=name, type=ttype, data=data)
    return replace(node, op="conv2d", inputs=(x, name, bias), attrs={**node.attrs, "groups": 1})
