"""One candidate for every layer at the least total cost: HiGHS decides, integers judge.

It knows no kernels. A candidate has cycles, bytes of its own, and a function that costs bytes once, however many
layers use it: a facility location problem, small and solved exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import highspy
import numpy as np

_MIP_NODES = 20_000


@dataclass(frozen=True)
class Item:
    """What one candidate of a layer takes: cycles, bytes, and the name of its function."""

    cycles: int
    bytes: int
    function: str


@dataclass(frozen=True)
class Choice:
    """What is to be chosen: per layer its candidates, bytes by function, and what may be taken."""

    layers: tuple[tuple[Item, ...], ...]
    code: Mapping[str, int]
    limit: int | None = None  # bytes of all

    def cycles(self, picked: Sequence[int]) -> int:
        return sum(items[k].cycles for items, k in zip(self.layers, picked, strict=True))

    def bytes(self, picked: Sequence[int]) -> int:
        """Of all layers and of every function that one of them uses, once."""
        chosen = [items[k] for items, k in zip(self.layers, picked, strict=True)]
        return sum(item.bytes for item in chosen) + sum(self.code[f] for f in {i.function for i in chosen})

    def fits(self, picked: Sequence[int]) -> bool:
        return self.limit is None or self.bytes(picked) <= self.limit


@dataclass(frozen=True)
class Goal:
    """The least cost is wanted: so much per cycle, so much per byte. Where two are equal, cycles decide, then bytes,
    then which candidate comes first."""

    per_cycle: float
    per_byte: float

    def key(self, choice: Choice, picked: Sequence[int]) -> tuple[float, int, int, tuple[int, ...]]:
        cycles, size = choice.cycles(picked), choice.bytes(picked)
        return self.per_cycle * cycles + self.per_byte * size, cycles, size, tuple(picked)


def cheapest(choice: Choice, goal: Goal) -> tuple[int, ...] | None:
    """The index of the candidate of each layer, None if no choice stays within the limit. Deterministic."""
    picked: tuple[int, ...] | None = tuple(_fastest(items) for items in choice.layers)
    assert picked is not None
    if goal.per_byte or not choice.fits(picked):
        picked = _solve(choice, goal)
    return None if picked is None else _polish(choice, goal, picked)


def _fastest(items: Sequence[Item]) -> int:
    return min(range(len(items)), key=lambda k: (items[k].cycles, items[k].bytes, k))


def _solve(choice: Choice, goal: Goal) -> tuple[int, ...] | None:
    """By HiGHS: columns are `layer has candidate`, then `function is there`."""
    names = sorted({item.function for items in choice.layers for item in items})
    starts = np.cumsum([0, *map(len, choice.layers)])
    column = {name: int(starts[-1]) + k for k, name in enumerate(names)}
    flat = [item for items in choice.layers for item in items]
    sizes = np.array([*(item.bytes for item in flat), *(choice.code[name] for name in names)], float)
    cycles = np.array([*(item.cycles for item in flat), *(0 for _ in names)], float)
    rows: list[dict[int, float]] = []
    bounds: list[tuple[float, float]] = []
    for items, start in zip(choice.layers, starts[:-1], strict=True):
        rows.append({int(start) + k: 1.0 for k in range(len(items))})
        bounds.append((1.0, 1.0))
    for k, item in enumerate(flat):
        rows.append({column[item.function]: 1.0, k: -1.0})
        bounds.append((0.0, highspy.kHighsInf))
    if choice.limit is not None:
        rows.append({k: float(size) for k, size in enumerate(sizes) if size})
        bounds.append((-highspy.kHighsInf, float(choice.limit)))
    values = _run(_program(goal.per_cycle * cycles + goal.per_byte * sizes, rows, bounds))
    if values is None:
        return None
    picked = tuple(int(np.argmax(values[a:b])) for a, b in zip(starts[:-1], starts[1:], strict=True))
    return picked if choice.fits(picked) else None


def _program(
    cost: np.ndarray, rows: Sequence[Mapping[int, float]], bounds: Sequence[tuple[float, float]]
) -> highspy.HighsLp:
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(cost), len(rows)
    lp.col_cost_ = cost / max(1.0, float(np.abs(cost).max()) / 1e6)  # the solver's tolerances are absolute
    lp.col_lower_, lp.col_upper_ = np.zeros(len(cost)), np.ones(len(cost))
    lp.row_lower_, lp.row_upper_ = (np.array(side) for side in zip(*bounds, strict=True))
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.cumsum([0] + [len(row) for row in rows]).astype(np.int32)
    lp.a_matrix_.index_ = np.array([index for row in rows for index in row], np.int32)
    lp.a_matrix_.value_ = np.array([value for row in rows for value in row.values()], float)
    lp.integrality_ = [highspy.HighsVarType.kInteger] * len(cost)
    return lp


def _run(lp: highspy.HighsLp) -> np.ndarray | None:
    """The columns of the best solution found; None without one."""
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    options: dict[str, int | float | str | bool] = {
        "output_flag": False, "threads": 1, "parallel": "off", "random_seed": 0, "mip_max_nodes": _MIP_NODES,
        "mip_rel_gap": 0.0,
    }  # fmt: skip
    for key, value in options.items():
        solver.setOptionValue(key, value)
    solver.passModel(lp)
    solver.run()
    solution = solver.getSolution()
    return np.asarray(solution.col_value) if solution.value_valid else None


def _polish(choice: Choice, goal: Goal, picked: tuple[int, ...]) -> tuple[int, ...]:
    """Other candidates of single layers, as long as that is better: the solver does not care among equals."""
    best = goal.key(choice, picked)
    changed = True
    while changed:
        changed = False
        for i, items in enumerate(choice.layers):
            for k in range(len(items)):
                other = (*picked[:i], k, *picked[i + 1 :])
                if k != picked[i] and choice.fits(other) and (key := goal.key(choice, other)) < best:
                    picked, best, changed = other, key, True
    return picked
