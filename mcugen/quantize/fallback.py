"""Which operators of an integer network compute real numbers: those that the user names, and those that no integer
kernel can run."""

from __future__ import annotations

from mcugen.boards import Board
from mcugen.ir import DType, Graph
from mcugen.quantize.layers import NodeTypes
from mcugen.quantize.ptq import Ranges, quantize
from mcugen.select import ALIASES, option, unserved


def fall_back(graph: Graph, ranges: Ranges, asked: NodeTypes, board: Board, usual: DType) -> NodeTypes:
    """`asked`, and in float32 all nodes that no integer kernel runs on the board."""
    types, reasons = dict(asked.types), dict(asked.reasons)
    while True:
        integer = quantize(graph, ranges, types, usual)
        names = {n.name for n in graph.nodes} - reasons.keys()
        found = {
            n.name: why
            for n in integer.nodes
            if n.name in names
            and n.op not in ALIASES
            and (why := unserved(option(n, integer, board), integer))
        }
        if not found:
            return NodeTypes(types, reasons)
        types |= dict.fromkeys(found, DType.FLOAT32)
        reasons |= found
