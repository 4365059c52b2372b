"""What a library takes and gives: conversions between the types of a network and those of its inputs and outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcugen.errors import Fault, UsageError
from mcugen.ir import DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.rewrite import with_nodes

CONVERSIONS = ("quantize", "requantize", "dequantize")


IO = {"int8": DType.INT8, "uint8": DType.UINT8, "int16": DType.INT16, "float": DType.FLOAT32}


def io_named(name: str | None) -> DType | None:
    """The element type that a user names for inputs and outputs; None for none. Raises UsageError."""
    if name is None:
        return None
    if name not in IO:
        fault = Fault("--io", f"{name!r} is not known", f"one of {', '.join(IO)}")
        raise UsageError("no such type of inputs and outputs", [fault])
    return IO[name]


def port_type(ttype: TensorType, dtype: DType) -> TensorType:
    """A quantized type's numbers as elements of another type: uint8 is int8 moved by 128, int16 is symmetric and holds
    the same range."""
    if dtype is ttype.dtype:
        return ttype
    if dtype is DType.FLOAT32:
        return TensorType(ttype.shape)
    scale, zero_point = ttype.scale, ttype.zero_point
    limits = np.iinfo(ttype.dtype.numpy)
    if {dtype, ttype.dtype} == {DType.INT8, DType.UINT8}:
        quant = Quant((scale,), (zero_point + (128 if dtype is DType.UINT8 else -128),))
    elif dtype is DType.INT16:
        reach = max(limits.max - zero_point, zero_point - limits.min)
        quant = Quant((float(np.float32(scale * reach / 32767.0)),), (0,))
    else:  # 8 bits of what 16 hold
        quant = Quant((float(np.float32(scale * 65536.0 / 256.0)),), (128 if dtype is DType.UINT8 else 0,))
    return TensorType(ttype.shape, dtype, quant)


def set_ports(graph: Graph, dtype: DType | None) -> Graph:
    """The graph with quantized inputs and outputs of the given type; None: as they are. Conversions that the model
    has already at its border are replaced."""
    if dtype is None:
        return graph
    graph = _strip(graph, dtype)
    tensors, before, after = dict(graph.tensors), [], []
    renamed: dict[str, str] = {}  # what the network calls its former inputs and outputs
    for name in dict.fromkeys((*graph.inputs, *graph.outputs)):
        tensor = graph.tensors[name]
        if tensor.type.quant is None or tensor.type.dtype is dtype:
            continue
        inner = f"{name}/{tensor.type.dtype}"
        renamed[name] = inner
        tensors[inner] = replace(tensor, name=inner)
        tensors[name] = Tensor(name, port_type(tensor.type, dtype), source=tensor.source)
        if name in graph.inputs:
            before.append(_conversion(name, inner, tensors))
        else:
            after.append(_conversion(inner, name, tensors))
    nodes = [
        replace(
            n,
            inputs=tuple(renamed.get(i, i) for i in n.inputs),
            outputs=tuple(renamed.get(o, o) for o in n.outputs),
        )
        for n in graph.nodes
    ]
    return with_nodes(replace(graph, tensors=tensors), [*before, *nodes, *after])


def _conversion(x: str, y: str, tensors: dict[str, Tensor]) -> Node:
    if tensors[x].type.quant is None:
        op = "quantize"
    else:
        op = "dequantize" if tensors[y].type.quant is None else "requantize"
    return Node(f"{y}/{op}", op, (x,), (y,), {}, "mcugen:io")


def _strip(graph: Graph, dtype: DType) -> Graph:
    """The graph without conversions of its inputs and of its outputs that differ in type from `dtype`."""
    consumers, producers = graph.consumers(), graph.producers()
    tensors, nodes = dict(graph.tensors), list(graph.nodes)
    inputs, outputs = list(graph.inputs), list(graph.outputs)
    for i, name in enumerate(inputs):
        users = consumers[name]
        if graph.type(name).dtype is dtype or name in outputs or not users:
            continue
        if len({n.op in CONVERSIONS and graph.type(n.outputs[0]) for n in users}) == 1 and len(users) == 1:
            node = users[0]
            inner = node.outputs[0]
            if node.op in CONVERSIONS and graph.type(inner).quant is not None and inner not in outputs:
                tensors[inner] = replace(tensors[inner], source=graph.tensors[name].source)
                inputs[i] = inner
                nodes.remove(node)
    for i, name in enumerate(outputs):
        maker = producers.get(name)
        if maker is None or maker not in nodes or maker.op not in CONVERSIONS or consumers[name]:
            continue
        inner = maker.inputs[0]
        fits = graph.type(inner).quant is not None and inner not in (*inputs, *outputs)
        if graph.type(name).dtype is not dtype and fits:
            tensors[inner] = replace(tensors[inner], source=graph.tensors[name].source)
            outputs[i] = inner
            nodes.remove(maker)
    stripped = replace(graph, inputs=tuple(inputs), outputs=tuple(outputs), tensors=tensors)
    return with_nodes(stripped, nodes)
