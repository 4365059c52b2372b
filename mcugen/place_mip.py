"""The exact part of the planner: HiGHS decides the order and directions, integers the offsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import highspy
import numpy as np

from mcugen.place_problem import Pair, Problem, Solution, round_up, unit_of

_MIP_WORK = 400_000  # nodes times pairs, so that large instances end in seconds too


def improve(problem: Problem, best: Solution, lower: int, node_limit: int) -> tuple[Solution, int]:
    """Asks HiGHS for anything smaller than `best`; returns the better one and the bound now proven."""
    unit = unit_of(problem)
    model = _Model(problem, unit, lower, best.peak)
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    nodes = max(1, min(node_limit, _MIP_WORK // len(problem.pairs)))
    options: dict[str, int | float | str | bool] = {
        "output_flag": False, "threads": 1, "parallel": "off", "random_seed": 0, "mip_max_nodes": nodes,
        "mip_rel_gap": 0.0, "mip_abs_gap": 0.5,
    }  # fmt: skip
    for key, value in options.items():
        solver.setOptionValue(key, value)
    solver.passModel(model.lp())
    start = highspy.HighsSolution()
    start.col_value = model.values(best)
    solver.setSolution(start)
    solver.run()
    bound = solver.getInfo().mip_dual_bound
    if np.isfinite(bound):
        # Every least plan is a whole number of units; half a unit covers the solver's tolerances.
        lower = max(lower, int(np.ceil(bound - 0.5)) * unit)
    values = solver.getSolution().col_value
    if len(values):
        directions, orders = model.reading(np.asarray(values))
        offsets = _fixpoint(problem, directions, orders, best.peak)
        if offsets is not None:
            best = Solution(problem.peak(offsets), offsets, directions)
    return best, min(lower, best.peak)


class _Model:
    """The mixed-integer program, in units: columns are the peak, offsets, one `b above a` per pair, and one
    `runs descending` per step that can choose."""

    def __init__(self, problem: Problem, unit: int, lower: int, upper: int) -> None:
        self.problem = problem
        self.unit = unit
        self.lower, self.upper = -(-lower // unit), upper // unit
        n = len(problem.buffers)
        self.first_pair = 1 + n
        self.first_step = self.first_pair + len(problem.pairs)
        free = [step for step, able in problem.choices.items() if len(able) == 2]
        self.step_column = {step: self.first_step + k for k, step in enumerate(free)}
        self.columns = self.first_step + len(free)
        # Where the alignment is coarser than the unit, the column counts multiples of it.
        self.scale = [max(1, buffer.align // unit) for buffer in problem.buffers]

    def lp(self) -> highspy.HighsLp:
        rows, lower = self._rows()
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.columns, len(rows)
        lp.col_cost_ = np.eye(1, self.columns)[0]
        low, high = np.zeros(self.columns), np.ones(self.columns)
        low[0], high[0] = self.lower, self.upper
        for i, buffer in enumerate(self.problem.buffers):
            high[1 + i] = (self.upper - buffer.size // self.unit) // self.scale[i]
        for k, pair in enumerate(self.problem.pairs):
            size = [self.problem.buffers[i].size for i in (pair.a, pair.b)]
            able = self.problem.choices[pair.step] if pair.step is not None else (0,)
            if min(pair.above[d] for d in able) + size[1] > self.upper * self.unit:
                high[self.first_pair + k] = 0
            if min(pair.below[d] for d in able) + size[0] > self.upper * self.unit:
                low[self.first_pair + k] = 1
        lp.col_lower_, lp.col_upper_ = low, high
        lp.row_lower_, lp.row_upper_ = np.array(lower, float), np.full(len(rows), highspy.kHighsInf)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.cumsum([0] + [len(row) for row in rows]).astype(np.int32)
        lp.a_matrix_.index_ = np.array([column for row in rows for column in row], np.int32)
        lp.a_matrix_.value_ = np.array([value for row in rows for value in row.values()], float)
        coarse = [scale > 1 for scale in self.scale]
        whole = [True, *coarse, *[True] * (self.columns - self.first_pair)]
        kinds = {True: highspy.HighsVarType.kInteger, False: highspy.HighsVarType.kContinuous}
        lp.integrality_ = [kinds[is_whole] for is_whole in whole]
        return lp

    def _rows(self) -> tuple[list[dict[int, int]], list[int]]:
        """Coefficients by column and the lower side of every row; there is no upper side."""
        rows: list[dict[int, int]] = []
        lower: list[int] = []
        sizes = [buffer.size // self.unit for buffer in self.problem.buffers]
        for i, size in enumerate(sizes):
            rows.append({0: 1, 1 + i: -self.scale[i]})
            lower.append(size)
        for k, pair in enumerate(self.problem.pairs):
            column = self.first_pair + k
            # x = 1: offset(b) - offset(a) >= above; else only what holds anyway. x = 0: the mirror.
            for distances, up, down, sign in (
                (pair.above, pair.b, pair.a, 1),
                (pair.below, pair.a, pair.b, -1),
            ):
                base, turn = self._distance(pair, distances)
                anyway = self.upper - sizes[down]
                big = max(base, base + turn) + anyway
                row = {1 + up: self.scale[up], 1 + down: -self.scale[down], column: -sign * big}
                if turn and pair.step is not None:
                    row[self.step_column[pair.step]] = -turn
                rows.append(row)
                lower.append(base - big if sign > 0 else base)
        return rows, lower

    def _distance(self, pair: Pair, distances: tuple[int, int]) -> tuple[int, int]:
        """The distance when ascending, and what descending adds; a step without a choice adds nothing."""
        ascending, descending = (distance // self.unit for distance in distances)
        if pair.step is None:
            return ascending, 0
        if pair.step in self.step_column:
            return ascending, descending - ascending
        return (ascending, descending)[self.problem.choices[pair.step][0]], 0

    def values(self, solution: Solution) -> list[float]:
        """The columns of a plan that is already known."""
        columns = [0.0] * self.columns
        columns[0] = solution.peak / self.unit
        for i, offset in enumerate(solution.offsets):
            columns[1 + i] = offset / self.unit / self.scale[i]
        for k, pair in enumerate(self.problem.pairs):
            d = 0 if pair.step is None else solution.directions[pair.step]
            columns[self.first_pair + k] = float(
                solution.offsets[pair.b] - solution.offsets[pair.a] >= pair.above[d]
            )
        for step, column in self.step_column.items():
            columns[column] = float(solution.directions[step])
        return columns

    def reading(self, values: np.ndarray) -> tuple[dict[int, int], list[bool]]:
        """Directions, and for every pair whether b lies above a."""
        directions = {step: able[0] for step, able in self.problem.choices.items()}
        directions |= {step: int(values[column] > 0.5) for step, column in self.step_column.items()}
        pairs = values[self.first_pair : self.first_step]
        return directions, [bool(value > 0.5) for value in pairs]


def _fixpoint(
    problem: Problem, directions: Mapping[int, int], orders: Sequence[bool], limit: int
) -> tuple[int, ...] | None:
    """The least offsets that keep every distance in the given order; None unless they stay below `limit`."""
    arcs: list[tuple[int, int, int]] = []
    for pair, b_above in zip(problem.pairs, orders, strict=True):
        d = 0 if pair.step is None else directions[pair.step]
        arcs.append((pair.a, pair.b, pair.above[d]) if b_above else (pair.b, pair.a, pair.below[d]))
    offsets = [0] * len(problem.buffers)
    for _ in range(10 * len(offsets)):  # one round per buffer is enough unless alignments differ
        changed = False
        for low, high, distance in arcs:
            if offsets[high] < offsets[low] + distance:
                offsets[high] = round_up(offsets[low] + distance, problem.buffers[high].align)
                changed = True
        if problem.peak(offsets) >= limit:
            return None
        if not changed:
            return tuple(offsets)
    return None
