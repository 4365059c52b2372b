"""Where every activation and state lives: aliases, lives and overlaps for the planner, and the checked plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mcugen.access import Access, Direction
from mcugen.ir import Graph
from mcugen.place import Buffer, Overlap, Plan, place
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


def _buffers(graph: Graph, layers: Sequence[Layer], owner: Mapping[str, str]) -> list[Buffer]:
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
    buffers = [Buffer(n, graph.type(n).bytes, first[n], last[n], graph.type(n).dtype.size) for n in first]
    for layer in layers:
        size = layer.kernel.scratch(layer.node, graph)
        if size:
            buffers.append(Buffer(f"{layer.node.name}/scratch", size, layer.index, layer.index, align=8))
    return buffers


def _states(graph: Graph) -> tuple[dict[str, int], int]:
    """Offsets of the states, one behind the other, and their bytes."""
    offsets: dict[str, int] = {}
    end = 0
    for name in graph.states:
        size = graph.type(name).dtype.size
        offsets[name] = -(-end // size) * size
        end = offsets[name] + graph.type(name).bytes
    return offsets | {name: offsets[state] for name, state in _assigned(graph).items()}, end


def _overlap(step: int, source: str, output: str, access: Access) -> Overlap:
    ascending, descending = (access.distance(d) for d in (Direction.ASCENDING, Direction.DESCENDING))
    return Overlap(step, source, output, ascending, descending)


def assign(graph: Graph, layers: Sequence[Layer], keep_all: bool = False) -> Storage:
    """Place every activation and scratch buffer in the arena; the plan is checked by simulating its bytes.

    `keep_all`: every buffer has bytes of its own, so that a debugger finds all layers' outputs after a run.
    """
    owner = _aliases(graph)
    buffers = _buffers(graph, layers, owner)
    if keep_all:
        buffers = [replace(b, last=len(layers)) for b in buffers]
    last = {b.name: b.last for b in buffers}
    overlaps: list[Overlap] = []
    accesses = []
    for layer in layers:
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
        pairs = [(source, access) for source, access in pairs if source not in whole]
        if output is not None:
            overlaps += [_overlap(layer.index, source, output, access) for source, access in pairs]
        accesses.append((layer.index, output, tuple(pairs), tuple(whole)))
    plan = place(buffers, overlaps)
    steps = [
        StepAccess(i, output, pairs, plan.directions.get(i, Direction.ASCENDING), whole)
        for i, output, pairs, whole in accesses
    ]
    check_plan(plan, buffers, steps)
    return Storage(owner, tuple(buffers), plan, *_states(graph))
