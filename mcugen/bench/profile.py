"""Where a program spends its time: executed blocks from a plugin of QEMU, given to layers and functions.

The counting program (no hook, the code as it is shipped) runs once with exact instruction counts; block_profile.c
counts each block with the one executed before it, from the call of `<name>_run` to its return. A layer is a function
`layer_<i>` of the generated C, which the compiler inlines into `<name>_run`: the debug information, which changes no
instruction, says which addresses are whose. What is called from there belongs to the layer that ran last.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from elftools.dwarf.ranges import RangeEntry
from elftools.elf.elffile import ELFFile

from mcugen.bench.costs import CostTable, Decoder, Instruction
from mcugen.bench.emulator import Counted, run_counting
from mcugen.bench.firmware import FirmwareImage
from mcugen.boards import Board, Machine
from mcugen.errors import Fault, InternalError, ToolError
from mcugen.tools import how_to_install, run_tool

OUTSIDE = -1  # the layer of what belongs to none: the calls themselves
_LAYER = re.compile(r"layer_(\d+)(\.|$)")
_VERSIONS = range(1, 9)  # of QEMU's plugin interface that are tried


@dataclass(frozen=True)
class Block:
    """Instructions that QEMU translated as one: their addresses, and where the next one would be."""

    addresses: tuple[int, ...]
    end: int


@dataclass(frozen=True)
class Span:
    """A function, or a piece of one that was inlined: addresses lo <= a < hi."""

    lo: int
    hi: int
    name: str


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


class Program:
    """A linked program: its functions, its code, and which addresses belong to which layer. One library in it."""

    def __init__(self, elf: Path, name: str) -> None:
        with elf.open("rb") as file:
            parsed = ELFFile(file)
            self.functions = sorted(_functions(parsed), key=lambda span: span.lo)
            self._code = [
                (s["sh_addr"], s.data()) for s in parsed.iter_sections() if s["sh_flags"] & 4 and s["sh_size"]
            ]
            layers = [span for span in self.functions if _LAYER.match(span.name)]
            self.roots = [*layers, self.function(f"{name}_run")]
            self._layers = _by_address([*_inlined_layers(parsed), *layers])
        self._names = _by_address(self.functions)

    def function(self, name: str) -> Span:
        """A function by its name; KeyError if there is none."""
        for span in self.functions:
            if span.name == name:
                return span
        raise KeyError(name)

    def layer(self, address: int) -> int:
        """The index of the layer whose own code this is, or OUTSIDE."""
        found = _LAYER.match(self._layers.get(address, ""))
        return int(found[1]) if found else OUTSIDE

    def name(self, address: int) -> str:
        """The function at an address."""
        return self._names.get(address, "?")

    def code(self, address: int) -> bytes:
        """Four bytes from an address on, less at the end of a section."""
        for start, data in self._code:
            if start <= address < start + len(data):
                return data[address - start : address - start + 4]
        raise InternalError(f"there is no code at {address:#x}")


def _functions(parsed: Any) -> Iterator[Span]:
    for section in parsed.iter_sections():
        if section["sh_type"] != "SHT_SYMTAB":
            continue
        for symbol in section.iter_symbols():
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_size"]:
                # Bit 0 of an Arm function's address says that it is Thumb code.
                lo = symbol["st_value"] & ~1
                yield Span(lo, lo + symbol["st_size"], symbol.name)


def _inlined_layers(parsed: Any) -> Iterator[Span]:
    """The pieces of functions `layer_<i>` that the compiler inlined."""
    if not parsed.has_dwarf_info():
        return
    dwarf = parsed.get_dwarf_info()
    ranges = dwarf.range_lists()
    for unit in dwarf.iter_CUs():
        for die in unit.iter_DIEs():
            if die.tag != "DW_TAG_inlined_subroutine":
                continue
            origin = die.get_DIE_from_attribute("DW_AT_abstract_origin")
            name = origin.attributes["DW_AT_name"].value.decode()
            if not _LAYER.match(name):
                continue
            if "DW_AT_low_pc" in die.attributes and "DW_AT_high_pc" in die.attributes:
                lo = die.attributes["DW_AT_low_pc"].value
                yield Span(lo, lo + die.attributes["DW_AT_high_pc"].value, name)
            elif "DW_AT_ranges" in die.attributes:
                base = unit.get_top_DIE().attributes["DW_AT_low_pc"].value
                for entry in ranges.get_range_list_at_offset(die.attributes["DW_AT_ranges"].value, cu=unit):
                    if not isinstance(entry, RangeEntry):
                        base = entry.base_address
                        continue
                    add = 0 if entry.is_absolute else base
                    yield Span(entry.begin_offset + add, entry.end_offset + add, name)


def _by_address(spans: Sequence[Span]) -> dict[int, str]:
    return {address: span.name for span in spans for address in range(span.lo, span.hi, 2)}


@dataclass(frozen=True)
class Profile:
    """One inference: edges (context, from, to) with their counts, blocks by id, and the instructions that the
    emulator's own counter saw. `from` is -1 at the beginning."""

    program: Program
    blocks: Mapping[int, Block]
    edges: Mapping[tuple[int, int, int], int]
    accesses: Sequence[Access]
    instructions: int

    @cached_property
    def _counted(self) -> int:
        return sum(len(self.blocks[to].addresses) * count for (_, _, to), count in self.edges.items())

    def check(self) -> None:
        """Raises InternalError if blocks and the emulator's own counter disagree."""
        if self._counted != self.instructions:
            raise InternalError(f"{self._counted:,} instructions in blocks, {self.instructions:,} counted")

    def cells(self, costs: CostTable | None) -> dict[tuple[int, str], Cell]:
        """What was counted, by layer and function; cycles are 0 without costs."""
        table: dict[tuple[int, str], Cell] = {}
        decoded = self._decode() if costs is not None else {}

        def cell(context: int, address: int) -> Cell:
            # What lies in a layer's own code is its own, anything else was called from there.
            own = address if context < 0 or self._is_root(address) else self.blocks[context].addresses[-1]
            return table.setdefault((self.program.layer(own), self.program.name(address)), Cell())

        for (context, before, to), count in self.edges.items():
            block = self.blocks[to]
            last = self.blocks[before].addresses[-1] if before >= 0 else None
            if before >= 0 and last is not None and self.blocks[before].end != block.addresses[0]:
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

    def _is_root(self, address: int) -> bool:
        return any(span.lo <= address < span.hi for span in self.program.roots)

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
        options = ["-plugin", ",".join([str(plugin), f"out={out}", *_arguments(program, name, image.machine)])]
        counted = run_counting(image, board, timeout=timeout, options=options)
        text = out.read_text(encoding="ascii")
    blocks, edges, accesses = _parse(text)
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


