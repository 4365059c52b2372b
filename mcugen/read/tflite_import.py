""".tflite operators to our graph: each operator room imports its own, this file walks and collects faults."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mcugen.errors import Fault, ModelError, UnsupportedError
from mcugen.ir import Array, DType, Graph, Node, Tensor, TensorType
from mcugen.ops import OPS, TFLITE_IMPORTS
from mcugen.read.tflite_entry import Entry, choose_entry
from mcugen.read.tflite_file import ELEMENT_LIMIT, TfliteFile, load_tflite, shown
from mcugen.read.tflite_fold import FOLD_LIMIT, FOLDABLE, dequantized, fold
from mcugen.read.tflite_schema import arity_fault
from mcugen.rewrite import live

CLAMPS = {
    "NONE": (-math.inf, math.inf),
    "RELU": (0.0, math.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


@dataclass(frozen=True)
class TfliteNode:
    """One operator of the file. Omitted optional inputs are ""; tensors by their (unique) names."""

    op_type: str
    index: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    intermediates: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        return f"tflite:{self.op_type} #{self.index}"

    def has_input(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] != ""


class OperatorFault(Exception):
    """One operator cannot be imported; collected by the walker."""

    def __init__(self, fault: Fault, invalid: bool) -> None:
        super().__init__(str(fault))
        self.fault, self.invalid = fault, invalid


@dataclass(frozen=True)
class ImportedTflite:
    """An integer graph (`quantized`) or a float graph, and what the user should know about the import."""

    graph: Graph
    file: TfliteFile
    notes: tuple[str, ...]
    quantized: bool


@dataclass
class TfliteImporter:
    """The context of import functions: tensors are called as in the file and have the file's types."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # name in the file -> tensor that stands for it
    variables: frozenset[str] = frozenset()  # tensors that keep their values between runs
    signatures: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # shapes with -1 where unknown
    finite: dict[str, bool] = field(default_factory=dict)  # whether a constant has neither NaN nor infinity
    folded: int = 0  # elements of all folded constants

    # --- what a room asks ---

    def resolve(self, name: str) -> str:
        return self.names.get(name, name)

    def type(self, name: str) -> TensorType:
        return self.tensors[self.resolve(name)].type

    def shape(self, name: str) -> tuple[int, ...]:
        return self.type(name).shape

    def value(self, name: str) -> Array | None:
        return self.tensors[self.resolve(name)].data

    def is_quantized(self, name: str) -> bool:
        """Whether a tensor has integer elements that stand for real numbers."""
        return self.type(name).quant is not None and self.type(name).dtype != DType.FLOAT32

    def constant_input(self, n: TfliteNode, index: int, what: str) -> Array:
        """A constant input in the file's dtype, or the user's error."""
        if not n.has_input(index):
            self.invalid(n, f"input {index} ({what}) is missing")
        data = self.value(n.inputs[index])
        if data is None:
            self.unsupported(
                n, f"{what}: computed by the model, not constant", "convert with constant values"
            )
        name = n.inputs[index]
        if data.dtype.kind == "f" and name not in self.finite:
            self.finite[name] = bool(np.isfinite(data).all())
        if not self.finite.get(name, True):
            self.invalid(n, f"{what}: NaN or infinity")
        return data

    def ints(self, n: TfliteNode, index: int) -> tuple[int, ...] | None:
        """Constant integers of an input; None if it is omitted."""
        if not n.has_input(index):
            return None
        data = self.constant_input(n, index, f"input {index}")
        if data.dtype.kind not in "iu":
            self.invalid(n, f"input {index} holds {data.dtype}, not integers")
        return tuple(int(i) for i in data.reshape(-1))

    def axis(self, n: TfliteNode, axis: int, rank: int) -> int:
        if not -rank <= axis < rank:
            self.invalid(n, f"axis {axis} of a tensor with {rank} axes")
        return axis % rank

    def clamp(self, n: TfliteNode) -> tuple[float, float]:
        """The real bounds of the fused activation."""
        name = n.options.get("fused_activation_function", "NONE")
        if name not in CLAMPS:
            self.unsupported(n, f"the fused activation {name} is not supported", "use RELU, RELU6 or none")
        return CLAMPS[name]

    def pads(
        self,
        n: TfliteNode,
        spatial: Sequence[int],
        kernel: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
    ) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of the option `padding`; the odd cell of SAME comes after."""
        if min((*kernel, *strides, *dilations)) < 1 or max((*kernel, *strides, *dilations)) > 1 << 16:
            self.invalid(n, "strides, dilations and kernel must lie in 1 .. 65536")
        if n.options.get("padding") == "VALID":
            return 0, 0, 0, 0
        if n.options.get("padding") != "SAME":
            self.invalid(n, f"padding {n.options.get('padding')} is unknown")
        before, after = [], []
        for size, k, stride, dilation in zip(spatial, kernel, strides, dilations, strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
            before.append(total // 2)
            after.append(total - total // 2)
        return before[0], before[1], after[0], after[1]

    def image(self, n: TfliteNode, x: str) -> tuple[int, int, int]:
        """Height, width and channels of an activation [1, H, W, C]; reports any other."""
        shape = self.shape(x)
        if len(shape) != 4:
            self.invalid(n, f"an input of the shape {list(shape)}, not [1, height, width, channels]")
        if shape[0] != 1:
            self.unsupported(n, f"a batch of {shape[0]} is not supported", "convert with a batch of 1")
        return shape[1], shape[2], shape[3]

    def require_int8(self, n: TfliteNode, *names: str) -> None:
        """Report tensors that are not int8 with one scale."""
        for name in names:
            ttype = self.type(name)
            if ttype.dtype != DType.INT8:
                self.unsupported(n, f"{name!r} is {ttype.dtype}, not int8", "convert the model to int8")
            if ttype.quant is None or ttype.quant.axis is not None:
                self.invalid(n, f"{name!r} needs one scale and zero point")

    # --- what a room makes ---

    def fresh(self, name: str) -> str:
        unique, count = name, 1
        while unique in self.tensors:
            unique, count = f"{name}.{count}", count + 1
        return unique

    def add(self, n: TfliteNode, array: Array, ttype: TensorType | None = None) -> str:
        """A constant; by default of the array's dtype, without quantization."""
        data = np.ascontiguousarray(array)
        name = self.fresh(f"{n.outputs[0]}/constant")
        made = ttype or TensorType(data.shape, DType(data.dtype.name))
        self.tensors[name] = Tensor(name, made, data)
        return name

    def emit(
        self,
        n: TfliteNode,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any] | None = None,
        out: int = 0,
        outputs: Sequence[str] | None = None,
    ) -> str:
        """A node that writes the file's output tensor n.outputs[out] (or several: `outputs`), whose types are
        the file's; the shapes must be what the operator infers. Returns the (first) output's name."""
        return self._node(n, op, inputs, attrs, tuple(outputs) if outputs else (n.outputs[out],))

    def emit_typed(
        self,
        n: TfliteNode,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any] | None,
        ttype: TensorType,
    ) -> str:
        """A node that writes an intermediate tensor of the given type."""
        name = self.fresh(f"{n.outputs[0]}/{op}")
        self.tensors[name] = Tensor(name, ttype, source=n.outputs[0])
        return self._node(n, op, inputs, attrs, (name,))

    def _node(
        self,
        n: TfliteNode,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any] | None,
        outputs: tuple[str, ...],
    ) -> str:
        names = tuple(self.resolve(i) for i in inputs)
        node = Node(outputs[0], op, names, outputs, dict(attrs or {}), n.origin)
        try:
            types = OPS[op].infer(node, [self.tensors[i].type for i in names])
        except (ValueError, IndexError) as error:  # IndexError: a tensor with fewer axes than it needs
            self.invalid(n, str(error))
        for name, ttype in zip(outputs, types, strict=True):
            self._declare(n, name, ttype.shape)
        self.nodes.append(node)
        return outputs[0]

    def set_shape(self, n: TfliteNode, out: int, shape: Sequence[int]) -> None:
        """Say what shape the output n.outputs[out] has: the file's, unless the file leaves it open."""
        self._declare(n, n.outputs[out], tuple(shape))

    def _declare(self, n: TfliteNode, name: str, shape: tuple[int, ...]) -> None:
        tensor = self.tensors[name]
        if tensor.shape == shape:
            return
        open_shape = self.signatures.get(name, ())
        fits = len(open_shape) == len(shape) and all(
            a in (-1, b) for a, b in zip(open_shape, shape, strict=True)
        )
        if not fits or math.prod(shape) > ELEMENT_LIMIT:
            self.invalid(
                n, f"output {name!r} is declared {list(tensor.shape)}, but computed as {list(shape)}"
            )
        self.tensors[name] = replace(tensor, type=replace(tensor.type, shape=shape))

    def reshape(self, n: TfliteNode, x: str, shape: Sequence[int]) -> str:
        """An intermediate with x's type and another shape; x itself where it has that shape."""
        if tuple(shape) == self.shape(x):
            return self.resolve(x)
        shape, value = tuple(int(s) for s in shape), self.value(x)
        old = self.type(x)
        if value is not None and (old.quant is None or old.quant.axis is None):
            return self.add(n, value.reshape(shape), replace(old, shape=shape))
        return self.emit_typed(n, "reshape", [x], {"shape": shape}, TensorType(shape, old.dtype, old.quant))

    def transpose(self, n: TfliteNode, x: str, perm: Sequence[int]) -> str:
        """An intermediate with x's type whose axis i is x's axis perm[i]; x itself where nothing moves."""
        if tuple(perm) == tuple(range(len(perm))):
            return self.resolve(x)
        perm, old = tuple(int(p) for p in perm), self.type(x)
        shape = tuple(old.shape[p] for p in perm)
        return self.emit_typed(n, "transpose", [x], {"perm": perm}, TensorType(shape, old.dtype, old.quant))

    def unsupported(self, n: TfliteNode, why: str, fix: str) -> NoReturn:
        raise OperatorFault(Fault(n.origin, why, fix), invalid=False)

    def invalid(self, n: TfliteNode, why: str) -> NoReturn:
        raise OperatorFault(Fault(n.origin, why, "convert the model again"), invalid=True)


