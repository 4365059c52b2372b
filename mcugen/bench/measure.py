"""`mcugen bench`: what a library costs on a board: instructions and model cycles by layer, bytes by symbol, stack.

One vector (seeded random numbers) runs on the emulated core; its output is compared with the integer reference. All
figures are deterministic.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.bench.costs import CostTable, load_costs
from mcugen.bench.decode import load_capstone
from mcugen.bench.firmware import DEFAULT_OPT, FirmwareImage, Vectors, build_firmware
from mcugen.bench.profile import Cell, Profile, profile_firmware
from mcugen.bench.program import OUTSIDE, Program, Symbol
from mcugen.bench.stack import Stack, read_usage, worst_stack
from mcugen.boards import Board, list_boards, load_board
from mcugen.errors import Fault, UsageError, VerifyError
from mcugen.execute import run_samples
from mcugen.graph_file import load_graph
from mcugen.manifest import load_manifest
from mcugen.progress import Progress, silent, stage
from mcugen.tools import compiler_version
from mcugen.trust import edited_files
from mcugen.verify import random_vectors, target_board

# Each level of Arm's M-profile executes the instructions of those below.
_ARCHITECTURES = {
    "cortex-m0": 6, "cortex-m0plus": 6, "cortex-m3": 7, "cortex-m4": 7, "cortex-m7": 7,
    "cortex-m33": 8, "cortex-m55": 8, "cortex-m85": 8,
}  # fmt: skip


@dataclass(frozen=True)
class LayerCost:
    """One layer; cycles are None where the core is not modelled."""

    index: int
    name: str
    op: str
    kernel: str
    origin: str
    macs: int
    instructions: int
    cycles: int | None


@dataclass(frozen=True)
class FunctionCost:
    """One C function in all layers together, without what it calls."""

    name: str
    instructions: int
    cycles: int | None


@dataclass(frozen=True)
class Measurement:
    """One library on one board.

    instructions, cycles: of one inference, the calls of the layers included; cycles with `wait_states`, None where the
    core is not modelled (`model` says by which rules, or why not). milliseconds: at `clock_hz`, None without either.
    unaligned_cycles: what unaligned accesses cost beside `cycles`. stack_bytes: the worst case, not the measured one.
    symbols: what each function and table takes in flash.
    """

    name: str
    board: str
    cpu: str
    machine: str
    compiler: str
    opt: str
    macs: int
    instructions: int
    cycles: int | None
    cycles_per_mac: float | None
    clock_hz: int | None
    milliseconds: float | None
    wait_states: int
    unaligned_cycles: int | None
    model: str
    arena_bytes: int
    code_bytes: int
    const_bytes: int
    stack_bytes: int
    stack_path: tuple[tuple[str, int], ...]
    layers: tuple[LayerCost, ...]
    functions: tuple[FunctionCost, ...]
    symbols: tuple[Symbol, ...]
    notes: tuple[str, ...]


def bench(
    folder: str | Path, *, boards: Sequence[str] = (), wait_states: int = 0, progress: Progress = silent
) -> list[Measurement]:
    """Measure a generated library on the board it was built for, or on those named, in their order.

    wait_states: of the flash, see docs/bench.md. Raises UsageError for a board that has not the instruction set that
    the library was built for, ToolError if a tool is missing, VerifyError if an output byte is wrong or an access
    faults on the real core, and what build_firmware raises.
    """
    folder = Path(folder)
    manifest = load_manifest(folder)
    if wait_states < 0:
        raise UsageError("wait states", [Fault("--wait-states", f"{wait_states} is less than none")])
    targets = _targets(manifest, boards)
    load_capstone()
    notes = edited_files(folder, manifest)
    vectors = _vectors(folder, manifest)
    found = []
    for board in targets:
        with stage(progress, f"running on {board.name} in the emulator"):
            found.append(_measure(folder, manifest, board, vectors, wait_states, notes))
    return found


def _targets(manifest: Mapping[str, Any], wanted: Sequence[str]) -> list[Board]:
    """The boards to measure on. Raises UsageError for all that cannot run the library at once."""
    if not wanted:
        return [target_board(manifest, None)]
    built = manifest["target"]
    boards = [load_board(name) for name in wanted]
    faults = []
    for name, board in zip(wanted, boards, strict=True):
        if not _has_instruction_set(built, board):
            words = shlex.split(manifest["command"])
            if "--board" in words:
                words[words.index("--board") + 1] = name
            why = f"has not the instruction set of {built['board']}, which the library was built for"
            faults.append(Fault(board.name, why, f"build it for this board: {shlex.join(words)}"))
    if faults:
        raise UsageError("the library does not run there", faults)
    return [target_board(manifest, name) for name in wanted]


def _has_instruction_set(built: Mapping[str, Any], board: Board) -> bool:
    """Whether a board executes what a library for `built` (the manifest's `target`) may hold."""
    if (board.cpu, list(board.flags)) == (built["cpu"], built["flags"]):
        return True
    own = next((b for b in list_boards() if b.cpu == built["cpu"]), None)
    if own is None or own.toolchain != board.toolchain:
        return False
    if own.cpu != board.cpu:
        levels = [_ARCHITECTURES.get(cpu) for cpu in (own.cpu, board.cpu)]
        if levels[0] is None or levels[1] is None or levels[1] < levels[0]:
            return False
    return all(getattr(board.isa, part) or not getattr(own.isa, part) for part in ("dsp", "mve", "fpu"))


def _vectors(folder: Path, manifest: Mapping[str, Any]) -> Vectors:
    """The first of verify's random vectors, and what must come out."""
    graph = load_graph(folder / f"{manifest['name']}.graph.npz")
    inputs = [a[:1] for a in random_vectors(manifest["inputs"])]
    chunks = list(run_samples(graph, dict(zip(graph.inputs, inputs, strict=True))))
    outputs = [np.concatenate([c[n] for c in chunks]) for n in graph.outputs]
    return Vectors.from_arrays(inputs, outputs, [None] * len(manifest["layers"]))


def _measure(
    folder: Path,
    manifest: Mapping[str, Any],
    board: Board,
    vectors: Vectors,
    wait_states: int,
    notes: Sequence[str],
) -> Measurement:
    name, costs = manifest["name"], load_costs(board.cpu)
    with tempfile.TemporaryDirectory(prefix="mcugen-bench-") as work:
        image = build_firmware(folder, board, vectors, Path(work), layers=False)
        counted, profile = profile_firmware(image, board, name)
        alone = Program(image.alone, name)
        stack = _stack(image, alone, name)
    where = f"{board.name} on {image.machine.name}"
    if counted.wrong_bytes:
        why = f"{counted.wrong_bytes:,} output bytes differ from the integer reference"
        raise VerifyError("the library computes something else", [Fault(where, why, "mcugen verify")])
    cells = profile.cells(costs)
    _check_alignment(cells, costs, board)
    if board.note:
        notes = [*notes, f"{board.name}: {board.note}"]
    return _report(manifest, board, image, profile, cells, costs, wait_states, stack, alone.symbols, notes)


def _stack(image: FirmwareImage, alone: Program, name: str) -> Stack:
    there = {span.name for span in alone.functions}
    public = [f"{name}_{function}" for function in ("run", "input", "output", "reset")]
    roots = [function for function in public if function in there]
    return worst_stack(alone, read_usage(image.stack_usage), roots)


def _check_alignment(cells: Mapping[tuple[int, str], Cell], costs: CostTable | None, board: Board) -> None:
    """Raises VerifyError for what the emulator does and the core does not."""
    if costs is None or costs.unaligned:
        return
    faults = [
        Fault(function, f"{cell.late:,} unaligned accesses, which fault on a {board.cpu}", "report it")
        for (_, function), cell in sorted(cells.items())
        if cell.late
    ]
    if faults:
        raise VerifyError("the library does not run on the real core", faults)


def _report(
    manifest: Mapping[str, Any],
    board: Board,
    image: FirmwareImage,
    profile: Profile,
    cells: Mapping[tuple[int, str], Cell],
    costs: CostTable | None,
    wait_states: int,
    stack: Stack,
    symbols: Sequence[Symbol],
    notes: Sequence[str],
) -> Measurement:
    layers: dict[int, Cell] = {i: Cell() for i in range(OUTSIDE, len(manifest["layers"]))}
    functions: dict[str, Cell] = {}
    total = Cell()
    for (layer, function), cell in cells.items():
        layers[layer] += cell
        functions.setdefault(function, Cell())
        functions[function] += cell
        total += cell

    def cycles(cell: Cell) -> int | None:
        return None if costs is None else cell.cycles + wait_states * (cell.taken + cell.flash)

    whole, macs = cycles(total), int(manifest["macs"])
    return Measurement(
        name=manifest["name"],
        board=board.name,
        cpu=board.cpu,
        machine=image.machine.name,
        compiler=compiler_version(board.toolchain),
        opt=DEFAULT_OPT,
        macs=macs,
        instructions=total.instructions,
        cycles=whole,
        cycles_per_mac=whole / macs if whole is not None and macs else None,
        clock_hz=board.clock_hz,
        milliseconds=1e3 * whole / board.clock_hz if whole is not None and board.clock_hz else None,
        wait_states=wait_states,
        unaligned_cycles=total.late if costs is not None else None,
        model=costs.assumption if costs is not None else f"cycles are not modelled for {board.cpu}",
        arena_bytes=int(manifest["memory"]["arena"]),
        code_bytes=image.code_bytes,
        const_bytes=image.const_bytes,
        stack_bytes=stack.bytes,
        stack_path=stack.path,
        layers=tuple(
            LayerCost(
                e["index"], e["name"], e["op"], e["kernel"], e["origin"], e["macs"],
                layers[e["index"]].instructions, cycles(layers[e["index"]]),
            )
            for e in manifest["layers"]
        ),
        functions=tuple(
            FunctionCost(name, cell.instructions, cycles(cell))
            for name, cell in sorted(functions.items(), key=lambda item: (-item[1].instructions, item[0]))
        ),
        symbols=tuple(symbols),
        notes=tuple(notes),
    )  # fmt: skip
