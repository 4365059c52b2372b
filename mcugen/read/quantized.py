"""Quantized ONNX: the code of integer tensors, and operators on integers as DequantizeLinear, operator, QuantizeLinear.

A quantized activation is a float tensor in our graph, with the `Code` of its integers kept beside it by the name it
has in the file. QLinearConv and its like, and MaxPool, Reshape, Clip and so on of integers, are taken apart into
DequantizeLinear, the operator on real numbers, and QuantizeLinear, so that there is one way of import. A dequantized
constant remembers the scale of each of its elements, from which the integers are found again after it was moved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

from mcugen.ir import Array, DType, Tensor, TensorType
from mcugen.read.onnx_node import OnnxNode

if TYPE_CHECKING:
    from mcugen.read.onnx_context import Importer

# Of constants: their elements only move.
MOVES_CONSTANTS = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Slice"})
# Of activations: what comes out are integers that went in.
_MOVES = MOVES_CONSTANTS | frozenset(
    {"MaxPool", "Concat", "Gather", "Split", "Pad", "Expand", "DepthToSpace", "SpaceToDepth"}
)
_MICROSOFT = "com.microsoft."
LARGEST = float(np.finfo(np.float32).max)
# They round activations with scales that they compute.
DYNAMIC = ("DynamicQuantizeLinear", f"{_MICROSOFT}DynamicQuantizeMatMul")


@dataclass(frozen=True)
class Code:
    """How a quantized activation's integers are to be read. `zero_point`: of the signed form, that is uint8 - 128."""

    scale: float
    zero_point: int
    dtype: DType
    names: tuple[str, str] = ("", "")  # constants of the file: scale and zero point
    real: str = ""  # the tensor that was quantized
    origin: str = ""
    dynamic: bool = (
        False  # computed while the model runs: the real numbers stand for the integers, with scale 1
    )

    @property
    def signed(self) -> DType:
        """The elements of the tensor that will hold it."""
        return DType.INT8 if self.dtype is DType.UINT8 else self.dtype

    @property
    def file_zero_point(self) -> int:
        """The zero point as the file has it."""
        return self.zero_point + (128 if self.dtype is DType.UINT8 else 0)

    def __str__(self) -> str:
        return f"{self.dtype} with scale {self.scale:.9g} and zero point {self.file_zero_point}"


def read_code(ctx: Importer, n: OnnxNode) -> Code:
    """The code that a QuantizeLinear or DequantizeLinear of an activation names."""
    scale, zero = ctx.value(n.inputs[1]), ctx.value(n.inputs[2]) if n.has_input(2) else None
    if scale is None or (n.has_input(2) and zero is None):
        fix = "quantize with constant scales (static quantization)"
        ctx.unsupported(n, "its scale or zero point is computed by the model", fix)
    if zero is not None and zero.size != scale.size:
        ctx.invalid(n, f"{zero.size} zero points for {scale.size} scales")
    if scale.size != 1:
        fix = "quantize activations per tensor"
        ctx.unsupported(n, f"an activation with {scale.size} scales is not supported", fix)
    dtype = "uint8" if zero is None else ctx.stored.get(n.inputs[2], zero.dtype.name)
    if zero is None and n.op_type == "DequantizeLinear" and n.inputs[0] in ctx.coded:
        dtype = ctx.coded[n.inputs[0]].dtype.value
    elif zero is None and n.attr("output_dtype"):
        dtype = helper.tensor_dtype_to_np_dtype(n.attr("output_dtype")).name
    if dtype not in ("int8", "uint8", "int16"):
        fix = "quantize activations to int8, uint8 or int16"
        ctx.unsupported(n, f"{dtype} activations are not supported", fix)
    number = float(np.float32(scale.reshape(())))
    if not np.isfinite(number) or number <= 0.0:
        ctx.invalid(n, f"the scale {number:g} is no positive number")
    if number > LARGEST / (
        1 << 17
    ):  # its steps, 16 bits of them, and their differences are to be numbers of float32
        ctx.invalid(n, f"the scale {number:g} is too large for float32")
    shift = 128 if dtype == "uint8" else 0
    point = (0 if zero is None else int(zero.reshape(()))) - shift
    if dtype == "int16" and point != 0:
        fix = "quantize activations symmetrically (onnxruntime: ActivationSymmetric)"
        ctx.unsupported(n, f"int16 activations have the zero point 0, not {point}", fix)
    names = (n.inputs[1], n.inputs[2] if n.has_input(2) else "")
    code = Code(number, point, DType(dtype), names, n.inputs[0], n.origin)
    other = next((c for c in ctx.coded.values() if c.signed is not code.signed and not c.dynamic), None)
    if other is not None:
        fix = "quantize all activations to 8 bits or all to 16"
        ctx.unsupported(n, f"its activation is {code.dtype}, that of {other.origin} {other.dtype}", fix)
    return code


