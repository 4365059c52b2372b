"""Which kernel every layer gets: speed against flash and RAM, as `--optimize` says.

Flash is counted exactly for constants, by measured figures for code; a function is counted once, however many layers
call it. RAM: a kernel is out for a layer where the layer alone would need more arena than allowed, which is the
planner's bound for one step; then the real plan is made, and the kernel with the most scratch where the plan is
fullest goes too, until it fits.

Nothing raises an error here if nothing fits: the smallest choice is made, and `fit.py` says what is short.
"""

from __future__ import annotations

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
SLACK_MOST = 192  # and no more than this
EXCHANGE = 2.0  # balanced: one percent of flash must save this many percent of the cycles,
LEAST_FLASH = 32 * 1024  # of so much flash at least
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
    item: Item  # cycles, bytes of constants, the C function's name
    code: int  # bytes of that function
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
    code = {c.item.function: c.code for layer in candidates for c in layer}
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
    item = Item(round(kernel.cycles(node, graph, board)), kernel.constants(node, graph), function)
    return Candidate(layer, item, kernel.code(node, graph), kernel.scratch(node, graph), arena)


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
        picked = self.pick(limit, goal)
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
        """Bytes that the arena may have. Where not even the least fits, the least."""
        if self.optimize in (Optimize.SPEED, Optimize.SIZE):
            return self.ram
        least = self.plan(self.least).arena
        wanted = least + (slack(least) if self.optimize is Optimize.BALANCED else 0)
        return wanted if self.ram is None else max(least, min(wanted, self.ram))

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
        if self.optimize is not Optimize.BALANCED:
            return Goal(1, 0)
        cycles = sum(
            min(layer[k].item.cycles for k in able)
            for layer, able in zip(self.candidates, self.allowed(limit), strict=True)
        )
        flash = sum(min(c.item.bytes for c in layer) for layer in self.candidates)
        return Goal(1, EXCHANGE * cycles / max(flash, LEAST_FLASH))

    def pick(self, limit: int | None, goal: Goal) -> tuple[int, ...]:
        """The best candidates whose plan keeps the limit."""
        for _ in range(_PLANS):
            picked = self.best(self.allowed(limit), goal)
            if limit is None or picked == self.least or self.plan(picked).arena <= limit:
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
