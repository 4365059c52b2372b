"""minimum and maximum: the smaller or larger of a [...] and b [...], broadcast as in numpy; one may be constant.

All operands have the output's rank and its quantization: integers are compared, as by TFLM's MINIMUM and MAXIMUM.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcugen.float_math import apply
from mcugen.ir import Array, Graph, Node, Tensor, TensorType
from mcugen.ops.add import broadcast_type, emit_broadcast, import_tflite_binary, keeps_batch, with_rank
from mcugen.ops.functions import X
from mcugen.ops.op import Op, quantize_as_output
from mcugen.ops.unary import emit_unary

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def import_extremum(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX Max and Min of any number of operands: constants of one element are bounds, the others go in pairs."""
    op, fold = ("maximum", np.maximum) if n.op_type == "Max" else ("minimum", np.minimum)
    lo, hi = -math.inf, math.inf
    arrays: list[Array] = []
    active: list[str] = []
    for i, name in enumerate(n.inputs):
        data = ctx.value(name)
        if data is None:
            active.append(name)
        elif data.size != 1:
            arrays.append(ctx.constant_input(n, i, "operands"))
        elif np.isnan(data).any():
            ctx.invalid(n, "an operand is NaN")
        elif op == "maximum":
            lo = max(lo, float(data.reshape(())))
        else:
            hi = min(hi, float(data.reshape(())))
    result = active[0]
    for other in active[1:]:
        result = emit_broadcast(ctx, n, op, result, other)
    for array in arrays:
        result = emit_broadcast(ctx, n, op, result, ctx.add(n, array))
    if (lo, hi) != (-math.inf, math.inf):
        result = emit_unary(ctx, n, result, ("clip", X, lo, hi))
    return [with_rank(ctx, n, result, max(len(ctx.shape(name)) for name in n.inputs))]


def import_tflite_extremum(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite MAXIMUM and MINIMUM. TFLM compares the integers, whatever their scales."""
    names = (*n.inputs[:2], n.outputs[0])
    if any(ctx.is_quantized(name) for name in names) and len({ctx.type(name).quant for name in names}) > 1:
        ctx.unsupported(
            n,
            "its operands and its output have different scales or zero points",
            "convert again: a converter gives them one",
        )
    return import_tflite_binary(ctx, n, n.op_type.lower(), {})


class Minimum(Op):
    name = "minimum"
    restrictions = ("TFLite: operands and output have one scale and zero point",)
    onnx = {"Min": import_extremum}
    tflite = {"MINIMUM": import_tflite_extremum}
    choose: ClassVar[np.ufunc] = np.minimum
    function: ClassVar[str] = "min"  # of mcugen/float_math.py, as C compares

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return broadcast_type(inputs)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (self.choose(*xs),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (apply(self.function, *xs),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (self.choose(*xs),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return keeps_batch(node, graph)

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (*(i for i in node.inputs if not graph.is_constant(i)), node.outputs[0])

    def quantize(
        self, node: Node, graph: Graph, types: Mapping[str, TensorType]
    ) -> tuple[Node, dict[str, Tensor]]:
        return node, quantize_as_output(node, graph, types)


class Maximum(Minimum):
    name = "maximum"
    onnx = {"Max": import_extremum}
    tflite = {"MAXIMUM": import_tflite_extremum}
    choose = np.maximum
    function = "max"
