"""ReduceMax and ReduceSum: only imports, as a max pooling and as a mean times the number of its elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcugen.ops.functions import X
from mcugen.ops.mean import import_reduce_mean
from mcugen.ops.op import Op
from mcugen.ops.unary import emit_unary

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode


def _axes(ctx: Importer, n: OnnxNode) -> list[int]:
    """The axes that go, in order; none with noop_with_empty_axes."""
    rank = len(ctx.shape(n.inputs[0]))
    given = ctx.ints(n, 1, "axes")
    if not given:
        return [] if n.attr("noop_with_empty_axes", 0) else list(range(rank))
    return sorted({ctx.axis(n, a, rank) for a in given})


def import_reduce_max(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """The largest of some axes: a pooling window over all of them, brought together as rows of an image."""
    x, axes = n.inputs[0], _axes(ctx, n)
    shape = ctx.shape(x)
    out = [1 if i in axes else d for i, d in enumerate(shape) if n.attr("keepdims", 1) or i not in axes]
    if all(shape[a] == 1 for a in axes):
        return [ctx.reshape(n, x, out)]
    batch = [0] if 0 not in axes and shape[0] == 1 else []
    kept = [i for i in range(len(shape)) if i not in axes and i not in batch]
    rows = math.prod(shape[a] for a in axes)
    turned = ctx.transpose(n, x, (*batch, *axes, *kept))
    image = ctx.reshape(n, turned, (1, rows, 1, math.prod(shape[i] for i in kept)))
    attrs = dict(kernel=(rows, 1), strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0))
    return [ctx.reshape(n, ctx.emit(n, "max_pool2d", [image], attrs), out)]


def import_reduce_sum(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """The mean times the number of elements."""
    shape = ctx.shape(n.inputs[0])
    count = math.prod(shape[a] for a in _axes(ctx, n))
    (mean,) = import_reduce_mean(ctx, n)
    return [emit_unary(ctx, n, mean, X if count == 1 else ("mul", X, float(count)))]


class Reduce(Op):
    """No node of a graph: the imports make max_pool2d, mean and unary nodes."""

    name = "reduce"
    onnx = {"ReduceMax": import_reduce_max, "ReduceSum": import_reduce_sum}
