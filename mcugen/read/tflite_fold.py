"""Values of .tflite operators whose inputs are constants: what converters leave of shape computations, and weights
stored in another type. Meanings are those of TensorFlow Lite's operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mcugen.ir import Array, Tensor, TensorType
from mcugen.ops.slice import strided_spans

FOLD_LIMIT = 1 << 24  # elements of a folded value

Values = Sequence[Array]
Options = Mapping[str, Any]


def dequantized(data: Array, ttype: TensorType) -> Array:
    """float32 values of a constant: (q - zero point) * scale, per tensor or per axis, in float32 as in LiteRT."""
    if ttype.quant is None:
        return np.asarray(data, np.float32)
    scale = np.array(ttype.quant.scale, np.float32)
    zero_point = np.array(ttype.quant.zero_point, np.int64)
    if ttype.quant.axis is not None:
        shape = [1] * data.ndim
        shape[ttype.quant.axis] = -1
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    return np.asarray((data.astype(np.int64) - zero_point).astype(np.float32) * scale, np.float32)


def _axes(values: Values, index: int) -> tuple[int, ...]:
    return tuple(int(i) for i in values[index].reshape(-1))


def _limited(shape: Sequence[int]) -> tuple[int, ...]:
    """A computed shape; ValueError where it is impossible or takes too much memory."""
    if min(shape, default=1) < 0 or math.prod(shape) > FOLD_LIMIT:
        raise ValueError(f"a computed shape {list(shape)[:8]}")
    return tuple(int(d) for d in shape)


def _strided_slice(values: Values, options: Options) -> Array:
    x = values[0]
    spans, shape = strided_spans(x.shape, _axes(values, 1), _axes(values, 2), _axes(values, 3), options)
    for axis, (begin, step, size) in enumerate(spans):
        x = np.take(x, begin + step * np.arange(size), axis=axis)
    return x.reshape(shape)


def _slice(values: Values, options: Options) -> Array:
    begins, sizes = _axes(values, 1), _axes(values, 2)
    cuts = [slice(b, None if s < 0 else b + s) for b, s in zip(begins, sizes, strict=True) if b >= 0]
    return values[0][tuple(cuts)]


def _pack(values: Values, options: Options) -> Array:
    return np.stack(values, axis=options["axis"])


def _range(values: Values, options: Options) -> Array:
    start, limit, delta = (v.reshape(()) for v in values)
    if delta == 0 or abs((limit - start) / delta) > FOLD_LIMIT:
        raise ValueError("a range without end")
    return np.asarray(np.arange(start.item(), limit.item(), delta.item()), values[0].dtype)


def _squeeze(values: Values, options: Options) -> Array:
    return np.squeeze(values[0], axis=tuple(options["squeeze_dims"]) or None)


def _fill(values: Values, options: Options) -> Array:
    return np.full(_limited(_axes(values, 0)), values[1].reshape(()))


def _broadcast(values: Values, options: Options) -> Array:
    return np.array(np.broadcast_to(values[0], _limited(_axes(values, 1))))


def _reduced(function: Callable[..., Any]) -> Callable[[Values, Options], Array]:
    def reduce(values: Values, options: Options) -> Array:
        result = function(values[0], axis=_axes(values, 1), keepdims=options["keep_dims"])
        return np.asarray(result, values[0].dtype)

    return reduce


def _binary(function: Callable[..., Any]) -> Callable[[Values, Options], Array]:
    def combine(values: Values, options: Options) -> Array:
        if options.get("fused_activation_function", "NONE") != "NONE":
            raise ValueError("a fused activation in a computation with constants")
        _limited(np.broadcast_shapes(*(v.shape for v in values)))
        return np.asarray(function(*values), values[0].dtype)

    return combine


def _cast(values: Values, options: Options) -> Array:
    return values[0].astype(np.dtype(options["out_data_type"]))


# These only move elements, so that they may work on quantized constants too.
_MOVES: dict[str, Callable[[Values, Options], Array]] = {
    "CONCATENATION": lambda v, o: np.concatenate(v, axis=o["axis"]),
    "EXPAND_DIMS": lambda v, o: np.expand_dims(v[0], int(v[1].reshape(()))),
    "GATHER": lambda v, o: np.take(v[0], v[1], axis=o["axis"]),
    "PACK": _pack,
    "RESHAPE": lambda v, o: v[0].reshape(_axes(v, 1) if len(v) > 1 else o["new_shape"]),
    "SLICE": _slice,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": lambda v, o: v[0].transpose(_axes(v, 1)),
    "BROADCAST_TO": _broadcast,
}
_COMPUTES: dict[str, Callable[[Values, Options], Array]] = {
    "ADD": _binary(np.add),
    "BROADCAST_ARGS": lambda v, o: np.array(
        np.broadcast_shapes(*(_limited(_axes(v, i)) for i in (0, 1))), v[0].dtype
    ),
    "CAST": _cast,
    "DIV": _binary(lambda a, b: a / b if a.dtype.kind == "f" else np.trunc(a / b)),
    "FILL": _fill,
    "FLOOR_DIV": _binary(np.floor_divide),
    "FLOOR_MOD": _binary(np.mod),
    "MAXIMUM": _binary(np.maximum),
    "MINIMUM": _binary(np.minimum),
    "MUL": _binary(np.multiply),
    "NEG": lambda v, o: -v[0],
    "RANGE": _range,
    "REDUCE_MAX": _reduced(np.max),
    "REDUCE_MIN": _reduced(np.min),
    "REDUCE_PROD": _reduced(np.prod),
    "RSQRT": lambda v, o: np.asarray(1 / np.sqrt(v[0]), v[0].dtype),
    "SQRT": lambda v, o: np.sqrt(v[0]),
    "SQUARE": lambda v, o: v[0] * v[0],
    "SUB": _binary(np.subtract),
    "SUM": _reduced(np.sum),
}
FOLDABLE = frozenset({*_MOVES, *_COMPUTES, "DEQUANTIZE", "SHAPE", "RANK"})
COMPUTES = frozenset(_COMPUTES)
"""Those whose meaning on quantized numbers is another."""


def fold(code: str, options: Options, inputs: Sequence[Tensor], output: TensorType) -> Array:
    """The value of an operator (of FOLDABLE) whose inputs are constants, all but those of SHAPE and RANK, whose
    shapes are enough. Raises ValueError where the operator contradicts itself."""
    if code == "SHAPE":
        return np.array(inputs[0].shape, options["out_type"] if options["out_type"] == "int64" else np.int32)
    if code == "RANK":
        return np.array(len(inputs[0].shape), np.int32)
    values = [t.data for t in inputs if t.data is not None]
    if code == "DEQUANTIZE":
        return dequantized(values[0], inputs[0].type)
    quants = {t.type.quant for t in inputs if t.type.quant is not None and t.data is not None}
    if code in _COMPUTES and any(v.dtype in (np.int8, np.uint8, np.int16) for v in values):
        raise ValueError("a computation with quantized constants")
    if len(quants | ({output.quant} if output.quant else set())) > 1:
        raise ValueError("quantized constants of different scales")
    try:
        with np.errstate(all="ignore"):
            result = {**_MOVES, **_COMPUTES}[code](values, options)
    except (IndexError, TypeError, ZeroDivisionError) as error:
        raise ValueError(str(error)) from None
    if result.size > FOLD_LIMIT:
        raise ValueError(f"a constant of {result.size:,} elements")
    return np.asarray(result, order="C")
