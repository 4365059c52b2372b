"""batch_matmul: products of matrices, a [..., M, K] times b [..., K, N] -> y [..., M, N].

Leading axes broadcast as in numpy; both have the same rank, one may be constant. Attributes: adj_x (a is
[..., K, M]), adj_y (b is [..., N, K]), clamp (lo, hi). Integer form, TFLM's BATCH_MATMUL (LiteRT
kernels/internal/reference/batch_matmul.h), multiplier in double:
y = clamp(MBQM(sum (a - z_a) (b - z_b), s_a s_b / s_y) + z_y). Of int16 the sums have 64 bits and are rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, DType, Graph, Node, TensorType
from mcugen.ops.add import keeps_batch, tflite_with_rank, with_rank
from mcugen.ops.conv2d import requantize
from mcugen.ops.op import Op, clamp_array, clamp_exact, clamp_of

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

DEPTH_LIMIT = 33025  # products of up to 255 * 255 whose sum fits int32


def swapped(rank: int) -> tuple[int, ...]:
    """The permutation that swaps the last two axes."""
    return (*range(rank - 2), rank - 1, rank - 2)


def emit_batch_matmul(ctx: Importer, n: OnnxNode, a: str, b: str) -> str:
    """numpy's matmul of two operands; vectors become matrices on the way."""
    sa, sb = ctx.shape(a), ctx.shape(b)
    if len(sa) == 1:
        a = _reshaped(ctx, n, a, (1, *sa))
    if len(sb) == 1:
        b = _reshaped(ctx, n, b, (*sb, 1))
    rank = max(len(ctx.shape(a)), len(ctx.shape(b)))
    (a, adj_x), (b, adj_y) = (_turned(ctx, x) for x in (a, b))
    operands = [with_rank(ctx, n, x, rank) for x in (a, b)]
    y = ctx.emit(n, "batch_matmul", operands, {"adj_x": adj_x, "adj_y": adj_y})
    shape = ctx.shape(y)
    kept = shape[:-2] + shape[-2:-1] * (len(sa) > 1) + shape[-1:] * (len(sb) > 1)
    return ctx.reshape(n, y, kept)


def _turned(ctx: Importer, x: str) -> tuple[str, bool]:
    """What x is the transposed matrices of, and True; x itself and False if it is no such transpose."""
    name = ctx.resolve(x)
    turn = next((node for node in ctx.nodes if node.outputs == (name,)), None)
    if turn is None or turn.op != "transpose" or turn.attrs["perm"] != swapped(len(ctx.shape(x))):
        return x, False
    return turn.inputs[0], True


def _reshaped(ctx: Importer, n: OnnxNode, x: str, shape: tuple[int, ...]) -> str:
    value = ctx.value(x)
    return ctx.reshape(n, x, shape) if value is None else ctx.add(n, value.reshape(shape))


