"""ONNX nodes to our float graph: each operator room imports its own nodes, this file walks and collects faults."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mcugen.errors import Fault, ModelError, UnsupportedError
from mcugen.ir import Array, DType, Graph, Node, Tensor, TensorType
from mcugen.ops import ONNX_IMPORTS
from mcugen.read.fold import FOLDABLE, constant_value, evaluate
from mcugen.read.indices import check_indices
from mcugen.read.onnx_check import form_faults
from mcugen.read.onnx_context import CHECK, ELEMENT_LIMIT, Importer, NodeFault, Window
from mcugen.read.onnx_file import LoadedModel, load_onnx, nonfinite_initializers
from mcugen.read.onnx_node import OnnxNode
from mcugen.read.quantized import (
    DYNAMIC,
    EXPANDED,
    INPUTS,
    MOVES_CONSTANTS,
    Code,
    dequantize_constant,
    expand,
    name_sources,
    quantized_input,
)

__all__ = ["ImportedModel", "Importer", "OnnxNode", "Window", "import_model", "import_onnx"]

_REPLACE = (
    "`mcugen ops` lists what is supported; replace it, or cut the model before it and do it in firmware"
)
# What an import function may raise where the file breaks ONNX's rules on ranks and shapes.
_MISFITS = (ArithmeticError, AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class ImportedModel:
    """The float graph in the file's own layout, and what the user should know about the import."""

    graph: Graph
    file: LoadedModel
    notes: tuple[str, ...]
    codes: Mapping[str, Code] = field(
        default_factory=dict
    )  # of inputs and outputs that are integers in the file
    dynamic: bool = False  # whether the file quantizes activations with scales computed while it runs


