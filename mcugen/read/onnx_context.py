"""What an operator's import function works with: one ONNX node, and the graph as it is being made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from mcugen.errors import Fault
from mcugen.ir import Array, Node, Quant, Tensor, TensorType
from mcugen.ops import OPS
from mcugen.read.onnx_node import OnnxNode
from mcugen.read.quantized import Code, read_code
from mcugen.rewrite import index_makers

CHECK = "check the exporter; onnx.checker may say more"
ELEMENT_LIMIT = (
    1 << 28
)  # elements of one activation: far beyond any microcontroller, below any memory trouble


@dataclass(frozen=True)
class Window:
    """A sliding window in 2-D form: strides and dilations (h, w), pads (top, left, bottom, right)."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    declared_pads: tuple[int, int, int, int]  # without the cells that ceil_mode adds


class NodeFault(Exception):
    """One node cannot be imported; collected by the walker."""

    def __init__(self, fault: Fault, invalid: bool) -> None:
        super().__init__(str(fault))
        self.fault, self.invalid = fault, invalid


@dataclass
class Importer:
    """The context of import functions. Tensors are called as in the file; helpers append a suffix."""

    opset: int
    batch: int = 1  # the file's fixed batch, which is 1 here
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # name in the file -> tensor that stands for it
    coded: dict[str, Code] = field(default_factory=dict)  # quantized activations, by name in the file
    steps: dict[str, Array] = field(default_factory=dict)  # scales by element of dequantized constants
    stored: dict[str, str] = field(default_factory=dict)  # the file's types of constants that became float32

    # --- what a room asks ---

    def resolve(self, name: str) -> str:
        return self.names.get(name, name)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[self.resolve(name)].shape

    def value(self, name: str) -> Array | None:
        return self.tensors[self.resolve(name)].data

    def is_index(self, name: str) -> bool:
        """Whether a tensor holds indices of ArgMax or ArgMin, reshaped or not."""
        return self.resolve(name) in index_makers(self.nodes)

    def code(self, n: OnnxNode) -> Code:
        """The code that a QuantizeLinear or DequantizeLinear of an activation names."""
        return read_code(self, n)

    def scales(
        self, n: OnnxNode, index: int, axis: int, turn: Callable[[Array], Array] = lambda a: a
    ) -> Quant | None:
        """The scales that the file gives dequantized weights, one per index of `axis` once `turn` has moved them to
        where the operator has them; None for weights that are just real numbers."""
        steps = self.steps.get(n.inputs[index])
        if steps is None:
            return None
        rows = np.moveaxis(turn(steps), axis, 0)
        rows = rows.reshape(len(rows), -1)
        if rows.size == 0 or (rows != rows[:, :1]).any():
            fix = "quantize weights per tensor or per output channel"
            self.unsupported(n, "its weights' scales differ inside of an output channel", fix)
        return Quant(tuple(float(s) for s in rows[:, 0]), (0,) * len(rows), axis)

    def constant_input(self, n: OnnxNode, index: int, what: str) -> Array:
        """A constant float input, as float32."""
        if not n.has_input(index):
            self.invalid(n, f"input {index} ({what}) is missing")
        data = self.value(n.inputs[index])
        if data is None:
            self.unsupported(
                n,
                f"{what} are computed by the model, not constant",
                f"export with constant {what} (eval mode)",
            )
        with np.errstate(over="ignore"):
            result = np.asarray(data, np.float32)
        if not np.isfinite(result).all():
            self.invalid(n, f"{what} hold NaN or infinity")
        return result

    def ints(self, n: OnnxNode, index: int, attr: str) -> tuple[int, ...] | None:
        """Constant integers from an input (newer opsets) or an attribute (older); None if given in neither way."""
        if n.has_input(index):
            data = self.value(n.inputs[index])
            if data is None:
                self.unsupported(n, f"{attr} is computed at run time", "export with static shapes")
            return tuple(int(i) for i in np.asarray(data).reshape(-1))
        value = n.attr(attr)
        if value is None:
            return None
        return (int(value),) if isinstance(value, int) else tuple(int(i) for i in value)

    def axis(self, n: OnnxNode, axis: int, rank: int) -> int:
        if not -rank <= axis < rank:
            self.invalid(n, f"axis {axis} of a tensor with {rank} axes")
        return axis % rank

    # --- what a room makes ---

    def _fresh(self, name: str) -> str:
        unique, count = name, 1
        while unique in self.tensors:
            unique, count = f"{name}.{count}", count + 1
        return unique

    def add(self, n: OnnxNode, array: Array, quant: Quant | None = None) -> str:
        """A float32 constant, with the quantization that the file gives it."""
        name = self._fresh(f"{n.outputs[0]}/constant")
        data = np.ascontiguousarray(array, np.float32)
        self.tensors[name] = Tensor(name, TensorType(data.shape, quant=quant), data)
        return name

    def emit(
        self, n: OnnxNode, op: str, inputs: Sequence[str], attrs: Mapping[str, Any] | None = None
    ) -> str:
        """One node with one output, whose type the operator infers."""
        name = self._fresh(f"{n.outputs[0]}/{op}")
        names = tuple(self.resolve(i) for i in inputs)
        node = Node(name, op, names, (name,), dict(attrs or {}), n.origin)
        try:
            (ttype,) = OPS[op].infer(node, [self.tensors[i].type for i in names])
        except ValueError as error:
            self.invalid(n, str(error))
        if ttype.elements > ELEMENT_LIMIT or any(d < 1 for d in ttype.shape):
            self.invalid(n, f"an output of shape {list(ttype.shape)} makes no sense on a microcontroller")
        self.tensors[name] = Tensor(name, ttype, source=n.outputs[0])
        self.nodes.append(node)
        return name

    def called(self, tensor: str, old: str, source: str) -> None:
        """Say that a tensor made under the name of a node's first output is one of its others."""
        if source != old and self.tensors[tensor].source == old:
            self.tensors[tensor] = replace(self.tensors[tensor], source=source)

    def transpose(self, n: OnnxNode, x: str, perm: Sequence[int]) -> str:
        if sorted(perm) != list(range(len(self.shape(x)))):
            self.invalid(n, f"{list(perm)} is no permutation of the axes of {list(self.shape(x))}")
        if tuple(perm) == tuple(range(len(perm))):
            return self.resolve(x)
        return self.emit(n, "transpose", [x], {"perm": tuple(int(p) for p in perm)})

    def reshape(self, n: OnnxNode, x: str, shape: Sequence[int]) -> str:
        if tuple(shape) == self.shape(x):
            return self.resolve(x)
        return self.emit(n, "reshape", [x], {"shape": tuple(int(s) for s in shape)})

    def to_channels_last(self, n: OnnxNode, x: str) -> str:
        """[N, C, H, W] or [N, C, L] to [N, H, W, C] or [N, L, 1, C]."""
        shape = self.shape(x)
        if len(shape) == 3:
            x = self.reshape(n, x, (*shape, 1))
        elif len(shape) != 4:
            self.unsupported(n, f"an input with {len(shape)} axes is not supported", "use 1-D or 2-D layers")
        return self.transpose(n, x, (0, 2, 3, 1))

    def from_channels_last(self, n: OnnxNode, y: str, rank: int) -> str:
        nchw = self.transpose(n, y, (0, 3, 1, 2))
        return self.reshape(n, nchw, self.shape(nchw)[:3]) if rank == 3 else nchw

    def window(self, n: OnnxNode, spatial: Sequence[int], kernel: Sequence[int]) -> Window:
        """Strides, dilations and padding in 2-D form from attributes, auto_pad and ceil_mode."""
        rank = len(spatial)
        if rank not in (1, 2) or len(kernel) != rank:
            self.unsupported(n, f"a {len(kernel)}-D window is not supported", "use 1-D or 2-D layers")
        declared = n.attr("kernel_shape")
        if declared is not None and tuple(declared) != tuple(kernel):
            self.invalid(n, f"kernel_shape {list(declared)} contradicts the weights' {list(kernel)}")
        strides = tuple(n.attr("strides") or (1,) * rank)
        dilations = tuple(n.attr("dilations") or (1,) * rank)
        pads = tuple(n.attr("pads") or (0,) * (2 * rank))
        if len(strides) != rank or len(dilations) != rank or len(pads) != 2 * rank:
            self.invalid(n, "strides, dilations or pads do not have the kernel's number of axes")
        if min((*strides, *dilations, *kernel)) < 1 or min(pads) < 0:
            self.invalid(n, "strides, dilations and kernel must be at least 1, pads at least 0")
        if max((*strides, *dilations, *kernel, *pads)) > 1 << 16:
            self.invalid(n, "strides, dilations, kernel or pads beyond 65536")
        auto = n.attr("auto_pad", "NOTSET") or "NOTSET"
        before, after, declared_after = [], [], []
        for i in range(rank):
            extent = (kernel[i] - 1) * dilations[i] + 1
            b, a = int(pads[i]), int(pads[rank + i])
            if auto in ("SAME_UPPER", "SAME_LOWER"):
                total = max(0, (-(-spatial[i] // strides[i]) - 1) * strides[i] + extent - spatial[i])
                b = total // 2 if auto == "SAME_UPPER" else total - total // 2
                a = total - b
            elif auto == "VALID":
                b = a = 0
            elif auto != "NOTSET":
                self.invalid(n, f"auto_pad {auto!r} is unknown")
            declared_after.append(a)
            if n.attr("ceil_mode", 0):
                out = -(-(spatial[i] + b + a - extent) // strides[i]) + 1
                if (out - 1) * strides[i] >= spatial[i] + b:  # a window that begins beyond the input
                    out -= 1
                a = max(a, (out - 1) * strides[i] + extent - spatial[i] - b)
            before.append(b)
            after.append(a)
        one = (1,) if rank == 1 else ()
        zero = (0,) if rank == 1 else ()

        def pair(values: Sequence[int], fill: tuple[int, ...]) -> tuple[int, int]:
            first, second = (*(int(v) for v in values), *fill)
            return first, second

        (t, left), (bottom, right) = pair(before, zero), pair(after, zero)
        declared_bottom, declared_right = pair(declared_after, zero)
        return Window(
            pair(kernel, one),
            pair(strides, one),
            pair(dilations, one),
            (t, left, bottom, right),
            (t, left, declared_bottom, declared_right),
        )

    def unsupported(self, n: OnnxNode, why: str, fix: str) -> NoReturn:
        raise NodeFault(Fault(n.origin, why, fix), invalid=False)

    def invalid(self, n: OnnxNode, why: str) -> NoReturn:
        raise NodeFault(Fault(n.origin, why, CHECK), invalid=True)
