"""Kernels of chosen cost, in place of the real ones, for tests of the choice between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from graphs import int8_type

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Graph, Node, Tensor
from mcugen.kernels.kernel import Call, Kernel, Tables, read_first_access


@dataclass(frozen=True)
class Cost:
    """Of one layer with one kernel; a kernel in place takes no arena beside its input."""

    cycles: int = 100
    flash: int = 0
    scratch: int = 0
    in_place: bool = True


class Fake(Kernel):
    """A kernel whose costs are given by the node's name."""

    ops = ("softmax",)

    def __init__(self, name: str, costs: Mapping[str, Cost], size: int = 0, function: str = "") -> None:
        self.name = name  # type: ignore[misc]
        self.costs, self.size, self.function = costs, size, function or name

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return None if node.name in self.costs else "no cost"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return self.costs[node.name].cycles

    def scratch(self, node: Node, graph: Graph) -> int:
        return self.costs[node.name].scratch

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (read_first_access(node, graph) if self.costs[node.name].in_place else None,)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        tables.add(f"{layer}_{node.name}", np.arange(self.costs[node.name].flash, dtype=np.int8))
        return [Call({}, node.inputs, node.outputs[0])]

    def code(self, node: Node, graph: Graph) -> int:
        return self.size

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, object]]:
        return self.function, {}


def chain(*sizes: int) -> Graph:
    """Layers n0, n1, ... one behind the other; sizes of the input and of every output."""
    types = [int8_type((1, size)) for size in sizes]
    nodes = tuple(
        Node(f"n{i}", "softmax", (f"t{i}",), (f"t{i + 1}",), {"axis": 1}) for i in range(len(sizes) - 1)
    )
    tensors = {f"t{i}": Tensor(f"t{i}", ttype) for i, ttype in enumerate(types)}
    return Graph("chain", ("t0",), (f"t{len(sizes) - 1}",), nodes, tensors)


@dataclass
class Kernels:
    """What stands in for the real kernels."""

    patch: pytest.MonkeyPatch
    known: dict[str, Kernel] = field(default_factory=dict)

    def add(self, name: str, *costs: Cost | None, size: int = 0, function: str = "") -> None:
        """A kernel and its costs of the layers n0, n1, ...; None: it cannot run that layer."""
        by_name = {f"n{i}": cost for i, cost in enumerate(costs) if cost is not None}
        self.known[name] = Fake(name, by_name, size, function)
        self.patch.setattr("mcugen.select.KERNELS", self.known)  # not in it: its order would change
