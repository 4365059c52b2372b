"""transpose: axis i of the output is axis perm[i] of the input; same quantization in and out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def import_transpose(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    rank = len(ctx.shape(n.inputs[0]))
    return [ctx.transpose(n, n.inputs[0], n.attr("perm") or tuple(range(rank))[::-1])]


def import_tflite_transpose(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite TRANSPOSE [x, permutation]."""
    perm = ctx.ints(n, 1)
    if perm is None:
        ctx.invalid(n, "the permutation is missing")
    return [ctx.emit(n, "transpose", [n.inputs[0]], {"perm": perm})]


class Transpose(Op):
    name = "transpose"
    restrictions = ("a constant permutation",)
    onnx = {"Transpose": import_transpose}
    tflite = {"TRANSPOSE": import_tflite_transpose}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shape, perm = inputs[0].shape, node.attrs["perm"]
        if sorted(perm) != list(range(len(shape))):
            raise ValueError(f"{list(perm)} is no permutation of the axes of {list(shape)}")
        return (TensorType(tuple(shape[p] for p in perm)),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return bool(node.attrs["perm"][0] == 0)

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[0], node.outputs[0])

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.ascontiguousarray(xs[0].transpose(node.attrs["perm"])),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.ascontiguousarray(xs[0].transpose(node.attrs["perm"])),)
