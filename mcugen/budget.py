"""What a board leaves for a library's arena, and for its constants and kernels."""

from __future__ import annotations

from mcugen.boards import Board

STACK_BYTES = 1024  # of a run, beside the arena; measured peaks are below 600
CODE_BYTES = (
    4096  # beside the kernels' functions: calls, descriptors, libgcc, what other cores and -O3 need more
)


def arena_budget(board: Board, state: int) -> int | None:
    """Bytes of RAM for the arena beside `state` bytes; None if the board names none. The arena is one array: the
    longest run of memory is what counts."""
    ram = board.largest("ram")
    return None if ram is None else ram - state - STACK_BYTES


def flash_budget(board: Board) -> int | None:
    """Bytes of flash for constants and the kernels' functions; None if the board names none."""
    flash = board.largest("flash")
    return None if flash is None else flash - CODE_BYTES
