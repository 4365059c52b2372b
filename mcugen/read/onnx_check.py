"""What must hold in an ONNX graph before anybody reads it: whole tensors, names defined once, no cycles.

Every function returns all its faults; nothing here allocates from a size that a file merely declares.
onnx.checker is not used: it stops at the first fault and mistakes unsupported operators for invalid models.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from mcugen.errors import Fault

# Bits of one element in raw_data, and the typed field that may hold it instead.
_KINDS: dict[int, tuple[int, str]] = {
    TensorProto.FLOAT: (32, "float_data"),
    TensorProto.DOUBLE: (64, "double_data"),
    TensorProto.FLOAT16: (16, "int32_data"),
    TensorProto.BFLOAT16: (16, "int32_data"),
    TensorProto.BOOL: (8, "int32_data"),
    TensorProto.INT8: (8, "int32_data"),
    TensorProto.UINT8: (8, "int32_data"),
    TensorProto.INT16: (16, "int32_data"),
    TensorProto.UINT16: (16, "int32_data"),
    TensorProto.INT32: (32, "int32_data"),
    TensorProto.INT64: (64, "int64_data"),
    TensorProto.UINT32: (32, "uint64_data"),
    TensorProto.UINT64: (64, "uint64_data"),
}
_MAX_RANK = 32
_MAX_DIM = 2**31 - 1
_MAX_ELEMENTS = 2**31 - 1


def label(node: NodeProto) -> str:
    """`onnx:Conv "pw1"`; an unnamed node goes by its first output."""
    name = node.name or next((output for output in node.output if output), "")
    domain = f"{node.domain}." if node.domain not in ("", "ai.onnx") else ""
    return f'onnx:{domain}{node.op_type} "{name}"'


def text_faults(message: Any, where: str = "") -> list[str]:
    """Places of strings that are not UTF-8, in the whole message; protobuf hands those out as bytes."""
    places = []
    for field, value in message.ListFields():
        if field.name == "doc_string":
            continue
        place = f"{where}.{field.name}" if where else field.name
        values = [value] if isinstance(value, (str, bytes)) or hasattr(value, "ListFields") else value
        if field.type == field.TYPE_STRING:
            places += [place for text in values if isinstance(text, bytes)]
        elif field.type == field.TYPE_MESSAGE:
            for index, part in enumerate(values):
                places += text_faults(part, place if values is not value else f"{place}[{index}]")
    return places


def expected_bytes(tensor: TensorProto) -> int:
    """Length of the values as raw_data; only for tensors without `shape_fault` and `type_fault`."""
    return int(math.prod(tensor.dims)) * _KINDS[tensor.data_type][0] // 8


def type_name(data_type: int) -> str:
    try:
        return str(TensorProto.DataType.Name(data_type))
    except ValueError:
        return f"number {data_type}"


def shape_fault(tensor: TensorProto) -> str:
    """Why the dimensions and type cannot be, or nothing."""
    dims = list(tensor.dims)
    if tensor.data_type not in TensorProto.DataType.values() or tensor.data_type == TensorProto.UNDEFINED:
        return f"element type {type_name(tensor.data_type)} does not exist"
    if len(dims) > _MAX_RANK:
        return f"it has {len(dims)} dimensions"
    if any(dim < 0 for dim in dims):
        return f"dimensions {dims} are negative"
    if any(dim > _MAX_DIM for dim in dims) or math.prod(dim for dim in dims if dim) > _MAX_ELEMENTS:
        return f"dimensions {dims} are beyond all measure"
    return ""


def type_fault(tensor: TensorProto) -> str:
    """Why the element type, though valid, cannot be read, or nothing."""
    if tensor.data_type in _KINDS:
        return ""
    return f"{type_name(tensor.data_type)} tensors are not supported"


def data_fault(tensor: TensorProto) -> str:
    """Why the values are not those that shape and type announce, or nothing. External data come first."""
    if tensor.HasField("segment"):
        return "values in segments are not supported"
    bits, field = _KINDS[tensor.data_type]
    count = math.prod(tensor.dims)
    announced = f"shape {list(tensor.dims)} of {type_name(tensor.data_type)}"
    typed = {
        name: len(getattr(tensor, name)) for name in {kind[1] for kind in _KINDS.values()} | {"string_data"}
    }
    if tensor.HasField("raw_data") and (tensor.raw_data or not any(typed.values())):
        if any(typed.values()):
            return "its values are given twice, raw and typed"
        if len(tensor.raw_data) != count * bits // 8:
            return f"{announced} needs {count * bits // 8} bytes, {len(tensor.raw_data)} are there"
        return ""
    wrong = [name for name, length in sorted(typed.items()) if length and name != field]
    if wrong:
        return f"{type_name(tensor.data_type)} values stand in {wrong[0]} instead of {field}"
    if typed[field] != count:
        return f"{announced} needs {count} values, {typed[field]} are there"
    return ""


def graph_tensors(graph: GraphProto) -> Iterator[tuple[str, TensorProto]]:
    """Initializers and the tensors in attributes, with a place for messages; not those of subgraphs."""
    for tensor in graph.initializer:
        yield f'initializer "{tensor.name}"', tensor
    for node in graph.node:
        for attribute in node.attribute:
            tensors = [attribute.t] if attribute.HasField("t") else []
            for tensor in (*tensors, *attribute.tensors):
                yield f'{label(node)}, attribute "{attribute.name}"', tensor


def attribute_faults(graph: GraphProto) -> list[Fault]:
    """Attributes that are given twice, have no type or no value, or hold text that is not UTF-8."""
    faults = []
    for node in graph.node:
        where = label(node)
        twice = [name for name, uses in Counter(a.name for a in node.attribute).items() if uses > 1]
        faults += [Fault(where, f'attribute "{name}" is given twice') for name in twice]
        for attribute in node.attribute:
            if why := _attribute_fault(attribute):
                faults.append(Fault(where, f'attribute "{attribute.name}" {why}'))
    return faults


def _attribute_fault(attribute: AttributeProto) -> str:
    if attribute.ref_attr_name:
        return "refers to a function's attribute outside of a function"
    if attribute.type == AttributeProto.UNDEFINED:
        return "has no type"
    for kind, field in ((AttributeProto.TENSOR, "t"), (AttributeProto.GRAPH, "g")):
        if attribute.type == kind and not attribute.HasField(field):
            return "has no value"
    try:
        for text in (attribute.s, *attribute.strings):
            text.decode()
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    return ""


def name_faults(graph: GraphProto) -> list[Fault]:
    """Names defined twice, or read but never defined, in the top graph."""
    faults = []
    initializers = Counter(tensor.name for tensor in graph.initializer)
    inputs = Counter(value.name for value in graph.input)
    outputs = Counter(value.name for value in graph.output)
    faults += [Fault(f'initializer "{n}"', f"is defined {c} times") for n, c in initializers.items() if c > 1]
    faults += [Fault(f'input "{n}"', f"is defined {c} times") for n, c in inputs.items() if c > 1]
    faults += [Fault(f'output "{n}"', f"is listed {c} times") for n, c in outputs.items() if c > 1]
    if "" in initializers or "" in inputs:
        faults.append(Fault("graph", "an input or initializer has no name"))
    writers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.output:
            writers.setdefault(name, []).append(node)
    writers.pop("", None)
    for name, nodes in writers.items():
        also = " and is an input or initializer too" if name in initializers or name in inputs else ""
        if len(nodes) > 1 or also:
            who = ", ".join(label(node) for node in nodes[:4]) + (", ..." if len(nodes) > 4 else "")
            faults.append(
                Fault(f'tensor "{name}"', f"is written by {who}{also}", "each name may be written once")
            )
    sparse = {tensor.values.name for tensor in graph.sparse_initializer}
    defined = initializers.keys() | inputs.keys() | writers.keys() | sparse
    for node in graph.node:
        missing = [name for name in dict.fromkeys(node.input) if name and name not in defined]
        faults += [
            Fault(label(node), f'reads "{name}", which nothing in the graph defines') for name in missing
        ]
    faults += [
        Fault(f'output "{name}"', "nothing in the graph defines it")
        for name in outputs
        if name not in defined
    ]
    return faults


def subgraphs(node: NodeProto) -> list[GraphProto]:
    """The bodies of If, Loop, Scan."""
    return [
        graph
        for attribute in node.attribute
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs)
    ]


def nested_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes and those of their subgraphs; protobuf bounds the nesting at 100."""
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from nested_nodes(graph.node)


