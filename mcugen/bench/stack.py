"""Worst-case stack of a library: the frames of its functions summed along the call graph.

A frame is what the compiler reports (-fstack-usage) or, if that is more, the sum of all that the function's
instructions take from the stack pointer: so are helpers of libgcc and libc counted, and assembly. The graph is read
from the linked program: every call and every jump that leaves a function. A jump to another function counts as a
call, though the frame is often gone by then: the sum is never too small. Nothing may call through a pointer or itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcugen.bench.decode import load_capstone
from mcugen.bench.program import Program, Span
from mcugen.errors import InternalError

_OFFSET = re.compile(r"\[?sp\]?,? ?#?-(0x[0-9a-f]+|\d+)\]!")


@dataclass(frozen=True)
class Stack:
    """The deepest chain of calls: its bytes, and its functions with their frames from the outermost on."""

    bytes: int
    path: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class _Body:
    """What a function's instructions do: bytes taken from the stack pointer, None if they do not tell, and functions
    that may run inside."""

    frame: int | None
    calls: frozenset[str]


def worst_stack(program: Program, usage: Mapping[str, int], roots: Sequence[str]) -> Stack:
    """The deepest stack of any of the functions `roots`; usage as from read_usage.

    Raises ToolError where capstone is missing, InternalError for a call through a pointer and for recursion.
    """
    bodies: dict[str, _Body] = {}
    reader = (_Riscv if program.machine == "EM_RISCV" else _Arm)(program)
    depths: dict[str, Stack] = {}

    def depth(name: str, above: tuple[str, ...]) -> Stack:
        if name in above:
            raise InternalError(f"{' calls '.join((*above, name))}: recursion has no worst-case stack")
        if name not in depths:
            body = bodies.setdefault(name, reader.body(program.function(name)))
            # The compiler names clones without their number, and does not see what inline assembly pushes.
            said = usage.get(name, usage.get(re.sub(r"\.\d+$", "", name)))
            if said is None and body.frame is None:
                raise InternalError(f"{name}: its frame is not known")
            frame = max(said or 0, body.frame or 0)
            inner = [depth(call, (*above, name)) for call in sorted(body.calls)]
            deepest = max(inner, key=lambda stack: stack.bytes, default=Stack(0, ()))
            depths[name] = Stack(frame + deepest.bytes, ((name, frame), *deepest.path))
        return depths[name]

    return max((depth(name, ()) for name in roots), key=lambda stack: stack.bytes)


def read_usage(files: Sequence[Path]) -> dict[str, int]:
    """Frames in bytes by function, the largest of a name, from the compiler's .su files.

    Raises InternalError for a function whose frame has no bound.
    """
    frames: dict[str, int] = {}
    for path in files:
        for line in path.read_text(encoding="utf-8").splitlines():
            place, size, kind = line.rsplit("\t", 2)
            name = place.rsplit(":", 1)[-1]
            if kind == "dynamic":
                raise InternalError(f"{name}: its frame has no bound")
            frames[name] = max(int(size), frames.get(name, 0))
    return frames


class _Reader:
    """Reads a function's instructions one by one."""

    def __init__(self, program: Program, engine: Any) -> None:
        self.program = program
        self.engine = engine
        self.engine.detail = True

    def body(self, function: Span) -> _Body:
        frame: int | None = 0
        calls = set()
        for found in self._instructions(function):
            taken, target, call = self.effect(found)
            frame = None if frame is None or taken is None else frame + taken
            if target is not None and (call or not function.lo <= target < function.hi):
                callee = self.program.name(target)
                if not callee:
                    raise InternalError(f"{function.name} calls {target:#x}, where no function is")
                calls.add(callee)
        return _Body(frame, frozenset(calls))

    def _instructions(self, function: Span) -> Iterator[Any]:
        address = function.lo
        while address < function.hi:
            if not self.program.is_code(address):  # constants between instructions
                address += 2
                continue
            code = self.program.code(address)
            found = next(self.engine.disasm(code, address, 1), None)
            if found is not None:
                yield found
            # What capstone does not know (Helium) is skipped.
            address += self.program.size(address)

    def effect(self, found: Any) -> tuple[int | None, int | None, bool]:
        """Bytes that an instruction takes from the stack pointer (None: unknown), where it goes, whether it calls."""
        raise NotImplementedError


class _Arm(_Reader):
    def __init__(self, program: Program) -> None:
        capstone = load_capstone()
        mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
        super().__init__(program, capstone.Cs(capstone.CS_ARCH_ARM, mode))
        self.immediate = capstone.arm.ARM_OP_IMM

    def effect(self, found: Any) -> tuple[int | None, int | None, bool]:
        name, operands = str(found.insn_name()), found.operands
        text = found.op_str
        if name in ("bl", "b", "cbz", "cbnz"):
            return 0, operands[-1].imm, name == "bl"
        if name in ("blx", "bx") and text != "lr":
            raise InternalError(f"a call through a pointer at {found.address:#x}: {found.mnemonic} {text}")
        if name in ("push", "vpush") or (name in ("stmdb", "vstmdb") and text.startswith("sp!")):
            moved = operands if "push" in name else operands[1:]
            wide = found.reg_name(moved[-1].reg).startswith("d")
            return len(moved) * (8 if wide else 4), None, False
        if name in ("sub", "subw") and text.startswith("sp,"):
            return int(operands[-1].imm) if operands[-1].type == self.immediate else None, None, False
        if name == "add" and text.startswith("sp,") and operands[-1].type != self.immediate:
            return None, None, False  # of a register that may be negative
        before = _OFFSET.search(text)
        if before and name.startswith(("str", "strd")):
            return int(before[1], 0), None, False
        return 0, None, False


class _Riscv(_Reader):
    def __init__(self, program: Program) -> None:
        capstone = load_capstone()
        mode = capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC
        super().__init__(program, capstone.Cs(capstone.CS_ARCH_RISCV, mode))

    def effect(self, found: Any) -> tuple[int | None, int | None, bool]:
        words = found.op_str.replace(",", " ").split()
        name = found.mnemonic.removeprefix("c.")
        if name in ("jal", "j"):
            return 0, found.address + int(words[-1], 0), name == "jal" and words[0] != "zero"
        # `ret` is `jr ra`, or in full `jalr zero, ra`.
        if name in ("jalr", "jr") and words[0] != "ra" and words[:2] != ["zero", "ra"]:
            raise InternalError(f"a call through a pointer at {found.address:#x}: {name} {found.op_str}")
        if name in ("addi", "addi16sp") and words[0] == "sp":
            return max(0, -int(words[-1], 0)), None, False
        return 0, None, False
