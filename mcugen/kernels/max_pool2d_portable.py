"""max_pool2d in plain C for every core: four channels at a time, no scratch, row range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, window_row_access
from mcugen.ops.conv2d import output_range


def window_fields(node: Node, graph: Graph) -> dict[str, Value]:
    """Descriptor fields that every pooling kernel has: the geometry."""
    _, h, w, c = graph.type(node.inputs[0]).shape
    top, left, _, _ = node.attrs["pads"]
    (kh, kw), (sh, sw), (dh, dw) = (node.attrs[name] for name in ("kernel", "strides", "dilations"))
    return {
        "x_height": h,
        "x_width": w,
        "channels": c,
        "y_width": graph.type(node.outputs[0]).shape[2],
        "kernel_height": kh,
        "kernel_width": kw,
        "stride_h": sh,
        "stride_w": sw,
        "dilation_h": dh,
        "dilation_w": dw,
        "pad_top": top,
        "pad_left": left,
    }


def pool_fields(node: Node, graph: Graph) -> dict[str, Value]:
    """Descriptor fields that every pooling kernel of integers has: clamp and geometry."""
    lo, hi = output_range(node, graph)
    return {"lo": lo, "hi": hi, **window_fields(node, graph)}


def lanes_variant(kernel: Kernel, channels: int, cells: int) -> tuple[str, Mapping[str, Any]]:
    """The function of a kernel that computes four channels at a time, or one where there are fewer channels or so few
    cells in a window that the loops around them take longer."""
    lanes = 4 if channels >= 4 and cells > 4 else 1
    return kernel.name + ("" if lanes == 4 else "_single"), {"lanes": lanes}


class MaxPool2DPortable(Kernel):
    name = "max_pool2d_portable"
    ops = ("max_pool2d",)
    headers = ("mcugen_window.h",)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        cells, lanes = math.prod(node.attrs["kernel"]), self.variant(node, graph)[1]["lanes"]
        each = 5.5 * cells + 10.0 if lanes == 4 else 7.0 * cells + 4.0
        return each * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, node.attrs["kernel"][0]),)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        return lanes_variant(self, graph.type(node.inputs[0]).shape[-1], math.prod(node.attrs["kernel"]))

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(pool_fields(node, graph), (node.inputs[0],), node.outputs[0], rows=rows)]