INPUTS = (
    "int8",
    "uint8",
    "int16",
)  # of a model, where a DequantizeLinear or QLinear operator says what they mean


def quantized_input(name: str, real: str, dtype: int, nodes: Sequence[OnnxNode]) -> OnnxNode | None:
    """The QuantizeLinear that makes a model's integer input `name` (ONNX element type `dtype`) of the tensor `real`, as
    its first reader reads it; None if none of them says how."""
    for n in nodes:
        coded = n.op_type == "DequantizeLinear" or "QLinear" in n.op_type or n.op_type.endswith(".QGemm")
        if not coded or name not in n.inputs:
            continue
        place = n.inputs.index(name)
        scale, zero = (n.inputs[i] if n.has_input(i) else "" for i in (place + 1, place + 2))
        inputs = (real, scale, zero) if zero else (real, scale)
        attrs: dict[str, Any] = {} if zero else {"output_dtype": dtype}
        proto = helper.make_node("QuantizeLinear", inputs, [name], f"input {name}", **attrs)
        return OnnxNode("QuantizeLinear", f"input {name}", inputs, (name,), attrs, proto)
    return None


def dequantize_constant(ctx: Importer, n: OnnxNode) -> list[Array]:
    """The value of a DequantizeLinear of a constant; the scale of each element goes to `ctx.steps`."""
    data, scale = ctx.value(n.inputs[0]), ctx.value(n.inputs[1])
    zero = ctx.value(n.inputs[2]) if n.has_input(2) else None
    assert data is not None and scale is not None
    if not (np.isfinite(scale).all() and (np.asarray(scale) > 0).all()):
        ctx.invalid(n, "a scale is no positive number")
    types = [
        ctx.stored.get(name, value.dtype.name)
        for name, value in zip(n.inputs[::2], (data, zero), strict=False)
        if value is not None
    ]
    if len(set(types)) > 1:
        ctx.invalid(n, f"the zero point is {types[1]}, the data are {types[0]}")
    if zero is not None and zero.size != scale.size:
        ctx.invalid(n, f"{zero.size} zero points for {scale.size} scales")
    if n.attr("block_size", 0):
        ctx.unsupported(n, "a scale per block is not supported", "quantize per tensor or per channel")
    shape = [1] * data.ndim
    if scale.size != 1:
        axis = ctx.axis(n, int(n.attr("axis", 1)), data.ndim)
        if scale.shape != (data.shape[axis],):
            ctx.invalid(
                n, f"{scale.size} scales for axis {axis} of {list(data.shape)}, which has {data.shape[axis]}"
            )
        shape[axis] = scale.size
    steps = np.broadcast_to(np.asarray(scale, np.float32).reshape(shape), data.shape)
    points = 0 if zero is None else zero.astype(np.int64).reshape(shape)
    ctx.steps[n.outputs[0]] = steps
    with np.errstate(over="ignore"):  # an infinity is refused where it is read
        return [((data.astype(np.int64) - points).astype(np.float32) * steps).astype(np.float32)]


