"""Where every activation and state lives: aliases, lives and overlaps for the planner, and the checked plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mcugen.access import Access, Direction
from mcugen.ir import Graph
from mcugen.place import Buffer, Overlap, Plan, place
from mcugen.place_problem import live_bound, problem_of
from mcugen.plan_check import StepAccess, check_plan
from mcugen.select import ALIASES, ASSIGNS, Layer


@dataclass(frozen=True)
class Storage:
    """Which buffer of the arena each activation lives in and the plan that places the buffers; the states' places.

    States are a member of the library's struct of their own: they outlive a run, the arena does not. What an
    assignment writes is the state itself, so its output is among them.
    """

    buffer_of: Mapping[str, str]
    buffers: tuple[Buffer, ...]
    plan: Plan
    states: Mapping[str, int]  # bytes from the start of the states, of them and of what is assigned to them
    state: int  # bytes of all states

    def offset(self, tensor: str) -> int:
        """Bytes from the arena's start, of an activation."""
        return self.plan.offsets[self.buffer_of[tensor]]

    @property
    def arena(self) -> int:
        """Bytes of the arena; at least one, as C has no empty arrays."""
        return max(1, self.plan.size)


def _assigned(graph: Graph) -> dict[str, str]:
    """The state in which the output of each assignment lies."""
    return {node.outputs[0]: node.inputs[1] for node in graph.nodes if node.op in ASSIGNS}


def _aliases(graph: Graph) -> dict[str, str]:
    """The tensor whose buffer each activation uses."""
    states = {*graph.states, *_assigned(graph)}
    owner = {name: name for name, t in graph.tensors.items() if t.data is None and name not in states}
    for node in graph.nodes:
        if node.op in ALIASES:
            owner[node.outputs[0]] = owner[node.inputs[0]]
    return owner


def _activations(graph: Graph, layers: Sequence[Layer], owner: Mapping[str, str]) -> list[Buffer]:
    """The activations' buffers: they are the same whichever kernels the layers have."""
    first = {owner[name]: -1 for name in graph.inputs}
    last = {owner[name]: 0 for name in graph.inputs}
    for layer in layers:
        for name in layer.node.outputs:
            if name not in owner:
                continue
            first.setdefault(owner[name], layer.index)
            last[owner[name]] = max(last.get(owner[name], 0), layer.index)
        for name in layer.node.inputs:
            if name in owner:
                last[owner[name]] = max(last[owner[name]], layer.index)
    for name in graph.outputs:
        last[owner[name]] = len(layers)
    return [Buffer(n, graph.type(n).bytes, first[n], last[n], graph.type(n).dtype.size) for n in first]


def _scratch(graph: Graph, layer: Layer) -> list[Buffer]:
    """The layer's scratch, if it needs any."""
    size = layer.kernel.scratch(layer.node, graph)
    name = f"{layer.node.name}/scratch"
    return [Buffer(name, size, layer.index, layer.index, align=8)] if size else []


def place_states(graph: Graph) -> tuple[dict[str, int], int]:
    """Offsets of the states, one behind the other, and of what is assigned to them; the bytes of all."""
    offsets: dict[str, int] = {}
    end = 0
    for name in graph.states:
        size = graph.type(name).dtype.size
        offsets[name] = -(-end // size) * size
        end = offsets[name] + graph.type(name).bytes
    return offsets | {name: offsets[state] for name, state in _assigned(graph).items()}, end


@dataclass(frozen=True)
class _Step:
    """How a layer touches buffers: its output (None: a state), what it reads step by step, what at any time."""

    index: int
    output: str | None
    pairs: tuple[tuple[str, Access], ...]
    whole: tuple[str, ...]

    def overlaps(self) -> list[Overlap]:
        if self.output is None:
            return []
        both = (Direction.ASCENDING, Direction.DESCENDING)
        return [Overlap(self.index, s, self.output, *map(access.distance, both)) for s, access in self.pairs]


def _step(graph: Graph, layer: Layer, owner: Mapping[str, str], last: Mapping[str, int]) -> _Step:
    node, output = layer.node, owner.get(layer.node.outputs[0])
    pairs: list[tuple[str, Access]] = []
    whole: list[str] = []
    for name, access in zip(node.inputs, layer.kernel.access(node, graph), strict=True):
        if name not in owner:
            continue
        source = owner[name]
        dies = last[source] == layer.index and source != output
        if access is None or output is None or not dies or node.inputs.count(name) > 1:
            whole.append(source)
            continue
        pairs.append((source, access))
    # a buffer that is also read as a whole, through another alias, must stay
    kept = tuple((source, access) for source, access in pairs if source not in whole)
    return _Step(layer.index, output, kept, tuple(whole))


def assign(graph: Graph, layers: Sequence[Layer], keep_all: bool = False) -> Storage:
    """Place every activation and scratch buffer in the arena; the plan is checked by simulating its bytes.

    `keep_all`: every buffer has bytes of its own, so that a debugger finds all layers' outputs after a run.
    """
    owner = _aliases(graph)
    buffers = _activations(graph, layers, owner)
    buffers += [buffer for layer in layers for buffer in _scratch(graph, layer)]
    if keep_all:
        buffers = [replace(b, last=len(layers)) for b in buffers]
    last = {b.name: b.last for b in buffers}
    steps = [_step(graph, layer, owner, last) for layer in layers]
    plan = place(buffers, [overlap for step in steps for overlap in step.overlaps()])
    checked = [
        StepAccess(s.index, s.output, s.pairs, plan.directions.get(s.index, Direction.ASCENDING), s.whole)
        for s in steps
    ]
    check_plan(plan, buffers, checked)
    return Storage(owner, tuple(buffers), plan, *place_states(graph))


def layer_bounds(graph: Graph, choices: Sequence[Sequence[Layer]]) -> list[list[int]]:
    """For each layer, and each of the kernels that it could have, the bytes that no arena can go below: what lives
    while it runs."""
    owner = _aliases(graph)
    buffers = _activations(graph, [layers[0] for layers in choices], owner)
    last = {b.name: b.last for b in buffers}
    return [[_bound(graph, layer, buffers, owner, last) for layer in layers] for layers in choices]


def _bound(
    graph: Graph,
    layer: Layer,
    buffers: Sequence[Buffer],
    owner: Mapping[str, str],
    last: Mapping[str, int],
) -> int:
    i = layer.index
    live = [
        replace(b, first=max(b.first, i - 1), last=min(b.last, i + 1))
        for b in buffers
        if b.first <= i <= b.last
    ]
    live += _scratch(graph, layer)
    problem = problem_of(live, _step(graph, layer, owner, last).overlaps())
    return live_bound(problem) if problem.buffers else 0
