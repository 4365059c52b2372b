"""mean: x -> its mean over the attribute axes (sorted, neighbours up to axes of size 1), keepdims or not.

Integer form: semantics.md, MEAN; the output has its own quantization.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import mbqm, quantize_multiplier, saturating_rounding_multiply_by_pot
from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode

MAX_REDUCED = 1 << 23  # elements of one mean: |sum of (x - zero point)| < 2^31


def _reduce(ctx: Importer, n: OnnxNode, axes: Sequence[int], keepdims: bool) -> str:
    """The mean over `axes` (not negative); axes of size 1 are only dropped, others are brought together."""
    x = n.inputs[0]
    shape = ctx.shape(x)
    reduced = [a for a in sorted(set(axes)) if shape[a] != 1]
    out = [1 if i in axes else d for i, d in enumerate(shape) if keepdims or i not in axes]
    if not reduced:
        return ctx.reshape(n, x, out)
    span = range(reduced[0], reduced[-1] + 1)
    unit = all(a in axes for a in span)  # then keepdims means what ONNX means
    if any(a not in reduced and shape[a] != 1 for a in span):
        kept = [a for a in range(len(shape)) if a not in reduced]
        x = ctx.transpose(n, x, (*kept, *reduced))
        span = range(len(kept), len(shape))
    y = ctx.emit(n, "mean", [x], {"axes": tuple(span), "keepdims": keepdims and unit})
    return ctx.reshape(n, y, out)


def import_global_average_pool(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    rank = len(ctx.shape(n.inputs[0]))
    if rank < 3:
        ctx.invalid(n, f"an input with {rank} axes")
    return [_reduce(ctx, n, range(2, rank), keepdims=True)]


def import_reduce_mean(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    rank = len(ctx.shape(n.inputs[0]))
    axes = ctx.ints(n, 1, "axes")
    if not axes:
        if n.attr("noop_with_empty_axes", 0):
            return [n.inputs[0]]
        axes = tuple(range(rank))
    positive = [ctx.axis(n, a, rank) for a in axes]
    return [_reduce(ctx, n, positive, bool(n.attr("keepdims", 1)))]


def outer_reduced_inner(node: Node, graph: Graph) -> tuple[int, int, int]:
    """The input as [outer, reduced, inner], whose middle is averaged."""
    shape, axes = graph.type(node.inputs[0]).shape, node.attrs["axes"]
    begin, end = axes[0], axes[-1] + 1
    return math.prod(shape[:begin]), math.prod(shape[begin:end]), math.prod(shape[end:])


def mean_multiplier(node: Node, graph: Graph) -> tuple[int, int]:
    """Multiplier and shift of sum(x - zx) -> mean in the output's scale; 1/count is part of the multiplier.

    LiteRT reference/reduce.h, QuantizedMeanOrSum. Its left shift is undefined where it overflows; ours
    saturates, so that shifts beyond 31 are as good as 31.
    """
    count = outer_reduced_inner(node, graph)[1]
    scales = graph.type(node.inputs[0]).scale, graph.type(node.outputs[0]).scale
    multiplier, exponent = quantize_multiplier(scales[0] / scales[1])
    shift = min(count.bit_length() - 1, 32, 31 + exponent)
    return (multiplier << shift) // count, min(exponent - shift, 31)


class Mean(Op):
    name = "mean"
    onnx = {"GlobalAveragePool": import_global_average_pool, "ReduceMean": import_reduce_mean}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shape, axes = inputs[0].shape, node.attrs["axes"]
        if not axes or list(axes) != sorted(set(axes)) or axes[0] < 0 or axes[-1] >= len(shape):
            raise ValueError(f"the mean of {list(shape)} over axes {list(axes)}")
        if any(a not in axes and shape[a] != 1 for a in range(axes[0], axes[-1])):
            raise ValueError(f"the mean of {list(shape)} over axes {list(axes)}, which are not neighbours")
        if math.prod(shape[a] for a in axes) > MAX_REDUCED:
            raise ValueError(f"the mean of more than {MAX_REDUCED:,} elements")
        kept = node.attrs["keepdims"]
        return (
            TensorType(tuple(1 if i in axes else d for i, d in enumerate(shape) if kept or i not in axes)),
        )

    def batchable(self, node: Node, graph: Graph) -> bool:
        return 0 not in node.attrs["axes"]

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        y = xs[0].mean(axis=node.attrs["axes"], dtype=np.float64, keepdims=node.attrs["keepdims"])
        return (y.astype(np.float32),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
        multiplier, shift = mean_multiplier(node, graph)
        centred = xs[0].astype(np.int64) - x.zero_point
        acc = centred.sum(axis=node.attrs["axes"], keepdims=node.attrs["keepdims"])
        acc = saturating_rounding_multiply_by_pot(acc, max(shift, 0))
        return (np.clip(mbqm(acc, multiplier, min(shift, 0)) + y.zero_point, -128, 127).astype(np.int8),)
