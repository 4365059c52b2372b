"""Boards and the machines that emulate them: TOML files checked by a schema, all faults at once.

A board says what code is made for (core, flags, memories); a machine is what the emulator offers in its
place. Generic cores and the host have no memories and thus no limits: fit is judged only for real boards
and users' own files. What a machine holds matters for emulation alone.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mcugen.errors import Fault, UsageError
from mcugen.resources import data_dir
from mcugen.schema import schema_fault

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def parse_size(text: str | int) -> int:
    """Bytes of `256K`, `1M`, `2G` (powers of 1024) or a plain number; ValueError for anything else."""
    match = re.fullmatch(r"(\d+) ?([KMG]?)", str(text).strip(), re.IGNORECASE)
    size = int(match[1]) * _UNITS[match[2].upper()] if match else 0
    if size == 0:
        raise ValueError(f"{text!r} is not a size; write bytes as 262144, 256K or 1M")
    return size


def format_size(size: int) -> str:
    """The shortest exact form that parse_size reads: 262144 -> `256K`."""
    for unit, factor in (("G", 1024**3), ("M", 1024**2), ("K", 1024)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


_T = TypeVar("_T")
_Name = Annotated[str, Field(min_length=1)]
# TOML arrays arrive as lists; only the container is converted, its elements stay strict.
_Tuple = Annotated[tuple[_T, ...], Field(strict=False)]


class Memory(_Strict):
    """One range of addresses. `size` in bytes; `speed`: wait states or the bus, in words."""

    name: _Name
    kind: Literal["flash", "ram"]
    base: Annotated[int, Field(ge=0, lt=2**32)]
    size: Annotated[int, BeforeValidator(parse_size), Field(le=2**32)]
    speed: str = ""

    @property
    def end(self) -> int:
        return self.base + self.size


class Isa(_Strict):
    """What the choice of kernels asks of a core: DSP extension (SMLAD ...), Helium, floating point unit."""

    dsp: bool = False
    mve: bool = False
    fpu: bool = False


class Machine(_Strict):
    """A machine of QEMU: its memories, and how executed instructions are counted on it.

    `systick`: a 24-bit timer at `clock_hz`; an instruction lasts 2**icount_shift ns of virtual time, which
    must be more than two ticks for an exact count. `minstret`: the core counts by itself, exact with
    icount_shift 0.
    Code goes to the first flash, constants to the last one, all that is written to the first RAM.
    """

    name: _Name
    description: str
    qemu: Literal["arm", "riscv32"]
    machine: _Name
    counter: Literal["systick", "minstret"]
    clock_hz: Annotated[int, Field(gt=0)] | None = None
    icount_shift: Annotated[int, Field(ge=0, le=10)]
    memories: _Tuple[Memory]

    @model_validator(mode="after")
    def _has_room(self) -> Machine:
        _check_memories(self.memories)
        kinds = [memory.kind for memory in self.memories]
        if "flash" not in kinds or "ram" not in kinds:
            raise ValueError("memories: a machine needs one of kind flash and one of kind ram")
        if self.counter == "systick" and self.clock_hz is None:
            raise ValueError("clock_hz: the systick counter needs it")
        return self


class Board(_Strict):
    """What code is generated for. `machines`: emulators to try in this order, by name."""

    name: _Name
    description: str
    cpu: _Name
    isa: Isa = Isa()
    clock_hz: Annotated[int, Field(gt=0)] | None = None
    toolchain: str
    flags: _Tuple[str] = ()
    memories: _Tuple[Memory] = ()
    datasheet: str = ""
    machines: _Tuple[str] = ()
    note: str = ""

    @model_validator(mode="after")
    def _is_consistent(self) -> Board:
        _check_memories(self.memories)
        unknown = [name for name in self.machines if name not in machine_names()]
        if unknown:
            raise ValueError(
                f"machines: there is no {', '.join(unknown)}; choose from {', '.join(machine_names())}"
            )
        return self

    @property
    def is_host(self) -> bool:
        return self.toolchain == ""

    @property
    def has_limits(self) -> bool:
        """Whether fit can be judged at all."""
        return bool(self.memories)

    def total(self, kind: Literal["flash", "ram"]) -> int | None:
        """Bytes of all memories of this kind; None if the board names none."""
        sizes = [memory.size for memory in self.memories if memory.kind == kind]
        return sum(sizes) if sizes else None

    def largest(self, kind: Literal["flash", "ram"]) -> int | None:
        """Bytes of the longest run of adjacent memories of this kind: what one array can fill."""
        best, run_end, run = 0, -1, 0
        for memory in sorted(self.memories, key=lambda memory: memory.base):
            if memory.kind != kind:
                continue
            run = run + memory.size if memory.base == run_end else memory.size
            run_end = memory.end
            best = max(best, run)
        return best or None


def _check_memories(memories: tuple[Memory, ...]) -> None:
    names = [memory.name for memory in memories]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"memories: the name {name!r} is given twice")
    ordered = sorted(memories, key=lambda memory: memory.base)
    for low, high in zip(ordered, ordered[1:], strict=False):
        if low.end > high.base:
            raise ValueError(f"memories: {low.name!r} and {high.name!r} overlap at {high.base:#x}")
    for memory in memories:
        if memory.end > 2**32:
            raise ValueError(f"memories: {memory.name!r} ends beyond 32-bit addresses")


def load_board(name_or_path: str) -> Board:
    """A shipped board by its name, or a user's own by the path of its `.toml`.

    Raises UsageError: an unknown name (with near matches), an unreadable file, or every fault of its fields.
    """
    if name_or_path.endswith(".toml") or "/" in name_or_path or "\\" in name_or_path:
        return _load(Path(name_or_path), Board)
    names = board_names()
    if name_or_path in names:
        return _load(data_dir("boards") / f"{name_or_path}.toml", Board)
    near = difflib.get_close_matches(name_or_path.lower(), names, n=3, cutoff=0.5)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(
        f"there is no board {name_or_path!r}",
        [
            Fault(
                "--board",
                f"{guess}boards are {', '.join(names)}",
                "choose one, or give the path of a .toml of your own",
            )
        ],
    )


def board_names() -> list[str]:
    return sorted(path.stem for path in data_dir("boards").glob("*.toml"))


def list_boards() -> list[Board]:
    """All shipped boards, by name."""
    return [load_board(name) for name in board_names()]


def machine_names() -> list[str]:
    return sorted(path.stem for path in (data_dir("boards") / "machines").glob("*.toml"))


def load_machine(name: str) -> Machine:
    """A shipped machine by its name (see machine_names)."""
    return _load(data_dir("boards") / "machines" / f"{name}.toml", Machine)


_Model = TypeVar("_Model", Board, Machine)


def _load(path: Path, model: type[_Model]) -> _Model:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = (error.strerror or "cannot be read").lower()
        raise UsageError("the board cannot be read", [Fault(str(path), why, "check the path")]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            "the board is not valid TOML", [Fault(path.name, str(error), "mend the file")]
        ) from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = [
            schema_fault(path.name, dict(detail), model.model_fields)
            for detail in error.errors(include_url=False)
        ]
        count = f"{len(faults)} fault" + "s" * (len(faults) > 1)
        raise UsageError(f"{path.name}: {count} in the description of the board", faults) from error
