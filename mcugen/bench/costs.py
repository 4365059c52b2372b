"""Model cycles: what an instruction costs on a core, from a small table per core with the source of each figure.

A cost belongs to a kind of instruction. It may depend on the instruction executed before (loads that follow each other
share a cycle), on the registers moved, and on whether the program goes on right behind the instruction. It knows no
operand: where Arm gives a range, the table says which end it takes.
"""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcugen.bench.decode import Instruction, Kind
from mcugen.errors import InternalError
from mcugen.resources import data_dir
from mcugen.schema import schema_fault


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
        follows = before is not None and before.kind == "load" and not before.writes & instruction.address
        cycles = cost.after_load if follows and cost.after_load is not None else cost.cycles
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
