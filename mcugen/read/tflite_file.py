""".tflite files as plain dataclasses: checked before they are walked, every index and size checked after."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from tflite.utils import BUILTIN_OPCODE2NAME

from mcugen.errors import Fault, ModelError, UsageError
from mcugen.ir import Array
from mcugen.read.tflite_schema import BUILTIN_OPTIONS, OPTIONS, Damaged, ints, read_options, text, verify

MAX_FILE = 1 << 28  # bytes: far beyond any microcontroller
ELEMENT_LIMIT = 1 << 28  # elements of one tensor: far beyond any microcontroller, below any memory trouble
MAX_RANK = 8
MAX_INTERFACE = 256  # inputs or outputs
SHOWN = 50  # faults of one file

_CONVERT_AGAIN = "the file is damaged or its converter is faulty: convert the model again"
_NUMPY = {
    **{name: name for name in ("float32", "float16", "float64", "int8", "int16", "int32", "int64", "bool")},
    **{name: name for name in ("uint8", "uint16", "uint32", "uint64", "complex64", "complex128")},
    "int4": "int8",
}
"""numpy's dtype of the data of each element type; others (string, resource, variant) have none."""
_INTEGERS = {
    "int4": (-8, 7),
    **{name: (np.iinfo(name).min, np.iinfo(name).max) for name in ("int8", "uint8", "int16", "uint16")},
}
"""The range of zero points; of wider types int32's."""
_TYPES = {number: name.lower() for name, number in vars(tflite.TensorType).items() if isinstance(number, int)}


@dataclass(frozen=True, eq=False)
class TfliteTensor:
    """A tensor of one subgraph. `dtype` is the schema's name in lower case (int8, float32, int4, resource ...).

    `data` is a read-only view of the file (int4: unpacked to int8), None for activations. `scale` and
    `zero_point` have no entries (not quantized), one (per tensor) or one per index of `axis`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: Array | None = None
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    axis: int = 0
    is_variable: bool = False
    sparse: bool = False
    shape_signature: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class TfliteOperator:
    """One operator: `code` is the builtin's name (CONV_2D), or the custom operator's with `custom` set.

    Indices are those of the subgraph's tensors, -1 for an omitted optional input. `options` holds all fields
    of the operator's options table, enumerations by name.
    """

    code: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]
    options: Mapping[str, Any]
    custom: bool = False


@dataclass(frozen=True, eq=False)
class TfliteSubgraph:
    name: str
    tensors: tuple[TfliteTensor, ...]
    operators: tuple[TfliteOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class TfliteSignature:
    """A named entry: (name, tensor index) of inputs and outputs of one subgraph."""

    key: str
    subgraph: int
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class TfliteFile:
    path: Path
    sha256: str
    bytes: int
    description: str
    subgraphs: tuple[TfliteSubgraph, ...]
    signatures: tuple[TfliteSignature, ...]
    notes: tuple[str, ...]


def load_tflite(path: str | Path) -> TfliteFile:
    """Read, verify and parse a file. Raises UsageError (no such file) or ModelError with all faults."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE:
            raise ModelError(
                f"{path.name} is larger than {MAX_FILE >> 20} MiB", [Fault(path.name, "too large")]
            )
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", [Fault(str(path), "not readable")]
        ) from error
    return parse_tflite(data, path)


def parse_tflite(data: bytes, path: Path) -> TfliteFile:
    """A file's bytes, verified and parsed; `path` only names them. Raises ModelError with all faults."""
    try:
        verify(data)
    except Damaged as error:
        raise ModelError(
            f"{path.name} is not a valid .tflite file", [Fault("flatbuffer", str(error), _CONVERT_AGAIN)]
        ) from None
    return _Parser(data, path).parse()


def shown(faults: Sequence[Fault]) -> list[Fault]:
    """The first faults, and how many there are besides."""
    rest = len(faults) - SHOWN
    return [*faults[:SHOWN], Fault("", f"and {rest} more")] if rest > 0 else list(faults)


