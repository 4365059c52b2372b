"""Thumb instructions of M-profile cores as the cost tables know them: their kind, and what a cost may depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mcugen.errors import Fault, InternalError, ToolError

Kind = Literal[
    "other",
    "multiply",
    "multiply_accumulate",
    "multiply_long",
    "multiply_accumulate_long",
    "divide",
    "load",
    "load_double",
    "load_multiple",
    "store",
    "store_double",
    "store_multiple",
    "branch",
    "call",
    "call_register",
    "table_branch",
    "if_then",
    "system",
    "float",
    "float_multiply_accumulate",
    "float_divide",
    "float_move_core",
    "float_load",
    "float_load_double",
    "float_load_multiple",
    "float_store",
    "float_store_double",
    "float_store_multiple",
]
# Everything that is not named here is `other`: arithmetic, logic, moves, the DSP extension, saturation, extension.
_NAMES: dict[Kind, str] = {
    "multiply": "mul",
    "multiply_accumulate": "mla mls",
    "multiply_long": "smull umull",
    "multiply_accumulate_long": "smlal umlal umaal",
    "divide": "sdiv udiv",
    "load": "ldr ldrb ldrh ldrsb ldrsh ldrt ldrbt ldrht",
    "load_double": "ldrd",
    "load_multiple": "ldm ldmdb pop",
    "store": "str strb strh strt strbt strht",
    "store_double": "strd",
    "store_multiple": "stm stmdb push",
    "branch": "b bx cbz cbnz",
    "call": "bl",
    "call_register": "blx",
    "table_branch": "tbb tbh",
    "if_then": "it",
    "system": "mrs msr dmb dsb isb",
    "float_multiply_accumulate": "vmla vmls vnmla vnmls vfma vfms vfnma vfnms",
    "float_divide": "vdiv vsqrt",
    "float_load_multiple": "vldmia vldmdb vpop",
    "float_store_multiple": "vstmia vstmdb vpush",
}
_KINDS: dict[str, Kind] = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_VECTOR_ACCESS: dict[tuple[str, bool], Kind] = {
    ("vldr", False): "float_load",
    ("vldr", True): "float_load_double",
    ("vstr", False): "float_store",
    ("vstr", True): "float_store_double",
}


@dataclass(frozen=True)
class Instruction:
    """What a cost depends on. registers: moved by a load or store of several. writes: what a load fills; address: the
    registers from which an access makes its address."""

    kind: Kind
    registers: int = 0
    writes: frozenset[int] = frozenset()
    address: frozenset[int] = frozenset()


def load_capstone() -> Any:
    """The disassembler, of the extra `bench`. Raises ToolError where it is missing."""
    try:
        import capstone
        import capstone.arm
    except ImportError as error:
        why = "is not installed: it decodes instructions for cycles and stack"
        raise ToolError(
            "a Python package is missing", [Fault("capstone", why, "pip install 'mcugen[bench]'")]
        ) from error
    return capstone


class Decoder:
    """Thumb instructions of M-profile cores, decoded one by one. Raises ToolError where capstone is missing."""

    def __init__(self) -> None:
        capstone = load_capstone()
        self._arm = arm = capstone.arm
        self._core = {*range(arm.ARM_REG_R0, arm.ARM_REG_R12 + 1), arm.ARM_REG_SP, arm.ARM_REG_LR}
        self._double = range(arm.ARM_REG_D0, arm.ARM_REG_D31 + 1)
        mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
        self._engine = capstone.Cs(capstone.CS_ARCH_ARM, mode)
        self._engine.detail = True

    def decode(self, code: bytes, address: int) -> Instruction:
        """The instruction at the beginning of `code`. Raises InternalError for one that nobody knows."""
        found = next(self._engine.disasm(code, address, 1), None)
        if found is None:
            raise InternalError(f"there is no instruction {code[:4].hex()} at {address:#x}")
        return self._classify(found, str(found.insn_name()))

    def _classify(self, found: Any, name: str) -> Instruction:
        registers = [o.reg for o in found.operands if o.type == self._arm.ARM_OP_REG]
        memory = [o.mem for o in found.operands if o.type == self._arm.ARM_OP_MEM]
        kind: Kind = "float" if name.startswith("v") else "other"
        kind = _KINDS.get(name, kind)
        if name in ("vldr", "vstr"):
            double = registers[0] in self._double
            return Instruction(_VECTOR_ACCESS[name, double])
        if name == "vmov" and any(r in self._core for r in registers):
            return Instruction("float_move_core")
        if kind in ("load", "store"):
            address = frozenset(r for m in memory for r in (m.base, m.index) if r)
            return Instruction(kind, 0, frozenset(registers[:1]) if kind == "load" else frozenset(), address)
        if kind.endswith("_multiple"):
            # What is moved, less the base that some of them name first.
            moved = len(registers) - (name not in ("push", "pop", "vpush", "vpop"))
            if registers and registers[-1] in self._double:
                moved *= 2  # words
            return Instruction(kind, moved)
        return Instruction(kind)
