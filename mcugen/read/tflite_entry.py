"""The part of a .tflite file that is to be compiled: one entry, its live operators, and the types of its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcugen.errors import Fault, ModelError, UnsupportedError, UsageError
from mcugen.ir import DType, Quant, Tensor, TensorType
from mcugen.read.tflite_file import TfliteFile, TfliteSignature, TfliteSubgraph, TfliteTensor, shown
from mcugen.read.tflite_fold import FOLDABLE

_DTYPES = {**{d.value: d for d in DType}, "int4": DType.INT8}
_CALLS = ("subgraph", *(f"{part}_subgraph_index" for part in ("init", "then", "else", "cond", "body")))
BORDER = ("uint8",)  # types that inputs and outputs alone may have
CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
SHARING = 4  # elements of all constants, in bytes of the file
_FULL_INT8 = "convert with full integer quantization to int8 (supported_ops = [TFLITE_BUILTINS_INT8])"


@dataclass(frozen=True, eq=False)
class EntryOperator:
    """A live operator with its tensors by name; omitted ones are ""."""

    code: str
    index: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    intermediates: tuple[str, ...]
    options: Mapping[str, Any]
    custom: bool

    @property
    def origin(self) -> str:
        return f"tflite:{self.code} #{self.index}"


@dataclass(frozen=True, eq=False)
class Entry:
    """What is to be imported; `quantized`: activations are integers, but for those that the file keeps as float32."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: tuple[EntryOperator, ...]
    tensors: Mapping[str, Tensor]
    variables: frozenset[str]
    signatures: Mapping[str, tuple[int, ...]]
    quantized: bool
    notes: tuple[str, ...]


def choose_entry(file: TfliteFile, signature: str | None = None) -> Entry:
    """The entry that `signature` names, or the file's only one.

    Raises UsageError (no such signature, or several to choose from), ModelError and UnsupportedError.
    """
    graph, inputs, outputs = _interface(file, signature)
    if not inputs or not outputs:
        fault = Fault("graph", "has no inputs or no outputs", "convert the model with both")
        raise ModelError(f"{file.path.name} cannot be imported", [fault])
    return _Reader(file, graph, inputs, outputs).entry()


def _interface(file: TfliteFile, key: str | None) -> tuple[TfliteSubgraph, list[str], list[str]]:
    """The subgraph and the names of its inputs and outputs, in the order of the signature asked for."""
    chosen: TfliteSignature | None = None
    known = ", ".join(repr(s.key) for s in file.signatures) or "none"
    if key is not None:
        chosen = next((s for s in file.signatures if s.key == key), None)
        if chosen is None:
            fault = Fault("--signature", f"the file's signatures: {known}")
            raise UsageError(f"{file.path.name} has no signature {key!r}", [fault])
    called = {
        op.options[name]
        for g in file.subgraphs
        for op in g.operators
        for name in _CALLS
        if name in op.options
    }
    entries = [i for i in range(len(file.subgraphs)) if i not in called]
    if chosen is None and len({s.subgraph for s in file.signatures}) == 1 < len(entries):
        chosen = file.signatures[0]
    if chosen is None and len(entries) > 1:
        what = "signatures" if len(file.signatures) > 1 else "subgraphs"
        fix = f"choose one with --signature: {known}" if file.signatures else "convert one function alone"
        raise UsageError(f"{file.path.name} has several {what}", [Fault("--signature", "not given", fix)])
    graph = file.subgraphs[chosen.subgraph if chosen else (entries or [0])[0]]
    names = [t.name for t in graph.tensors]
    if key is None or chosen is None:
        return graph, [names[i] for i in graph.inputs], [names[i] for i in graph.outputs]
    return graph, [names[i] for _, i in chosen.inputs], [names[i] for _, i in chosen.outputs]


def _only_zeros(graph: TfliteSubgraph) -> bool:
    """Whether a subgraph does nothing but assign the number 0 to variables."""
    for op in graph.operators:
        if op.code == "VAR_HANDLE":
            continue
        if op.code != "ASSIGN_VARIABLE" or len(op.inputs) != 2 or op.inputs[1] < 0:
            return False
        value = graph.tensors[op.inputs[1]]
        zero = value.zero_point[0] if len(value.zero_point) == 1 else 0
        if value.data is None or (value.data != zero).any():
            return False
    return True


