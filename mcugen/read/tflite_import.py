""".tflite operators to our graph: each operator room imports its own, this file walks and collects faults."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcugen.errors import Fault, ModelError, UnsupportedError
from mcugen.execute import run
from mcugen.ir import DType, Graph, Node, Tensor, TensorType
from mcugen.ops import TFLITE_IMPORTS
from mcugen.read.tflite_context import OperatorFault
from mcugen.read.tflite_context import TfliteImporter as TfliteImporter
from mcugen.read.tflite_context import TfliteNode as TfliteNode
from mcugen.read.tflite_entry import Entry, choose_entry
from mcugen.read.tflite_file import TfliteFile, load_tflite, shown
from mcugen.read.tflite_fold import COMPUTES, FOLD_LIMIT, FOLDABLE, dequantized, fold
from mcugen.read.tflite_schema import arity_fault
from mcugen.rewrite import live


@dataclass(frozen=True)
class ImportedTflite:
    """An integer graph (`quantized`) or a float graph, and what the user should know about the import."""

    graph: Graph
    file: TfliteFile
    notes: tuple[str, ...]
    quantized: bool


def _float_constants(ctx: TfliteImporter, n: TfliteNode) -> TfliteNode:
    """The operator with float32 constants, where it computes float numbers with stored integers or float16."""
    active = [i for i in n.inputs if i in ctx.tensors and ctx.value(i) is None]
    telling = active or [o for o in n.outputs if o in ctx.tensors]
    if any(ctx.type(i).dtype != DType.FLOAT32 for i in telling) or n.op_type in ("DEQUANTIZE", "QUANTIZE"):
        return n
    names = []
    for name in n.inputs:
        tensor = ctx.tensors.get(ctx.resolve(name))
        stored = tensor is not None and tensor.data is not None
        if tensor and stored and (tensor.type.dtype == DType.FLOAT16 or ctx.is_quantized(name)):
            name = _dequantize(ctx, tensor)
        names.append(name)
    return replace(n, inputs=tuple(names))


def _dequantize(ctx: TfliteImporter, tensor: Tensor) -> str:
    name = f"{tensor.name}/float32"
    if name not in ctx.tensors:
        assert tensor.data is not None
        data = dequantized(tensor.data, tensor.type)
        ctx.tensors[name] = Tensor(name, TensorType(data.shape), data, tensor.source)
    return name


def _count(ctx: TfliteImporter, n: TfliteNode, elements: int) -> None:
    """Report folded constants that take too much memory."""
    ctx.folded += elements
    if ctx.folded > FOLD_LIMIT:
        ctx.invalid(n, f"computes constants of more than {FOLD_LIMIT:,} elements")


def _compute(ctx: TfliteImporter, n: TfliteNode, first: int) -> None:
    """Put values in place of the nodes from `first` on, which read constants alone."""
    nodes = tuple(ctx.nodes[first:])
    if set(ctx.states.values()).intersection(i for node in nodes for i in node.inputs):
        return
    for node in nodes:
        for name in node.outputs:
            _count(ctx, n, ctx.type(name).elements)
    for name, data in run(Graph("constants", (), (), nodes, ctx.tensors), {}).items():
        ctx.tensors[name] = replace(ctx.tensors[name], data=data)
    del ctx.nodes[first:]


def _import_operator(ctx: TfliteImporter, n: TfliteNode) -> None:
    """Fold an operator whose inputs are constants, or let its room import it."""
    fault = arity_fault(n.op_type, [bool(i) for i in n.inputs], len(n.outputs))
    if fault:
        ctx.invalid(n, fault)
    shapes_only = n.op_type in ("SHAPE", "RANK")
    known = all(not i or (i in ctx.tensors and ctx.value(i) is not None) for i in n.inputs)
    known = known and any(n.inputs)
    own = n.op_type in COMPUTES and ctx.is_quantized(n.outputs[0])
    if n.op_type in FOLDABLE and (shapes_only or known) and not own:
        inputs = [ctx.tensors[ctx.resolve(i)] for i in n.inputs if i]
        ttype = ctx.tensors[n.outputs[0]].type
        try:
            data = fold(n.op_type, n.options, inputs, ttype)
        except ValueError as error:
            ctx.invalid(n, str(error))
        if data.dtype != ttype.dtype.numpy:
            ctx.invalid(n, f"output {n.outputs[0]!r} is declared {ttype.dtype}, but computed as {data.dtype}")
        _count(ctx, n, data.size)
        made = Tensor(n.outputs[0], replace(ttype, shape=data.shape), data, n.outputs[0])
        ctx.tensors[n.outputs[0]] = made
        return
    if n.op_type not in TFLITE_IMPORTS:
        ctx.unsupported(n, "works only on constants here", "`mcugen ops` lists what is supported")
    before = len(ctx.nodes)
    results = TFLITE_IMPORTS[n.op_type](ctx, _float_constants(ctx, n))
    if known:
        _compute(ctx, n, before)
    for output, tensor in zip(n.outputs, results, strict=False):
        if output and ctx.resolve(tensor) != output:
            ctx.names[output] = ctx.resolve(tensor)


def _unknown(n: TfliteNode, custom: bool) -> Fault | None:
    """An operator that neither a room nor the folding knows."""
    if custom:
        return Fault(
            n.origin, "is a custom operator", "replace it by builtin operators, or cut the model before it"
        )
    if n.op_type in TFLITE_IMPORTS or n.op_type in FOLDABLE:
        return None
    if n.op_type in ("IF", "WHILE", "CALL", "CALL_ONCE"):
        return Fault(n.origin, "control flow is not supported", "unroll it, or convert a model without it")
    fix = "`mcugen ops` lists what is supported; replace it, or cut the model before it"
    return Fault(n.origin, "no such operator in mcugen", fix)


def _walk(ctx: TfliteImporter, nodes: Sequence[TfliteNode], custom: frozenset[int]) -> None:
    """Import every operator; one behind a fault is passed over, so that each fault is told once."""
    faults: list[Fault] = []
    broken: set[str] = set()
    any_invalid = False
    for n in nodes:
        unknown = _unknown(n, n.index in custom)
        if unknown is not None:
            faults.append(unknown)
        elif not broken.intersection(n.inputs):
            try:
                _import_operator(ctx, n)
                continue
            except OperatorFault as fault:
                faults.append(fault.fault)
                any_invalid |= fault.invalid
        broken.update(n.outputs)
    if faults:
        kind = ModelError if any_invalid else UnsupportedError
        raise kind(
            f"{len(faults)} operators cannot be {'imported' if any_invalid else 'compiled'}", shown(faults)
        )


def _name_outputs(ctx: TfliteImporter, outputs: Sequence[str]) -> tuple[str, ...]:
    """A computed tensor of its own for every output of the model."""
    made = {output for node in ctx.nodes for output in node.outputs}
    names: list[str] = []
    for wanted in outputs:
        tensor = ctx.resolve(wanted)
        if (
            tensor not in made or tensor in names
        ):  # an input of the model, or another output of the same value
            name, ttype = ctx.fresh(f"{wanted}/copy"), ctx.tensors[tensor].type
            attrs, origin = {"shape": ttype.shape}, f"tflite:output {wanted!r}"
            ctx.nodes.append(Node(name, "reshape", (tensor,), (name,), attrs, origin))
            ctx.tensors[name] = Tensor(name, ttype, source=wanted)
            tensor = name
        elif ctx.tensors[tensor].source != wanted:
            ctx.tensors[tensor] = replace(ctx.tensors[tensor], source=wanted)
        names.append(tensor)
    return tuple(names)


def _check_variables(ctx: TfliteImporter, entry: Entry) -> None:
    """A variable tensor belongs to the one operator that keeps its values in it."""
    faults, ports = [], {*entry.inputs, *(ctx.resolve(o) for o in entry.outputs)}
    for name in sorted(entry.variables):
        readers = sum(name in node.inputs for node in ctx.nodes)
        if name in ports or readers != (name in ctx.states):
            why = "keeps an operator's values, but is used elsewhere too"
            faults.append(Fault(f"tensor {name!r}", why, "convert the model again"))
    if faults:
        raise ModelError(f"{len(faults)} variables cannot be imported", shown(faults))


def import_entry(entry: Entry, file: TfliteFile) -> ImportedTflite:
    """The graph of one entry of a file; see import_tflite."""
    ctx = TfliteImporter(dict(entry.tensors), variables=entry.variables, signatures=entry.signatures)
    nodes = [
        TfliteNode(op.code, op.index, op.inputs, op.outputs, op.options, op.intermediates)
        for op in entry.operators
    ]
    try:
        _walk(ctx, nodes, frozenset(op.index for op in entry.operators if op.custom))
        _check_variables(ctx, entry)
    except (ModelError, UnsupportedError) as error:
        raise type(error)(f"{file.path.name}: {error.headline}", error.faults) from None
    constant = [o for o in entry.outputs if ctx.value(o) is not None]
    if constant:
        raise UnsupportedError(
            f"{file.path.name}: {len(constant)} outputs cannot be compiled",
            [Fault(f'output "{o}"', "is a constant", "drop it from the model's outputs") for o in constant],
        )
    outputs = _name_outputs(ctx, entry.outputs)
    name = re.sub(r"\W", "_", file.path.stem)
    states = tuple(ctx.states.values())
    graph = live(Graph(name, entry.inputs, outputs, tuple(ctx.nodes), ctx.tensors, states))
    notes = [*file.notes, *entry.notes]
    if not entry.quantized and any(t.endswith("/float32") for t in graph.tensors):
        notes.append("weights stored in fewer bits are read as float32; the model is quantized anew")
    return ImportedTflite(graph, file, tuple(notes), entry.quantized)


def import_tflite(path: str | Path, signature: str | None = None) -> ImportedTflite:
    """Load and import a file: int8 files give an integer graph with the file's own quantization, float and
    dynamic-range files a float graph. `signature` chooses among the file's. Raises UsageError (no such file or
    signature), ModelError or UnsupportedError with all faults at once."""
    file = load_tflite(path)
    return import_entry(choose_entry(file, signature), file)
