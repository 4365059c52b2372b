"""Comparisons with numbers, Where and Not: only imports, as functions and arithmetic of 0 and 1.

Exporters write some activations like this (`x > 20 ? x : softplus(x)`); normalising makes one table of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcugen.ops.add import emit_binary, uniform
from mcugen.ops.functions import Expression, X
from mcugen.ops.op import Op
from mcugen.ops.unary import emit_unary

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode

_MIRRORED = {
    "Greater": "Less",
    "Less": "Greater",
    "GreaterOrEqual": "LessOrEqual",
    "LessOrEqual": "GreaterOrEqual",
}


def _comparison(op_type: str, bound: float) -> Expression:
    """1 where `x op bound` holds, 0 elsewhere."""
    sign: Expression = ("sign", ("sub", X, bound))
    if op_type in ("Greater", "LessOrEqual"):
        greater: Expression = ("max", sign, 0.0)
        return greater if op_type == "Greater" else ("sub", 1.0, greater)
    less: Expression = ("max", ("neg", sign), 0.0)
    return less if op_type == "Less" else ("sub", 1.0, less)


def import_comparison(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """An activation compared with one number."""
    a, b = n.inputs
    op_type, x, bound = n.op_type, a, uniform(ctx.value(b))
    if bound is None:
        op_type, x, bound = _MIRRORED[n.op_type], b, uniform(ctx.value(a))
    if bound is None or ctx.value(x) is not None:
        ctx.unsupported(n, "only comparisons with one number are supported", "cut the model before it")
    return [emit_unary(ctx, n, x, _comparison(op_type, bound))]


def import_not(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    return [emit_unary(ctx, n, n.inputs[0], ("sub", 1.0, X))]


def import_where(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """b + condition * (a - b), the condition being 0 or 1."""
    condition, a, b = n.inputs
    for index, name in ((1, a), (2, b)):
        if ctx.value(name) is not None:
            ctx.constant_input(n, index, "operands")
    if ctx.value(condition) is not None:
        ctx.unsupported(n, "a constant condition per element is not supported", "use slices and Concat")
    difference = emit_binary(ctx, n, "sub", a, b)
    return [emit_binary(ctx, n, "add", emit_binary(ctx, n, "mul", difference, condition), b)]


class Where(Op):
    """No node of a graph."""

    name = "where"
    restrictions = ("comparisons with one number", "Where: the condition is computed")
    onnx = {**dict.fromkeys(_MIRRORED, import_comparison), "Not": import_not, "Where": import_where}