def counted(things: Sized, what: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{len(things)} {what}" if len(things) == 1 else f"{len(things)} {what}s"


def _node(proto: onnx.NodeProto, index: int) -> OnnxNode:
    attrs: dict[str, Any] = {}
    for attribute in proto.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        attrs[attribute.name] = value
    name = proto.name or (proto.output[0] if proto.output else f"node {index}")
    if proto.domain == "com.microsoft" and proto.op_type in ("QuantizeLinear", "DequantizeLinear"):
        proto = helper.make_node(proto.op_type, proto.input, proto.output, proto.name, **attrs)
    domain = f"{proto.domain}." if proto.domain not in ("", "ai.onnx") else ""
    return OnnxNode(f"{domain}{proto.op_type}", name, tuple(proto.input), tuple(proto.output), attrs, proto)


def _unsupported_types(nodes: Sequence[OnnxNode]) -> dict[str, Fault]:
    """Faults of nodes whose operators are unknown, by the nodes' first outputs."""
    return {
        n.outputs[0]: Fault(n.origin, "no such operator in mcugen", _REPLACE)
        for n in nodes
        if n.op_type not in ONNX_IMPORTS
        and n.op_type not in FOLDABLE
        and n.op_type not in EXPANDED
        and n.op_type not in ("Shape", "Constant")
    }


def _reachable(nodes: Sequence[OnnxNode], outputs: Sequence[str]) -> list[OnnxNode]:
    """Nodes that an output of the model depends on, in order: unused parts are dropped.

    Outputs after the first that nobody reads are called "" from here on, as if they were omitted.
    """
    needed = set(outputs)
    kept = []
    for n in reversed(nodes):
        if needed.intersection(n.outputs):
            used = tuple(o if o in needed else "" for o in n.outputs[1:])
            needed.update(i for i in n.inputs if i)
            kept.append(replace(n, outputs=(n.outputs[0], *used)))
    return kept[::-1]


def _static_shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...] | None:
    """The declared shape, None for a symbolic dimension; None for a missing shape."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in dims)


def _fixed_batch(model: onnx.ModelProto) -> int:
    """The batch above 1 that all inputs and outputs have; else 1."""
    initializers = {i.name for i in model.graph.initializer}
    values = [*(v for v in model.graph.input if v.name not in initializers), *model.graph.output]
    batches = {(_static_shape(v) or (None,))[0] for v in values}
    return max(batches.pop() or 1, 1) if len(batches) == 1 else 1


def _input_quantizer(
    value: onnx.ValueInfoProto, real: str, nodes: Sequence[OnnxNode], faults: list[Fault], notes: list[str]
) -> OnnxNode | None:
    """The node that makes an input which is not float of the tensor `real`; None, and a fault, if there is none."""
    where, kind = f'input "{value.name}"', value.type.tensor_type.elem_type
    shown = onnx.TensorProto.DataType.Name(kind)
    coded = shown.lower() in INPUTS
    quantizer = quantized_input(value.name, real, kind, nodes) if coded else None
    if quantizer is None:
        why = f"is {shown}, not FLOAT" + (", and nothing dequantizes it" if coded else "")
        faults.append(Fault(where, why, "export the model with a float32 input"))
    else:
        notes.append(f"{where}: {shown.lower()} in the file; samples are real numbers, the C takes integers")
    return quantizer


def _input_tensors(
    model: onnx.ModelProto, nodes: Sequence[OnnxNode], notes: list[str]
) -> tuple[list[Tensor], list[OnnxNode]]:
    """The inputs as real numbers, and the nodes that quantize those which the file has as integers."""
    initializers = {i.name for i in model.graph.initializer}
    faults: list[Fault] = []
    tensors = []
    quantize: list[OnnxNode] = []
    values = [v for v in model.graph.input if v.name not in initializers]
    shapes = {v.name: _static_shape(v) for v in values}
    fixed = _fixed_batch(model) > 1
    for value in values:
        where, shape = f'input "{value.name}"', shapes[value.name]
        if shape is None:
            faults.append(Fault(where, "has no shape", "export the model with static shapes"))
            continue
        real = value.name
        if value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            real = f"{value.name}/dequantized"
            quantizer = _input_quantizer(value, real, nodes, faults, notes)
            if quantizer is None:
                continue
            quantize.append(quantizer)
        if any(d is None for d in shape[1:]):
            dims = value.type.tensor_type.shape.dim
            shown = ", ".join(
                str(d.dim_value) if d.HasField("dim_value") else d.dim_param or "?" for d in dims
            )
            fix = "export with fixed dimensions; only the first, the batch, may be symbolic"
            faults.append(Fault(where, f"has the dynamic shape [{shown}]", fix))
            continue
        if any(d is not None and d < 1 for d in shape):
            faults.append(
                Fault(where, f"has the impossible shape {list(shape)}", "export with real dimensions")
            )
            continue
        if shape and shape[0] is None:
            notes.append(f"{where}: the symbolic batch becomes 1")
            shape = (1, *shape[1:])
        elif shape and fixed:
            notes.append(f"{where}: the batch of {shape[0]} becomes 1")
            shape = (1, *shape[1:])
        ttype = TensorType(tuple(int(d) for d in shape if d is not None))
        if ttype.elements > ELEMENT_LIMIT:
            faults.append(
                Fault(where, f"shape {list(shape)} makes no sense here", "export with real dimensions")
            )
            continue
        tensors.append(Tensor(real, ttype, source=value.name))
    if not values:
        faults.append(Fault("graph", "has no inputs", "export the model with its input"))
    if faults:
        raise ModelError(f"{counted(faults, 'fault')} in the model's inputs", faults)
    return tensors, quantize


def _import_node(ctx: Importer, n: OnnxNode) -> None:
    """Fold a node whose inputs are constants, or let its room import it."""
    before, parts = len(ctx.tensors), expand(ctx, n)
    if parts is not None:
        for part in parts:
            _import_node(ctx, part)
        name_sources(ctx, n, parts, before)
        return
    constant = all(not i or ctx.value(i) is not None for i in n.inputs)
    if n.op_type == "Constant":
        results: Sequence[Array] = [constant_value(n.proto)]
    elif n.op_type == "Shape":
        shape = np.array(ctx.shape(n.inputs[0]), np.int64)
        results = [shape[n.attr("start", 0) : n.attr("end", len(shape))]]
    elif n.op_type == "Size" and n.inputs:
        results = [np.array(int(np.prod(ctx.shape(n.inputs[0]))), np.int64)]
    elif n.op_type == "DequantizeLinear" and constant:
        results = dequantize_constant(ctx, n)
    elif n.op_type in FOLDABLE and constant:
        values = [ctx.value(i) if i else None for i in n.inputs]
        results = evaluate(n.proto, values, ctx.opset)
        if n.op_type in MOVES_CONSTANTS and n.inputs[0] in ctx.steps:
            ctx.steps[n.outputs[0]] = evaluate(n.proto, [ctx.steps[n.inputs[0]], *values[1:]], ctx.opset)[0]
    elif n.op_type in ONNX_IMPORTS:
        _require_float(ctx, n)
        for output, tensor in zip(n.outputs, ONNX_IMPORTS[n.op_type](ctx, n), strict=False):
            if output:
                ctx.names[output] = ctx.resolve(tensor)
                ctx.called(ctx.names[output], n.outputs[0], output)
        return
    else:
        ctx.unsupported(n, "works only on constants here", _REPLACE)
    for output, data in zip(n.outputs, results, strict=False):
        if output:
            ctx.tensors[output] = Tensor(output, TensorType(data.shape, _dtype(ctx, n, data)), data, output)


def _dtype(ctx: Importer, n: OnnxNode, data: Array) -> DType:
    if data.dtype == np.float64:
        return DType.FLOAT32
    try:
        return DType(data.dtype.name)
    except ValueError:
        return ctx.unsupported(n, f"constants of type {data.dtype} are not supported", "use float32 or int64")


def _require_float(ctx: Importer, n: OnnxNode) -> None:
    for name in n.inputs:
        if name and ctx.value(name) is None and ctx.tensors[ctx.resolve(name)].type.dtype != DType.FLOAT32:
            ctx.unsupported(n, f"input {name!r} is not float32", "export the model in float32")


def _walk(ctx: Importer, nodes: Sequence[OnnxNode], missing: Mapping[str, Fault]) -> None:
    """Import every node; a node behind a fault is passed over, so that each fault is told once.

    Raises UnsupportedError if there is an operator that is missing altogether, else ModelError if a node is invalid,
    else UnsupportedError; each lists all faults.
    """
    faults: list[Fault] = []
    broken: set[str] = set()
    any_invalid = False
    for n in nodes:
        fault = missing.get(n.outputs[0])
        if fault is not None:
            faults.append(fault)
        elif not broken.intersection(n.inputs):
            try:
                _import_node(ctx, n)
                continue
            except NodeFault as error:
                faults.append(error.fault)
                any_invalid |= error.invalid
            except (ModelError, UnsupportedError) as error:
                faults += error.faults
                any_invalid |= isinstance(error, ModelError)
            except _MISFITS as error:
                why = f"its inputs or attributes do not fit it ({type(error).__name__}: {error})"
                faults.append(Fault(n.origin, why, CHECK))
                any_invalid = True
        broken.update(o for o in n.outputs if o)
    if faults and any_invalid and not missing:
        raise ModelError(f"{counted(faults, 'node')} cannot be imported", faults)
    if faults:
        raise UnsupportedError(f"{counted(faults, 'operator')} cannot be compiled", faults)


def _name_outputs(ctx: Importer, outputs: Sequence[str]) -> tuple[str, ...]:
    """A tensor of its own for every output of the model, called as in the file as far as that name is free."""
    made = {output for node in ctx.nodes for output in node.outputs}
    renamed: dict[str, str] = {}
    names = []
    for wanted in outputs:
        tensor = ctx.resolve(wanted)
        free = wanted if wanted not in ctx.tensors and wanted not in renamed.values() else ctx._fresh(wanted)
        if tensor in made and tensor not in renamed:
            renamed[tensor] = wanted if tensor == wanted else free
        else:  # an input of the model, or another output of the same value
            ttype = ctx.tensors[tensor].type
            ctx.nodes.append(
                Node(free, "reshape", (tensor,), (free,), {"shape": ttype.shape}, f'onnx:output "{wanted}"')
            )
            ctx.tensors[free] = Tensor(free, ttype, source=wanted)
            renamed[free] = free
            tensor = free
        names.append(renamed[tensor])
    for old, new in renamed.items():
        tensor_of = ctx.tensors.pop(old)
        ctx.tensors[new] = replace(tensor_of, name=new, source=outputs[names.index(new)])
    ctx.names = {name: renamed.get(tensor, tensor) for name, tensor in ctx.names.items()}
    ctx.nodes = [
        replace(
            node,
            name=renamed.get(node.name, node.name),
            inputs=tuple(renamed.get(i, i) for i in node.inputs),
            outputs=tuple(renamed.get(o, o) for o in node.outputs),
        )
        for node in ctx.nodes
    ]
    return tuple(names)


def _check_forms(loaded: LoadedModel) -> None:
    """Raises ModelError if nodes break their operators' schemas or constants are not finite."""
    faults = form_faults(loaded.model, loaded.opset)
    faults += [
        Fault(
            f'tensor "{name}"', "holds NaN or infinity", "check the training; retrain or repair the weights"
        )
        for name in nonfinite_initializers(loaded.model)
    ]
    if faults:
        raise ModelError(f"{loaded.path.name}: {counted(faults, 'fault')} in the model", faults)