def _has_values(tensor: TfliteTensor) -> bool:
    """Whether a tensor holds something before any operator has run, or is of a kind that is not read."""
    fixed = tensor.data is not None or tensor.is_variable or tensor.sparse
    return fixed or 0 in tensor.shape or tensor.dtype in ("string", "variant")


class _Parser:
    """Turns verified bytes into dataclasses and collects what contradicts itself."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.data, self.path = data, path
        self.model = tflite.Model.GetRootAs(data, 0)
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self.raw: list[Array | None] = []
        self.unpacked: dict[tuple[int, str], Array] = {}

    def fault(self, where: str, why: str) -> None:
        self.faults.append(Fault(where, why, _CONVERT_AGAIN))

    def parse(self) -> TfliteFile:
        model = self.model
        if model.Version() != 3:
            self.fault("model", f"schema version {model.Version()}, not 3")
        self.raw = [self._buffer(i) for i in range(model.BuffersLength())]
        codes = [self._code(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
        subgraphs = tuple(
            self._subgraph(i, model.Subgraphs(i), codes) for i in range(model.SubgraphsLength())
        )
        if not subgraphs:
            self.fault("model", "has no subgraph")
        signatures = tuple(
            self._signature(model.SignatureDefs(i), subgraphs) for i in range(model.SignatureDefsLength())
        )
        if self.faults:
            raise ModelError(f"{self.path.name}: {len(self.faults)} faults in the model", shown(self.faults))
        digest = hashlib.sha256(self.data).hexdigest()
        description = text(model.Description())
        return TfliteFile(
            self.path, digest, len(self.data), description, subgraphs, signatures, tuple(self.notes)
        )

    def _buffer(self, index: int) -> Array | None:
        """A buffer's bytes: in the flatbuffer, or behind it (files beyond 2 GB); None for the empty one."""
        buffer = self.model.Buffers(index)
        if buffer.DataLength():
            return np.asarray(buffer.DataAsNumpy())
        offset, size = buffer.Offset(), buffer.Size()
        if offset <= 1 or size == 0:  # 0 and 1 mean: no such data
            return None
        if offset + size > len(self.data):
            self.fault(f"buffer {index}", f"{size} bytes at {offset} lie outside of the file")
            return None
        return np.frombuffer(self.data, np.uint8, size, offset)

    def _code(self, code: Any) -> tuple[str, int, bool]:
        """Name, version, and whether it is a custom operator."""
        number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
        if number == tflite.BuiltinOperator.CUSTOM:
            return text(code.CustomCode()) or "unnamed", code.Version(), True
        return BUILTIN_OPCODE2NAME.get(number, f"OPERATOR_{number}"), code.Version(), False

    def _subgraph(self, index: int, graph: Any, codes: Sequence[tuple[str, int, bool]]) -> TfliteSubgraph:
        where = f"subgraph {index}, " if self.model.SubgraphsLength() > 1 else ""
        inputs, outputs = ints(graph, "Inputs"), ints(graph, "Outputs")
        before = len(self.faults)
        tensors = [self._tensor(where, i, graph.Tensors(i)) for i in range(graph.TensorsLength())]
        tensors = self._unique(tensors)
        operators = tuple(
            self._operator(where, i, graph.Operators(i), codes) for i in range(graph.OperatorsLength())
        )
        for what, indices in (("inputs", inputs), ("outputs", outputs)):
            self._check_indices(f"{where}graph", what, indices, len(tensors), 0)
            if len(indices) > MAX_INTERFACE:
                self.fault(f"{where}graph", f"has {len(indices)} {what}")
        for i, op in enumerate(operators):
            name = f"{where}tflite:{op.code} #{i}"
            self._check_indices(name, "inputs", op.inputs, len(tensors), -1)
            self._check_indices(name, "outputs", op.outputs, len(tensors), 0)
            self._check_indices(name, "intermediates", op.intermediates, len(tensors), -1)
        if len(set(inputs)) != len(inputs):
            self.fault(f"{where}graph", "one tensor is listed twice among the inputs")
        if len(self.faults) == before:
            tensors = [replace(t, data=None) if i in set(inputs) else t for i, t in enumerate(tensors)]
            self._check_order(where, tensors, operators, inputs, outputs)
        return TfliteSubgraph(text(graph.Name()), tuple(tensors), operators, inputs, outputs)

    def _check_indices(self, where: str, what: str, indices: Sequence[int], count: int, least: int) -> None:
        bad = [i for i in indices if not least <= i < count]
        if bad:
            self.fault(where, f"its {what} name the tensors {bad[:4]}, of which there are {count}")

    def _check_order(
        self,
        where: str,
        tensors: Sequence[TfliteTensor],
        operators: Sequence[TfliteOperator],
        inputs: Sequence[int],
        outputs: Sequence[int],
    ) -> None:
        """Every tensor is written once, and before it is read."""
        known = {*inputs, *(i for i, t in enumerate(tensors) if _has_values(t))}
        written = {i for op in operators for i in op.outputs}
        for number, op in enumerate(operators):
            name = f"{where}tflite:{op.code} #{number}"
            for i in op.inputs:
                if i >= 0 and i not in known:
                    later = (
                        " before it is computed (a cycle?)" if i in written else ", which nothing computes"
                    )
                    self.fault(name, f"reads the tensor {tensors[i].name!r}{later}")
                    known.add(i)
            for i in op.outputs:
                if i in known and 0 not in tensors[i].shape:
                    self.fault(name, f"writes the tensor {tensors[i].name!r}, which has its values already")
                known.add(i)
        for i in outputs:
            if i not in known:
                self.fault(f"{where}output {tensors[i].name!r}", "nothing computes it")

    def _operator(
        self, where: str, index: int, operator: Any, codes: Sequence[tuple[str, int, bool]]
    ) -> TfliteOperator:
        number = operator.OpcodeIndex()
        if number >= len(codes):
            self.fault(f"{where}operator #{index}", f"has the code {number} of {len(codes)}")
            return TfliteOperator("UNKNOWN", 1, (), (), (), {})
        code, version, custom = codes[number]
        options = {} if custom else read_options(operator, code)
        if options is None:
            given = BUILTIN_OPTIONS.get(operator.BuiltinOptionsType(), "unknown options")
            self.fault(f"{where}tflite:{code} #{index}", f"has {given} instead of {OPTIONS[code]}")
        return TfliteOperator(
            code,
            version,
            ints(operator, "Inputs"),
            ints(operator, "Outputs"),
            ints(operator, "Intermediates"),
            options or {},
            custom,
        )

    def _tensor(self, where: str, index: int, tensor: Any) -> TfliteTensor:
        name = text(tensor.Name()) or f"tensor_{index}"
        dtype = _TYPES.get(tensor.Type(), f"type_{tensor.Type()}")
        shape, before = ints(tensor, "Shape"), len(self.faults)
        where = f"{where}tensor {name!r}"
        sparse = tensor.Sparsity() is not None
        if len(shape) > MAX_RANK:
            self.fault(where, f"has {len(shape)} axes")
        elif min(shape, default=1) < 0 or math.prod(shape) > ELEMENT_LIMIT:
            self.fault(where, f"has the impossible shape {list(shape)}")
        signature = ints(tensor, "ShapeSignature")
        if signature and len(signature) != len(shape):
            self.fault(where, f"has the shape {list(shape)}, but the signature {list(signature)[:MAX_RANK]}")
        scale, zero_point, axis = self._quantization(where, tensor.Quantization(), dtype, shape)
        data = None
        if tensor.Buffer() >= max(len(self.raw), 1):
            self.fault(where, f"has the buffer {tensor.Buffer()}, of which there are {len(self.raw)}")
        elif len(self.faults) == before and self.raw and not sparse:
            data = self._data(where, tensor.Buffer(), dtype, shape)
        return TfliteTensor(
            name, shape, dtype, data, scale, zero_point, axis, bool(tensor.IsVariable()), sparse, signature
        )

    def _data(self, where: str, buffer: int, dtype: str, shape: tuple[int, ...]) -> Array | None:
        """A constant's elements: a view of the file, or of the one unpacked copy."""
        raw = self.raw[buffer]
        if raw is None or dtype not in _NUMPY:
            return None
        count, kind = math.prod(shape), np.dtype(_NUMPY[dtype])
        needed = (count + 1) // 2 if dtype == "int4" else count * kind.itemsize
        if raw.size != needed:
            self.fault(where, f"holds {raw.size} bytes; {dtype}{list(shape)} takes {needed}")
            return None
        if dtype not in ("int4", "bool"):
            view = np.frombuffer(raw, kind.newbyteorder("<")).reshape(shape)
            return view.astype(kind, copy=False)
        if (buffer, dtype) not in self.unpacked:
            halves = np.stack([raw << 4, raw & 0xF0], axis=-1).view(np.int8) >> 4  # the low half comes first
            self.unpacked[buffer, dtype] = halves.reshape(-1) if dtype == "int4" else raw != 0
        return self.unpacked[buffer, dtype][:count].reshape(shape)

    def _quantization(
        self, where: str, quantization: Any, dtype: str, shape: tuple[int, ...]
    ) -> tuple[tuple[float, ...], tuple[int, ...], int]:
        """Scales, zero points and axis; none for types that are not integers."""
        if quantization is None or not quantization.ScaleLength() or not dtype.lstrip("u").startswith("int"):
            return (), (), 0
        count, axis = quantization.ScaleLength(), quantization.QuantizedDimension()
        if shape == (count,):  # old converters write the weights' axis at a bias
            axis = 0
        if count > 1 and (not 0 <= axis < len(shape) or shape[axis] != count):
            self.fault(where, f"has {count} scales along axis {axis} of the shape {list(shape)}")
            return (), (), 0
        scales = np.asarray(quantization.ScaleAsNumpy(), np.float32)
        if not (np.isfinite(scales) & (scales > 0)).all():
            bad = scales[~(np.isfinite(scales) & (scales > 0))]
            self.fault(where, f"has a scale of {float(bad[0])!r}; scales are finite and above 0")
        points = ints(quantization, "ZeroPoint") or (0,) * count
        if len(points) != count:
            self.fault(where, f"has {count} scales, but {len(points)} zero points")
        lo, hi = _INTEGERS.get(dtype, (-(2**31), 2**31 - 1))
        bad_points = [p for p in points if not lo <= p <= hi]
        if bad_points:
            self.fault(where, f"has a zero point of {bad_points[0]}, outside of {dtype}")
        return tuple(float(s) for s in scales), points, axis if count > 1 else 0

    def _unique(self, tensors: Sequence[TfliteTensor]) -> list[TfliteTensor]:
        """Tensors with a name of their own each."""
        taken = {t.name for t in tensors}
        seen: set[str] = set()
        result, counts = [], dict[str, int]()
        for tensor in tensors:
            name = tensor.name
            while name in seen or (name != tensor.name and name in taken):
                counts[tensor.name] = counts.get(tensor.name, 0) + 1
                name = f"{tensor.name}.{counts[tensor.name]}"
            seen.add(name)
            result.append(tensor if name == tensor.name else replace(tensor, name=name))
        if counts:
            number = sum(counts.values())
            self.notes.append(f"{number} tensors have the name of another and got a number behind it")
        return result

    def _signature(self, signature: Any, subgraphs: Sequence[TfliteSubgraph]) -> TfliteSignature:
        key, index = text(signature.SignatureKey()), signature.SubgraphIndex()
        where = f"signature {key!r}"
        entries: list[tuple[tuple[str, int], ...]] = []
        for kind in ("Inputs", "Outputs"):
            maps = [getattr(signature, kind)(i) for i in range(getattr(signature, f"{kind}Length")())]
            entries.append(tuple((text(m.Name()), int(m.TensorIndex())) for m in maps))
        if index >= len(subgraphs):
            self.fault(where, f"has the subgraph {index} of {len(subgraphs)}")
        else:
            for what, names in zip(("inputs", "outputs"), entries, strict=True):
                self._check_indices(where, what, [i for _, i in names], len(subgraphs[index].tensors), 0)
        return TfliteSignature(key, index, entries[0], entries[1])
