"""Choose a kernel for every node: the cheapest of those that can run it on the board."""

from __future__ import annotations

from dataclasses import dataclass

from mcugen.boards import Board
from mcugen.errors import Fault, UnsupportedError
from mcugen.ir import DType, Graph, Node
from mcugen.kernels import KERNELS
from mcugen.kernels.kernel import Kernel, element_types

ALIASES = ("reshape",)  # operators that compute nothing: the output is the input's buffer
ASSIGNS = ("assign_variable",)  # operators whose output is their second input, a state, with new values


@dataclass(frozen=True)
class Layer:
    """One step of the generated library."""

    index: int
    node: Node
    kernel: Kernel


def choose(node: Node, graph: Graph, board: Board) -> Kernel | str:
    """The cheapest kernel that can run a node on the board, or why there is none."""
    types = element_types(node, graph)
    candidates = [k for k in KERNELS.values() if node.op in k.ops and types in k.types and k.serves(board)]
    reasons = {k.name: k.reject(node, graph, board) for k in candidates}
    able = [k for k in candidates if reasons[k.name] is None]
    if able:
        return min(able, key=lambda k: (k.cycles(node, graph, board), k.name))
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or _unserved(node, types)


def select(graph: Graph, board: Board) -> tuple[Layer, ...]:
    """The library's layers in execution order. Raises UnsupportedError naming every node without a kernel."""
    layers: list[Layer] = []
    faults: list[Fault] = []
    for node in graph.nodes:
        if node.op in ALIASES:
            continue
        kernel = choose(node, graph, board)
        if isinstance(kernel, str):
            faults.append(Fault(node.origin or node.name, kernel, "`mcugen ops` lists what is supported"))
        else:
            layers.append(Layer(len(layers), node, kernel))
    if faults:
        operators = "1 operator has" if len(faults) == 1 else f"{len(faults)} operators have"
        raise UnsupportedError(f"{operators} no kernel for {board.name}", faults)
    return tuple(layers)


def _unserved(node: Node, types: tuple[DType, DType]) -> str:
    taken = sorted({pair for k in KERNELS.values() if node.op in k.ops for pair in k.types})
    known = ", ".join(x if x == y else f"{x} to {y}" for x, y in taken)
    wanted = types[0] if types[0] == types[1] else f"{types[0]} to {types[1]}"
    return f"no kernel for {wanted} elements, only for {known}" if known else "no kernel serves it"
