"""The order of execution: where branches leave a choice, the one that keeps the fewest bytes alive."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

from mcugen.ir import Graph


def schedule(graph: Graph, state_limit: int = 20_000) -> Graph:
    """The nodes reordered for the least peak of live activation bytes; as given unless strictly better.

    Constants do not count, nor does what the planner gains by overlap. A best-first search over sets of
    executed nodes finds the optimum; after `state_limit` sets it goes on greedily from the most promising.
    """
    if len(graph.nodes) < 3:  # the first and the last node leave no choice
        return graph
    problem = _problem(graph)
    given = problem.peak(range(len(graph.nodes)))
    order = _search(problem, given, state_limit)
    if order is None or problem.peak(order) >= given:
        return graph
    return replace(graph, nodes=tuple(graph.nodes[i] for i in order))


@dataclass(frozen=True)
class _Problem:
    """Nodes and sets of nodes as bits. Tensors are activations only, by index."""

    sizes: tuple[int, ...]  # bytes
    users: tuple[int, ...]  # nodes that read a tensor; -1, which is never a subset, where it must stay
    reads: tuple[tuple[int, ...], ...]  # tensors of a node
    writes: tuple[tuple[int, ...], ...]
    needs: tuple[int, ...]  # nodes that must have run before
    inputs: int  # bytes of the graph's inputs

    def run(self, done: int, live: int, node: int) -> tuple[int, int, int]:
        """Executes one node: the new set, the bytes live after it, the bytes live during it."""
        after = done | 1 << node
        during = live + sum(self.sizes[t] for t in self.writes[node])
        dead = sum(self.sizes[t] for t in self.reads[node] + self.writes[node] if not self.users[t] & ~after)
        return after, during - dead, during

    def peak(self, order: range | tuple[int, ...]) -> int:
        done, live, peak = 0, self.inputs, self.inputs
        for node in order:
            done, live, during = self.run(done, live, node)
            peak = max(peak, during)
        return peak


def _problem(graph: Graph) -> _Problem:
    names = [name for name, t in graph.tensors.items() if t.data is None and name not in graph.states]
    index = {name: t for t, name in enumerate(names)}
    users = [-1 if name in graph.outputs else 0 for name in names]
    makers = [0] * len(names)
    reads = [
        tuple(index[name] for name in dict.fromkeys(node.inputs) if name in index) for node in graph.nodes
    ]
    writes = [tuple(index[name] for name in node.outputs) for node in graph.nodes]
    for k in range(len(graph.nodes)):
        for t in reads[k]:
            users[t] |= 1 << k
        for t in writes[k]:
            makers[t] = 1 << k
    needs = []
    touched = {name: 0 for name in graph.states}  # nodes so far that touch a state: they keep their order
    for k, (node, read) in enumerate(zip(graph.nodes, reads, strict=True)):
        need = 0
        for t in read:
            need |= makers[t]
        for name in touched.keys() & set(node.inputs):
            need |= touched[name]
            touched[name] |= 1 << k
        needs.append(need)
    sizes = tuple(graph.type(name).bytes for name in names)
    inputs = sum(sizes[index[name]] for name in dict.fromkeys(graph.inputs))
    return _Problem(sizes, tuple(users), tuple(reads), tuple(writes), tuple(needs), inputs)


def _search(problem: _Problem, limit: int, state_limit: int) -> tuple[int, ...] | None:
    """An order with a peak below `limit`, the least unless the states run out; None: there is none."""
    everything = (1 << len(problem.needs)) - 1
    least = {0: problem.inputs}  # set of executed nodes -> the least peak known to reach it
    came: dict[int, tuple[int, int]] = {}  # set -> the set before it, the node between
    # By peak; among equals the fullest set, then the fewest bytes, then the smallest set number.
    heap = [(problem.inputs, 0, problem.inputs, 0)]
    while heap:
        peak, _, live, done = heapq.heappop(heap)
        if done == everything:
            return _path(came, done)
        if peak > least[done]:
            continue
        if len(least) > state_limit:
            return _path(came, done) + _greedy(problem, done, live)
        for node, after, alive, during in _moves(problem, done, live, peak):
            worst = max(peak, during)
            if worst < min(limit, least.get(after, limit)):
                least[after] = worst
                came[after] = (done, node)
                heapq.heappush(heap, (worst, -after.bit_count(), alive, after))
    return None


def _moves(problem: _Problem, done: int, live: int, peak: int) -> list[tuple[int, int, int, int]]:
    """The nodes that can run next: (node, the set after it, bytes live after it, bytes live during it)."""
    moves = []
    for node, need in enumerate(problem.needs):
        if done >> node & 1 or need & ~done:
            continue
        after, alive, during = problem.run(done, live, node)
        if during <= peak and alive <= live:  # costs nothing now: no order is better for having it later
            return [(node, after, alive, during)]
        moves.append((node, after, alive, during))
    return moves


def _path(came: dict[int, tuple[int, int]], done: int) -> tuple[int, ...]:
    nodes = []
    while done:
        done, node = came[done]
        nodes.append(node)
    return tuple(reversed(nodes))


def _greedy(problem: _Problem, done: int, live: int) -> tuple[int, ...]:
    """The rest of an order: always the node that needs the fewest bytes, then that leaves the fewest."""
    nodes = []
    while moves := _moves(problem, done, live, peak=0):
        node, done, live, _ = min(moves, key=lambda move: (move[3], move[2], move[0]))
        nodes.append(node)
    return tuple(nodes)
