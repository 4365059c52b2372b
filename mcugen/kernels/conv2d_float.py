"""conv2d and fully_connected in float32 for every core, with weights stored as float32 or float16."""

from __future__ import annotations

from typing import ClassVar

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.conv2d_portable import conv_access, geometry, window_fields, x_fields
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.ops.op import clamp_of


def weighted_fields(node: Node, graph: Graph, tables: Tables, layer: str) -> dict[str, Value]:
    """Descriptor fields of every float kernel with weights: those, the bias and the clamp."""
    lo, hi = clamp_of(node)
    return {
        "weights": tables.add(f"{layer}_weights", graph.constant(node.inputs[1])),
        "bias": tables.add(f"{layer}_bias", graph.constant(node.inputs[2])),
        "lo": lo,
        "hi": hi,
    }


class Conv2DFloat32(Kernel):
    name = "conv2d_float32"
    ops: ClassVar[tuple[str, ...]] = ("conv2d", "fully_connected")
    types = ((DType.FLOAT32, DType.FLOAT32),)
    headers: ClassVar[tuple[str, ...]] = ("mcugen_float.h", "mcugen_wide.h", "mcugen_window.h")
    template = "conv2d_float"
    context = {"weight": "float32", "ctype": "float"}
    stored = DType.FLOAT32
    limits: ClassVar[tuple[str, ...]] = ("float32 weights",)

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        weights = graph.type(node.inputs[1]).dtype
        return None if weights is self.stored else f"it is for {self.stored} weights, not {weights}"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        g = geometry(node, graph)
        products = g.kernel[0] * g.kernel[1] * g.x_channels // g.groups
        return (9.0 * products + 60.0) * g.y[0] * g.y[1] * g.y_channels

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (conv_access(node, graph), None, None)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        g = geometry(node, graph)
        fields = {**weighted_fields(node, graph, tables, layer), **x_fields(g), **window_fields(g)}
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=g.y[0])]


class Conv2DFloat16(Conv2DFloat32):
    name = "conv2d_float16"
    context = {"weight": "float16", "ctype": "uint16_t"}
    stored = DType.FLOAT16
    limits = ("float16 weights",)