@dataclass
class _Parts:
    """The nodes that stand for one node of the file."""

    ctx: Importer
    n: OnnxNode
    nodes: list[OnnxNode] = field(default_factory=list)

    def fresh(self, what: str) -> str:
        name = f"{self.n.outputs[0]}/{what}"
        used = {o for node in self.nodes for o in node.outputs}
        while name in self.ctx.tensors or name in self.ctx.names or name in used:
            name += "'"
        return name

    def put(self, op: str, inputs: Sequence[str], outputs: Sequence[str] = (), **attrs: Any) -> str:
        """Append a node; gives its first output."""
        outputs = outputs or (self.fresh(op),)
        proto = helper.make_node(op, list(inputs), list(outputs), self.n.name, **attrs)
        node = OnnxNode(op, self.n.name, tuple(inputs), tuple(outputs), attrs, proto, self.n.op_type)
        self.nodes.append(node)
        return outputs[0]

    def real(self, i: int, axis: int = 0) -> str:
        """Input i as real numbers; its scale and zero point are the two inputs behind it."""
        return self.put("DequantizeLinear", self.triple(i), axis=axis)

    def triple(self, i: int) -> tuple[str, ...]:
        return tuple(self.n.inputs[j] if self.n.has_input(j) else "" for j in (i, i + 1, i + 2))

    def quantize(self, y: str, i: int) -> None:
        """The node's output from y; inputs i and i + 1 are scale and zero point."""
        self.put("QuantizeLinear", (y, *self.triple(i)[:2]), self.n.outputs)

    def constant(self, value: Array, what: str, name: str = "") -> str:
        name = name or self.fresh(what)
        self.ctx.tensors[name] = Tensor(name, TensorType(value.shape, DType(value.dtype.name)), value, name)
        return name

    def kept(self, *names: str) -> dict[str, Any]:
        """Attributes of the node that its operator on real numbers has, too."""
        return {a: v for a, v in self.n.attrs.items() if a in names or not names}


_WINDOW = (
    "auto_pad",
    "dilations",
    "group",
    "kernel_shape",
    "pads",
    "strides",
    "ceil_mode",
    "count_include_pad",
)


def _conv(p: _Parts) -> None:
    """QLinearConv [x, sx, zx, w, sw, zw, sy, zy, bias]; the bias has the scale sx * sw."""
    inputs = [p.real(0), p.real(3)]
    if p.n.has_input(8):
        scale = p.put("Mul", (p.n.inputs[1], p.n.inputs[4]))
        inputs.append(p.put("DequantizeLinear", (p.n.inputs[8], scale), axis=0))
    p.quantize(p.put("Conv", inputs, **p.kept(*_WINDOW)), 6)


def _matmul(p: _Parts) -> None:
    """QLinearMatMul [a, sa, za, b, sb, zb, sy, zy]."""
    p.quantize(p.put("MatMul", (p.real(0, -2), p.real(3, -1))), 6)


def _gemm(p: _Parts) -> None:
    """QGemm [a, sa, za, b, sb, zb, c, sy, zy]; c has the scale sa * sb; without sy the result is real."""
    if p.n.attr("alpha", 1.0) != 1.0:
        p.ctx.unsupported(p.n, "alpha is not 1", "multiply the weights before")
    inputs = [p.real(0), p.real(3, 0 if p.n.attr("transB", 0) else 1)]
    if p.n.has_input(6):
        scale = p.put("Mul", (p.n.inputs[1], p.n.inputs[4]))
        inputs.append(p.put("DequantizeLinear", (p.n.inputs[6], scale), axis=-1))
    quantized = p.n.has_input(7)
    y = p.put("Gemm", inputs, () if quantized else p.n.outputs, **p.kept("transA", "transB"))
    if quantized:
        p.quantize(y, 7)


def _binary(op: str) -> Callable[[_Parts], None]:
    return lambda p: p.quantize(p.put(op, (p.real(0), p.real(3))), 6)


def _single(op: str, *attrs: str) -> Callable[[_Parts], None]:
    def expand(p: _Parts) -> None:
        if p.n.attr("channels_last", 0):
            p.ctx.unsupported(p.n, "channels_last is not supported", "quantize the model channels first")
        p.quantize(p.put(op, (p.real(0),), **(p.kept(*attrs) if attrs else {})), 3)

    return expand