def import_tflite_batch_matmul(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite BATCH_MATMUL; both operands int8, or both float."""
    if len(n.inputs) < 2:
        ctx.invalid(n, "it needs two operands")
    a, b = n.inputs[:2]
    adj_x, adj_y = (bool(n.options.get(name, False)) for name in ("adj_x", "adj_y"))
    if not adj_x and _is_dense(ctx, a, b):
        return [_emit_dense(ctx, n, a, b, adj_y)]
    return [emit_tflite_batch_matmul(ctx, n, a, b, adj_x, adj_y)]


def _is_dense(ctx: TfliteImporter, a: str, b: str) -> bool:
    """Whether b is one constant matrix as a dense layer's weights are, and a computed."""
    quant, shape = ctx.type(b).quant, ctx.shape(b)
    one_scale = quant is not None and quant.axis is None and quant.zero_point == (0,)
    plain = quant is None or (one_scale and ctx.type(b).dtype is DType.INT8)
    matrix = 2 <= len(shape) <= len(ctx.shape(a)) and set(shape[:-2]) <= {1}
    return ctx.value(a) is None and ctx.value(b) is not None and plain and matrix


def _emit_dense(ctx: TfliteImporter, n: TfliteNode, a: str, b: str, adj_y: bool) -> str:
    """The same numbers as a dense layer, whose weights lie as its kernels read them."""
    if ctx.is_quantized(n.outputs[0]):
        ctx.require_int8(n, a, b, n.outputs[0])
    matrix = ctx.constant_input(n, 1, "matrix").reshape(ctx.shape(b)[-2:])
    weights = matrix if adj_y else matrix.T
    w = ctx.add(n, weights, replace(ctx.type(b), shape=weights.shape))
    bias = ctx.add(n, np.zeros(len(weights), np.float32 if matrix.dtype.kind == "f" else np.int32))
    return ctx.emit(n, "fully_connected", [a, w, bias], {"clamp": ctx.clamp(n)})


def emit_tflite_batch_matmul(
    ctx: TfliteImporter, n: TfliteNode, a: str, b: str, adj_x: bool, adj_y: bool
) -> str:
    """A batch_matmul node that writes the operator's output: also a dense layer with computed weights."""
    if any(ctx.is_quantized(name) for name in (a, b, n.outputs[0])):
        ctx.require_integers(n, a, b, n.outputs[0])
    rank = max(len(ctx.shape(a)), len(ctx.shape(b)))
    operands = [tflite_with_rank(ctx, n, x, rank) for x in (a, b)]
    attrs = {"adj_x": adj_x, "adj_y": adj_y, "clamp": ctx.clamp(n)}
    return ctx.emit(n, "batch_matmul", operands, attrs)


def matrices(node: Node, a: Sequence[int], b: Sequence[int]) -> tuple[int, int, int]:
    """(M, K, N) of operands of the given shapes. Raises ValueError when they do not fit."""
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"a product of {list(a)} and {list(b)}")
    m, k = (a[-1], a[-2]) if node.attrs["adj_x"] else (a[-2], a[-1])
    n, other = (b[-2], b[-1]) if node.attrs["adj_y"] else (b[-1], b[-2])
    if k != other:
        raise ValueError(f"a product of {list(a)} and {list(b)}: {k} against {other} elements")
    return m, k, n


class BatchMatMul(Op):
    name = "batch_matmul"
    restrictions = ("at most 33,025 products in a sum",)
    tflite = {"BATCH_MATMUL": import_tflite_batch_matmul}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        a, b = (t.shape for t in inputs)
        m, k, n = matrices(node, a, b)
        if k > DEPTH_LIMIT:
            raise ValueError(f"products of {k:,} elements: at most {DEPTH_LIMIT:,} fit 32 bits")
        return (TensorType((*np.broadcast_shapes(a[:-2], b[:-2]), m, n)),)

    def _product(self, node: Node, a: Array, b: Array) -> Array:
        a = np.swapaxes(a, -1, -2) if node.attrs["adj_x"] else a
        b = np.swapaxes(b, -1, -2) if node.attrs["adj_y"] else b
        return np.asarray(np.matmul(a, b))

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (clamp_array(self._product(node, *xs), clamp_of(node)),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """The sum of the products in the order of k, clamped."""
        a = np.swapaxes(xs[0], -1, -2) if node.attrs["adj_x"] else xs[0]
        b = np.swapaxes(xs[1], -1, -2) if node.attrs["adj_y"] else xs[1]
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        acc = np.zeros((*batch, a.shape[-2], b.shape[-1]), np.float32)
        with np.errstate(all="ignore"):
            for k in range(a.shape[-1]):
                acc += a[..., :, k : k + 1] * b[..., k : k + 1, :]
        return (clamp_exact(acc, clamp_of(node)),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        # float64 sums of integers below 2^53 are exact, and much faster than numpy's integer products
        a, b = (x.astype(np.float64) - graph.type(i).zero_point for x, i in zip(xs, node.inputs, strict=True))
        return (requantize(node, graph, self._product(node, a, b).astype(np.int64)),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return keeps_batch(node, graph) and len(graph.type(node.outputs[0]).shape) > 2

    def macs(self, node: Node, graph: Graph) -> int:
        _, k, _ = matrices(node, *(graph.type(i).shape for i in node.inputs))
        return graph.type(node.outputs[0]).elements * k