class _Reader:
    """Types and live operators of one subgraph; collects what is not supported."""

    def __init__(
        self, file: TfliteFile, graph: TfliteSubgraph, inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        self.file, self.inputs, self.outputs = file, list(inputs), list(outputs)
        self.by_name = {t.name: t for t in graph.tensors}
        named = [t.name for t in graph.tensors]

        def names(indices: Sequence[int]) -> tuple[str, ...]:
            return tuple(named[i] if i >= 0 else "" for i in indices)

        self.operators = [
            EntryOperator(
                op.code,
                i,
                names(op.inputs),
                names(op.outputs),
                names(op.intermediates),
                op.options,
                op.custom,
            )
            for i, op in enumerate(graph.operators)
        ]
        self.notes: list[str] = []
        self.unsupported: list[Fault] = []
        self.invalid: list[Fault] = []
        self.all_inputs = {named[i] for i in graph.inputs}

    def entry(self) -> Entry:
        self._drop_initialisation()
        self._drop_dead()
        self._check_inputs()
        constant = self._constants()
        used = {name for op in self.operators for name in (*op.inputs, *op.outputs) if name}
        used.update(self.inputs, self.outputs)
        inner = {name for op in self.operators for name in op.intermediates if name} - used
        fixed = constant | inner | {name for name in used if self.by_name[name].is_variable}
        tensors = {name: self._tensor(self.by_name[name], name in fixed) for name in sorted(used | inner)}
        active = used - fixed
        quantized = self._kind(active)
        self._check_size(t for t in tensors.values() if t is not None and t.data is not None)
        head, faults = self.file.path.name, self.invalid + self.unsupported
        if self.invalid:
            raise ModelError(f"{head}: {len(faults)} faults in the model", shown(faults))
        if self.unsupported:
            raise UnsupportedError(f"{head}: {len(faults)} things cannot be compiled", shown(faults))
        return Entry(
            tuple(self.inputs),
            tuple(self.outputs),
            tuple(self.operators),
            {name: tensor for name, tensor in tensors.items() if tensor is not None},
            frozenset(name for name in used if self.by_name[name].is_variable),
            {name: self.by_name[name].shape_signature for name in used},
            quantized,
            tuple(self.notes),
        )

    def _drop_initialisation(self) -> None:
        """Drop CALL_ONCE where it fills variables with zeros, which a reset does."""
        calls = [op for op in self.operators if op.code == "CALL_ONCE"]
        for op in calls:
            index = op.options.get("init_subgraph_index", -1)
            known = 0 <= index < len(self.file.subgraphs)
            if not known or not _only_zeros(self.file.subgraphs[index]):
                why = "gives variables initial values other than zero"
                self.unsupported.append(Fault(op.origin, why, "begin with variables of zeros"))
        self.operators = [op for op in self.operators if op not in calls]

    def _check_size(self, constants: Iterable[Tensor]) -> None:
        """Tensors may share their bytes in the file, but not so often that our copies fill the memory."""
        if sum(t.type.elements for t in constants) > SHARING * self.file.bytes + (1 << 20):
            why = "the constants that share their bytes are too many"
            self.invalid.append(Fault("graph", why, "convert the model again"))

    def _drop_dead(self) -> None:
        """Keep what an output depends on, and operators without outputs, which change variables."""
        needed, kept = set(self.outputs), []
        for op in reversed(self.operators):
            if needed.intersection(op.outputs) or not op.outputs:
                kept.append(op)
                needed.update(op.inputs)
        self.operators = kept[::-1]

    def _check_inputs(self) -> None:
        read = {name for op in self.operators for name in op.inputs}
        missing = sorted((self.all_inputs & read) - set(self.inputs))
        self.invalid += [Fault(f"input {n!r}", "is read, but no input of the signature") for n in missing]
        for name in self.inputs:
            shape, signature = self.by_name[name].shape, self.by_name[name].shape_signature
            if any(d == -1 for d in signature[1:]):
                fix = "convert with fixed dimensions (a concrete function with a full input shape)"
                self.unsupported.append(
                    Fault(f"input {name!r}", f"has the dynamic shape {list(signature)}", fix)
                )
            elif signature[:1] == (-1,):
                self.notes.append(f"input {name!r}: the dynamic batch becomes {shape[0]}")

    def _constants(self) -> set[str]:
        """Tensors with values, and what is computed from these alone."""
        constant = {name for name, t in self.by_name.items() if t.data is not None or t.sparse}
        constant |= {name for name, t in self.by_name.items() if 0 in t.shape} - set(self.inputs)
        for op in self.operators:
            inputs = [i for i in op.inputs if i]
            if op.code in ("SHAPE", "RANK") or (
                op.code in FOLDABLE and inputs and all(i in constant for i in inputs)
            ):
                constant.update(op.outputs)
        return constant - set(self.inputs)

    def _tensor(self, tensor: TfliteTensor, fixed: bool) -> Tensor | None:
        """Our tensor; None for one that has no type of ours."""
        where = f"tensor {tensor.name!r}"
        if tensor.sparse:
            fix = "convert without sparsity (do not use EXPERIMENTAL_SPARSITY)"
            self.unsupported.append(Fault(where, "is sparse", fix))
        dtype = _DTYPES.get(tensor.dtype)
        if dtype is None:
            if tensor.dtype != "resource":  # the operators on variables say themselves what they can do
                fix = "convert a model of float32 or int8 tensors"
                self.unsupported.append(Fault(where, f"holds {tensor.dtype} elements", fix))
            return None
        if not fixed and 0 in tensor.shape:
            fix = "convert without empty tensors"
            self.unsupported.append(Fault(where, f"is empty: {list(tensor.shape)}", fix))
        quant = None
        if tensor.scale:
            axis = tensor.axis if len(tensor.scale) > 1 else None
            quant = Quant(tensor.scale, tensor.zero_point, axis)
        if not fixed and dtype in (DType.INT8, DType.INT16) and (quant is None or quant.axis is not None):
            self.invalid.append(Fault(where, f"is {dtype}, but has not one scale", _FULL_INT8))
        return Tensor(tensor.name, TensorType(tensor.shape, dtype, quant), tensor.data, tensor.name)

    def _at_border(self, name: str) -> bool:
        """Whether an input or output of the model is only converted."""
        users = [op for op in self.operators if name in (*op.inputs, *op.outputs)]
        return name in (*self.inputs, *self.outputs) and all(op.code in CONVERSIONS for op in users)

    def _kind(self, active: Iterable[str]) -> bool:
        """Whether the activations are int8 or int16, all or some; most other types are not supported."""
        by_type: dict[str, list[str]] = {}
        for name in sorted(active):
            by_type.setdefault(self.by_name[name].dtype, []).append(name)
        for dtype in ("uint8", "float16", "float64", "int4"):
            names = [n for n in by_type.get(dtype, []) if dtype not in BORDER or not self._at_border(n)]
            if names:
                where = f"{len(names)} activations ({', '.join(map(repr, names[:3]))}{', ...' if names[3:] else ''})"
                self.unsupported.append(Fault(where, f"are {dtype}, which is not supported yet", _FULL_INT8))
        indices = {name for op in self.operators if op.code in ("ARG_MAX", "ARG_MIN") for name in op.outputs}
        readers = [op for op in self.operators if indices.intersection(op.inputs)]
        if readers:  # what follows from the index is of no type of ours, which need not be said
            why = "it reads an index of ARG_MAX or ARG_MIN, which can only be an output of the model"
            fix = "cut the model behind the index and do the rest in firmware"
            self.unsupported += [Fault(op.origin, why, fix) for op in readers]
            return "int8" in by_type or "int16" in by_type
        for dtype in ("int32", "int64", "bool"):
            names = [name for name in by_type.get(dtype, []) if name not in indices]
            if names:
                where, fix = f"tensor {names[0]!r}", "cut the model there and compute it in firmware"
                self.unsupported.append(Fault(where, f"is {dtype} and computed at run time", fix))
        floats, integers = (
            set(by_type.get("float32", ())),
            {*by_type.get("int8", ()), *by_type.get("int16", ())},
        )
        self.unsupported += [
            Fault(op.origin, "works on float32 and integer activations at once", _FULL_INT8)
            for op in self.operators
            if op.code not in CONVERSIONS
            and floats.intersection((*op.inputs, *op.outputs))
            and integers.intersection((*op.inputs, *op.outputs))
        ]
        if integers and any(self.by_name[n].dtype == "float32" for n in (*self.inputs, *self.outputs)):
            self.notes.append("inputs or outputs are float32 as in the file; --io int8 spares the conversion")
        if not floats and not integers:
            self.unsupported.append(
                Fault("graph", "has neither float32 nor int8 nor int16 activations", _FULL_INT8)
            )
        return bool(integers)
