"""Cost tables: every core has every kind that it can execute, and the rules between two instructions hold."""

from __future__ import annotations

from typing import get_args

import pytest

from mcugen.bench.costs import CostTable, load_costs
from mcugen.bench.decode import Instruction, Kind
from mcugen.errors import InternalError
from mcugen.resources import data_dir

CORES = sorted(path.stem for path in (data_dir("boards") / "costs").glob("*.toml"))
V6M = {
    "divide",
    "if_then",
    "table_branch",
    "load_double",
    "store_double",
    "multiply_accumulate",
    "multiply_long",
}
ACCUMULATE = Instruction("multiply_accumulate")
LOAD = Instruction("load", 0, frozenset({1}), frozenset({2}))
DEPENDENT = Instruction("load", 0, frozenset({3}), frozenset({1}))


def table(core: str) -> CostTable:
    found = load_costs(core)
    assert found is not None
    return found


def run(core: str, *instructions: Instruction) -> int:
    """Cycles of a straight line."""
    costs = table(core)
    pairs = zip((None, *instructions), instructions, strict=False)
    return sum(costs.cycles(now, before) for before, now in pairs)


def test_the_cores_that_are_modelled() -> None:
    assert CORES == ["cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m33", "cortex-m4"]
    assert load_costs("cortex-m7") is None and load_costs("cortex-m55") is None


@pytest.mark.parametrize("core", CORES)
def test_every_kind_of_the_core_has_a_cost_with_a_source(core: str) -> None:
    costs = table(core)
    assert costs.core == core
    missing = set(get_args(Kind)) - set(costs.costs)
    allowed = {kind for kind in get_args(Kind) if kind.startswith("float")} if core == "cortex-m3" else set()
    if core.startswith("cortex-m0"):
        allowed = V6M | {"multiply_accumulate_long"} | {k for k in get_args(Kind) if k.startswith("float")}
    assert missing == allowed
    for cost in costs.costs.values():
        words = cost.source.replace("assumed, as ", "").split(",")
        assert words[0] in costs.sources, cost.source


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m33"])
def test_a_run_of_loads_takes_one_cycle_more_than_it_has_loads(core: str) -> None:
    assert [run(core, *[LOAD] * n) for n in (1, 2, 3, 8)] == [2, 3, 4, 9]
    assert run(core, LOAD, Instruction("other"), LOAD) == 5
    # One that needs the loaded address waits for it, a store does not join the run.
    assert run(core, LOAD, DEPENDENT) == 4
    assert run(core, LOAD, Instruction("store"), LOAD) == 5
    assert run(core, Instruction("load_double"), LOAD) == 5


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m0plus"])
def test_small_cores_do_not_pipeline_loads(core: str) -> None:
    assert run(core, LOAD, LOAD, Instruction("store")) == 6


def test_figures_of_the_manuals() -> None:
    assert run("cortex-m4", ACCUMULATE) == 1 and run("cortex-m3", ACCUMULATE) == 2
    assert run("cortex-m4", Instruction("store_multiple", 5), Instruction("load_multiple", 5)) == 12
    branch, call, pop = Instruction("branch"), Instruction("call"), Instruction("load_multiple", 2)
    taken = {core: [table(core).taken(i) for i in (branch, call, pop)] for core in CORES}
    assert taken["cortex-m4"] == taken["cortex-m3"] == taken["cortex-m33"] == [2, 2, 2]
    assert taken["cortex-m0"] == [2, 3, 3] and taken["cortex-m0plus"] == [1, 2, 2]


def test_a_kind_that_the_core_lacks_is_a_bug() -> None:
    with pytest.raises(InternalError, match="cortex-m0 lacks divide"):
        run("cortex-m0", Instruction("divide"))
