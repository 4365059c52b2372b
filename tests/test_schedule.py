"""The order of execution: optimal on small graphs, stable, and never worse than the given one."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcugen.ir import DType, Graph, Node, Tensor, TensorType
from mcugen.schedule import schedule


def graph_of(sizes: dict[str, int], outputs: tuple[str, ...], *nodes: tuple[str, str]) -> Graph:
    """Nodes as (inputs, outputs) of one-letter tensors; x is the input, capital letters are constants."""
    tensors = {
        name: Tensor(
            name, TensorType((size,), DType.INT8), np.zeros(size, np.int8) if name.isupper() else None
        )
        for name, size in sizes.items()
    }
    made = tuple(
        Node(f"n{k}", "op", tuple(inputs), tuple(outputs)) for k, (inputs, outputs) in enumerate(nodes)
    )
    return Graph("test", ("x",), outputs, made, tensors)


def peak(graph: Graph, order: tuple[Node, ...]) -> int | None:
    """The most activation bytes alive at once, moment by moment; None if the order is impossible."""
    alive = {name for name in graph.inputs}
    most = 0
    for k, node in enumerate(order):
        if not all(name in alive or graph.is_constant(name) for name in node.inputs):
            return None
        alive |= set(node.outputs)
        most = max(most, sum(graph.type(name).bytes for name in alive))
        later = {name for other in order[k + 1 :] for name in other.inputs} | set(graph.outputs)
        unread = {name for name in graph.inputs if not any(name in other.inputs for other in graph.nodes)}
        alive &= later | unread
    return most


def random_graph(seed: int, count: int) -> Graph:
    dice = random.Random(seed)
    names = [chr(ord("a") + k) for k in range(count)]
    sizes = {"x": dice.randint(1, 20), "W": 500}
    nodes: list[tuple[str, str]] = []
    for name in names:
        known = [other for other in sizes if other != "W"]
        inputs = dice.sample(known, min(len(known), dice.choice((1, 1, 2, 3)))) + ["W"] * dice.randint(0, 1)
        sizes[name] = dice.randint(0, 20)
        nodes.append(("".join(inputs), name))
    read = {name for inputs, _ in nodes for name in inputs}
    outputs = tuple(name for name in names if name not in read or dice.random() < 0.1)
    return graph_of(sizes, outputs, *nodes)


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_small_graphs_are_ordered_as_well_as_by_trying_everything(seed, count):
    graph = random_graph(seed, count)
    ordered = schedule(graph)
    peaks = [peak(graph, order) for order in itertools.permutations(graph.nodes)]
    least = min(value for value in peaks if value is not None)
    assert peak(graph, ordered.nodes) == least
    assert (ordered is graph) == (peak(graph, graph.nodes) == least)


@given(st.integers(0, 2**32), st.integers(0, 50))
def test_with_few_states_the_order_is_still_valid_and_not_worse(seed, limit):
    graph = random_graph(seed, 14)
    ordered = schedule(graph, state_limit=limit)
    before, after = peak(graph, graph.nodes), peak(graph, ordered.nodes)
    assert before is not None and after is not None
    assert after <= before
    assert sorted(node.name for node in ordered.nodes) == sorted(node.name for node in graph.nodes)
    assert schedule(graph, state_limit=limit).nodes == ordered.nodes


def test_the_branch_that_leaves_less_runs_first():
    """Two branches grow and shrink again: the second one waits until the first has shrunk."""
    graph = graph_of(
        {"x": 10, "a": 100, "b": 100, "c": 1, "d": 1, "e": 2},
        ("e",),
        ("x", "a"), ("x", "b"), ("a", "c"), ("b", "d"), ("cd", "e"),
    )  # fmt: skip
    ordered = schedule(graph)
    assert [node.name for node in ordered.nodes] == ["n0", "n2", "n1", "n3", "n4"]
    assert (peak(graph, graph.nodes), peak(graph, ordered.nodes)) == (210, 111)
    assert ordered.tensors is graph.tensors


def test_constants_do_not_count():
    graph = graph_of(
        {"x": 1, "W": 9999, "a": 5, "b": 5, "c": 1}, ("c",), ("xW", "a"), ("x", "b"), ("ab", "c")
    )
    assert schedule(graph) is graph


def test_outputs_and_unread_tensors():
    """b is an output and stays; c is read by nobody and dies at once."""
    graph = graph_of({"x": 4, "a": 1, "b": 50, "c": 60}, ("a", "b"), ("x", "b"), ("x", "c"), ("x", "a"))
    ordered = schedule(graph)
    assert peak(graph, ordered.nodes) == 64
    assert [node.name for node in ordered.nodes][0] != "n0"


@pytest.mark.parametrize("count", [0, 1, 200])
def test_a_chain_stays_as_it_is(count):
    names = [f"t{k}" for k in range(count)]
    tensors = {name: Tensor(name, TensorType((8,), DType.INT8)) for name in ("x", *names)}
    nodes = tuple(Node(name, "op", (before,), (name,)) for before, name in itertools.pairwise(("x", *names)))
    graph = Graph("chain", ("x",), (names[-1] if names else "x",), nodes, tensors)
    assert schedule(graph) is graph


def test_forty_parallel_branches_end_soon():
    """2^40 sets of branches: the search gives up or sees through it, and gains what there is to gain."""
    sizes = (
        {"x": 4} | {f"{side}{k}": 64 - k if side == "a" else 1 for side in "ab" for k in range(40)} | {"y": 1}
    )
    tensors = {name: Tensor(name, TensorType((size,), DType.INT8)) for name, size in sizes.items()}
    nodes = [Node(f"a{k}", "op", ("x",), (f"a{k}",)) for k in range(40)]
    nodes += [Node(f"b{k}", "op", (f"a{k}",), (f"b{k}",)) for k in range(40)]
    nodes += [Node("y", "op", tuple(f"b{k}" for k in range(40)), ("y",))]
    graph = Graph("wide", ("x",), ("y",), tuple(nodes), tensors)
    ordered = schedule(graph, state_limit=2_000)
    best = peak(graph, ordered.nodes)
    assert best is not None and best <= 110
