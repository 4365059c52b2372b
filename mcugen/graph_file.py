"""The final graph as one .npz file, from which the reference is recomputed. No pickles; equal graphs, equal bytes."""

from __future__ import annotations

import json
import tokenize
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.check import check_graph
from mcugen.errors import Fault, InternalError, UsageError
from mcugen.ir import Channels, DType, Graph, Node, Quant, Tensor, TensorType

FORMAT = 1
# What numpy, zipfile and our own checks raise for a file that save_graph did not write, or that was damaged since.
DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    tokenize.TokenError,  # numpy reads an array's header as Python
    InternalError,
)


def _tensor_entry(tensor: Tensor, index: int) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": tensor.shape,
        "dtype": tensor.type.dtype.value,
        "quant": asdict(tensor.type.quant) if tensor.type.quant else None,
        "source": tensor.source,
        "channels": asdict(tensor.channels) if tensor.channels else None,
        "data": f"c{index}" if tensor.data is not None else None,
    }


def save_graph(graph: Graph, path: Path) -> None:
    """Write the graph; structure as JSON in the entry `graph`, constants as arrays c0, c1, ..."""
    tensors = list(graph.tensors.values())
    document = {
        "format": FORMAT,
        "name": graph.name,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "states": graph.states,
        "nodes": [
            {
                "name": n.name,
                "op": n.op,
                "inputs": n.inputs,
                "outputs": n.outputs,
                "attrs": dict(n.attrs),
                "origin": n.origin,
                "fused": n.fused,
            }
            for n in graph.nodes
        ],
        "tensors": [_tensor_entry(t, i) for i, t in enumerate(tensors)],
    }
    arrays = {f"c{i}": t.data for i, t in enumerate(tensors) if t.data is not None}
    text = np.frombuffer(json.dumps(document, sort_keys=True).encode(), np.uint8)
    np.savez(path, graph=text, **arrays)  # type: ignore[arg-type]


def _tuples(value: Any) -> Any:
    """JSON's lists are tuples in the IR."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _channels(entry: dict[str, Any] | None) -> Channels | None:
    return Channels(**{k: _tuples(v) for k, v in entry.items()}) if entry else None


def _quant(entry: dict[str, Any] | None) -> Quant | None:
    return Quant(**{k: _tuples(v) for k, v in entry.items()}) if entry else None


def _graph(document: dict[str, Any], arrays: Any) -> Graph:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']}, this version reads {FORMAT}")
    tensors = {
        t["name"]: Tensor(
            t["name"],
            TensorType(_tuples(t["shape"]), DType(t["dtype"]), _quant(t["quant"])),
            arrays[t["data"]] if t["data"] else None,
            t["source"],
            _channels(t["channels"]),
        )
        for t in document["tensors"]
    }
    nodes = tuple(
        Node(
            n["name"],
            n["op"],
            _tuples(n["inputs"]),
            _tuples(n["outputs"]),
            {k: _tuples(v) for k, v in n["attrs"].items()},
            n["origin"],
            _tuples(n["fused"]),
        )
        for n in document["nodes"]
    )
    inputs, outputs, states = (_tuples(document[key]) for key in ("inputs", "outputs", "states"))
    return check_graph(Graph(document["name"], inputs, outputs, nodes, tensors, states), "loading")


def load_graph(path: Path) -> Graph:
    """Read a graph that save_graph wrote. Raises UsageError for anything else."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _graph(json.loads(archive["graph"].tobytes()), archive)
    except DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"{path.name}: cannot be read", [Fault(path.name, reason, "build the library again")]
        ) from None
