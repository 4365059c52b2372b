"""conv2d and fully_connected of float32 activations and int8 weights for every core: the input is quantized by its own
range, into scratch, in each inference."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.fixed import INT32_MAX
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.conv2d_float import spatial_fields
from mcugen.kernels.conv2d_portable import geometry
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, read_first_access
from mcugen.ops.dynamic_range import is_dynamic
from mcugen.ops.op import clamp_of


def weight_fields(node: Node, graph: Graph, tables: Tables, layer: str) -> dict[str, Value]:
    """Descriptor fields: weights, their scales, bias and clamp."""
    quant = graph.type(node.inputs[1]).quant
    assert quant is not None
    lo, hi = clamp_of(node)
    return {
        "weights": tables.add(f"{layer}_weights", graph.constant(node.inputs[1])),
        "scales": tables.add(f"{layer}_scales", np.array(quant.scale, np.float32)),
        "bias": tables.add(f"{layer}_bias", graph.constant(node.inputs[2])),
        "lo": lo,
        "hi": hi,
    }


class Conv2DDynamic(Kernel):
    name = "conv2d_dynamic"
    ops: ClassVar[tuple[str, ...]] = ("conv2d", "fully_connected")
    types = ((DType.FLOAT32, DType.FLOAT32),)
    headers: ClassVar[tuple[str, ...]] = (
        "mcugen_dot.h",
        "mcugen_dynamic.h",
        "mcugen_float.h",
        "mcugen_wide.h",
        "mcugen_window.h",
    )
    limits = ("int8 weights", "sums that fit 32 bits, proved from the weights")

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        if not is_dynamic(node, graph):
            return f"it is for int8 weights, not {graph.type(node.inputs[1]).dtype}"
        bound = sum_bound(node, graph)
        return f"its accumulator can reach {bound:,}, which is beyond int32" if bound > INT32_MAX else None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        g = geometry(node, graph)
        products = g.kernel[0] * g.kernel[1] * g.x_channels // g.groups
        quantizing = 40.0 * graph.type(node.inputs[0]).elements
        return quantizing + (4.0 * products + 40.0) * g.y[0] * g.y[1] * g.y_channels

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (read_first_access(node, graph), None, None)

    def scratch(self, node: Node, graph: Graph) -> int:
        return graph.type(node.inputs[0]).elements

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {sum_bound(node, graph):,}, proved from the weights",)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        g = geometry(node, graph)
        fields = {**weight_fields(node, graph, tables, layer), "y_height": g.y[0], **spatial_fields(g)}
        return [Call(fields, (node.inputs[0],), node.outputs[0])]


def sum_bound(node: Node, graph: Graph) -> int:
    """What no |sum of (q - z) * w| exceeds: |q - z| <= 255."""
    weights = np.abs(graph.constant(node.inputs[1]).astype(np.int64))
    axis = 3 if node.op == "depthwise_conv2d" else 0
    return 255 * int(weights.sum(axis=tuple(i for i in range(weights.ndim) if i != axis)).max(initial=0))
