"""Judge whether a library fits the board, where the board names its memories."""

from __future__ import annotations

from mcugen.errors import Fault, FitError
from mcugen.kernels.kernel import Tables
from mcugen.render import Library

STACK_BYTES = 1024  # of a run, beside the arena; measured peaks are below 600
CODE_BYTES = 8192  # of kernels and descriptors, beside the constant arrays; measured sums are below 7,500


def check_fit(library: Library, tables: Tables) -> None:
    """Raises FitError saying by how much RAM or flash is short and what would help.

    The arena and the constants are one array or a few each, so the longest run of memory is what counts; code and
    stack are counted with what the largest networks need.
    """
    board, faults = library.board, []
    ram, flash = board.largest("ram"), board.largest("flash")
    arena = library.storage.arena
    weights = sum(a.nbytes for a in tables.arrays.values())
    if ram is not None and arena + STACK_BYTES > ram:
        peak = max(library.storage.buffers, key=lambda b: b.size)
        faults.append(
            Fault(
                "RAM",
                f"the arena of {arena:,} bytes and {STACK_BYTES:,} bytes of stack are "
                f"{arena + STACK_BYTES - ram:,} bytes more than the board's {ram:,}",
                f"a smaller input or fewer channels (the largest tensor is {peak.name!r} with {peak.size:,} bytes), "
                "or a larger board (`mcugen boards`)",
            )
        )
    if flash is not None and weights + CODE_BYTES > flash:
        largest = max(library.layers, key=lambda layer: _weight_bytes(library, layer.index))
        faults.append(
            Fault(
                "flash",
                f"the constants of {weights:,} bytes and up to {CODE_BYTES:,} bytes of code are "
                f"{weights + CODE_BYTES - flash:,} bytes more than the board's {flash:,}",
                f"fewer channels ({largest.node.origin} alone has {_weight_bytes(library, largest.index):,} bytes), "
                "or a larger board (`mcugen boards`)",
            )
        )
    if faults:
        raise FitError(f"{library.name} does not fit {board.name}", faults)


def _weight_bytes(library: Library, index: int) -> int:
    graph = library.graph
    return sum(graph.type(i).bytes for i in library.layers[index].node.inputs if graph.is_constant(i))
