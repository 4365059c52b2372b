"""Notes of what ran in TensorFlow Lite Micro, for docs/tested.md (tested.py). tflm.run_model calls `record`. Where the
environment variable MCUGEN_TFLM_RECORD names a folder, each process appends lines of JSON to a file of its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = "MCUGEN_TFLM_RECORD"
ENUMS = {
    "padding": "Padding",
    "mode": "MirrorPadMode",
    "weights_format": "FullyConnectedOptionsWeightsFormat",
}

_wanted = True


@contextmanager
def recording(wanted: bool) -> Iterator[None]:
    """Whether runs inside are noted: not those whose outputs no test compares."""
    global _wanted
    before, _wanted = _wanted, wanted
    try:
        yield
    finally:
        _wanted = before


def record(
    schema: Any,
    model: bytes,
    data: Sequence[np.ndarray[Any, Any]],
    outputs: Sequence[np.ndarray[Any, Any]],
    step: int = 0,
) -> None:
    """Append one run: {test, model and run (digests of the model, and of it and its inputs), operators, options,
    inputs, outputs, bytes}; options and tensors are the first operator's.
    `step`: the number of the run, where states persist."""
    folder = os.environ.get(FOLDER)
    if not folder or not _wanted:
        return
    made = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = made.subgraphs[0]
    fed = {index: array for index, array in zip(graph.inputs, data, strict=False)}
    given = {index: array for index, array in zip(graph.outputs, outputs, strict=False)}
    codes = [made.operatorCodes[o.opcodeIndex] for o in graph.operators]
    first = graph.operators[0]

    def describe(index: int) -> dict[str, Any] | None:
        if index < 0:
            return None
        tensor = graph.tensors[index]
        values, buffer = fed.get(index, given.get(index)), made.buffers[tensor.buffer].data
        dtype = _name(schema.TensorType, tensor.type).lower()
        constant = values is None and buffer is not None and len(buffer) > 0
        if constant:
            values = np.frombuffer(np.asarray(buffer, np.uint8).tobytes(), np.dtype(dtype))
        quant = tensor.quantization
        return {
            "shape": _list(tensor.shape),
            "dtype": dtype,
            "scales": _list(quant.scale) if quant else [],
            "zero_points": _list(quant.zeroPoint) if quant else [],
            "constant": constant,
            "range": [float(values.min()), float(values.max())] if values is not None and values.size else [],
        }

    line = {
        "test": os.environ.get("PYTEST_CURRENT_TEST", "").split("::")[0],
        "model": _digest([model]),
        "run": _digest([model, str(step).encode(), *(np.ascontiguousarray(a).tobytes() for a in data)]),
        "operators": [
            _name(schema.BuiltinOperator, max(c.builtinCode, c.deprecatedBuiltinCode)) for c in codes
        ],
        "options": _options(schema, first.builtinOptions),
        "inputs": [describe(i) for i in first.inputs],
        "outputs": [describe(i) for i in first.outputs],
        "bytes": sum(array.nbytes for array in outputs),
    }
    with Path(folder, f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")


def _options(schema: Any, table: Any) -> dict[str, Any]:
    """The options as tflm.build takes them."""
    result = {}
    for field, value in sorted(vars(table).items()) if table is not None else ():
        name = re.sub(r"([A-Z])", lambda m: "_" + m[1].lower(), field)
        enum = "ActivationFunctionType" if name.endswith("activation_function") else ENUMS.get(name)
        result[name] = _name(getattr(schema, enum), value) if enum else _list(value)
    return result


def _name(enum: Any, value: int) -> str:
    return next(name for name, number in vars(enum).items() if number == value and not name.startswith("_"))


def _list(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return np.asarray(value).tolist() if value is not None else []


def _digest(parts: Sequence[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
