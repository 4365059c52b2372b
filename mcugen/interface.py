"""What the header of a generated library offers: types, places and descriptions of its inputs and outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ctext import comment_text, float_text, formula_text
from mcugen.ir import DType, Graph, TensorType
from mcugen.library import Library

CTYPES = {
    DType.INT8: "int8_t",
    DType.UINT8: "uint8_t",
    DType.INT16: "mcugen_int16_t",
    DType.INT32: "mcugen_int32_t",
    DType.FLOAT32: "mcugen_float_t",
}
PLAIN = {
    DType.INT8: "int8_t",
    DType.UINT8: "uint8_t",
    DType.INT16: "int16_t",
    DType.INT32: "int32_t",
}  # for values
ARENA = "int8_t"  # the element of the arena


def user_shape(shape: tuple[int, ...]) -> list[int]:
    """A shape as users meet it: without the first axis if that is the batch (1)."""
    return list(shape[1:]) if shape[:1] == (1,) else list(shape)


def _ctype(graph: Graph, tensors: Sequence[str]) -> str:
    """What the function for these ports points to; void if they differ."""
    types = {CTYPES[graph.type(t).dtype] for t in tensors}
    return types.pop() if len(types) == 1 else "void"


def _meaning(ttype: TensorType) -> str:
    if ttype.quant is not None:
        return f"real = {formula_text(ttype.scale, ttype.zero_point)}"
    return "real numbers" if ttype.dtype is DType.FLOAT32 else "indices"


def _port(library: Library, name: str, index: int, several: bool) -> dict[str, Any]:
    tensor = library.graph.tensors[name]
    ttype, label = tensor.type, comment_text(tensor.source or name, 60)
    suffix = f"_{index}" if several else ""
    port = {
        "index": index,
        "comment": label,
        "label": re.sub(r"[^\w.:/ ;-]", "_", label),
        "shape": user_shape(tensor.shape),
        "dtype": ttype.dtype.value,
        "meaning": _meaning(ttype),
        "ctype": CTYPES[ttype.dtype],
        "value": PLAIN.get(ttype.dtype, "float"),
        "bytes": ttype.bytes,
        "size": ttype.elements,
        "quantized": ttype.quant is not None,
        "suffix": suffix,
        "argument": f", {index}" if several else "",
    }
    if ttype.quant is not None:
        port |= {
            "scale": float_text(ttype.scale),
            "zero_point": ttype.zero_point,
            "quantize": _quantizer(ttype),
        }
    return port


def _quantizer(ttype: TensorType) -> str:
    """The end of the name of the function that quantizes to a type."""
    return "quantize" if ttype.dtype is DType.INT8 else f"quantize_{ttype.dtype.value}"


def _quantizers(graph: Graph) -> list[dict[str, Any]]:
    """The functions that turn real numbers into the inputs' integers, one per type."""
    types = {t.dtype: t for t in map(graph.type, graph.inputs) if t.quant is not None}
    functions = []
    for dtype, ttype in sorted(types.items()):
        limits = np.iinfo(dtype.numpy)
        functions.append(
            {
                "name": _quantizer(ttype),
                "value": PLAIN[dtype],
                "low": int(limits.min),
                "high": int(limits.max),
                "span": int(limits.max) - int(limits.min),
            }
        )
    return functions


def _accessor(library: Library, what: str, tensors: Sequence[str], const: str) -> dict[str, Any]:
    name, ctype = library.name, _ctype(library.graph, tensors)
    index = ", int index" if len(tensors) > 1 else ""
    offsets = [library.storage.offset(t) for t in tensors]
    return {
        "signature": f"{const}{ctype} *{name}_{what}({const}{name}_t *net{index})",
        "offsets": offsets,
        "places": [f"net->arena + {o}" if o else "net->arena" for o in offsets],
        "cast": "" if ctype in (ARENA, "void") else f"({const}{ctype} *)({const}void *)",
    }


def _usage(library: Library) -> list[tuple[str, str]]:
    """The header's opening example: lines of C, padded to one width, with what they mean."""
    name, graph = library.name, library.graph
    x, y = (", 0" if len(ports) > 1 else "" for ports in (graph.inputs, graph.outputs))
    taken, given = (PLAIN.get(graph.type(ports[0]).dtype, "float") for ports in (graph.inputs, graph.outputs))
    lines = [
        (f"static {name}_t net;", f"place it where you like: {library.storage.arena:,} bytes of arena"),
        (f"{taken} *x = {name}_input(&net{x});", "write the inputs, one by one" if x else "write the input"),
        (f"{name}_run(&net);", "consumes what was written; cannot fail"),
        (f"const {given} *y = {name}_output(&net{y});", "read it before you write the next input"),
    ]
    if library.storage.state:
        cleared = f"before the first run: clears {library.storage.state:,} bytes of state"
        lines.insert(1, (f"{name}_reset(&net);", cleared))
    width = max(len(code) for code, _ in lines)
    return [(code.ljust(width), meaning) for code, meaning in lines]


def interface(library: Library) -> dict[str, Any]:
    """What the templates print of the library's interface."""
    graph = library.graph
    sides = {"inputs": graph.inputs, "outputs": graph.outputs}
    context: dict[str, Any] = {
        side: [_port(library, name, i, len(names) > 1) for i, name in enumerate(names)]
        for side, names in sides.items()
    }
    ctypes = {side: _ctype(graph, names) for side, names in sides.items()}
    wide = any(t["ctype"].startswith("mcugen_") for side in sides for t in context[side])
    return {
        **context,
        "input_ctype": ctypes["inputs"],
        "output_ctype": ctypes["outputs"],
        "wide_ports": wide,
        "quantizers": _quantizers(graph),
        "accessors": [
            _accessor(library, "input", graph.inputs, ""),
            _accessor(library, "output", graph.outputs, "const "),
        ],
        "usage": _usage(library),
    }