def _concat(p: _Parts) -> None:
    """QLinearConcat [sy, zy, then x, sx, zx for each input]."""
    inputs = [p.real(i) for i in range(2, len(p.n.inputs), 3)]
    p.quantize(p.put("Concat", inputs, **p.kept("axis")), 0)


def _where(p: _Parts) -> None:
    p.quantize(p.put("Where", (p.n.inputs[0], p.real(1), p.real(4))), 7)


def _dynamic(p: _Parts) -> None:
    """DynamicQuantizeLinear x -> y, scale, zero point: y is x itself, with scale 1."""
    outputs = [*p.n.outputs, "", ""]
    p.put("Identity", p.n.inputs, outputs[:1])
    scale = p.constant(np.array(1.0, np.float32), "scale", outputs[1])
    zero = p.constant(np.array(0, np.uint8), "zero", outputs[2])
    x, origin = p.n.inputs[0], p.n.origin
    p.ctx.coded[outputs[0]] = Code(1.0, 0, DType.UINT8, (scale, zero), x, origin, dynamic=True)


def _integer(op: str, axis: int) -> Callable[[_Parts], None]:
    """ConvInteger and MatMulInteger [x, w, zx, zw]: sums of (x - zx) (w - zw), scaled later."""

    def expand(p: _Parts) -> None:
        operands, factor = [], 1.0
        for i in (0, 1):
            name, zero = p.n.inputs[i], p.n.inputs[i + 2] if p.n.has_input(i + 2) else ""
            code = p.ctx.coded.get(name)
            if code is None:
                points = p.ctx.value(zero) if zero else None
                count = 1 if points is None else points.size
                scale = p.constant(np.ones(count if count != 1 else (), np.float32), f"ones{i}")
                operands.append(p.put("DequantizeLinear", (name, scale, zero), axis=axis))
            else:
                operands.append(p.put("DequantizeLinear", (name, *code.names)))
                factor /= code.scale
        if factor == 1.0:
            p.put(op, operands, p.n.outputs, **p.kept())
        else:
            scaled = p.constant(np.array(factor, np.float32), "factor")
            p.put("Mul", (p.put(op, operands, **p.kept()), scaled), p.n.outputs)

    return expand


def _to_float(p: _Parts) -> None:
    """MatMulIntegerToFloat [a, b, sa, sb, za, zb, bias]."""
    given = [p.n.inputs[i] if p.n.has_input(i) else "" for i in range(7)]
    a = p.put("DequantizeLinear", (given[0], given[2], given[4]))
    _product(p, a, given[1], given[3], given[5], given[6])


def _dynamic_matmul(p: _Parts) -> None:
    """DynamicQuantizeMatMul [a, b, sb, zb, bias]: a as it is."""
    given = [p.n.inputs[i] if p.n.has_input(i) else "" for i in range(5)]
    _product(p, given[0], *given[1:])


def _product(p: _Parts, a: str, b: str, scale: str, zero: str, bias: str) -> None:
    weights = p.put("DequantizeLinear", (b, scale, zero), axis=-1)
    y = p.put("MatMul", (a, weights), () if bias else p.n.outputs)
    if bias:
        p.put("Add", (y, bias), p.n.outputs)


EXPANDED: dict[str, Callable[[_Parts], None]] = {
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "ConvInteger": _integer("Conv", 0),
    "MatMulInteger": _integer("MatMul", -1),
    "DynamicQuantizeLinear": _dynamic,
    f"{_MICROSOFT}QGemm": _gemm,
    f"{_MICROSOFT}QLinearAdd": _binary("Add"),
    f"{_MICROSOFT}QLinearMul": _binary("Mul"),
    f"{_MICROSOFT}QLinearConcat": _concat,
    f"{_MICROSOFT}QLinearWhere": _where,
    f"{_MICROSOFT}QLinearAveragePool": _single("AveragePool", *_WINDOW),
    f"{_MICROSOFT}QLinearGlobalAveragePool": _single("GlobalAveragePool"),
    f"{_MICROSOFT}QLinearLeakyRelu": _single("LeakyRelu", "alpha"),
    f"{_MICROSOFT}QLinearReduceMean": _single("ReduceMean", "axes", "keepdims"),
    f"{_MICROSOFT}QLinearSigmoid": _single("Sigmoid"),
    f"{_MICROSOFT}QLinearSoftmax": _single("Softmax", "axis"),
    f"{_MICROSOFT}MatMulIntegerToFloat": _to_float,
    f"{_MICROSOFT}DynamicQuantizeMatMul": _dynamic_matmul,
}


