"""Where a program spends its time: executed blocks from a plugin of QEMU, given to layers and functions.

The counting program (no hook, the code as it is shipped) runs once with exact instruction counts; block_profile.c
counts each block with the one executed before it, from the call of `<name>_run` to its return. What lies in the code of
a layer (see program.py) belongs to it, and so does all that is called from there.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcugen.bench.costs import CostTable
from mcugen.bench.decode import Decoder, Instruction
from mcugen.bench.emulator import Counted, run_counting
from mcugen.bench.firmware import FirmwareImage
from mcugen.bench.program import Program
from mcugen.boards import Board, Machine
from mcugen.errors import Fault, InternalError, ToolError
from mcugen.tools import how_to_install, run_tool

# Of QEMU's plugin interface, to be tried in this order: 1 up to QEMU 8.2, 2 at least from QEMU 9.0 on.
_VERSIONS = range(1, 9)

Edge = tuple[int, int, int]  # context, from, to: see block_profile.c


@dataclass(frozen=True)
class Block:
    """Instructions that QEMU translated as one: their addresses, and where the next one would be. The caller's block,
    to which the library returns, has none."""

    start: int
    addresses: tuple[int, ...]
    end: int


@dataclass(frozen=True)
class Access:
    """Memory accesses of one instruction in one context: reads of flash, transfers beyond those of aligned ones."""

    address: int
    context: int
    flash: int
    late: int


@dataclass
class Cell:
    """What was counted of one function in one layer."""

    instructions: int = 0
    cycles: int = 0
    taken: int = 0
    flash: int = 0
    late: int = 0

    def __iadd__(self, other: Cell) -> Cell:
        self.instructions += other.instructions
        self.cycles += other.cycles
        self.taken += other.taken
        self.flash += other.flash
        self.late += other.late
        return self


@dataclass(frozen=True)
class Profile:
    """One inference: blocks by id, edges with their counts, and the instructions that the emulator's own counter
    saw."""

    program: Program
    blocks: Mapping[int, Block]
    edges: Mapping[Edge, int]
    accesses: Sequence[Access]
    instructions: int

    def check(self) -> None:
        """Raises InternalError if blocks and the emulator's own counter disagree."""
        found = sum(len(self.blocks[to].addresses) * count for (_, _, to), count in self.edges.items())
        if found != self.instructions:
            raise InternalError(f"{found:,} instructions in blocks, {self.instructions:,} counted")

    def cells(self, costs: CostTable | None) -> dict[tuple[int, str], Cell]:
        """What was counted, by layer and function; cycles are 0 without costs."""
        table: dict[tuple[int, str], Cell] = {}
        decoded = self._decode() if costs is not None else {}

        def cell(context: int, address: int) -> Cell:
            # What lies in a layer's own code is its own, anything else was called from there.
            own = (
                address
                if context < 0 or self.program.is_root(address)
                else self.blocks[context].addresses[-1]
            )
            return table.setdefault((self.program.layer(own), self.program.name(address)), Cell())

        for (context, before, to), count in self.edges.items():
            block = self.blocks[to]
            last = self.blocks[before].addresses[-1] if before >= 0 else None
            if before >= 0 and last is not None and self.blocks[before].end != block.start:
                here = cell(context, last)
                here.taken += count
                here.cycles += count * costs.taken(decoded[last]) if costs is not None else 0
            for address in block.addresses:
                here = cell(context, address)
                here.instructions += count
                if costs is not None:
                    previous = decoded[last] if last is not None else None
                    here.cycles += count * costs.cycles(decoded[address], previous)
                last = address
        for access in self.accesses:
            here = cell(access.context, access.address)
            here.flash += access.flash
            here.late += access.late
        return table

    def _decode(self) -> dict[int, Instruction]:
        decoder = Decoder()
        return {
            address: decoder.decode(self.program.code(address), address)
            for address in sorted({a for block in self.blocks.values() for a in block.addresses})
        }


def profile_firmware(
    image: FirmwareImage, board: Board, name: str, *, timeout: float = 300.0
) -> tuple[Counted, Profile]:
    """Run the counting program with one vector under the plugin. name: the library's.

    Raises ToolError if the host's compiler, the emulator or its plugin interface is missing, and what run_counting
    raises.
    """
    program = Program(image.counting, name)
    with tempfile.TemporaryDirectory(prefix="mcugen-profile-") as work:
        out = Path(work) / "profile"
        plugin = _plugin(image.machine, Path(work))
        options = [
            "-plugin",
            ",".join([str(plugin), f"out={out}", *_arguments(program, name, image.machine)]),
        ]
        counted = run_counting(image, board, timeout=timeout, options=options)
        text = out.read_text(encoding="ascii")
    blocks, edges, accesses = _parse(text, program)
    profile = Profile(program, blocks, edges, accesses, counted.instructions[0])
    profile.check()
    return counted, profile


def _arguments(program: Program, name: str, machine: Machine) -> list[str]:
    measure = program.function("measure")
    spans = {"end": [measure], "root": program.roots}
    if machine.counter == "systick":
        spans["skip"] = [program.function("SysTick_Handler")]
    flash = [memory for memory in machine.memories if memory.kind == "flash"]
    ranges = [f"{key}={span.lo:x}:{span.hi:x}" for key, found in spans.items() for span in found]
    ranges.append(f"flash={min(m.base for m in flash):x}:{max(m.end for m in flash):x}")
    return [f"begin={program.function(f'{name}_run').lo:x}", *ranges]


def _parse(text: str, program: Program) -> tuple[dict[int, Block], dict[Edge, int], list[Access]]:
    """The plugin's lines; see block_profile.c."""
    blocks: dict[int, Block] = {}
    edges: Counter[Edge] = Counter()
    accesses = []
    for line in text.splitlines():
        kind, *words = line.split()
        if kind == "B":
            start = at = int(words[1], 16)
            addresses = []
            for _ in range(int(words[2])):
                addresses.append(at)
                at += program.size(at)
            blocks[int(words[0])] = Block(start, tuple(addresses), at)
        elif kind == "E":
            context, before, to, count = map(int, words)
            edges[context, before, to] += count
        else:
            block, index, context, flash, once, twice = map(int, words)
            accesses.append(Access(blocks[block].addresses[index], context, flash, once + 2 * twice))
    return blocks, dict(edges), accesses


def _plugin(machine: Machine, work: Path) -> Path:
    """The plugin, compiled for the version of the interface that the installed emulator has."""
    source, plugin = Path(__file__).with_name("block_profile.c"), work / "block_profile.so"
    emulator = f"qemu-system-{machine.qemu}"
    refused = ""
    for version in _VERSIONS:
        flags = ["-shared", "-fPIC", "-O2", f"-DPLUGIN_VERSION={version}"]
        done = run_tool(["cc", *flags, source, "-o", plugin], timeout=60)
        if done.returncode:
            why = f"the host's compiler cannot make a shared library: {done.stderr.strip()[:300]}"
            raise ToolError("no profile", [Fault("cc", why, how_to_install("cc"))])
        # A device that does not exist ends QEMU as soon as it has loaded, or refused, the plugin.
        asked = [emulator, "-M", "none", "-display", "none", "-device", "none"]
        said = run_tool([*asked, "-plugin", f"{plugin},out={work / 'trial'}"], timeout=30).stderr
        lines = [line for line in said.splitlines() if "API version" in line or "invalid option" in line]
        if not lines:
            return plugin
        refused = lines[0]
    fix = "take an emulator with plugins, as that of Debian 12"
    raise ToolError("no profile", [Fault(emulator, refused, fix)])
