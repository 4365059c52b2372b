"""Judge whether a library fits the board, where the board names its memories."""

from __future__ import annotations

from dataclasses import dataclass

from mcugen.boards import Board, list_boards
from mcugen.budget import CODE_BYTES, STACK_BYTES
from mcugen.errors import Fault, FitError
from mcugen.kernels.kernel import Tables
from mcugen.library import Library


@dataclass(frozen=True)
class Needs:
    """Bytes of RAM (arena and stack) and of flash (constants and code) at most, the application's own not counted."""

    ram: int
    flash: int

    def met_by(self, board: Board) -> bool:
        """The arena and the constants are one array or a few each: the longest run of memory is what counts."""
        ram, flash = board.largest("ram"), board.largest("flash")
        return (ram is None or self.ram <= ram) and (flash is None or self.flash <= flash)


def needs(library: Library, tables: Tables) -> Needs:
    """What a library takes; code and stack are counted with what the largest networks need."""
    ram = library.storage.arena + library.storage.state + STACK_BYTES
    return Needs(ram, tables.bytes + code_bytes(library))


def code_bytes(library: Library) -> int:
    """At most, of kernels, calls and descriptors."""
    graph, used = library.graph, [(layer.kernel, layer.node) for layer in library.layers]
    sizes = {kernel.variant(node, graph)[0]: kernel.code(node, graph) for kernel, node in used}
    return CODE_BYTES + sum(sizes.values())


def check_fit(library: Library, tables: Tables) -> None:
    """Raises FitError saying by how much RAM or flash is short and what would help."""
    board, faults = library.board, []
    wanted = needs(library, tables)
    ram, flash = board.largest("ram"), board.largest("flash")
    larger = _larger(wanted)
    tried = _tried(library)
    if ram is not None and wanted.ram > ram:
        peak = max(library.storage.buffers, key=lambda b: b.size)
        faults.append(
            Fault(
                "RAM",
                f"the arena of {library.storage.arena:,} bytes, {library.storage.state:,} bytes of state and "
                f"{STACK_BYTES:,} bytes of stack are "
                f"{wanted.ram - ram:,} bytes more than the board's {ram:,}{tried}",
                f"a smaller input or fewer channels (the largest tensor is {peak.name!r} with {peak.size:,} bytes), "
                f"or {larger}",
            )
        )
    if flash is not None and wanted.flash > flash:
        largest = max(library.layers, key=lambda layer: _constant_bytes(library, layer.index))
        faults.append(
            Fault(
                "flash",
                f"the constants of {tables.bytes:,} bytes and up to {code_bytes(library):,} bytes of code are "
                f"{wanted.flash - flash:,} bytes more than the board's {flash:,}{tried}",
                f"fewer channels ({largest.node.origin} alone has {_constant_bytes(library, largest.index):,} bytes), "
                f"or {larger}",
            )
        )
    if faults:
        raise FitError(f"{library.name} does not fit {board.name}", faults)


def _tried(library: Library) -> str:
    """That other kernels do not help, where there are any."""
    choices = [len(able) for able in library.decision.candidates if len(able) > 1]
    if not choices:
        return ""
    return f"; of the {sum(choices)} kernels that {len(choices)} layers can have, these take the least"


def _larger(wanted: Needs) -> str:
    """Where it would fit: the shipped boards with the least RAM that have enough of all."""
    able = [board for board in list_boards() if board.has_limits and wanted.met_by(board)]
    able.sort(key=lambda board: (board.total("ram") or 0, board.name))
    return f"a larger board, such as {' or '.join(b.name for b in able[:2])}" if able else "a larger board"


def _constant_bytes(library: Library, index: int) -> int:
    graph = library.graph
    return sum(graph.type(i).bytes for i in library.layers[index].node.inputs if graph.is_constant(i))
