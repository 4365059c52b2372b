"""concat: inputs one behind the other along `axis` (not negative); same quantization in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, Graph, Node, Tensor, TensorType
from mcugen.ops.op import NO_CLAMP, Op, quantize_as_output

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def import_concat(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX Concat; empty inputs add nothing, constants become float32 tensors."""
    inputs = [
        name if ctx.value(name) is None else ctx.add(n, ctx.constant_input(n, i, "constant inputs"))
        for i, name in enumerate(n.inputs)
        if 0 not in ctx.shape(name)
    ]
    if not inputs:
        ctx.unsupported(n, "all inputs are empty", "export without empty tensors")
    axis = ctx.axis(n, int(n.attr("axis")), len(ctx.shape(inputs[0])))
    return [inputs[0] if len(inputs) == 1 else ctx.emit(n, "concat", inputs, {"axis": axis})]


def import_concatenation(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite CONCATENATION; int8 inputs of another scale than the output's are requantized first."""
    if ctx.clamp(n) != NO_CLAMP:
        ctx.unsupported(n, "a fused activation is not supported", "use an activation of its own")
    y = ctx.type(n.outputs[0])
    names = [i for i in n.inputs if i and 0 not in ctx.shape(i)]
    if not names:
        ctx.unsupported(n, "all inputs are empty", "convert without empty tensors")
    inputs = []
    for name in names:
        x = ctx.type(name)
        if ctx.is_quantized(n.outputs[0]):
            ctx.require_integers(n, name, n.outputs[0])
            if x.quant != y.quant and ctx.value(name) is not None:
                ctx.invalid(n, f"the constant {name!r} has another scale than the output")
            if x.quant != y.quant:
                name = ctx.emit_typed(n, "requantize", [name], {}, replace(y, shape=x.shape))
        inputs.append(name)
    axis = ctx.axis(n, n.options["axis"], len(ctx.shape(inputs[0])))
    return [ctx.emit(n, "concat", inputs, {"axis": axis})]


class Concat(Op):
    name = "concat"
    restrictions = (
        "not of empty tensors alone",
        "TFLite: no fused activation; constant inputs have the output's scale",
    )
    onnx = {"Concat": import_concat}
    tflite = {"CONCATENATION": import_concatenation}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        axis, first = node.attrs["axis"], inputs[0].shape
        rest = {(*t.shape[:axis], *t.shape[axis + 1 :]) for t in inputs}
        if not 0 <= axis < len(first) or len(rest) != 1 or len({len(t.shape) for t in inputs}) != 1:
            shapes = ", ".join(str(list(t.shape)) for t in inputs)
            raise ValueError(f"{shapes} do not fit together along axis {axis}")
        total = sum(t.shape[axis] for t in inputs)
        return (TensorType((*first[:axis], total, *first[axis + 1 :])),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return bool(node.attrs["axis"] != 0)

    def same_quant(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (*(i for i in node.inputs if not graph.is_constant(i)), *node.outputs)

    def _join(self, node: Node, graph: Graph, xs: Sequence[Array]) -> Array:
        if node.attrs["axis"] != 0:  # constants hold one sample
            samples = max(x.shape[0] for x in xs)
            xs = [np.broadcast_to(x, (samples, *x.shape[1:])) if x.shape[0] == 1 else x for x in xs]
        return np.concatenate(xs, axis=node.attrs["axis"])

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (self._join(node, graph, xs),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (self._join(node, graph, xs),)

    def quantize(
        self, node: Node, graph: Graph, types: Mapping[str, TensorType]
    ) -> tuple[Node, dict[str, Tensor]]:
        return node, quantize_as_output(node, graph, types)
