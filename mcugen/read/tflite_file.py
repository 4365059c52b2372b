""".tflite files as plain dataclasses: checked before they are walked, every index and size checked after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcugen.ir import Array


@dataclass(frozen=True, eq=False)
class TfliteTensor:
    """A tensor of one subgraph. `dtype` is the schema's name in lower case (int8, float32, int4, resource ...).

    `data` is a view of the file in numpy's dtype (int4: unpacked), None for activations. `scale` and `zero_point`
    have no entries (not quantized), one (per tensor) or one per index of `axis`.
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

    Indices are those of the subgraph's tensors, -1 for an omitted optional input.
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
    description: str
    subgraphs: tuple[TfliteSubgraph, ...]
    signatures: tuple[TfliteSignature, ...]
    notes: tuple[str, ...]


def load_tflite(path: str | Path) -> TfliteFile:
    """Read, verify and parse a file. Raises UsageError (no such file), ModelError with all faults."""
    raise NotImplementedError