def captured(node: NodeProto) -> Iterator[str]:
    """Names that the node's subgraphs read; some may be their own."""
    for graph in subgraphs(node):
        yield from (value.name for value in graph.output)
        for inner in graph.node:
            yield from inner.input
            yield from captured(inner)


def sort_nodes(graph: GraphProto) -> list[Fault]:
    """Put the nodes in execution order; a cycle is a fault. Needs a graph without `name_faults`."""
    writer = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    reads: dict[int, list[int]] = {}
    for index, node in enumerate(graph.node):
        names = (*node.input, *captured(node))
        reads[index] = list(dict.fromkeys(writer[name] for name in names if name in writer))
    if all(source < index for index, sources in reads.items() for source in sources):
        return []
    try:
        order = list(TopologicalSorter(reads).static_order())
    except CycleError as error:
        ring = [graph.node[index] for index in error.args[1][1:]]
        path = " -> ".join(label(node) for node in ring[:8]) + (" -> ..." if len(ring) > 8 else "")
        return [Fault(path, "these nodes wait for one another", "a feed-forward graph has no cycles")]
    nodes = [NodeProto() for _ in order]
    for copy, index in zip(nodes, order, strict=True):
        copy.CopyFrom(graph.node[index])
    del graph.node[:]
    graph.node.extend(nodes)
    return []


