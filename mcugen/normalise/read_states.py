"""A state is read where it lies: no copy of it is made for readers that run before it is overwritten."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node
from mcugen.ops import OPS
from mcugen.rewrite import with_nodes
from mcugen.select import ALIASES, ASSIGNS


def read_states(graph: Graph) -> Graph:
    """The integer graph without read_variable nodes whose readers can take the state itself."""
    if not graph.states:
        return graph
    place = {node.name: i for i, node in enumerate(graph.nodes)}
    consumers = graph.consumers()
    direct: dict[str, str] = {}
    for node in graph.nodes:
        state = node.inputs[0] if node.op == "read_variable" else ""
        if not state or node.outputs[0] in graph.outputs:
            continue
        updates = [place[n.name] for n in graph.nodes if state in OPS[n.op].updates(n, graph)]
        end = min((i for i in updates if i > place[node.name]), default=len(graph.nodes))
        if all(place[user.name] < end and _reads_in_place(user) for user in consumers[node.outputs[0]]):
            direct[node.outputs[0]] = state

    def changed(node: Node) -> Node:
        return replace(node, inputs=tuple(direct.get(i, i) for i in node.inputs))

    return with_nodes(graph, [changed(n) for n in graph.nodes if n.outputs[0] not in direct])


def _reads_in_place(node: Node) -> bool:
    """Whether a node reads its inputs for itself; a view of a state would outlive the state's value."""
    return node.op not in (*ALIASES, *ASSIGNS)
