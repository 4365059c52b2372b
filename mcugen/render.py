"""Print the generated library: everything is decided here, the templates only print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from mcugen import __version__
from mcugen.access import Direction
from mcugen.ctext import array_text, comment_text, number_text
from mcugen.interface import interface
from mcugen.ir import DType, Graph
from mcugen.kernels.kernel import C_TYPES, Call, Kernel, TableRef, Tables, Value
from mcugen.library import Library
from mcugen.resources import data_dir
from mcugen.select import Layer

RUNTIME_HEADER = "mcugen_fixed.h"
WIDE_HEADER = "mcugen_wide.h"
RUNTIME_VERSION = 1  # must equal MCUGEN_RUNTIME_VERSION in runtime_c


def environment() -> jinja2.Environment:
    """Strict templates: an undefined name is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_dir("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


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
    return number_text(value)


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


def _constant_text(library: Library, tensor: str, table: TableRef) -> str:
    """A constant operand as kernels take their operands: as bytes."""
    cast = "" if library.graph.type(tensor).dtype is DType.INT8 else "(const int8_t *)"
    return f"{cast}{library.name}_{table.name}"


def _call_context(
    library: Library, layer: Layer, calls: Sequence[Call], tables: Tables
) -> list[dict[str, Any]]:
    direction = library.storage.plan.directions.get(layer.index, Direction.ASCENDING)
    contexts = []
    for number, call in enumerate(calls):
        constants = operand_tables(library.graph, layer, call, tables)
        operands = [
            _constant_text(library, i, constants[i]) if i in constants else _tensor_place(library, i)
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
        "kernel": layer.kernel.variant(layer.node, library.graph)[0],
        "comment": _comment(library, layer),
        "calls": _call_context(library, layer, calls, tables),
    }


def _resets(library: Library) -> list[dict[str, int]]:
    """Runs of state bytes and what a reset fills them with: first byte, one past the last, the byte."""
    runs = []
    for name in library.graph.states:
        kind, offset = library.graph.type(name), library.storage.states[name]
        runs.append({"begin": offset, "end": offset + kind.bytes, "value": kind.rest})
    return runs


def function_text(kernel: Kernel, name: str, context: Mapping[str, Any], env: jinja2.Environment) -> str:
    """The text of the C function `name` of a kernel: one of its variants."""
    template = env.get_template(f"kernels/{kernel.template or kernel.name}.c.j2")
    return template.render(kernel=name, **context)


def _kernels(library: Library, env: jinja2.Environment) -> list[str]:
    """The text of every C function of a kernel that some layer calls, sorted by name."""
    texts: dict[str, str] = {}
    for layer in library.layers:
        name, context = layer.kernel.variant(layer.node, library.graph)
        if name not in texts:
            texts[name] = function_text(layer.kernel, name, context, env)
    return [text for _, text in sorted(texts.items())]


def render(library: Library) -> tuple[dict[str, str], Tables]:
    """Text of every generated source file by its path in the folder, and the constant arrays."""
    env, tables = environment(), Tables()
    layers = [_layer_context(library, layer, tables) for layer in library.layers]
    ports = interface(library)
    headers = {RUNTIME_HEADER, *(h for layer in library.layers for h in layer.kernel.headers)}
    headers |= {WIDE_HEADER} if ports["wide_ports"] else set()
    kernels = _kernels(library, env)
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
        **ports,
        "layers": layers,
        "headers": sorted(headers),
        "kernels": kernels,
        "tables": weights,
        "bytes": tables.bytes,
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
    for header in sorted(headers):
        files[f"src/{header}"] = (data_dir("runtime_c") / header).read_text(encoding="utf-8")
    return files, tables
