"""Which kernel every layer gets: speed against flash and RAM, as `--optimize` says.

Flash is counted exactly for constants, by measured figures for code; a function, and what several functions share, is
counted once, however many layers call it. RAM: a kernel is out for a layer where the layer alone would need more arena
than allowed, which is the planner's bound for one step; then the real plan is made, and the kernel with the most
scratch where the plan is fullest goes too, until it fits.

Nothing raises an error here if nothing fits: the smallest choice is made, and `fit.py` says what is short.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mcugen.boards import Board
from mcugen.budget import arena_budget, flash_budget
from mcugen.choice_mip import Choice, Goal, Item, cheapest
from mcugen.errors import Fault, UsageError
from mcugen.ir import Graph
from mcugen.select import Layer, Option, options, with_wishes
from mcugen.storage import Storage, assign, layer_bounds, place_states

SLACK_SHARE = 20  # balanced: the arena may grow by a twentieth,
SLACK_STEP = 64  # in whole steps,
SLACK_MOST = 192  # and no more than this,
PATIENCE = 1.25  # unless so many times the cycles
ROOM = 2048  # could be had with this many bytes more, or a quarter of the arena
EXCHANGE = 2.0  # balanced: one percent of flash must save this many percent of the cycles,
LEAST_FLASH = 32 * 1024  # of so much flash at least
LEAST_RAM = (
    32 * 1024
)  # speed: one percent more arena, of so much at least, must save one percent of the cycles
_PLANS = 8  # real plans that are tried before the smallest choice is taken


class Optimize(StrEnum):
    """What kernels are chosen for."""

    SPEED = "speed"
    SIZE = "size"
    RAM = "ram"
    BALANCED = "balanced"


def optimize_named(name: str | None) -> Optimize:
    """What a user names; balanced for None. Raises UsageError."""
    try:
        return Optimize(name) if name is not None else Optimize.BALANCED
    except ValueError:
        fault = Fault("--optimize", f"{name!r} is not known", f"one of {', '.join(Optimize)}")
        raise UsageError("no such aim", [fault]) from None


@dataclass(frozen=True)
class Candidate:
    """A kernel for one layer, and what it takes."""

    layer: Layer
    item: Item  # cycles, bytes of constants, parts of code
    function: str  # the C function's name
    code: Mapping[str, int]  # bytes by part of code
    scratch: int
    arena: int  # bytes that no arena can go below while the layer runs


@dataclass(frozen=True)
class Decision:
    """The layers with their kernels, the placed memory, and what led to it."""

    optimize: Optimize
    layers: tuple[Layer, ...]
    storage: Storage
    options: tuple[Option, ...]
    candidates: tuple[tuple[Candidate, ...], ...]  # of every layer, by the kernels' names
    picked: tuple[int, ...]
    goal: Goal
    arena_limit: int | None = None
    flash_limit: int | None = None  # constants and kernels' functions
    excluded: Mapping[tuple[int, int], int] = field(
        default_factory=dict
    )  # arenas of plans, by layer and candidate

    @property
    def choice(self) -> Choice:
        """The costs of all candidates."""
        return _costs(self.candidates, self.flash_limit)


def decide(
    graph: Graph,
    board: Board,
    optimize: Optimize,
    wishes: Mapping[str, tuple[str, str]] | None = None,
    keep_all: bool = False,
) -> Decision:
    """The kernels and places of a graph's layers. `wishes`: kernels by the name of a node, and who wants them.
    `keep_all`: see `assign`; it changes no kernel. Raises UnsupportedError naming every node without a kernel,
    UsageError naming every wish for one that cannot be had."""
    return _Chooser(graph, board, optimize, wishes or {}).decide(keep_all)


def slack(arena: int) -> int:
    """Bytes by which the least arena may grow for speed, when balanced."""
    return min(arena // SLACK_SHARE, SLACK_MOST) // SLACK_STEP * SLACK_STEP


def _costs(candidates: Sequence[Sequence[Candidate]], limit: int | None) -> Choice:
    code = {part: size for layer in candidates for c in layer for part, size in c.code.items()}
    return Choice(tuple(tuple(c.item for c in layer) for layer in candidates), code, limit)


def _candidates(graph: Graph, board: Board, found: Sequence[Option]) -> tuple[tuple[Candidate, ...], ...]:
    layers = [[Layer(i, option.node, k) for k in option.able] for i, option in enumerate(found)]
    bounds = layer_bounds(graph, layers)
    return tuple(
        tuple(_candidate(graph, board, layer, arena) for layer, arena in zip(able, arenas, strict=True))
        for able, arenas in zip(layers, bounds, strict=True)
    )


def _candidate(graph: Graph, board: Board, layer: Layer, arena: int) -> Candidate:
    kernel, node = layer.kernel, layer.node
    function, _ = kernel.variant(node, graph)
    code = kernel.code(node, graph)
    item = Item(round(kernel.cycles(node, graph, board)), kernel.constants(node, graph), tuple(code))
    return Candidate(layer, item, function, code, kernel.scratch(node, graph), arena)


class _Chooser:
    """One graph's way to a decision."""

    def __init__(
        self, graph: Graph, board: Board, optimize: Optimize, wishes: Mapping[str, tuple[str, str]]
    ) -> None:
        self.graph, self.optimize = graph, optimize
        self.options = with_wishes(options(graph, board), wishes)
        self.candidates = _candidates(graph, board, self.options)
        self.ram, self.flash = arena_budget(board, place_states(graph)[1]), flash_budget(board)
        self.plans: dict[tuple[int, ...], Storage] = {}
        self.excluded: dict[tuple[int, int], int] = {}
        self.least = tuple(
            min(
                range(len(layer)),
                key=lambda k, layer=layer: (layer[k].arena, layer[k].item.cycles, layer[k].item.bytes, k),  # type: ignore[misc]
            )
            for layer in self.candidates
        )

    def decide(self, keep_all: bool) -> Decision:
        limit = self.arena_limit()
        goal = self.goal(limit)
        picked = self.pick(limit, self.ram if self.optimize is Optimize.SPEED else limit, goal)
        layers = self.layers(picked)
        storage = assign(self.graph, layers, True) if keep_all else self.plan(picked)
        found = (self.options, self.candidates, picked)
        return Decision(self.optimize, layers, storage, *found, goal, limit, self.flash, self.excluded)

    def layers(self, picked: Sequence[int]) -> tuple[Layer, ...]:
        return tuple(able[k].layer for able, k in zip(self.candidates, picked, strict=True))

    def plan(self, picked: tuple[int, ...]) -> Storage:
        if picked not in self.plans:
            self.plans[picked] = assign(self.graph, self.layers(picked))
        return self.plans[picked]

    def arena_limit(self) -> int | None:
        """Bytes that a layer may need while it runs. Where not even the least fits, the least."""
        if self.optimize is Optimize.SIZE:
            return self.ram
        if self.optimize is Optimize.SPEED:
            return self.worthwhile_arena()
        least = self.plan(self.least).arena
        if self.optimize is Optimize.RAM:
            return least
        tight, roomy = (self.within_ram(least, extra) for extra in (slack(least), max(ROOM, least // 4)))
        bounds = {c.arena for layer in self.candidates for c in layer}
        levels = [tight, *sorted(level for level in bounds if tight < level < roomy), max(tight, roomy)]
        enough = PATIENCE * self.best_cycles(levels[-1])
        return levels[bisect_left(levels, True, key=lambda level: self.best_cycles(level) <= enough)]

    def within_ram(self, least: int, extra: int) -> int:
        """The least arena and so much more as the board's RAM has."""
        return least + extra if self.ram is None else max(least, min(least + extra, self.ram))

    def best_cycles(self, limit: int) -> int:
        """Cycles of the best choice within an arena."""
        picked = self.best(self.allowed(limit), self.goal(limit))
        return sum(layer[k].item.cycles for layer, k in zip(self.candidates, picked, strict=True))

    def worthwhile_arena(self) -> int | None:
        """The arena beyond which more of it saves too few cycles, within the board's RAM."""
        bounds = [[c.arena for c in layer] for layer in self.candidates]
        least = max(map(min, bounds), default=0)
        levels = {arena for layer in bounds for arena in layer if arena >= least} | {least}
        able = sorted(level for level in levels if self.ram is None or level <= self.ram)
        if not able:
            return self.ram
        cycles = {level: self.fastest(level) for level in able}
        rate = min(cycles.values()) / max(least, LEAST_RAM)
        return min(able, key=lambda level: (cycles[level] + rate * level, level))

    def fastest(self, limit: int | None) -> int:
        """Cycles of the fastest candidates within an arena, whatever flash they take."""
        pairs = zip(self.candidates, self.allowed(limit), strict=True)
        return sum(min(layer[k].item.cycles for k in able) for layer, able in pairs)

    def allowed(self, limit: int | None) -> list[list[int]]:
        """The candidates of each layer that may be taken; there is always one."""
        return [
            [
                k
                for k, candidate in enumerate(layer)
                if (limit is None or candidate.arena <= limit) and (i, k) not in self.excluded
            ]
            or [self.least[i]]
            for i, layer in enumerate(self.candidates)
        ]

    def goal(self, limit: int | None) -> Goal:
        if self.optimize is Optimize.SIZE:
            return Goal(0, 1)
        if self.optimize is Optimize.SPEED:
            return Goal(1, 0)
        flash = sum(min(c.item.bytes for c in layer) for layer in self.candidates)
        return Goal(1, EXCHANGE * self.fastest(limit) / max(flash, LEAST_FLASH))

    def pick(self, limit: int | None, most: int | None, goal: Goal) -> tuple[int, ...]:
        """The best candidates within `limit` whose plan has `most` bytes."""
        for _ in range(_PLANS):
            picked = self.best(self.allowed(limit), goal)
            if most is None or picked == self.least or self.plan(picked).arena <= most:
                return picked
            self.exclude(picked)
        return self.least

    def best(self, allowed: Sequence[Sequence[int]], goal: Goal) -> tuple[int, ...]:
        """The best of the allowed candidates; the smallest ones where the flash is too small for all."""
        able = [[layer[k] for k in indices] for layer, indices in zip(self.candidates, allowed, strict=True)]
        found = cheapest(_costs(able, self.flash), goal)
        if found is None:
            found = cheapest(_costs(able, None), Goal(0, 1))
        assert found is not None
        return tuple(indices[k] for indices, k in zip(allowed, found, strict=True))

    def exclude(self, picked: tuple[int, ...]) -> None:
        """The candidate goes that asks most of the arena beyond what its layer needs, where the plan is fullest."""
        storage = self.plan(picked)
        top = [b for b in storage.buffers if storage.plan.offsets[b.name] + b.size == storage.plan.size]
        extra = {
            i: self.candidates[i][k].arena - self.candidates[i][self.least[i]].arena
            for i, k in enumerate(picked)
            if k != self.least[i]
        }
        peak = {i for i in extra if any(b.first <= i <= b.last for b in top)}
        worst = max(extra, key=lambda i: (i in peak, extra[i], self.candidates[i][picked[i]].scratch, -i))
        self.excluded[worst, picked[worst]] = storage.arena
