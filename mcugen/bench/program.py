"""A linked program: its functions and symbols, its code, and which addresses belong to which layer.

A layer is a function `layer_<i>` of the generated C, which the compiler inlines into `<name>_run`: the debug
information, which changes no instruction, says which addresses are whose.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.dwarf.ranges import RangeEntry
from elftools.elf.elffile import ELFFile

from mcugen.errors import InternalError

OUTSIDE = -1  # the layer of what belongs to none: the calls themselves
_LAYER = re.compile(r"layer_(\d+)(\.|$)")
_EXECUTED, _LOADED = 4, 2  # SHF_EXECINSTR, SHF_ALLOC


@dataclass(frozen=True)
class Span:
    """A function, or a piece of one that was inlined: addresses lo <= a < hi."""

    lo: int
    hi: int
    name: str


@dataclass(frozen=True)
class Symbol:
    """What a name takes in flash. kind: `code`, with its literals, or `const`."""

    name: str
    kind: str
    bytes: int


class Program:
    """What is in an ELF file that holds one library. `machine` is its e_machine, `EM_ARM` or `EM_RISCV`."""

    def __init__(self, elf: Path, library: str) -> None:
        with elf.open("rb") as file:
            parsed = ELFFile(file)
            self.machine = str(parsed["e_machine"])
            self.functions = sorted(_functions(parsed), key=lambda span: span.lo)
            self.symbols = tuple(_symbols(parsed))
            self._code = [
                (s["sh_addr"], s.data())
                for s in parsed.iter_sections()
                if s["sh_flags"] & _EXECUTED and s["sh_size"]
            ]
            self._marks = sorted(_mapping_symbols(parsed))
            layers = [span for span in self.functions if _LAYER.match(span.name)]
            runs = [span for span in self.functions if span.name == f"{library}_run"]
            self.roots = (*layers, *runs)
            self._layers = _by_address([*_inlined_layers(parsed), *layers])
        self._names = _by_address(self.functions)
        self._rooted = _by_address(self.roots)

    def function(self, name: str) -> Span:
        """A function by its name. Raises InternalError if there is none."""
        for span in self.functions:
            if span.name == name:
                return span
        raise InternalError(f"the program has no function {name}")

    def layer(self, address: int) -> int:
        """The index of the layer whose own code this is, or OUTSIDE."""
        found = _LAYER.match(self._layers.get(address, ""))
        return int(found[1]) if found else OUTSIDE

    def is_root(self, address: int) -> bool:
        """Whether this is code of `<name>_run` or of a layer's function."""
        return address in self._rooted

    def name(self, address: int) -> str:
        """The function at an address, or "" where none is."""
        return self._names.get(address, "")

    def code(self, address: int) -> bytes:
        """Four bytes from an address on, less at the end of a section."""
        for start, data in self._code:
            if start <= address < start + len(data):
                return data[address - start : address - start + 4]
        raise InternalError(f"there is no code at {address:#x}")

    def size(self, address: int) -> int:
        """Bytes of the instruction at an address: Thumb's are 2 or 4 by their first halfword (Armv7-M Architecture
        Reference Manual, A5.1), RISC-V's by their lowest bits (Unprivileged ISA, 1.5)."""
        code = self.code(address)
        if self.machine == "EM_RISCV":
            return 4 if code[0] & 3 == 3 else 2
        return 4 if code[1] >> 3 >= 0b11101 else 2

    def is_code(self, address: int) -> bool:
        """Whether there is an instruction, not a constant between instructions (Arm's mapping symbols)."""
        at = bisect.bisect_right(self._marks, (address, True))
        return at == 0 or self._marks[at - 1][1]


def _symbol_table(parsed: Any) -> Iterator[Any]:
    for section in parsed.iter_sections():
        if section["sh_type"] == "SHT_SYMTAB":
            yield from section.iter_symbols()


def _functions(parsed: Any) -> Iterator[Span]:
    found = [
        symbol
        for symbol in _symbol_table(parsed)
        if symbol["st_info"]["type"] == "STT_FUNC" and isinstance(symbol["st_shndx"], int)
    ]
    # Bit 0 of an Arm function's address says that it is Thumb code.
    starts = sorted({symbol["st_value"] & ~1 for symbol in found})
    for symbol in found:
        lo = symbol["st_value"] & ~1
        section = parsed.get_section(symbol["st_shndx"])
        ends = [start for start in starts if start > lo] or [section["sh_addr"] + section["sh_size"]]
        # Some of libgcc's functions in assembly have no size: they go on to the next one.
        yield Span(lo, lo + symbol["st_size"] if symbol["st_size"] else ends[0], symbol.name)


def _mapping_symbols(parsed: Any) -> Iterator[tuple[int, bool]]:
    """Where instructions begin (True) and where constants do, by the names that Arm's ABI gives such places."""
    for symbol in _symbol_table(parsed):
        kind, index = symbol.name.split(".")[0], symbol["st_shndx"]
        if kind not in ("$t", "$a", "$d") or not isinstance(index, int):
            continue
        if parsed.get_section(index)["sh_flags"] & _EXECUTED:
            yield symbol["st_value"], kind != "$d"


def _symbols(parsed: Any) -> Iterator[Symbol]:
    """Functions and constants, each place once, the largest first."""
    seen: dict[int, Symbol] = {}
    for symbol in _symbol_table(parsed):
        index = symbol["st_shndx"]
        if not symbol["st_size"] or not isinstance(index, int):
            continue
        section = parsed.get_section(index)
        if section["sh_type"] == "SHT_PROGBITS" and section["sh_flags"] & _LOADED:
            kind = "code" if section["sh_flags"] & _EXECUTED else "const"
            seen.setdefault(symbol["st_value"], Symbol(symbol.name, kind, symbol["st_size"]))
    yield from sorted(seen.values(), key=lambda symbol: (-symbol.bytes, symbol.name))


def _inlined_layers(parsed: Any) -> Iterator[Span]:
    """The pieces of functions `layer_<i>` that the compiler inlined."""
    if not parsed.has_dwarf_info():
        return
    dwarf = parsed.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        for die in unit.iter_DIEs():
            if die.tag != "DW_TAG_inlined_subroutine":
                continue
            origin = die.get_DIE_from_attribute("DW_AT_abstract_origin")
            name = origin.attributes["DW_AT_name"].value.decode()
            if _LAYER.match(name):
                yield from (Span(lo, hi, name) for lo, hi in _ranges(dwarf, unit, die.attributes))


def _ranges(dwarf: Any, unit: Any, attributes: Any) -> Iterator[tuple[int, int]]:
    """A piece's addresses: one range, or a list of them that counts from the unit's base (DWARF 5, 2.17)."""
    if "DW_AT_ranges" not in attributes:
        lo = attributes["DW_AT_low_pc"].value
        yield lo, lo + attributes["DW_AT_high_pc"].value
        return
    base = unit.get_top_DIE().attributes["DW_AT_low_pc"].value
    entries = dwarf.range_lists().get_range_list_at_offset(attributes["DW_AT_ranges"].value, cu=unit)
    for entry in entries:
        if isinstance(entry, RangeEntry):
            add = 0 if entry.is_absolute else base
            yield entry.begin_offset + add, entry.end_offset + add
        else:
            base = entry.base_address


def _by_address(spans: Sequence[Span]) -> dict[int, str]:
    return {address: span.name for span in spans for address in range(span.lo, span.hi, 2)}