def import_model(loaded: LoadedModel) -> ImportedModel:
    """The float graph of a loaded ONNX file, in its own layout, unused parts dropped.

    Raises ModelError (invalid) or UnsupportedError, with all faults at once.
    """
    model, notes = loaded.model, list[str]()
    outputs = [o.name for o in model.graph.output]
    nodes = _reachable([_node(p, i) for i, p in enumerate(model.graph.node)], outputs)
    missing = _unsupported_types(nodes)
    if not missing:
        _check_forms(loaded)
    try:
        inputs, quantize = _input_tensors(model, nodes, notes)
    except ModelError as error:
        if not missing:
            raise ModelError(f"{loaded.path.name}: {error.headline}", error.faults) from None
        raise UnsupportedError(
            f"{loaded.path.name}: {len(missing)} operators cannot be compiled",
            [*missing.values(), *error.faults],
        ) from None
    ctx = Importer(loaded.opset, _fixed_batch(model))
    ctx.tensors.update({t.name: t for t in inputs})
    for initializer in model.graph.initializer:
        data = numpy_helper.to_array(initializer)
        try:
            dtype = DType(data.dtype.name)
        except ValueError:
            dtype = DType.FLOAT32
            ctx.stored[initializer.name] = data.dtype.name
            data = data.astype(np.float32)
        ctx.tensors[initializer.name] = Tensor(
            initializer.name, TensorType(data.shape, dtype), data, initializer.name
        )
    try:
        _walk(ctx, [*quantize, *nodes], missing)
    except (ModelError, UnsupportedError) as error:
        raise type(error)(f"{loaded.path.name}: {error.headline}", error.faults) from None
    constant = [o for o in outputs if ctx.value(o) is not None]
    if constant:
        raise UnsupportedError(
            f"{loaded.path.name}: {counted(constant, 'output')} cannot be compiled",
            [Fault(f'output "{o}"', "is a constant", "drop it from the model's outputs") for o in constant],
        )
    name = re.sub(r"\W", "_", model.graph.name or loaded.path.stem)
    names = _name_outputs(ctx, outputs)
    graph = Graph(
        name,
        tuple(t.name for t in inputs),
        names,
        tuple(ctx.nodes),
        ctx.tensors,
    )
    check_indices(graph, loaded.path.name)
    ports = (*outputs, *(n.outputs[0] for n in quantize))
    codes = {name: ctx.coded[name] for name in ports if name in ctx.coded}
    return ImportedModel(graph, loaded, tuple(notes), codes, any(n.op_type in DYNAMIC for n in nodes))


def import_onnx(path: str | Path) -> ImportedModel:
    """Load and import a file; see load_onnx and import_model for what is raised."""
    return import_model(load_onnx(Path(path)))
