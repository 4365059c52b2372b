"""Call every activation as the model file calls what it holds: reports, ranges and manifest speak the user's names."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node
from mcugen.normalise.layout import LAYOUT


def name_tensors(graph: Graph) -> Graph:
    """The graph with activations and their nodes renamed to their source, where that name is free.

    Of several tensors with one source the graph's output gets the plain name, then the last one that is computed;
    reshapes and the layout's own copies come after all others.
    """
    names = {n: n for n in graph.tensors}
    taken = {n for n, t in graph.tensors.items() if t.data is not None or n in graph.inputs}

    def rank(node: Node) -> tuple[bool, bool]:
        return node.outputs[0] not in graph.outputs, node.op == "reshape" or node.origin == LAYOUT

    for node in sorted(reversed(graph.nodes), key=rank):
        (name,) = node.outputs
        wanted = source = graph.tensors[name].source or name
        count = 1
        while wanted in taken:
            wanted, count = f"{source}.{count}", count + 1
        taken.add(wanted)
        names[name] = wanted
    return replace(
        graph,
        outputs=tuple(names[n] for n in graph.outputs),
        nodes=tuple(
            replace(
                node,
                name=names[node.outputs[0]],
                inputs=tuple(names[i] for i in node.inputs),
                outputs=tuple(names[o] for o in node.outputs),
            )
            for node in graph.nodes
        ),
        tensors={names[n]: replace(t, name=names[n]) for n, t in graph.tensors.items()},
    )
