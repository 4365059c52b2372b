"""requantize: the same numbers under another scale and zero point: x int8 [...] -> y int8 [...].

The compiler inserts it where an operator's tensors must share one quantization. Integer form, TFLM's
QUANTIZE (LiteRT kernels/internal/reference/requantize.h), multiplier in double:
y = clamp(MBQM(x - z_x, s_x / s_y) + z_y).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import ALL_INT8, mbqm, quantize_multiplier
from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

RATIO_LIMIT = 2.0**9  # of the scales: a difference of 1 fills the whole range then


def table(node: Node, graph: Graph) -> Array:
    """The outputs int8 [256]: that of the input q at index q + 128."""
    x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
    multiplier, shift = quantize_multiplier(min(x.scale / y.scale, RATIO_LIMIT))
    scaled = mbqm(ALL_INT8 - x.zero_point, multiplier, shift)
    return np.clip(scaled + y.zero_point, -128, 127).astype(np.int8)


def import_tflite_quantize(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite QUANTIZE between int8 tensors."""
    ctx.require_int8(n, n.inputs[0], n.outputs[0])
    return [ctx.emit(n, "requantize", [n.inputs[0]])]


class Requantize(Op):
    name = "requantize"
    restrictions = ("TFLite: QUANTIZE between int8 tensors",)
    tflite = {"QUANTIZE": import_tflite_quantize}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (TensorType(inputs[0].shape),)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (xs[0],)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (table(node, graph)[xs[0].astype(np.int64) + 128],)
