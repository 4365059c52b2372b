"""1x1 conv2d of at most three outputs on the DSP extension: heads of networks, which conv2d_dsp would fill up to four.

A pixel at a time, without scratch; weights as int16 in the order in which SXTB16 takes a word of inputs apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Array, Graph, Node
from mcugen.kernels.conv2d_dsp import pixel_access, window
from mcugen.kernels.conv2d_portable import accumulator_bound, geometry, reject_overflow
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.output_dsp import Form, folded_bias, rescaling
from mcugen.ops.conv2d import output_range

MOST = 3  # output channels
LOOP = 16  # inputs of one turn, where there are more than twice as many
CLAMPS = {
    Form.SHORT: "",
    Form.CLAMPED: ", d->lo, d->hi",
    Form.SHIFTED: ", d->lo, d->hi",
    Form.WIDE: ", d->lo, d->hi",
}


def pair_weights(node: Node, graph: Graph) -> Array:
    """int16 [words, channels, 2, 2]: of four inputs each channel's weights 0, 2, 1, 3; 0 behind the last input."""
    weights = graph.constant(node.inputs[1]).astype(np.int16)
    weights = weights.reshape(weights.shape[0], -1)
    fours = np.pad(weights, [(0, 0), (0, -weights.shape[1] % 4)]).reshape(len(weights), -1, 2, 2)
    return np.ascontiguousarray(fours.transpose(1, 0, 3, 2))


class Conv2DFewDsp(Kernel):
    name = "conv2d_few_dsp"
    ops = ("conv2d",)
    limits = (
        "1x1 windows without padding and groups, at most three output channels",
        "sums that fit 32 bits",
    )
    headers = ("mcugen_dsp.h", "mcugen_output_dsp.h")

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        g = geometry(node, graph)
        if g.kernel != (1, 1) or window(node, graph).padded or g.groups > 1 or g.planes > 1:
            return "not 1x1 without padding and groups"
        if g.y_channels > MOST:
            return f"more than {MOST} output channels"
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, within some percent."""
        g, outputs = window(node, graph).g, graph.type(node.outputs[0]).shape[3]
        words, rest = divmod(g.x_channels, 4)
        store = {Form.SHORT: 7, Form.CLAMPED: 10, Form.SHIFTED: 15, Form.WIDE: 45}[
            rescaling(node, graph).form
        ]
        word = (0.5 + 7 * outputs) * (1.45 if g.x_channels > 2 * LOOP else 1.0)
        pixel = 3 + outputs * store + words * word + (rest > 0) * (7.5 + 3.5 * outputs)
        return 60.0 + g.y[0] * g.y[1] * pixel

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (pixel_access(node, graph, window(node, graph)), None, None)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        w, form = window(node, graph), rescaling(node, graph).form
        depth, outputs = w.g.x_channels, w.g.y_channels
        turns = depth // LOOP if depth > 2 * LOOP else 0
        context = {
            "outputs": outputs,
            "depth": depth,
            "turns": turns,
            "words": (depth - turns * LOOP) // 4,
            "rest": depth % 4,
            "form": str(form),
            "clamp": CLAMPS[form],
            "pointwise": w.pointwise,
        }
        kinds = [f"{depth}x{outputs}", str(form), *([] if w.pointwise else ["strided"])]
        return "_".join([self.name, *kinds]), context

    def code(self, node: Node, graph: Graph) -> Mapping[str, int]:
        """As measured, within some tens of bytes: every number of inputs has a function of its own."""
        name, context = self.variant(node, graph)
        fours = context["words"] + 4 * (context["turns"] > 0) + (context["rest"] > 0)
        return {name: 60 + 26 * context["outputs"] + fours * (12 + 16 * context["outputs"])}

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        w = window(node, graph)
        halves = pair_weights(node, graph).view("<u4").astype(np.uint32)
        fields: dict[str, Value] = {"weights": tables.add(f"{layer}_weights", halves)}
        fields |= {"row_pixels": w.row_pixels}
        scaling = rescaling(node, graph)
        each = (folded_bias(node, graph), scaling.multiplier, scaling.shift)
        for name, values in zip(("bias", "multiplier", "shift"), each, strict=True):
            fields[name] = tuple(int(v) for v in values)
        lo, hi = output_range(node, graph)
        fields |= {"rounding": 2 * graph.type(node.outputs[0]).zero_point + 1, "lo": lo, "hi": hi}
        if not w.pointwise:
            g = geometry(node, graph)  # the window's may lie on its side
            fields |= {"row_step": g.strides[0] * g.x[1] * g.x_channels}
            fields |= {"column_step": g.strides[1] * g.x_channels}
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]
