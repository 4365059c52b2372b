"""fully_connected: x [..., K], weights [N, K], bias [N] -> [..., N]. Attribute: clamp (lo, hi).

Integer form: semantics.md, FULLY_CONNECTED per channel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, Graph, Node, Quant, Tensor, TensorType
from mcugen.ops.add import emit_binary
from mcugen.ops.batch_matmul import emit_batch_matmul, emit_tflite_batch_matmul, swapped
from mcugen.ops.conv2d import quantize_weighted, requantize, tflite_weights
from mcugen.ops.dynamic_range import is_dynamic, quantized_input, rescaled
from mcugen.ops.functions import X
from mcugen.ops.op import Op, clamp_array, clamp_exact, clamp_of, dot_exact
from mcugen.ops.unary import emit_unary
from mcugen.ops.wide_weights import emit_layer

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def _dense(
    ctx: Importer, n: OnnxNode, x: str, weights: Array, bias: Array | None, quant: Quant | None
) -> str:
    """x [..., K] times weights [N, K], plus bias [N] if there is one."""
    if bias is None:
        bias = np.zeros(weights.shape[0], np.float32)
    return emit_layer(ctx, n, "fully_connected", x, weights, bias, quant)


def _gemm_scales(ctx: Importer, n: OnnxNode, index: int, turned: bool, alpha: float) -> Quant | None:
    """The file's scales of constant weights, times alpha; none where alpha is not positive."""
    quant = ctx.scales(n, index, 0, lambda w: w.T if turned else w) if alpha > 0.0 else None
    if quant is None or alpha == 1.0:
        return quant
    return replace(quant, scale=tuple(float(np.float32(s * alpha)) for s in quant.scale))


