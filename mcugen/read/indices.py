"""Indices: what ArgMax and ArgMin compute is an integer, not a quantized number, and may only leave the model."""

from __future__ import annotations

from mcugen.errors import Fault, UnsupportedError
from mcugen.ir import Graph
from mcugen.rewrite import index_tensors


def check_indices(graph: Graph, file: str) -> None:
    """Raises UnsupportedError with every operator that reads an index of an imported graph."""
    indices = index_tensors(graph)
    faults = [
        Fault(
            node.origin or node.name,
            f'it reads the index "{graph.tensors[name].source or name}" of {indices[name].origin}; '
            "an index can only be an output of the model",
            "cut the model behind the index and do the rest in firmware",
        )
        for node in graph.nodes
        for name in dict.fromkeys(node.inputs)
        if name in indices and node.op != "reshape"
    ]
    if faults:
        raise UnsupportedError(f"{file}: an index is used inside the model", faults)
