"""The one graph class, for float, quantized and mixed graphs: a tensor's type says what it is.

Everything is frozen: a pass takes a graph and returns another. Activations keep the model's batch
axis (always 1) as their first axis and are channels-last (NHWC) once normalised.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Attr = Any  # int, float, str, bool, None or a (nested) tuple of these: what JSON can hold


class DType(StrEnum):
    """Element types, by their numpy names."""

    BOOL = "bool"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT16 = "float16"
    FLOAT32 = "float32"

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.value)

    @property
    def size(self) -> int:
        """Bytes of one element."""
        return self.numpy.itemsize


@dataclass(frozen=True)
class Quant:
    """real = scale * (q - zero_point). One entry, or one per index of `axis`. Scales are float32 values."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None


@dataclass(frozen=True)
class TensorType:
    """`integers`: of a float32 activation with a `quant`, what it is to become (normalise/annotations.py)."""

    shape: tuple[int, ...]
    dtype: DType = DType.FLOAT32
    quant: Quant | None = None
    integers: DType = DType.INT8

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * self.dtype.size

    @property
    def scale(self) -> float:
        """The per-tensor scale; only for a tensor quantized per tensor."""
        assert self.quant is not None and self.quant.axis is None
        return self.quant.scale[0]

    @property
    def rest(self) -> int:
        """The integer that a state of this type holds after a reset: TFLM fills int8 with the zero point."""
        return self.zero_point if self.dtype is DType.INT8 and self.quant is not None else 0

    @property
    def zero_point(self) -> int:
        """The per-tensor zero point; only for a tensor quantized per tensor."""
        assert self.quant is not None and self.quant.axis is None
        return self.quant.zero_point[0]


@dataclass(frozen=True)
class Channels:
    """Which channels (indices along the last axis) of the source tensor are left, and where the others went."""

    total: int
    kept: tuple[int, ...]
    constant: tuple[tuple[int, int], ...] = ()  # (channel, its one integer value)
    dead: tuple[int, ...] = ()  # read by nobody: not computed


@dataclass(frozen=True, eq=False)
class Tensor:
    """An activation (data is None) or a constant. `source` is its name in the model file."""

    name: str
    type: TensorType
    data: Array | None = None
    source: str = ""
    channels: Channels | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape


@dataclass(frozen=True, eq=False)
class Node:
    """One operator. `origin` says where it came from (`onnx:Conv "pw1"`), `fused` what it swallowed."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Attr] = field(default_factory=dict)
    origin: str = ""
    fused: tuple[str, ...] = ()

    def with_attrs(self, **attrs: Attr) -> Node:
        return replace(self, attrs={**self.attrs, **attrs})


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in execution order; every name a node uses is in `tensors`.

    `states` are tensors without data that persist between runs: nodes read them as inputs, and those that change
    them say so (`Op.updates`).
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    states: tuple[str, ...] = ()

    def type(self, tensor: str) -> TensorType:
        return self.tensors[tensor].type

    def constant(self, tensor: str) -> Array:
        """The values of a constant tensor; asserts that it is one."""
        data = self.tensors[tensor].data
        assert data is not None, f"{tensor} is not constant"
        return data

    def is_constant(self, tensor: str) -> bool:
        return self.tensors[tensor].data is not None

    def producers(self) -> dict[str, Node]:
        return {output: node for node in self.nodes for output in node.outputs}

    def consumers(self) -> dict[str, list[Node]]:
        """Nodes that read each tensor, once per node, in execution order."""
        users: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                users[name].append(node)
        return users
