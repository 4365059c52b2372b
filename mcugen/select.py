"""Which kernels can run a node on the board; `choice.py` chooses one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mcugen.boards import Board
from mcugen.errors import Fault, UnsupportedError, UsageError
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


@dataclass(frozen=True)
class Option:
    """The kernels that can run a node on the board, by name; why others cannot; those for other cores."""

    node: Node
    able: tuple[Kernel, ...]
    reasons: Mapping[str, str]
    foreign: tuple[str, ...]


def option(node: Node, graph: Graph, board: Board) -> Option:
    """What there is for a node."""
    types = element_types(node, graph)
    able: list[Kernel] = []
    reasons: dict[str, str] = {}
    foreign: list[str] = []
    for name, kernel in sorted(KERNELS.items()):
        if node.op not in kernel.ops or types not in kernel.types:
            continue
        if not kernel.serves(board):
            foreign.append(name)
        elif (why := kernel.reject(node, graph, board)) is not None:
            reasons[name] = why
        else:
            able.append(kernel)
    return Option(node, tuple(able), reasons, tuple(foreign))


def unserved(option: Option, graph: Graph) -> str | None:
    """Why no kernel can run a node; None if one can."""
    if option.able:
        return None
    told = "; ".join(f"{name}: {why}" for name, why in option.reasons.items())
    return told or _no_kernel(option.node, element_types(option.node, graph))


def options(graph: Graph, board: Board) -> tuple[Option, ...]:
    """Of every layer, in execution order. Raises UnsupportedError naming every node without a kernel."""
    found = [option(node, graph, board) for node in graph.nodes if node.op not in ALIASES]
    faults = [
        Fault(o.node.origin or o.node.name, why, "`mcugen ops` lists what is supported")
        for o in found
        if (why := unserved(o, graph))
    ]
    if faults:
        operators = "1 operator has" if len(faults) == 1 else f"{len(faults)} operators have"
        raise UnsupportedError(f"{operators} no kernel for {board.name}", faults)
    return tuple(found)


def with_wishes(found: Sequence[Option], wishes: Mapping[str, tuple[str, str]]) -> tuple[Option, ...]:
    """Options where a wish (kernel, who wants it) for a node by name leaves nothing else. Raises UsageError for all
    kernels that are not among what can run the node."""
    faults: list[Fault] = []
    result = []
    for o in found:
        name, where = wishes.get(o.node.name, (None, ""))
        able = {kernel.name: kernel for kernel in o.able}
        if name is None:
            result.append(o)
        elif name in able:
            others = {kernel: f"{where} wants {name}" for kernel in able if kernel != name}
            result.append(replace(o, able=(able[name],), reasons={**o.reasons, **others}))
        else:
            unknown = "it is for other cores" if name in o.foreign else "there is none for such a layer"
            why = f"{name} for {o.node.name}: {o.reasons.get(name, unknown)}"
            faults.append(Fault(where, why, f"one of {', '.join(able)}"))
    if faults:
        raise UsageError("no such kernels", faults)
    return tuple(result)


def _no_kernel(node: Node, types: tuple[DType, DType]) -> str:
    taken = sorted({pair for k in KERNELS.values() if node.op in k.ops for pair in k.types})
    known = ", ".join(x if x == y else f"{x} to {y}" for x, y in taken)
    wanted = types[0] if types[0] == types[1] else f"{types[0]} to {types[1]}"
    return f"no kernel for {wanted} elements, only for {known}" if known else "no kernel serves it"
