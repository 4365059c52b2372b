"""Print the generated library: everything is decided here, the templates only print."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np

from mcugen import __version__
from mcugen.access import Direction
from mcugen.boards import Board
from mcugen.ir import Array, DType, Graph, TensorType
from mcugen.kernels.kernel import C_TYPES, Call, TableRef, Tables, Value
from mcugen.ops import OPS
from mcugen.resources import data_dir
from mcugen.select import Layer
from mcugen.storage import Storage

RUNTIME_HEADER = "mcugen_fixed.h"
RUNTIME_VERSION = 1  # must equal MCUGEN_RUNTIME_VERSION in runtime_c


@dataclass(frozen=True)
class Library:
    """All that the generator knows about one library before it is printed."""

    name: str
    graph: Graph
    board: Board
    layers: tuple[Layer, ...]
    storage: Storage
    model_file: str
    model_sha256: str
    command: str

    @property
    def align(self) -> int:
        """Bytes to which the members of the library's struct are aligned."""
        return 16 if self.board.isa.mve else 8

    def struct_offset(self, tensor: str) -> int:
        """Bytes from the start of the library's struct, where the arena comes first, then the states."""
        if tensor in self.storage.states:
            return -(-self.storage.arena // self.align) * self.align + self.storage.states[tensor]
        return self.storage.offset(tensor)

    @property
    def macs(self) -> int:
        return sum(OPS[layer.node.op].macs(layer.node, self.graph) for layer in self.layers)


def user_shape(shape: tuple[int, ...]) -> list[int]:
    """A shape as users meet it: without the first axis if that is the batch (1)."""
    return list(shape[1:]) if shape[:1] == (1,) else list(shape)


def environment() -> jinja2.Environment:
    """Strict templates: an undefined name is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_dir("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def comment_text(text: str, most: int = 110) -> str:
    """Text from a model file, safe inside a C comment on one line; the middle of a long one is left out."""
    plain = "".join(c if c.isprintable() and ord(c) < 128 else "_" for c in text).replace("\\", "/")
    if len(plain) > most:
        plain = f"{plain[: most // 2 - 2]}...{plain[-(most - most // 2 - 1) :]}"
    for pair in ("*/", "/*", "??"):  # ends a comment, seems to begin one, begins a trigraph
        while pair in plain:
            plain = plain.replace(pair, " ".join(pair))
    return plain


def float_text(value: float) -> str:
    """A float32 value with as many digits as give it back, always recognisable as floating point in C."""
    number = np.float32(value)
    if 1e-4 <= abs(number) < 1e7:
        return np.format_float_positional(number, unique=True, trim="0")
    return np.format_float_scientific(number, unique=True, trim="0")


def formula_text(scale: float, zero_point: int) -> str:
    """The real value of an integer q, for a comment."""
    if zero_point == 0:
        return f"{float_text(scale)} * q"
    return f"{float_text(scale)} * (q {'-' if zero_point > 0 else '+'} {abs(zero_point)})"


def array_text(array: Array) -> str:
    """Initialiser lines of at most 100 columns."""
    lines: list[str] = []
    line = "   "
    for item in array.tolist():
        text = f" {'(-2147483647 - 1)' if item == -(2**31) else item},"
        if len(line) + len(text) > 100:
            lines.append(line)
            line = "   "
        line += text
    return "\n".join([*lines, line])


def operand_tables(graph: Graph, layer: Layer, call: Call, tables: Tables) -> dict[str, TableRef]:
    """Constants of the graph that the call reads as an operand, stored as tables."""
    return {
        name: tables.add(f"layer_{layer.index}_operand", graph.constant(name))
        for name in call.inputs
        if graph.is_constant(name)
    }


def _value_text(value: Value, library: str) -> str:
    if isinstance(value, TableRef):
        return f"{library}_{value.name}"
    if isinstance(value, tuple):
        return "{ " + ", ".join(_value_text(v, library) for v in value) + " }"
    return str(value)


def _place(offset: int, member: str = "arena") -> str:
    """A place in the arena or in the states as a C expression."""
    return f"net->{member} + {offset}" if offset else f"net->{member}"


def _place_text(library: Library, tensor: str) -> str:
    shape = ",".join(str(d) for d in library.graph.type(tensor).shape[1:])
    kind = library.graph.type(tensor).dtype.value
    if library.graph.is_constant(tensor):
        return f"constant {kind}[{shape}]"
    if tensor in library.storage.states:
        return f"{kind}[{shape}] state+{library.storage.states[tensor]}"
    return f"{kind}[{shape}] arena+{library.storage.offset(tensor)}"


def _overlap_text(library: Library, y: str, inputs: Sequence[str]) -> str:
    """How the bytes of a layer's output lie to those of its inputs."""
    storage, graph = library.storage, library.graph
    start, end = storage.offset(y), storage.offset(y) + graph.type(y).bytes
    places = {i: storage.offset(i) for i in inputs if i not in storage.states}
    if start in places.values():
        return " (in place)"
    shared = any(begin < end and start < begin + graph.type(i).bytes for i, begin in places.items())
    return " (overlapping)" if shared else ""


def _comment(library: Library, layer: Layer) -> list[str]:
    node = layer.node
    inputs = [i for i in node.inputs if not library.graph.is_constant(i)]
    x = ", ".join(_place_text(library, i) for i in inputs)
    y = node.outputs[0]
    how = "" if y in library.storage.states else _overlap_text(library, y, inputs)
    if library.storage.plan.directions.get(layer.index) is Direction.DESCENDING:
        how = " (overlapping, last row first)"
    lines = [node.origin, *(f"with {fused}" for fused in node.fused)]
    lines.append(f"x {x} -> y {_place_text(library, y)}{how}")
    return [comment_text(line) for line in [*lines, *layer.kernel.bounds(node, library.graph)] if line]


def _tensor_place(library: Library, tensor: str) -> str:
    states = library.storage.states
    return _place(states[tensor], "state") if tensor in states else _place(library.storage.offset(tensor))


def _call_context(
    library: Library, layer: Layer, calls: Sequence[Call], tables: Tables
) -> list[dict[str, Any]]:
    direction = library.storage.plan.directions.get(layer.index, Direction.ASCENDING)
    contexts = []
    for number, call in enumerate(calls):
        constants = operand_tables(library.graph, layer, call, tables)
        operands = [
            f"{library.name}_{constants[i].name}" if i in constants else _tensor_place(library, i)
            for i in (*call.inputs, call.output)
        ]
        scratch = f"{layer.node.name}/scratch"
        if scratch in library.storage.plan.offsets:
            operands.append(_place(library.storage.plan.offsets[scratch]))
        contexts.append(
            {
                "descriptor": f"layer_{layer.index}_d{number}"
                if len(calls) > 1
                else f"layer_{layer.index}_d",
                "fields": [(k, _value_text(v, library.name)) for k, v in call.fields.items()],
                "operands": ", ".join(operands),
                "rows": call.rows,
                "last_row": (call.rows or 0) - layer.kernel.row_block,
                "descending": call.rows is not None and direction is Direction.DESCENDING,
                "block": layer.kernel.row_block,
            }
        )
    return contexts


def _layer_context(library: Library, layer: Layer, tables: Tables) -> dict[str, Any]:
    calls = layer.kernel.calls(layer.node, library.graph, tables, f"l{layer.index}")
    return {
        "index": layer.index,
        "op": layer.node.op,
        "kernel": layer.kernel.name,
        "comment": _comment(library, layer),
        "calls": _call_context(library, layer, calls, tables),
    }


def _port_quantization(ttype: TensorType) -> dict[str, Any]:
    """How the integers of a port stand for real numbers; nothing for indices."""
    if ttype.quant is None:
        return {}
    return {
        "scale": float_text(ttype.scale),
        "formula": formula_text(ttype.scale, ttype.zero_point),
        "zero_point": ttype.zero_point,
    }


def output_ctype(library: Library) -> str:
    """What the output function points to: int8, the indices of ArgMax, or either if the model has both."""
    dtypes = {library.graph.type(t).dtype for t in library.graph.outputs}
    return {DType.INT8: "int8_t", DType.INT32: "mcugen_int32_t"}[dtypes.pop()] if len(dtypes) == 1 else "void"


def port_contexts(library: Library, tensors: Sequence[str]) -> list[dict[str, Any]]:
    """What the header says of each input or output."""
    several = len(tensors) > 1
    contexts = []
    for index, name in enumerate(tensors):
        tensor = library.graph.tensors[name]
        label = comment_text(tensor.source or name, 60)
        contexts.append(
            {
                "index": index,
                "comment": label,
                "label": re.sub(r"[^\w.:/ ;-]", "_", label),
                "shape": user_shape(tensor.shape),
                "bytes": tensor.type.bytes,
                "size": tensor.type.elements,
                "index_type": tensor.type.quant is None,
                **_port_quantization(tensor.type),
                "suffix": f"_{index}" if several else "",
                "suffix_upper": f"_{index}" if several else "",
                "argument": f", {index}" if several else "",
            }
        )
    return contexts


def _accessors(library: Library) -> list[dict[str, Any]]:
    name = library.name
    functions = []
    for what, result, net, tensors in (
        ("input", "int8_t *", f"{name}_t *net", library.graph.inputs),
        ("output", f"const {output_ctype(library)} *", f"const {name}_t *net", library.graph.outputs),
    ):
        index = ", int index" if len(tensors) > 1 else ""
        signature = f"{result}{name}_{what}({net}{index})"
        offsets = [library.storage.offset(t) for t in tensors]
        wide = what == "output" and output_ctype(library) == "mcugen_int32_t"
        functions.append(
            {
                "signature": signature,
                "offsets": offsets,
                "places": [_place(o) for o in offsets],
                "cast": f"({result.rstrip(' *')} *)(const void *)" if wide else "",
            }
        )
    return functions


def _resets(library: Library) -> list[dict[str, int]]:
    """Runs of state bytes and what a reset fills them with: first byte, one past the last, the byte."""
    runs = []
    for name in library.graph.states:
        kind, offset = library.graph.type(name), library.storage.states[name]
        runs.append({"begin": offset, "end": offset + kind.bytes, "value": kind.rest})
    return runs


def _usage(library: Library) -> list[tuple[str, str]]:
    """The header's opening example: lines of C, padded to one width, with what they mean."""
    name, graph = library.name, library.graph
    result = "int8_t" if graph.type(graph.outputs[0]).quant is not None else "int32_t"
    x, y = (", 0" if len(ports) > 1 else "" for ports in (graph.inputs, graph.outputs))
    lines = [
        (f"static {name}_t net;", f"place it where you like: {library.storage.arena:,} bytes of arena"),
        (f"int8_t *x = {name}_input(&net{x});", "write the inputs, one by one" if x else "write the input"),
        (f"{name}_run(&net);", "consumes what was written; cannot fail"),
        (f"const {result} *y = {name}_output(&net{y});", "read it before you write the next input"),
    ]
    if library.storage.state:
        lines.insert(
            1,
            (
                f"{name}_reset(&net);",
                f"before the first run: clears {library.storage.state:,} bytes of state",
            ),
        )
    width = max(len(code) for code, _ in lines)
    return [(code.ljust(width), meaning) for code, meaning in lines]


def render(library: Library) -> tuple[dict[str, str], Tables]:
    """Text of every generated source file by its path in the folder, and the constant arrays."""
    env, tables = environment(), Tables()
    layers = [_layer_context(library, layer, tables) for layer in library.layers]
    used = sorted({layer.kernel.name for layer in library.layers})
    headers = sorted({RUNTIME_HEADER, *(h for layer in library.layers for h in layer.kernel.headers)})
    kernels = [env.get_template(f"kernels/{name}.c.j2").render() for name in used]
    summary = f"{len(layers)} layers, {library.macs:,} MACs, {library.storage.arena:,} bytes of arena"
    weights = [
        {"name": n, "ctype": C_TYPES[a.dtype.name], "length": a.size, "text": array_text(a)}
        for n, a in tables.arrays.items()
    ]
    context: Mapping[str, Any] = {
        "name": library.name,
        "NAME": library.name.upper(),
        "version": __version__,
        "model": comment_text(library.model_file),
        "sha256": library.model_sha256,
        "command": comment_text(library.command, 2000),
        "summary": f"{summary}, for {library.board.name}.",
        "arena": library.storage.arena,
        "state": library.storage.state,
        "resets": _resets(library),
        "align": library.align,
        "runtime_version": RUNTIME_VERSION,
        "inputs": port_contexts(library, library.graph.inputs),
        "outputs": port_contexts(library, library.graph.outputs),
        "output_ctype": output_ctype(library),
        "accessors": _accessors(library),
        "usage": _usage(library),
        "layers": layers,
        "headers": headers,
        "kernels": kernels,
        "tables": weights,
        "bytes": sum(a.nbytes for a in tables.arrays.values()),
    }
    name = library.name
    pages = {
        f"src/{name}.h": "model.h.j2",
        f"src/{name}.c": "model.c.j2",
        f"src/{name}_weights.h": "weights.h.j2",
        f"src/{name}_weights.c": "weights.c.j2",
        "CMakeLists.txt": "CMakeLists.txt.j2",
        "main.c": "main.c.j2",
    }
    files = {path: env.get_template(template).render(context) for path, template in pages.items()}
    for header in headers:
        files[f"src/{header}"] = (data_dir("runtime_c") / header).read_text(encoding="utf-8")
    return files, tables
