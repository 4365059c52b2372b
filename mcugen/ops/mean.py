"""mean and sum: x -> its mean or sum over the attribute axes (sorted, neighbours up to axes of size 1), keepdims
or not.

Integer form: semantics.md, MEAN and SUM; the output has its own quantization.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import mbqm, quantize_multiplier, saturating_rounding_multiply_by_pot
from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.op import Op, limits

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

MAX_REDUCED = 1 << 23  # elements of one sum: |sum of (x - zero point)| < 2^31


def _reduced_shape(shape: Sequence[int], axes: Sequence[int], keepdims: bool) -> tuple[int, ...]:
    return tuple(1 if i in axes else d for i, d in enumerate(shape) if keepdims or i not in axes)


def _neighbours(shape: Sequence[int], axes: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A permutation of all axes behind which those to reduce are neighbours up to axes of size 1, and their places;
    `axes` are sorted and at least one. Those of size 1 do not count if there are others."""
    reduced = [a for a in axes if shape[a] != 1] or [axes[0]]
    span = range(reduced[0], reduced[-1] + 1)
    if all(a in reduced or shape[a] == 1 for a in span):
        return tuple(range(len(shape))), tuple(span)
    kept = [a for a in range(len(shape)) if a not in reduced]
    return (*kept, *reduced), tuple(range(len(kept), len(shape)))


def reduce_onnx(ctx: Importer, n: OnnxNode, op: str, axes: Sequence[int], keepdims: bool) -> str:
    """A reduction over `axes` (not negative); axes of size 1 are only dropped, others are brought together."""
    x, axes = n.inputs[0], sorted(set(axes))
    shape = ctx.shape(x)
    out = _reduced_shape(shape, axes, keepdims)
    if all(shape[a] == 1 for a in axes):
        return ctx.reshape(n, x, out)
    perm, span = _neighbours(shape, axes)
    x = ctx.transpose(n, x, perm)
    keepdims = keepdims and perm == tuple(sorted(perm)) and all(a in axes for a in span)
    return ctx.reshape(n, ctx.emit(n, op, [x], {"axes": span, "keepdims": keepdims}), out)


def import_onnx_reduction(ctx: Importer, n: OnnxNode, op: str) -> Sequence[str]:
    """ONNX ReduceMean and its sisters, as the operator `op`."""
    rank = len(ctx.shape(n.inputs[0]))
    axes = ctx.ints(n, 1, "axes")
    if not axes:
        if n.attr("noop_with_empty_axes", 0):
            return [n.inputs[0]]
        axes = tuple(range(rank))
    positive = [ctx.axis(n, a, rank) for a in axes]
    return [reduce_onnx(ctx, n, op, positive, bool(n.attr("keepdims", 1)))]


def import_tflite_reduction(ctx: TfliteImporter, n: TfliteNode, op: str) -> Sequence[str]:
    """MEAN, SUM, REDUCE_MAX and REDUCE_MIN [x, axes], as the operator `op`."""
    x, given = n.inputs[0], ctx.ints(n, 1)
    shape = ctx.shape(x)
    if not given:
        ctx.unsupported(n, "a reduction over no axes is not supported", "convert with constant axes")
    if ctx.is_quantized(x):
        ctx.require_integers(n, x, n.outputs[0])
    axes = sorted({ctx.axis(n, a, len(shape)) for a in given})
    out = _reduced_shape(shape, axes, bool(n.options.get("keep_dims", False)))
    perm, span = _neighbours(shape, axes)
    x = ctx.transpose(n, x, perm)
    turned = [shape[p] for p in perm]
    for keepdims in (False, True):
        if _reduced_shape(turned, span, keepdims) == out:
            return [ctx.emit(n, op, [x], {"axes": span, "keepdims": keepdims})]
    y = ctx.type(n.outputs[0])
    made = TensorType(_reduced_shape(turned, span, False), y.dtype, y.quant)
    y_name = ctx.emit_typed(n, op, [x], {"axes": span, "keepdims": False}, made)
    return [ctx.emit(n, "reshape", [y_name], {"shape": out})]


