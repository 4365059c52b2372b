"""Call every activation as the model file calls what it holds: reports, ranges and manifest speak the user's names."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph
from mcugen.normalise.layout import LAYOUT


def name_tensors(graph: Graph) -> Graph:
    """The graph with activations and their nodes renamed to their source, where that name is free.

    Of several tensors with one source the last one gets the plain name, the layout's own copies come after all others.
    """
    names = {n: n for n in graph.tensors}
    taken = {n for n, t in graph.tensors.items() if t.data is not None or n in graph.inputs}
    for node in sorted(reversed(graph.nodes), key=lambda n: n.origin == LAYOUT):
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
