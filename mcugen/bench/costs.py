"""Model cycles: what an instruction costs on a core, from a small table per core with the source of each figure.

A cost belongs to a kind of instruction. It may depend on the instruction executed before (loads that follow each other
share a cycle), on the registers moved, and on whether the program goes on right behind the instruction. It knows no
operand: where Arm gives a range, the table says which end it takes.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcugen.errors import Fault, InternalError, ToolError
from mcugen.resources import data_dir
from mcugen.schema import schema_fault

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
    "float_move_two",
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
    "system": "mrs msr dmb dsb isb cps",
    "float_multiply_accumulate": "vmla vmls vnmla vnmls vfma vfms vfnma vfnms",
    "float_divide": "vdiv vsqrt",
    "float_load_multiple": "vldmia vldmdb vpop",
    "float_store_multiple": "vstmia vstmdb vpush",
}
_KINDS: dict[str, Kind] = {name: kind for kind, names in _NAMES.items() for name in names.split()}


@dataclass(frozen=True)
class Instruction:
    """What a cost depends on. registers: moved by a load or store of several. writes: what a load fills; address: the
    registers from which an access makes its address."""

    kind: Kind
    registers: int = 0
    writes: frozenset[int] = frozenset()
    address: frozenset[int] = frozenset()


class Cost(BaseModel):
    """Cycles of one kind: `cycles` + `per_register` for each register + `taken` where the program goes on elsewhere.

    after_load: in place of `cycles` behind a load that does not give this one its address. source: where the figures
    stand, in `sources` and its table.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    cycles: Annotated[int, Field(ge=0, le=64)]
    per_register: Annotated[int, Field(ge=0, le=8)] = 0
    after_load: Annotated[int, Field(ge=0, le=64)] | None = None
    taken: Annotated[int, Field(ge=0, le=8)] = 0
    source: Annotated[str, Field(min_length=1)]


class CostTable(BaseModel):
    """The costs of one core. assumption: what is not Arm's own figure."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    core: str
    sources: dict[str, str]
    assumption: str = ""
    unaligned: bool  # a transfer of the bus more costs one cycle; False where such accesses fault
    costs: dict[Kind, Cost]

    def cycles(self, instruction: Instruction, before: Instruction | None) -> int:
        """Cycles of an instruction executed behind `before`, as if the program went on right behind it."""
        cost = self._cost(instruction)
        cycles = cost.cycles
        if cost.after_load is not None and before is not None and before.kind == "load":
            if not before.writes & instruction.address:
                cycles = cost.after_load
        return cycles + cost.per_register * instruction.registers

    def taken(self, instruction: Instruction) -> int:
        """Cycles more if the program goes on elsewhere."""
        return self._cost(instruction).taken

    def _cost(self, instruction: Instruction) -> Cost:
        cost = self.costs.get(instruction.kind)
        if cost is None:
            raise InternalError(f"the cost table of {self.core} lacks {instruction.kind}")
        return cost


@cache
def load_costs(core: str) -> CostTable | None:
    """The table of a core (`cortex-m4`), None where no cycles are modelled."""
    path = data_dir("boards") / "costs" / f"{core}.toml"
    if not path.is_file():
        return None
    try:
        return CostTable.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        faults = [schema_fault(path.name, dict(detail)) for detail in error.errors(include_url=False)]
        raise InternalError("\n".join(map(str, faults))) from error


class Decoder:
    """Thumb instructions of M-profile cores, decoded one by one. Raises ToolError where capstone is missing."""

    def __init__(self) -> None:
        try:
            import capstone
        except ImportError as error:
            raise ToolError(
                "a Python package is missing",
                [Fault("capstone", "decodes instructions for the cycle model", "pip install 'mcugen[bench]'")],
            ) from error
        from capstone import arm

        self._arm = arm
        self._engine = capstone.Cs(
            capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
        )
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
            double = registers[0] in range(self._arm.ARM_REG_D0, self._arm.ARM_REG_D31 + 1)
            return Instruction(_VECTOR_ACCESS[name, double])
        if name == "vmov" and len(registers) > 2:
            return Instruction("float_move_two")
        if kind in ("load", "store"):
            address = frozenset(r for m in memory for r in (m.base, m.index) if r)
            return Instruction(kind, 0, frozenset(registers[:1]) if kind == "load" else frozenset(), address)
        if kind.endswith("_multiple"):
            # What is moved, less the base that some of them name first.
            moved = len(registers) - (name not in ("push", "pop", "vpush", "vpop"))
            if registers and registers[-1] in range(self._arm.ARM_REG_D0, self._arm.ARM_REG_D31 + 1):
                moved *= 2  # words
            return Instruction(kind, moved)
        return Instruction(kind)


_VECTOR_ACCESS: dict[tuple[str, bool], Kind] = {
    ("vldr", False): "float_load",
    ("vldr", True): "float_load_double",
    ("vstr", False): "float_store",
    ("vstr", True): "float_store_double",
}