def import_global_average_pool(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    rank = len(ctx.shape(n.inputs[0]))
    if rank < 3:
        ctx.invalid(n, f"an input with {rank} axes")
    return [reduce_onnx(ctx, n, "mean", range(2, rank), keepdims=True)]


def outer_reduced_inner(node: Node, graph: Graph) -> tuple[int, int, int]:
    """The input as [outer, reduced, inner], whose middle is reduced."""
    shape, axes = graph.type(node.inputs[0]).shape, node.attrs["axes"]
    begin, end = axes[0], axes[-1] + 1
    return math.prod(shape[:begin]), math.prod(shape[begin:end]), math.prod(shape[end:])


def mean_multiplier(node: Node, graph: Graph) -> tuple[int, int]:
    """Multiplier and shift of sum(x - zx) -> mean or sum in the output's scale; 1/count is part of a mean's multiplier.

    LiteRT reference/reduce.h, QuantizedMeanOrSum. Its left shift is undefined where it overflows; ours
    saturates, so that shifts beyond 31 are as good as 31.
    """
    count = outer_reduced_inner(node, graph)[1]
    scales = graph.type(node.inputs[0]).scale, graph.type(node.outputs[0]).scale
    multiplier, exponent = quantize_multiplier(scales[0] / scales[1])
    if node.op == "sum":
        return multiplier, min(exponent, 31)
    shift = min(count.bit_length() - 1, 32, 31 + exponent)
    return (multiplier << shift) // count, min(exponent - shift, 31)


def elements_in_order(node: Node, x: Array) -> Iterator[Array]:
    """The elements of float32 x that one output after the other reduces, in order: arrays of the output's shape."""
    axes = node.attrs["axes"]
    kept = [a for a in range(x.ndim) if a not in axes]
    shape = _reduced_shape(x.shape, axes, node.attrs["keepdims"])
    reduced = math.prod(x.shape[a] for a in axes)
    for values in x.transpose(*axes, *kept).reshape(reduced, *shape):
        yield np.asarray(values)


def infer_reduction(node: Node, shape: Sequence[int]) -> TensorType:
    """The output's type of an operator with the attributes axes and keepdims; ValueError if they do not fit."""
    axes = node.attrs["axes"]
    if not axes or list(axes) != sorted(set(axes)) or axes[0] < 0 or axes[-1] >= len(shape):
        raise ValueError(f"the {node.op} of {list(shape)} over axes {list(axes)}")
    if any(a not in axes and shape[a] != 1 for a in range(axes[0], axes[-1])):
        raise ValueError(f"the {node.op} of {list(shape)} over axes {list(axes)}, which are not neighbours")
    return TensorType(_reduced_shape(shape, axes, node.attrs["keepdims"]))


class Mean(Op):
    name = "mean"
    restrictions = ("constant axes; TFLite: at least one", "at most 2^23 elements in a sum")
    onnx = {
        "GlobalAveragePool": import_global_average_pool,
        "ReduceMean": lambda ctx, n: import_onnx_reduction(ctx, n, "mean"),
    }
    tflite = {"MEAN": lambda ctx, n: import_tflite_reduction(ctx, n, "mean")}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shape = inputs[0].shape
        made = infer_reduction(node, shape)
        if math.prod(shape[a] for a in node.attrs["axes"]) > MAX_REDUCED:
            raise ValueError(f"the {node.op} of more than {MAX_REDUCED:,} elements")
        return (made,)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return 0 not in node.attrs["axes"]

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        reduce = np.sum if node.op == "sum" else np.mean
        y = reduce(xs[0], axis=node.attrs["axes"], dtype=np.float64, keepdims=node.attrs["keepdims"])
        return (np.asarray(y, np.float32),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """The sum in the order of the elements; a mean is divided once by their number."""
        acc: Array = np.zeros((), np.float32)
        with np.errstate(all="ignore"):
            for values in elements_in_order(node, xs[0]):
                acc = acc + values
            count = np.float32(outer_reduced_inner(node, graph)[1])
            return (np.asarray(acc if node.op == "sum" else acc / count),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
        multiplier, shift = mean_multiplier(node, graph)
        centred = xs[0].astype(np.int64) - x.zero_point
        acc = centred.sum(axis=node.attrs["axes"], keepdims=node.attrs["keepdims"])
        acc = saturating_rounding_multiply_by_pot(acc, max(shift, 0))
        return (
            np.clip(mbqm(acc, multiplier, min(shift, 0)) + y.zero_point, *limits(y.dtype)).astype(
                y.dtype.numpy
            ),
        )


class Sum(Mean):
    name = "sum"
    onnx = {"ReduceSum": lambda ctx, n: import_onnx_reduction(ctx, n, "sum")}
    tflite = {"SUM": lambda ctx, n: import_tflite_reduction(ctx, n, "sum")}
