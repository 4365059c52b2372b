"""At most one reshape between two operators, none that changes nothing, and outputs under the file's names."""

from __future__ import annotations

from dataclasses import replace

from graphs import int8_type
from onnx_net import Net, normalised

from mcugen.ir import Graph, Node, Tensor, TensorType
from mcugen.normalise.merge_reshapes import merge_reshapes
from mcugen.normalise.name_tensors import name_tensors


def _graph(shapes: dict[str, tuple[int, ...]], nodes: list[tuple[str, str, str]], *outputs: str) -> Graph:
    tensors = {n: Tensor(n, TensorType(s), source=n) for n, s in shapes.items()}
    attrs = {"unary": {"function": ("tanh", ("x",))}}
    made = [Node(o, op, (i,), (o,), attrs.get(op, {"shape": shapes[o]})) for op, i, o in nodes]
    return Graph("g", ("x",), outputs, tuple(made), tensors)


def test_chains_become_one() -> None:
    shapes = {"x": (1, 6), "a": (1, 2, 3), "b": (6,), "c": (1, 3, 2)}
    graph = merge_reshapes(
        _graph(shapes, [("reshape", "x", "a"), ("reshape", "a", "b"), ("reshape", "b", "c")], "c")
    )
    assert [(n.inputs, n.outputs) for n in graph.nodes] == [(("x",), ("c",))]


def test_there_and_back_is_nothing() -> None:
    shapes = {"x": (1, 6), "a": (1, 2, 3), "b": (1, 6), "y": (1, 6)}
    graph = merge_reshapes(
        _graph(shapes, [("reshape", "x", "a"), ("reshape", "a", "b"), ("unary", "b", "y")], "y")
    )
    assert [(n.op, n.inputs) for n in graph.nodes] == [("unary", ("x",))]


def test_outputs_stay_even_if_they_change_nothing() -> None:
    shapes = {"x": (1, 6), "a": (1, 2, 3), "b": (1, 6)}
    graph = merge_reshapes(_graph(shapes, [("reshape", "x", "a"), ("reshape", "a", "b")], "a", "b"))
    assert [(n.inputs, n.outputs) for n in graph.nodes] == [(("x",), ("a",)), (("x",), ("b",))]


def test_functions_come_first() -> None:
    shapes = {"x": (1, 6), "a": (1, 2, 3), "y": (1, 2, 3), "z": (1, 6)}
    graph = merge_reshapes(
        _graph(shapes, [("reshape", "x", "a"), ("unary", "a", "y"), ("reshape", "y", "z")], "y", "z")
    )
    assert [n.op for n in graph.nodes] == ["unary", "reshape", "reshape"]
    assert graph.type("y").shape == (1, 2, 3)
    assert graph.nodes[0].inputs == ("x",)


def test_integers_keep_their_types() -> None:
    """A function before a reshape gives what it gave behind it; a reshape to another scale stays where it is."""
    shapes = {"x": (1, 6), "a": (1, 2, 3), "y": (1, 2, 3)}
    graph = _graph(shapes, [("reshape", "x", "a"), ("unary", "a", "y")], "y")
    for scale, order in ((0.5, ["unary", "reshape"]), (0.25, ["reshape", "unary"])):
        scales = {"x": 0.5, "a": scale, "y": 0.1}
        tensors = {n: Tensor(n, int8_type(shapes[n], s), source=n) for n, s in scales.items()}
        merged = merge_reshapes(replace(graph, tensors=tensors))
        (unary,) = [n for n in merged.nodes if n.op == "unary"]
        assert [n.op for n in merged.nodes] == order
        assert merged.type(unary.outputs[0]).quant == tensors["y"].type.quant
        assert merged.type(unary.inputs[0]).quant == tensors["a"].type.quant


def test_names_of_the_file() -> None:
    """The computed tensor is called as in the file, its reshaped copy with a number; outputs come first of all."""
    net = Net()
    x = net.add("Tanh", net.reshape(net.dense(net.input(1, 4), 4, 6), 1, 2, 3), name="t")
    graph = normalised(net.model(net.linear(x, 3, 2)))
    (tanh,) = [n for n in graph.nodes if n.op == "unary"]
    assert tanh.outputs == ("t",)
    shapes = {"x": (1, 6), "y": (1, 6), "z": (1, 2, 3)}
    graph = _graph(shapes, [("unary", "x", "y"), ("reshape", "y", "z")], "z")
    tensors = {n: Tensor(n, t.type, source="out") for n, t in graph.tensors.items()}
    renamed = name_tensors(Graph("g", ("x",), ("z",), graph.nodes, tensors))
    assert renamed.outputs == ("out",) and [n.name for n in renamed.nodes] == ["out.1", "out"]