def expand(ctx: Importer, n: OnnxNode) -> list[OnnxNode] | None:
    """The nodes that stand for a node which computes with integers; None for one that is imported as it is."""
    parts = _Parts(ctx, n)
    if n.op_type in EXPANDED:
        EXPANDED[n.op_type](parts)
        return parts.nodes
    codes = {i: ctx.coded[i] for i in n.inputs if i in ctx.coded and not ctx.coded[i].dynamic}
    if not codes or n.op_type == "DequantizeLinear":
        return None
    code = next(iter(codes.values()))
    if n.op_type == "Clip":
        _clip(parts, code)
    elif n.op_type in _MOVES or (n.op_type == "Resize" and n.attr("mode", "nearest") == "nearest"):
        _move(parts, codes, code)
    else:
        fix = "put a DequantizeLinear before it"
        ctx.unsupported(n, "computes with the integers of a quantized tensor", fix)
    return parts.nodes


def _move(p: _Parts, codes: dict[str, Code], code: Code) -> None:
    """An operator that only moves integers."""
    for name, other in codes.items():
        if (other.scale, other.zero_point) != (code.scale, code.zero_point):
            p.ctx.invalid(p.n, f"{name!r} is {other}, another input is {code}")
    values = {"Concat": range(len(p.n.inputs)), "Pad": (2,)}.get(p.n.op_type, ())
    inputs = []
    for i, name in enumerate(p.n.inputs):
        if name in codes or (i in values and p.n.has_input(i)):
            name = p.put("DequantizeLinear", (name, *code.names))
        inputs.append(name)
    if p.n.op_type == "Pad" and not p.n.has_input(2):  # with the integer 0
        zero = p.constant(np.array(0, code.dtype.numpy), "zero")
        inputs = [*inputs[:2], p.put("DequantizeLinear", (zero, *code.names)), *p.n.inputs[3:]]
    outputs = [p.fresh(f"real{i}") if o else "" for i, o in enumerate(p.n.outputs)]
    p.put(p.n.op_type, inputs, outputs, **p.kept())
    for real, name in zip(outputs, p.n.outputs, strict=True):
        if name:
            p.put("QuantizeLinear", (real, *code.names), (name,))


def _clip(p: _Parts, code: Code) -> None:
    """Clip of integers (QCDQ): the same bounds on the real numbers before they are quantized."""
    limits = np.iinfo(code.dtype.numpy)
    bounds = [p.ctx.value(p.n.inputs[i]) if p.n.has_input(i) else None for i in (1, 2)]
    low = limits.min if bounds[0] is None else int(bounds[0].reshape(()))
    high = limits.max if bounds[1] is None else int(bounds[1].reshape(()))
    if low > high:
        p.ctx.invalid(p.n, f"the bounds {low} and {high} leave nothing")
    real = code.real
    if (low, high) != (limits.min, limits.max):
        names = []
        for what, value in (("low", low), ("high", high)):
            integer = p.constant(np.array(value, code.dtype.numpy), what)
            names.append(p.put("DequantizeLinear", (integer, *code.names)))
        real = p.put("Clip", (real, *names))
    p.put("QuantizeLinear", (real, *code.names), p.n.outputs)


def name_sources(ctx: Importer, n: OnnxNode, parts: Sequence[OnnxNode], before: int) -> None:
    """Call the tensors made for the parts of a node as the file calls the node's output."""
    inner = {o for part in parts for o in part.outputs} - set(n.outputs)
    for name in list(ctx.tensors)[before:]:
        tensor = ctx.tensors[name]
        if tensor.source in inner:
            ctx.tensors[name] = replace(tensor, source=n.outputs[0])
