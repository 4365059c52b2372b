"""What a library takes and gives: conversions between the types of a network and those of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mcugen.errors import Fault, UsageError
from mcugen.ir import DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.rewrite import with_nodes

IO_ORIGIN = "mcugen:io"
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
    """The graph with inputs and outputs of the given type (but for indices); None: as they are. Conversions that the
    model has already at its border are replaced. Raises UsageError for real numbers that have no scale."""
    if dtype is None:
        return graph
    graph = _strip(graph, dtype)
    faults = [
        Fault(
            f'"{graph.tensors[name].source or name}"', "holds real numbers, without a scale", "leave --io out"
        )
        for name in (*graph.inputs, *graph.outputs)
        if graph.type(name).dtype is DType.FLOAT32 is not dtype
    ]
    if faults:
        raise UsageError(f"--io {dtype} does not fit", faults)
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
            before.append(conversion(name, inner, tensors, IO_ORIGIN))
        else:
            after.append(conversion(inner, name, tensors, IO_ORIGIN))
    nodes = [
        replace(
            n,
            inputs=tuple(renamed.get(i, i) for i in n.inputs),
            outputs=tuple(renamed.get(o, o) for o in n.outputs),
        )
        for n in graph.nodes
    ]
    return with_nodes(replace(graph, tensors=tensors), [*before, *nodes, *after])


def conversion(x: str, y: str, tensors: Mapping[str, Tensor], origin: str) -> Node:
    """The node that gives y the numbers of x in another type."""
    if tensors[x].type.quant is None:
        op = "quantize"
    else:
        op = "dequantize" if tensors[y].type.quant is None else "requantize"
    return Node(f"{y}/{op}", op, (x,), (y,), {}, origin)


def _strip(graph: Graph, dtype: DType) -> Graph:
    """The graph without conversions of its inputs and of its outputs that differ in type from `dtype`."""
    consumers, producers = graph.consumers(), graph.producers()
    tensors, nodes = dict(graph.tensors), list(graph.nodes)
    inputs, outputs = list(graph.inputs), list(graph.outputs)

    def fits(node: Node | None, inner: str) -> bool:
        """Whether the network goes on without a conversion behind which it calls the numbers `inner`."""
        known = node is not None and node.op in CONVERSIONS and inner not in (*inputs, *outputs)
        return known and (graph.type(inner).quant is not None or graph.type(inner).dtype is dtype)

    instead: dict[str, str] = {}  # of several equal conversions of an input the first stands for all
    for i, name in enumerate(inputs):
        users = consumers[name] if name not in outputs else []
        same = len({graph.type(user.outputs[0]) for user in users}) == 1
        if same and graph.type(name).dtype is not dtype and all(fits(u, u.outputs[0]) for u in users):
            inputs[i] = users[0].outputs[0]
            tensors[inputs[i]] = replace(tensors[inputs[i]], source=graph.tensors[name].source)
            instead |= {user.outputs[0]: inputs[i] for user in users}
            nodes = [n for n in nodes if n not in users]
    nodes = [replace(n, inputs=tuple(instead.get(t, t) for t in n.inputs)) for n in nodes]
    for i, name in enumerate(outputs):
        maker = producers.get(name) if not consumers[name] else None
        if maker and graph.type(name).dtype is not dtype and fits(maker, maker.inputs[0]):
            outputs[i] = maker.inputs[0]
            tensors[outputs[i]] = replace(tensors[outputs[i]], source=graph.tensors[name].source)
            nodes = [n for n in nodes if n.outputs != maker.outputs]
    stripped = replace(graph, inputs=tuple(inputs), outputs=tuple(outputs), tensors=tensors)
    return with_nodes(stripped, nodes)
