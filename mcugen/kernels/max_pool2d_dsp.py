"""max_pool2d for the DSP extension: four or eight channels at a time, no scratch, row range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, window_row_access
from mcugen.kernels.max_pool2d_portable import pool_fields
from mcugen.ops.conv2d import output_range

MOST_TAPS = 9  # of a window whose taps are written out


def stays_inside(node: Node, graph: Graph) -> bool:
    """Whether no window leaves the image."""
    sizes = zip(graph.type(node.inputs[0]).shape[1:3], graph.type(node.outputs[0]).shape[1:3], strict=True)
    top, left, _, _ = node.attrs["pads"]
    reach = zip(node.attrs["kernel"], node.attrs["strides"], node.attrs["dilations"], strict=True)
    ends = [
        (out - 1) * stride + (taps - 1) * dilation < size
        for (size, out), (taps, stride, dilation) in zip(sizes, reach, strict=True)
    ]
    return top == left == 0 and all(ends)


class _Pool2DDsp(Kernel):
    """What pooling kernels for the DSP extension share: their functions by channels, window and clamp."""

    headers = ("mcugen_window.h", "mcugen_dsp.h", "mcugen_bytes_dsp.h")
    limits: ClassVar[tuple[str, ...]] = ("at least 4 channels",)
    finish: ClassVar[float] = 0.0  # cycles per output, beside those of the cells

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return "fewer than 4 channels" if graph.type(node.inputs[0]).shape[-1] < 4 else None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        cells, context = math.prod(node.attrs["kernel"]), self.variant(node, graph)[1]
        each = (
            0.9 * cells + 1.0 if context["whole"] else (1.5 if context["words"] == 2 else 2.3) * cells + 4.0
        )
        return (each + self.finish) * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (window_row_access(node, graph, node.attrs["kernel"][0]),)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        kh, kw = node.attrs["kernel"]
        words = 2 if graph.type(node.inputs[0]).shape[-1] >= 8 else 1
        taps = [(i, j) for i in range(kh) for j in range(kw)] if stays_inside(node, graph) else []
        written = taps if len(taps) <= MOST_TAPS else []
        clamped = output_range(node, graph) != (-128, 127)
        name = self.name + (f"_{kh}x{kw}" if written else "") + ("" if words == 2 else "_narrow")
        context = {
            "words": words,
            "clamped": clamped,
            "whole": bool(written),
            "taps": written[1:],
            "kernel_height": kh,
            "kernel_width": kw,
        }
        return name + ("_clamp" if clamped else ""), context

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(pool_fields(node, graph), (node.inputs[0],), node.outputs[0], rows=rows)]


class MaxPool2DDsp(_Pool2DDsp):
    name = "max_pool2d_dsp"
    ops = ("max_pool2d",)
