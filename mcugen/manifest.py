"""<name>.json: everything a tool wants to know about a generated library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcugen import __version__
from mcugen.errors import Fault, UsageError
from mcugen.interface import user_shape
from mcugen.ir import Graph, TensorType
from mcugen.kernels.kernel import Tables
from mcugen.library import Library
from mcugen.ops import OPS
from mcugen.select import ALIASES, Layer

SCHEMA = 1


def _quantization(ttype: TensorType) -> dict[str, Any]:
    """Scale and zero point; null for indices, which are integers as they stand."""
    if ttype.quant is None:
        return {"scale": None, "zero_point": None}
    return {"scale": ttype.scale, "zero_point": ttype.zero_point}


def _port(graph: Graph, name: str) -> dict[str, Any]:
    tensor = graph.tensors[name]
    return {
        "name": tensor.source or name,
        "shape": user_shape(tensor.shape),
        "dtype": tensor.type.dtype.value,
        **_quantization(tensor.type),
        "bytes": tensor.type.bytes,
    }


def _source(graph: Graph, name: str) -> dict[str, Any]:
    tensor = graph.tensors[name]
    source: dict[str, Any] = {"tensor": tensor.source}
    if tensor.channels:
        c = tensor.channels
        source |= {
            "channels": c.total,
            "kept": list(c.kept),
            "constant": [{"channel": i, "value": v} for i, v in c.constant],
            "dead": list(c.dead),
        }
    return source


def _layer(library: Library, layer: Layer) -> dict[str, Any]:
    graph, node = library.graph, layer.node
    output = node.outputs[0]
    ttype = graph.type(output)
    return {
        "index": layer.index,
        "name": node.name,
        "op": node.op,
        "kernel": layer.kernel.name,
        "origin": node.origin,
        "fused": list(node.fused),
        "source": _source(graph, output),
        "macs": OPS[node.op].macs(node, graph),
        "weight_bytes": sum(graph.type(i).bytes for i in node.inputs if graph.is_constant(i)),
        "output": {
            "tensor": output,
            "buffer": library.storage.buffer_of.get(output),
            "offset": library.struct_offset(output),
            "shape": user_shape(ttype.shape),
            "dtype": ttype.dtype.value,
            **_quantization(ttype),
            "bytes": ttype.bytes,
        },
    }


def describe(
    library: Library,
    tables: Tables,
    files: Mapping[str, bytes],
    original: Graph,
    ranges: Mapping[str, tuple[float, float]],
    notes: list[str],
    model_format: str = "onnx",
    signature: str | None = None,
) -> dict[str, Any]:
    """The manifest as plain data. `original`: the graph before quantization, or as the file holds it."""
    graph, storage, board = library.graph, library.storage, library.board
    constants = [t for t in graph.tensors.values() if t.data is not None]
    aliases = [n for n in graph.nodes if n.op in ALIASES]
    return {
        "schema": SCHEMA,
        "mcugen": __version__,
        "name": library.name,
        "command": library.command,
        "optimize": library.decision.optimize.value,
        "model": {
            "file": library.model_file,
            "sha256": library.model_sha256,
            "format": model_format,
            "signature": signature,
        },
        "target": {"board": board.name, "cpu": board.cpu, "flags": list(board.flags)},
        "inputs": [_port(graph, n) for n in graph.inputs],
        "outputs": [_port(graph, n) for n in graph.outputs],
        "memory": {
            "arena": storage.arena,
            "arena_lower_bound": storage.plan.lower_bound,
            "weights": tables.bytes,
            "state": storage.state,
        },
        "macs": library.macs,
        "float_bytes": sum(4 * t.type.elements for t in original.tensors.values() if t.data is not None),
        "int8_bytes": sum(t.type.bytes for t in constants),
        "layers": [_layer(library, layer) for layer in library.layers],
        "aliases": [{"origin": n.origin, "input": n.inputs[0], "output": n.outputs[0]} for n in aliases],
        "buffers": [
            {
                "name": b.name,
                "size": b.size,
                "offset": storage.plan.offsets[b.name],
                "first": b.first,
                "last": b.last,
            }
            for b in storage.buffers
        ],
        "ranges": {name: list(ranges[name]) for name in sorted(ranges)},
        "notes": notes,
        "files": [
            {"path": path, "sha256": hashlib.sha256(data).hexdigest()} for path, data in sorted(files.items())
        ],
    }


def manifest_path(folder: Path) -> Path:
    """The manifest in a generated folder. Raises UsageError if the folder is none."""
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and "mcugen" in document and document.get("name") == path.stem:
            return path
    raise _no_library(folder)


def _no_library(folder: Path) -> UsageError:
    why, fix = "no such folder", "give the folder that `mcugen build` wrote"
    if folder.is_dir():
        why = "holds no library of mcugen"
        inside = sorted(path.parent for path in folder.glob("*/*.graph.npz"))
        fix = f"did you mean {' or '.join(str(path) for path in inside[:3])}?" if inside else fix
    elif folder.exists():
        why = "is a file"
        fix = f"give its folder: {folder.parent}" if folder.suffix == ".json" else fix
    return UsageError("there is no library to read", [Fault(str(folder), why, fix)])


def load_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a generated folder. Raises UsageError if it is none, or of another schema."""
    path = manifest_path(folder)
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    why = ""
    if document.get("schema") != SCHEMA:
        why = f"it has schema {document.get('schema')}, this version of mcugen reads {SCHEMA}"
    else:
        broken = [key for key in ("inputs", "outputs", "layers") if not isinstance(document.get(key), list)]
        why = f"there is no list of {' and '.join(broken)} in it" if broken else ""
    if why:
        raise UsageError("the manifest cannot be used", [Fault(path.name, why, "build the library again")])
    return document