def _float_constants(ctx: TfliteImporter, n: TfliteNode) -> TfliteNode:
    """The operator with float32 constants, where it computes float numbers with stored integers or float16."""
    active = [i for i in n.inputs if i in ctx.tensors and ctx.value(i) is None]
    if any(ctx.type(i).dtype != DType.FLOAT32 for i in active) or n.op_type in ("DEQUANTIZE", "QUANTIZE"):
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


def _import_operator(ctx: TfliteImporter, n: TfliteNode) -> None:
    """Fold an operator whose inputs are constants, or let its room import it."""
    fault = arity_fault(n.op_type, [bool(i) for i in n.inputs], len(n.outputs))
    if fault:
        ctx.invalid(n, fault)
    shapes_only = n.op_type in ("SHAPE", "RANK")
    known = all(not i or (i in ctx.tensors and ctx.value(i) is not None) for i in n.inputs)
    if n.op_type in FOLDABLE and (shapes_only or (known and any(n.inputs))):
        inputs = [ctx.tensors[ctx.resolve(i)] for i in n.inputs if i]
        ttype = ctx.tensors[n.outputs[0]].type
        try:
            data = fold(n.op_type, n.options, inputs, ttype)
        except ValueError as error:
            ctx.invalid(n, str(error))
        if data.dtype != ttype.dtype.numpy:
            ctx.invalid(n, f"output {n.outputs[0]!r} is declared {ttype.dtype}, but computed as {data.dtype}")
        ctx.folded += data.size
        if ctx.folded > FOLD_LIMIT:
            ctx.invalid(n, f"computes constants of more than {FOLD_LIMIT:,} elements")
        made = Tensor(n.outputs[0], replace(ttype, shape=data.shape), data, n.outputs[0])
        ctx.tensors[n.outputs[0]] = made
        return
    if n.op_type not in TFLITE_IMPORTS:
        ctx.unsupported(n, "works only on constants here", "`mcugen ops` lists what is supported")
    results = TFLITE_IMPORTS[n.op_type](ctx, _float_constants(ctx, n))
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


def import_entry(entry: Entry, file: TfliteFile) -> ImportedTflite:
    """The graph of one entry of a file; see import_tflite."""
    ctx = TfliteImporter(dict(entry.tensors), [], dict(entry.names), entry.variables, entry.signatures)
    nodes = [
        TfliteNode(op.code, op.index, op.inputs, op.outputs, op.options, op.intermediates)
        for op in entry.operators
    ]
    try:
        _walk(ctx, nodes, frozenset(op.index for op in entry.operators if op.custom))
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
    graph = live(Graph(name, entry.inputs, outputs, tuple(ctx.nodes), ctx.tensors))
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
