"""conv2d and fully_connected of int16 by int8 for the DSP extension: conv2d_int16x8, two products an instruction."""

from __future__ import annotations

from mcugen.boards import Board
from mcugen.ir import Graph, Node
from mcugen.kernels.conv2d_int16x8 import Conv2DInt16x8
from mcugen.kernels.conv2d_portable import geometry

SHORTEST = 16  # inputs in a run, below which a call is dear


class Conv2DInt16x8Dsp(Conv2DInt16x8):
    name = "conv2d_int16x8_dsp"
    template = "conv2d_int16x8"
    dsp = True
    limits = (*Conv2DInt16x8.limits, f"runs of at least {SHORTEST} neighbouring inputs")
    headers = (*Conv2DInt16x8.headers, "mcugen_dsp.h")

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        g = geometry(node, graph)
        joined = g.kernel[1] if g.dilations[1] == 1 and g.groups == 1 else 1
        if joined * g.x_channels // g.groups < SHORTEST:
            return f"runs of less than {SHORTEST} neighbouring inputs"
        return super().reject(node, graph, board)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        g = geometry(node, graph)
        products = g.kernel[0] * g.kernel[1] * g.x_channels // g.groups
        return (1.8 * products + 60.0) * g.y[0] * g.y[1] * g.y_channels
