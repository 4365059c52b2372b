"""Small integer and float graphs for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mcugen.ir import Array, Attr, DType, Graph, Node, Quant, Tensor, TensorType


def int8_type(shape: Sequence[int], scale: float = 1.0, zero_point: int = 0) -> TensorType:
    """An int8 activation's type, quantized per tensor; the scale is rounded to float32 as everywhere."""
    return TensorType(tuple(shape), DType.INT8, Quant((float(np.float32(scale)),), (int(zero_point),)))


def int16_type(shape: Sequence[int], scale: float = 1.0) -> TensorType:
    """An int16 activation's type, whose zero point is 0."""
    return TensorType(tuple(shape), DType.INT16, Quant((float(np.float32(scale)),), (0,)))


def int8_constant(data: Array, scale: float = 1.0, zero_point: int = 0) -> Tensor:
    """An int8 constant operand, quantized per tensor."""
    return Tensor("", int8_type(data.shape, scale, zero_point), np.asarray(data, np.int8))


def one_node_graph(
    op: str,
    inputs: Sequence[TensorType | Tensor],
    attrs: Mapping[str, Attr],
    output: TensorType | Sequence[TensorType],
    states: Sequence[int] = (),
) -> Graph:
    """A graph of one node. `states`: which of the inputs persist between runs. Of the others, types become
    activations and inputs of the graph, tensors with data constants.

    Tensors are named x0, x1, ... in the order of the node's inputs (constants that have a name keep it);
    outputs y, or y0, y1, ... where `output` is a sequence.
    """
    tensors: dict[str, Tensor] = {}
    for i, item in enumerate(inputs):
        tensor = Tensor(f"x{i}", item) if isinstance(item, TensorType) else item
        named = replace(tensor, name=tensor.name or f"x{i}")
        tensors[named.name] = named
    names = tuple(tensors)
    kept = tuple(names[i] for i in states)
    fed = tuple(name for name, tensor in tensors.items() if tensor.data is None and name not in kept)
    single = isinstance(output, TensorType)
    types = (output,) if isinstance(output, TensorType) else tuple(output)
    outputs = ("y",) if single else tuple(f"y{i}" for i in range(len(types)))
    tensors |= {name: Tensor(name, ttype) for name, ttype in zip(outputs, types, strict=True)}
    node = Node("node", op, names, outputs, dict(attrs), origin=f'onnx:{op} "node"')
    return Graph("one_node", fed, outputs, (node,), tensors, kept)


def random_int8(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """int8 values over the whole range, its two ends among them where there is room."""
    x = rng.integers(-128, 128, tuple(shape)).astype(np.int8)
    flat = x.reshape(-1)
    if flat.size >= 4:
        flat[rng.permutation(flat.size)[:2]] = (-128, 127)
    return x


def as_float(graph: Graph, weights: DType = DType.FLOAT32) -> Graph:
    """An integer graph of tests with float32 activations and constants in their place; matrices and kernels are
    stored as `weights`, float32 or float16."""

    def changed(tensor: Tensor) -> Tensor:
        if tensor.type.dtype not in (DType.INT8, DType.INT32):
            return tensor
        dtype = weights if tensor.data is not None and len(tensor.shape) > 1 else DType.FLOAT32
        data = None if tensor.data is None else (tensor.data * 0.013).astype(dtype.numpy)
        return replace(tensor, type=TensorType(tensor.shape, dtype), data=data)

    return replace(graph, tensors={name: changed(t) for name, t in graph.tensors.items()})


def as_int16(graph: Graph, bias: DType = DType.INT64) -> Graph:
    """An int8 graph of tests with int16 activations, which have zero point 0, and biases of the type `bias`."""

    def changed(tensor: Tensor) -> Tensor:
        ttype = tensor.type
        if ttype.dtype is DType.INT32 and tensor.data is not None:
            return replace(tensor, type=replace(ttype, dtype=bias), data=tensor.data.astype(bias.numpy))
        if ttype.dtype is not DType.INT8 or ttype.quant is None or ttype.quant.axis is not None:
            return tensor
        data = None if tensor.data is None else (tensor.data.astype(np.int16) * 255)
        return replace(
            tensor, type=TensorType(ttype.shape, DType.INT16, Quant((ttype.scale,), (0,))), data=data
        )

    return replace(graph, tensors={name: changed(t) for name, t in graph.tensors.items()})


def random_int16(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """int16 values over the whole range, its two ends among them where there is room."""
    x = rng.integers(-32768, 32768, tuple(shape)).astype(np.int16)
    flat = x.reshape(-1)
    if flat.size >= 4:
        flat[rng.permutation(flat.size)[:2]] = (-32768, 32767)
    return x
