"""add and sub: a [...] and b [...] -> y [...], broadcast as in numpy; one of them may be constant.

All operands have the output's rank. Attribute: clamp (lo, hi). Integer form, TFLM's ADD and SUB
(LiteRT kernels/internal/reference/integer_ops/add.h), multipliers in double: with t = 2 max(s_a, s_b) and n = 20
for int8, 15 for int16:
y = clamp(MBQM(MBQM((a - z_a) << n, s_a / t) +- MBQM((b - z_b) << n, s_b / t), t / (2^n s_y)) + z_y).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.fixed import mbqm, quantize_multiplier
from mcugen.float_math import apply
from mcugen.ir import Array, Attr, DType, Graph, Node, TensorType
from mcugen.ops.functions import FUNCTIONS, X
from mcugen.ops.op import Op, activation_limits, clamp_array, clamp_exact, clamp_of
from mcugen.ops.unary import emit_unary

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

INT16_OPS = ("add", "sub", "mul", "minimum", "maximum")  # operators of two operands that have an int16 form
LEFT_SHIFT = {DType.INT8: 20, DType.INT16: 15}


def import_add(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX Add, and Sum of any number of operands."""
    return [_emit_chain(ctx, n, "add")]


def import_sub(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX Sub."""
    return [_emit_chain(ctx, n, "sub")]


def _emit_chain(ctx: Importer, n: OnnxNode, op: str) -> str:
    check_operands(ctx, n)
    result = n.inputs[0]
    for operand in n.inputs[1:]:
        result = emit_binary(ctx, n, op, result, operand)
    return result


def check_operands(ctx: Importer, n: OnnxNode) -> None:
    """Constant operands must be finite numbers."""
    for i, name in enumerate(n.inputs):
        if ctx.value(name) is not None:
            ctx.constant_input(n, i, "operands")


def uniform(value: Array | None) -> float | None:
    """The number that all elements of a constant are."""
    if value is None or value.size == 0 or np.any(value != value.flat[0]):
        return None
    return float(value.flat[0])


def broadcast_shape(ctx: Importer, n: OnnxNode, a: str, b: str) -> tuple[int, ...]:
    """The shape of a result of two operands."""
    try:
        return np.broadcast_shapes(ctx.shape(a), ctx.shape(b))
    except ValueError:
        ctx.invalid(n, f"shapes {list(ctx.shape(a))} and {list(ctx.shape(b))} do not fit each other")


def emit_binary(ctx: Importer, n: OnnxNode, op: str, a: str, b: str) -> str:
    """add, sub or mul of two operands at the output's rank; a unary node where one of them is a number."""
    shape = broadcast_shape(ctx, n, a, b)
    value_a, value_b = ctx.value(a), ctx.value(b)
    if value_a is not None and value_b is not None:
        return ctx.add(n, FUNCTIONS[op](value_a, value_b))
    number_a, number_b = uniform(value_a), uniform(value_b)
    if number_b is not None and ctx.shape(a) == shape:
        if op == "sub":
            op, number_b = "add", -number_b
        neutral = number_b == (1.0 if op == "mul" else 0.0)
        return emit_unary(ctx, n, a, X if neutral else (op, X, number_b))
    if number_a is not None and ctx.shape(b) == shape:
        return emit_unary(ctx, n, b, ("sub", number_a, X)) if op == "sub" else emit_binary(ctx, n, op, b, a)
    return emit_broadcast(ctx, n, op, a, b)


def emit_broadcast(ctx: Importer, n: OnnxNode, op: str, a: str, b: str) -> str:
    """An operator of two operands that are brought to the output's rank."""
    rank = len(broadcast_shape(ctx, n, a, b))
    return ctx.emit(n, op, [with_rank(ctx, n, x, rank) for x in (a, b)])


def with_rank(ctx: Importer, n: OnnxNode, x: str, rank: int) -> str:
    """x with axes of size 1 before its own."""
    value, shape = ctx.value(x), ctx.shape(x)
    full = (1,) * (rank - len(shape)) + shape
    return ctx.reshape(n, x, full) if value is None else ctx.add(n, value.reshape(full))


def import_tflite_binary(
    ctx: TfliteImporter, n: TfliteNode, op: str, attrs: Mapping[str, Attr]
) -> Sequence[str]:
    """A TFLite operator of two operands, brought to the output's rank."""
    rank = len(ctx.shape(n.outputs[0]))
    if len(n.inputs) < 2 or any(len(ctx.shape(i)) > rank for i in n.inputs[:2]):
        ctx.invalid(n, "it needs two operands of at most the output's rank")
    names = [tflite_with_rank(ctx, n, i, rank) for i in n.inputs[:2]]
    if ctx.is_quantized(n.outputs[0]):
        require = ctx.require_integers if op in INT16_OPS else ctx.require_int8
        require(n, *names, n.outputs[0])
    return [ctx.emit(n, op, names, attrs)]


def tflite_with_rank(ctx: TfliteImporter, n: TfliteNode, x: str, rank: int) -> str:
    """x with axes of size 1 before its own."""
    value, old = ctx.value(x), ctx.type(x)
    full = (1,) * (rank - len(old.shape)) + old.shape
    if value is None or full == old.shape:
        return ctx.reshape(n, x, full)
    return ctx.add(n, value.reshape(full), replace(old, shape=full))


def broadcast_type(inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
    """The output's type of two operands of equal rank; ValueError if they do not fit."""
    a, b = (t.shape for t in inputs)
    if len(a) != len(b):
        raise ValueError(f"operands of shapes {list(a)} and {list(b)} differ in rank")
    return (TensorType(np.broadcast_shapes(a, b)),)


def keeps_batch(node: Node, graph: Graph) -> bool:
    """Whether axis 0 is the batch of an element-wise operator's output."""
    return graph.type(node.outputs[0]).shape[:1] == (1,)


def multipliers(node: Node, graph: Graph) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """(multiplier, shift) of a and of b, both shifted left by LEFT_SHIFT of their type, and of their sum."""
    a, b = (graph.type(i).scale for i in node.inputs)
    twice = 2.0 * max(a, b)
    kind = graph.type(node.outputs[0])
    y = twice / ((1 << LEFT_SHIFT[kind.dtype]) * kind.scale)
    return quantize_multiplier(a / twice), quantize_multiplier(b / twice), quantize_multiplier(y)


class Add(Op):
    name = "add"
    onnx = {"Add": import_add, "Sum": import_add}
    tflite = {"ADD": lambda ctx, n: import_tflite_binary(ctx, n, "add", {"clamp": ctx.clamp(n)})}
    sign: ClassVar[int] = 1  # of the second operand

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return broadcast_type(inputs)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (clamp_array(xs[0] + np.float32(self.sign) * xs[1], clamp_of(node)),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (clamp_exact(apply(self.name, *xs), clamp_of(node)),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        y = graph.type(node.outputs[0])
        *each, result = multipliers(node, graph)
        a, b = (
            mbqm((x.astype(np.int64) - graph.type(name).zero_point) << LEFT_SHIFT[y.dtype], *multiplier)
            for x, name, multiplier in zip(xs, node.inputs, each, strict=True)
        )
        total = mbqm(a + self.sign * b, *result) + y.zero_point
        return (np.clip(total, *activation_limits(node, y)).astype(y.dtype.numpy),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return keeps_batch(node, graph)


class Sub(Add):
    name = "sub"
    onnx = {"Sub": import_sub}
    tflite = {"SUB": lambda ctx, n: import_tflite_binary(ctx, n, "sub", {"clamp": ctx.clamp(n)})}
    sign = -1
