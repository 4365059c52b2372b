"""What must hold at every border between two stages; a violation is a bug of ours, not of the user's model."""

from __future__ import annotations

from mcugen.errors import Fault, InternalError
from mcugen.ir import Graph
from mcugen.ops import OPS


def check_graph(graph: Graph, stage: str) -> Graph:
    """The graph itself if names are defined before use and once, types follow the operators, and constants their
    types. Raises InternalError with all faults."""
    faults: list[Fault] = []
    known = {*graph.inputs, *graph.states, *(n for n, t in graph.tensors.items() if t.data is not None)}
    for node in graph.nodes:
        if node.op not in OPS:
            faults.append(Fault(node.name, f"unknown operator {node.op}"))
            continue
        for name in node.inputs:
            if name not in known:
                faults.append(Fault(node.name, f"reads {name} before it exists"))
        for name in node.outputs:
            if name in known:
                faults.append(Fault(node.name, f"writes {name} again"))
            if name not in graph.tensors:
                faults.append(Fault(node.name, f"writes {name}, which has no type"))
        known.update(node.outputs)
        try:
            inferred = OPS[node.op].infer(node, [graph.type(i) for i in node.inputs if i in graph.tensors])
        except ValueError as error:
            faults.append(Fault(node.name, str(error)))
            continue
        for name, ttype in zip(node.outputs, inferred, strict=True):
            if name in graph.tensors and graph.type(name).shape != ttype.shape:
                faults.append(Fault(node.name, f"{name} is {graph.type(name).shape}, inferred {ttype.shape}"))
    faults += [Fault(name, "output does not exist") for name in graph.outputs if name not in known]
    for name, tensor in graph.tensors.items():
        if tensor.name != name:
            faults.append(Fault(name, f"is called {tensor.name}"))
        if tensor.data is not None and tensor.data.shape != tensor.shape:
            faults.append(Fault(name, f"holds {tensor.data.shape}, declared {tensor.shape}"))
        if tensor.data is not None and tensor.data.dtype != tensor.type.dtype.numpy:
            faults.append(Fault(name, f"holds {tensor.data.dtype}, declared {tensor.type.dtype}"))
    if faults:
        raise InternalError(f"the graph is wrong after {stage}", faults)
    return graph