def form_faults(model: ModelProto, opset: int) -> list[Fault]:
    """Nodes of ONNX's own operators whose inputs, outputs or attributes are not those of the operator.

    To be called after the unsupported operators have been collected. Operators that the installed onnx does
    not know are passed over; so are values and shapes, which are the importer's matter.
    """
    faults = []
    for node in model.graph.node:
        try:
            schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
        except (
            Exception
        ):  # SchemaError is not exported by every onnx; an unknown operator is judged elsewhere
            continue
        faults += [Fault(label(node), why) for why in _form(node, schema)]
    return faults


def _form(node: NodeProto, schema: Any) -> Iterator[str]:
    for what, names, low, high in (
        ("input", node.input, schema.min_input, schema.max_input),
        ("output", node.output, schema.min_output, schema.max_output),
    ):
        if not low <= len(names) <= high:
            wanted = (
                f"{low}" if low == high else f"{low} to {high}" if high < 2**31 - 1 else f"at least {low}"
            )
            yield f"has {len(names)} {what}s, the operator has {wanted}"
    option = onnx.defs.OpSchema.FormalParameterOption
    for index, formal in enumerate(schema.inputs[: len(node.input)]):
        if formal.option == option.Single and not node.input[index]:
            yield f'input {index} ("{formal.name}") must be given'
    given = {attribute.name: attribute for attribute in node.attribute}
    for name, formal in schema.attributes.items():
        if name not in given:
            if formal.required:
                yield f'attribute "{name}" must be given'
        elif given[name].type != formal.type.value:
            kind = AttributeProto.AttributeType.Name(given[name].type)
            yield f'attribute "{name}" is of type {kind}, it must be {formal.type.name}'
    for name in sorted(given.keys() - schema.attributes.keys()):
        if not name.startswith("__"):  # ONNX leaves these to the exporters
            yield f'the operator has no attribute "{name}"'
