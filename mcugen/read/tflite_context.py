"""What import functions of .tflite operators get: the operator, and the graph that is being made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from mcugen.errors import Fault
from mcugen.ir import Array, DType, Node, Tensor, TensorType
from mcugen.ops import OPS
from mcugen.read.tflite_file import ELEMENT_LIMIT

CLAMPS = {
    "NONE": (-math.inf, math.inf),
    "RELU": (0.0, math.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


@dataclass(frozen=True)
class TfliteNode:
    """One operator of the file. Omitted optional inputs are ""; tensors by their (unique) names."""

    op_type: str
    index: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    intermediates: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        return f"tflite:{self.op_type} #{self.index}"

    def has_input(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] != ""


class OperatorFault(Exception):
    """One operator cannot be imported; collected by the walker."""

    def __init__(self, fault: Fault, invalid: bool) -> None:
        super().__init__(str(fault))
        self.fault, self.invalid = fault, invalid


@dataclass
class TfliteImporter:
    """The context of import functions: tensors are called as in the file and have the file's types."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # name in the file -> tensor that stands for it
    variables: frozenset[str] = frozenset()  # tensors that keep their values between runs
    signatures: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # shapes with -1 where unknown
    finite: dict[str, bool] = field(default_factory=dict)  # whether a constant has neither NaN nor infinity
    handles: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # of variables: container and name by tensor
    states: dict[object, str] = field(default_factory=dict)  # tensors that keep values, by handle or own name
    folded: int = 0  # elements of all folded constants

    # --- what a room asks ---

    def resolve(self, name: str) -> str:
        return self.names.get(name, name)

    def type(self, name: str) -> TensorType:
        tensor = self.tensors.get(self.resolve(name))
        if tensor is None:  # a resource
            why = "holds a resource, which only operators on variables could use"
            raise OperatorFault(Fault(f"tensor {name!r}", why, "convert the model again"), invalid=True)
        return tensor.type

    def shape(self, name: str) -> tuple[int, ...]:
        return self.type(name).shape

    def value(self, name: str) -> Array | None:
        return self.tensors[self.resolve(name)].data

    def is_quantized(self, name: str) -> bool:
        """Whether a tensor has integer elements that stand for real numbers."""
        return self.type(name).quant is not None and self.type(name).dtype != DType.FLOAT32

    def constant_input(self, n: TfliteNode, index: int, what: str) -> Array:
        """A constant input in the file's dtype, or the user's error."""
        if not n.has_input(index):
            self.invalid(n, f"input {index} ({what}) is missing")
        data = self.value(n.inputs[index])
        if data is None:
            self.unsupported(
                n, f"{what}: computed by the model, not constant", "convert with constant values"
            )
        name = n.inputs[index]
        if data.dtype.kind == "f" and name not in self.finite:
            self.finite[name] = bool(np.isfinite(data).all())
        if not self.finite.get(name, True):
            self.invalid(n, f"{what}: NaN or infinity")
        return data

    def ints(self, n: TfliteNode, index: int) -> tuple[int, ...] | None:
        """Constant integers of an input; None if it is omitted."""
        if not n.has_input(index):
            return None
        data = self.constant_input(n, index, f"input {index}")
        if data.dtype.kind not in "iu":
            self.invalid(n, f"input {index} holds {data.dtype}, not integers")
        return tuple(int(i) for i in data.reshape(-1))

    def axis(self, n: TfliteNode, axis: int, rank: int) -> int:
        if not -rank <= axis < rank:
            self.invalid(n, f"axis {axis} of a tensor with {rank} axes")
        return axis % rank

    def clamp(self, n: TfliteNode) -> tuple[float, float]:
        """The real bounds of the fused activation."""
        name = n.options.get("fused_activation_function", "NONE")
        if name not in CLAMPS:
            self.unsupported(n, f"the fused activation {name} is not supported", "use RELU, RELU6 or none")
        return CLAMPS[name]

    def pads(
        self,
        n: TfliteNode,
        spatial: Sequence[int],
        kernel: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
    ) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of the option `padding`; the odd cell of SAME comes after."""
        if min((*kernel, *strides, *dilations)) < 1 or max((*kernel, *strides, *dilations)) > 1 << 16:
            self.invalid(n, "strides, dilations and kernel must lie in 1 .. 65536")
        if n.options.get("padding") == "VALID":
            return 0, 0, 0, 0
        if n.options.get("padding") != "SAME":
            self.invalid(n, f"padding {n.options.get('padding')} is unknown")
        before, after = [], []
        for size, k, stride, dilation in zip(spatial, kernel, strides, dilations, strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
            before.append(total // 2)
            after.append(total - total // 2)
        return before[0], before[1], after[0], after[1]

    def image(self, n: TfliteNode, x: str) -> tuple[int, int, int]:
        """Height, width and channels of an activation [1, H, W, C]; reports any other."""
        shape = self.shape(x)
        if len(shape) != 4:
            self.invalid(n, f"an input of the shape {list(shape)}, not [1, height, width, channels]")
        if shape[0] != 1:
            self.unsupported(n, f"a batch of {shape[0]} is not supported", "convert with a batch of 1")
        return shape[1], shape[2], shape[3]

    def require_int8(self, n: TfliteNode, *names: str) -> None:
        """Report tensors that are not int8 with one scale."""
        for name in names:
            ttype = self.type(name)
            if ttype.dtype != DType.INT8:
                self.unsupported(n, f"{name!r} is {ttype.dtype}, not int8", "convert the model to int8")
            if ttype.quant is None or ttype.quant.axis is not None:
                self.invalid(n, f"{name!r} needs one scale and zero point")

    def require_integers(self, n: TfliteNode, *names: str) -> None:
        """Report tensors that are not all int8, or all int16 with the zero point 0, each with one scale."""
        if self.type(names[0]).dtype != DType.INT16:
            self.require_int8(n, *names)
            return
        for name in names:
            ttype = self.type(name)
            if ttype.dtype != DType.INT16:
                self.unsupported(n, f"{name!r} is {ttype.dtype} beside int16", "convert the model again")
            if ttype.quant is None or ttype.quant.axis is not None or ttype.zero_point:
                self.invalid(n, f"{name!r}, of int16, needs one scale and the zero point 0")

    def handled_state(self, n: TfliteNode, handle: str, ttype: TensorType) -> str:
        """The state behind a handle, whose type is that of all values that it gives and takes."""
        if handle not in self.handles:
            self.invalid(n, f"{handle!r} is no variable's handle")
        key = self.handles[handle]
        if key not in self.states:
            name = self.fresh("/".join(filter(None, key)) or "variable")
            self.tensors[name] = Tensor(name, ttype, source=name)
            self.states[key] = name
        name = self.states[key]
        if self.tensors[name].type != ttype:
            self.invalid(n, f"variable {key[-1]!r} has values of several shapes, scales or zero points")
        return name

    def own_state(self, n: TfliteNode, index: int, what: str) -> str:
        """The input `index`, a tensor that keeps its values between runs and belongs to this operator."""
        name = n.inputs[index] if n.has_input(index) else ""
        if name not in self.variables or name in self.states:
            self.invalid(n, f"input {index} ({what}) is no variable tensor of its own")
        self.states[name] = name
        return name

    # --- what a room makes ---

    def fresh(self, name: str) -> str:
        unique, count = name, 1
        while unique in self.tensors:
            unique, count = f"{name}.{count}", count + 1
        return unique

    def add(self, n: TfliteNode, array: Array, ttype: TensorType | None = None) -> str:
        """A constant; by default of the array's dtype, without quantization."""
        data = np.asarray(array, order="C")
        name = self.fresh(f"{n.outputs[0]}/constant")
        made = ttype or TensorType(data.shape, DType(data.dtype.name))
        self.tensors[name] = Tensor(name, made, data)
        return name

    def emit(
        self,
        n: TfliteNode,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any] | None = None,
        out: int = 0,
        outputs: Sequence[str] | None = None,
    ) -> str:
        """A node that writes the file's output tensor n.outputs[out] (or several: `outputs`), whose types are
        the file's; the shapes must be what the operator infers. Returns the (first) output's name."""
        return self._node(n, op, inputs, attrs, tuple(outputs) if outputs else (n.outputs[out],))

    def emit_typed(
        self,
        n: TfliteNode,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any] | None,
        ttype: TensorType,
        out: int = 0,
    ) -> str:
        """A node that writes an intermediate tensor of the given type, on the way to n.outputs[out]."""
        source = n.outputs[out] if n.outputs else ""
        name = self.fresh(f"{source or n.inputs[0]}/{op}")
        self.tensors[name] = Tensor(name, ttype, source=source)
        return self._node(n, op, inputs, attrs, (name,))

    def _node(
        self,
        n: TfliteNode,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any] | None,
        outputs: tuple[str, ...],
    ) -> str:
        names = tuple(self.resolve(i) for i in inputs)
        node = Node(outputs[0], op, names, outputs, dict(attrs or {}), n.origin)
        try:
            types = OPS[op].infer(node, [self.tensors[i].type for i in names])
        except (ValueError, IndexError) as error:  # IndexError: a tensor with fewer axes than it needs
            self.invalid(n, str(error))
        for name, ttype in zip(outputs, types, strict=True):
            self._declare(n, name, ttype.shape)
        self.nodes.append(node)
        return outputs[0]

    def set_shape(self, n: TfliteNode, out: int, shape: Sequence[int]) -> None:
        """Say what shape the output n.outputs[out] has: the file's, unless the file leaves it open."""
        self._declare(n, n.outputs[out], tuple(shape))

    def _declare(self, n: TfliteNode, name: str, shape: tuple[int, ...]) -> None:
        tensor = self.tensors[name]
        if tensor.shape == shape:
            return
        open_shape = self.signatures.get(name, ())
        fits = len(open_shape) == len(shape) and all(
            a in (-1, b) for a, b in zip(open_shape, shape, strict=True)
        )
        if not fits or math.prod(shape) > ELEMENT_LIMIT:
            self.invalid(
                n, f"output {name!r} is declared {list(tensor.shape)}, but computed as {list(shape)}"
            )
        self.tensors[name] = replace(tensor, type=replace(tensor.type, shape=shape))

    def reshape(self, n: TfliteNode, x: str, shape: Sequence[int]) -> str:
        """An intermediate with x's type and another shape; x itself where it has that shape."""
        if tuple(shape) == self.shape(x):
            return self.resolve(x)
        shape, value = tuple(int(s) for s in shape), self.value(x)
        old = self.type(x)
        if value is not None and (old.quant is None or old.quant.axis is None):
            return self.add(n, value.reshape(shape), replace(old, shape=shape))
        return self.emit_typed(n, "reshape", [x], {"shape": shape}, TensorType(shape, old.dtype, old.quant))

    def transpose(self, n: TfliteNode, x: str, perm: Sequence[int]) -> str:
        """An intermediate with x's type whose axis i is x's axis perm[i]; x itself where nothing moves."""
        if tuple(perm) == tuple(range(len(perm))):
            return self.resolve(x)
        perm, old = tuple(int(p) for p in perm), self.type(x)
        shape = tuple(old.shape[p] for p in perm)
        return self.emit_typed(n, "transpose", [x], {"perm": perm}, TensorType(shape, old.dtype, old.quant))

    def unsupported(self, n: TfliteNode, why: str, fix: str) -> NoReturn:
        raise OperatorFault(Fault(n.origin, why, fix), invalid=False)

    def invalid(self, n: TfliteNode, why: str) -> NoReturn:
        raise OperatorFault(Fault(n.origin, why, "convert the model again"), invalid=True)
