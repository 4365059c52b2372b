"""All that the generator knows about one library before it is printed."""

from __future__ import annotations

from dataclasses import dataclass

from mcugen.boards import Board
from mcugen.choice import Decision
from mcugen.ir import Graph
from mcugen.ops import OPS
from mcugen.select import Layer
from mcugen.storage import Storage


@dataclass(frozen=True)
class Library:
    """All that the generator knows about one library before it is printed."""

    name: str
    graph: Graph
    board: Board
    decision: Decision
    model_file: str
    model_sha256: str
    command: str

    @property
    def layers(self) -> tuple[Layer, ...]:
        """In execution order."""
        return self.decision.layers

    @property
    def storage(self) -> Storage:
        """Where everything lies in memory."""
        return self.decision.storage

    @property
    def align(self) -> int:
        """Bytes to which the members of the library's struct are aligned."""
        return 16 if self.board.isa.mve else 8

    def struct_offset(self, tensor: str) -> int:
        """Bytes from the start of the library's struct, where the arena comes first, then the states."""
        if tensor in self.storage.states:
            return -(-self.storage.arena // self.align) * self.align + self.storage.states[tensor]
        return self.storage.offset(tensor)

    @property
    def macs(self) -> int:
        return sum(OPS[layer.node.op].macs(layer.node, self.graph) for layer in self.layers)