def _parse(
    text: str,
) -> tuple[dict[int, Block], dict[tuple[int, int, int], int], list[Access]]:
    """The plugin's lines; see block_profile.c."""
    blocks: dict[int, Block] = {}
    edges: Counter[tuple[int, int, int]] = Counter()
    accesses = []
    for line in text.splitlines():
        kind, *words = line.split()
        if kind == "B":
            at, addresses = int(words[1], 16), []
            for size in words[2]:
                addresses.append(at)
                at += int(size)
            blocks[int(words[0])] = Block(tuple(addresses), at)
        elif kind == "E":
            context, before, to, count = map(int, words)
            edges[context, before, to] += count
        else:
            context, flash, once, twice = map(int, words[1:])
            accesses.append(Access(int(words[0], 16), context, flash, once + 2 * twice))
    return blocks, dict(edges), accesses


def _plugin(machine: Machine, work: Path) -> Path:
    """The plugin, compiled for the version of the interface that the installed emulator has."""
    source, plugin = Path(__file__).with_name("block_profile.c"), work / "block_profile.so"
    emulator = f"qemu-system-{machine.qemu}"
    said = ""
    for version in _VERSIONS:
        flags = ["-shared", "-fPIC", "-O2", f"-DPLUGIN_VERSION={version}"]
        done = run_tool(["cc", *flags, source, "-o", plugin], timeout=60)
        if done.returncode:
            why = f"the host's compiler cannot make a shared library: {done.stderr.strip()[:300]}"
            raise ToolError("no profile", [Fault("cc", why, how_to_install("cc"))])
        # A program that is none: QEMU loads plugins first, and says what it does not like of them.
        asked = [emulator, "-M", "none", "-nographic", "-monitor", "none", "-serial", "none"]
        asked += ["-plugin", f"{plugin},out={work / 'trial'}", "-kernel", str(work / "none")]
        said = run_tool(asked, timeout=30).stderr
        if "API version" not in said:
            break
    if "API version" in said or "-plugin" in said:
        fix = "take the emulator of Debian 12 or later, or of Ubuntu 22.04 or later"
        raise ToolError("no profile", [Fault(emulator, said.strip().splitlines()[0], fix)])
    return plugin