def import_gemm(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """alpha * A' B' + beta * C; C may be anything that broadcasts."""
    a, b = n.inputs[:2]
    if len(ctx.shape(a)) != 2 or len(ctx.shape(b)) != 2:
        ctx.invalid(n, f"operands {list(ctx.shape(a))} and {list(ctx.shape(b))} are not matrices")
    alpha = np.float32(n.attr("alpha", 1.0))
    turn_a, turn_b = bool(n.attr("transA", 0)), bool(n.attr("transB", 0))
    constant_right = ctx.value(b) is not None
    if ctx.value(a) is None and not constant_right:
        return [_gemm_of_activations(ctx, n, float(alpha), turn_a, turn_b)]
    if constant_right:
        matrix = ctx.constant_input(n, 1, "weights")
        weights = alpha * (matrix if turn_b else matrix.T)
        quant = _gemm_scales(ctx, n, 1, not turn_b, float(alpha))
        x = ctx.transpose(n, a, (1, 0)) if turn_a else a
    else:  # A B = (B' A')'
        matrix = ctx.constant_input(n, 0, "weights")
        weights = alpha * (matrix.T if turn_a else matrix)
        quant = _gemm_scales(ctx, n, 0, turn_a, float(alpha))
        x = b if turn_b else ctx.transpose(n, b, (1, 0))
    if ctx.shape(x)[1] != weights.shape[1]:
        ctx.invalid(n, f"a product of {list(ctx.shape(a))} and {list(ctx.shape(b))}")
    rows = (ctx.shape(x)[0], weights.shape[0])  # of the dense layer's output
    full = rows if constant_right else rows[::-1]
    bias, rest = _gemm_bias(ctx, n, full, constant_right)
    y = _dense(ctx, n, x, weights, bias, quant)
    y = y if constant_right else ctx.transpose(n, y, (1, 0))
    return [ctx.emit(n, "add", [y, rest]) if rest else y]


def _gemm_of_activations(ctx: Importer, n: OnnxNode, alpha: float, turn_a: bool, turn_b: bool) -> str:
    a, b = n.inputs[:2]
    y = ctx.emit(n, "batch_matmul", [a, b], {"adj_x": turn_a, "adj_y": turn_b})
    if alpha != 1.0:
        y = emit_unary(ctx, n, y, ("mul", X, alpha))
    rows, columns = ctx.shape(y)
    bias, rest = _gemm_bias(ctx, n, (rows, columns), True)
    c = rest if bias is None else ctx.add(n, bias)
    return emit_binary(ctx, n, "add", y, c) if c else y


def _gemm_bias(
    ctx: Importer, n: OnnxNode, shape: tuple[int, int], constant_right: bool
) -> tuple[Array | None, str]:
    """Gemm's third operand as the dense layer's bias, or else as a tensor to add."""
    beta = float(n.attr("beta", 1.0))
    if not n.has_input(2) or beta == 0.0:
        return None, ""
    c = n.inputs[2]
    if ctx.value(c) is None:
        if beta != 1.0:
            ctx.unsupported(n, f"beta {beta:g} with a computed C", "multiply C before, or export with beta 1")
        lead = (1,) * (2 - len(ctx.shape(c)))
        return None, ctx.reshape(n, c, (*lead, *ctx.shape(c)))
    value = np.float32(beta) * ctx.constant_input(n, 2, "C")
    if len(shape) < value.ndim or np.broadcast_shapes(shape, value.shape) != shape:
        ctx.invalid(n, f"C {list(value.shape)} does not broadcast to {list(shape)}")
    matrix = np.broadcast_to(value, shape)
    rows = matrix if constant_right else matrix.T
    if (rows == rows[0]).all():
        return rows[0], ""
    return None, ctx.add(n, value.reshape((1,) * (2 - value.ndim) + value.shape))


def import_matmul(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """numpy's matmul. With one constant matrix it is a dense layer, vectors and leading axes of size 1 by reshapes."""
    a, b = n.inputs[:2]
    sa, sb = ctx.shape(a), ctx.shape(b)
    inner = sa[-1:] + (sb[-2:-1] or sb)
    if len(inner) != 2 or inner[0] != inner[1]:
        ctx.invalid(n, f"a product of {list(sa)} and {list(sb)}")
    constants = [i for i in (0, 1) if ctx.value(n.inputs[i]) is not None]
    if not constants or math.prod(ctx.shape(n.inputs[constants[0]])[:-2]) != 1:
        return [emit_batch_matmul(ctx, n, a, b)]
    matrix = ctx.constant_input(n, constants[0], "weights")
    rows, columns = sa[-2:-1], sb[-1:] if len(sb) > 1 else ()
    x, left = (a, False) if ctx.value(b) is not None else (b, True)
    vector = len(ctx.shape(x)) == 1
    lead = sb[:-2] if left else sa[:-2]
    other = sa[:-2] if left else sb[:-2]
    shape = (*np.broadcast_shapes(lead, other), *rows, *columns)
    if left:
        weights = matrix.reshape(-1, sa[-1])
        quant = ctx.scales(n, 0, 0, lambda w: w.reshape(-1, sa[-1]))
        x = ctx.reshape(n, x, (1, *sb)) if vector else ctx.transpose(n, x, swapped(len(sb)))
        y = _dense(ctx, n, x, weights, None, quant)
        if not vector:
            y = ctx.transpose(n, y, swapped(len(sb)))
    else:
        weights = matrix.reshape(sa[-1], -1).T
        quant = ctx.scales(n, 1, 0, lambda w: w.reshape(sa[-1], -1).T)
        y = _dense(ctx, n, ctx.reshape(n, x, (1, *sa)) if vector else x, weights, None, quant)
    return [ctx.reshape(n, y, shape)]


def import_fully_connected(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite FULLY_CONNECTED [x, weights (out, in), bias]: x is seen as rows of `in` elements."""
    if n.options["weights_format"] != "DEFAULT":
        ctx.unsupported(n, f"weights in the format {n.options['weights_format']}", "convert the model again")
    computed = len(n.inputs) > 1 and ctx.value(n.inputs[1]) is None
    if computed and not n.has_input(2) and len(ctx.shape(n.inputs[0])) == len(ctx.shape(n.inputs[1])) == 2:
        a, b = n.inputs[:2]
        return [emit_tflite_batch_matmul(ctx, n, a, b, adj_x=False, adj_y=True)]
    w, b = tflite_weights(ctx, n, 0)
    x, y = ctx.shape(n.inputs[0]), ctx.type(n.outputs[0])
    if len(ctx.shape(w)) != 2 or 0 in ctx.shape(w):
        ctx.invalid(n, f"weights of the shape {list(ctx.shape(w))}")
    outputs, inner = ctx.shape(w)
    if math.prod(x) % inner or (n.options["keep_num_dims"] and x[-1:] != (inner,)):
        ctx.invalid(n, f"weights {[outputs, inner]} do not fit an input {list(x)}")
    attrs = {"clamp": ctx.clamp(n)}
    if n.options["keep_num_dims"]:
        return [ctx.emit(n, "fully_connected", [n.inputs[0], w, b], attrs)]
    rows = math.prod(x) // inner
    flat = ctx.reshape(n, n.inputs[0], (rows, inner))
    if len(y.shape) == 2:
        return [ctx.emit(n, "fully_connected", [flat, w, b], attrs)]
    result = replace(y, shape=(rows, outputs))
    made = ctx.emit_typed(n, "fully_connected", [flat, w, b], attrs, result)
    return [ctx.emit(n, "reshape", [made], {"shape": y.shape})]


class FullyConnected(Op):
    name = "fully_connected"
    restrictions = (
        "Gemm: beta is 1 where C is computed",
        "TFLite: weights in the format DEFAULT",
        "TFLite: constant weights with zero point 0, but for a product of two matrices without bias",
    )
    onnx = {"Gemm": import_gemm, "MatMul": import_matmul}
    tflite = {"FULLY_CONNECTED": import_fully_connected}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        x, w, b = (t.shape for t in inputs)
        if not x or len(w) != 2 or x[-1] != w[1] or b != w[:1]:
            raise ValueError(f"weights {list(w)} and bias {list(b)} do not fit an input {list(x)}")
        return (TensorType((*x[:-1], w[0])),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return len(graph.type(node.inputs[0]).shape) > 1

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, w, b = xs
        return (clamp_array(x @ w.T + b, clamp_of(node)),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """The sum of the products in the order of k, plus the bias, clamped; or ops/dynamic_range."""
        x, w, b = xs
        if is_dynamic(node, graph):
            q, scale = quantized_input(node, graph, x)
            sums = (q.astype(np.float64) @ w.T.astype(np.float64)).astype(np.int64)
            return (rescaled(node, graph, sums, scale, b),)
        return (clamp_exact(dot_exact(x, w) + b, clamp_of(node)),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, w, b = xs
        # float64 sums of integers below 2^53 are exact, and much faster than numpy's integer products
        centred = x.astype(np.float64) - graph.type(node.inputs[0]).zero_point
        acc = (centred @ w.T.astype(np.float64)).astype(np.int64) + b
        return (requantize(node, graph, acc),)

    def quantize(
        self, node: Node, graph: Graph, types: Mapping[str, TensorType]
    ) -> tuple[Node, dict[str, Tensor]]:
        return quantize_weighted(node, graph, types, axis=0)

    def macs(self, node: Node, graph: Graph) -> int:
        return graph.type(node.outputs[0]).elements * graph.type(node.inputs[1]).shape[1]
