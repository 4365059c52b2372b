"""Choose a kernel for every node: the cheapest of those that can run it on the board."""

from __future__ import annotations

from dataclasses import dataclass

from mcugen.boards import Board
from mcugen.errors import Fault, UnsupportedError
from mcugen.ir import Graph, Node
from mcugen.kernels import KERNELS
from mcugen.kernels.kernel import Kernel

ALIASES = ("reshape",)  # operators that compute nothing: the output is the input's buffer


@dataclass(frozen=True)
class Layer:
    """One step of the generated library."""

    index: int
    node: Node
    kernel: Kernel


def select(graph: Graph, board: Board) -> tuple[Layer, ...]:
    """The library's layers in execution order. Raises UnsupportedError naming every node without a kernel."""
    layers: list[Layer] = []
    faults: list[Fault] = []
    for node in graph.nodes:
        if node.op in ALIASES:
            continue
        candidates = [k for k in KERNELS.values() if node.op in k.ops and k.serves(board)]
        reasons = {k.name: k.reject(node, graph, board) for k in candidates}
        able = [k for k in candidates if reasons[k.name] is None]
        if not able:
            why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "no kernel serves it"
            faults.append(Fault(node.origin or node.name, why, "`mcugen ops` lists what is supported"))
            continue
        best = min(able, key=lambda k: (k.cycles(node, graph, board), k.name))
        layers.append(Layer(len(layers), node, best))
    if faults:
        operators = "1 operator has" if len(faults) == 1 else f"{len(faults)} operators have"
        raise UnsupportedError(f"{operators} no kernel for {board.name}", faults)
    return tuple(layers)
