"""Functions of one variable as expressions, and the float64 functions they are made of.

An expression is X, a number, or a tuple of a name in FUNCTIONS and its arguments, which are expressions too:
`("mul", X, ("sigmoid", X))`, `("clip", X, 0.0, 6.0)`. Definitions are those of ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mcugen.ir import Array

Expression = Any  # X, float, or (name, *Expression)

X: Expression = ("x",)


def sigmoid(x: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(0.0, x))


def erf(x: Array) -> Array:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(np.asarray(x, np.float64)), np.float64)


def silu(x: Array) -> Array:
    return np.asarray(x * sigmoid(x))


def gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1.0 + erf(x / math.sqrt(2.0))))


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def mish(x: Array) -> Array:
    return np.asarray(x * np.tanh(softplus(x)))


def hard_sigmoid(x: Array, alpha: Array, beta: Array) -> Array:
    return np.asarray(np.clip(alpha * x + beta, 0.0, 1.0))


def hard_swish(x: Array) -> Array:
    return np.asarray(x * np.clip(x + 3.0, 0.0, 6.0) / 6.0)


def leaky_relu(x: Array, alpha: Array) -> Array:
    return np.where(x < 0.0, alpha * x, x)


def elu(x: Array, alpha: Array) -> Array:
    return np.where(x < 0.0, alpha * np.expm1(np.minimum(x, 0.0)), x)


def selu(x: Array, alpha: Array, gamma: Array) -> Array:
    return np.asarray(gamma * elu(x, alpha))


def celu(x: Array, alpha: Array) -> Array:
    return np.asarray(np.maximum(x, 0.0) + np.minimum(0.0, alpha * np.expm1(np.minimum(x, 0.0) / alpha)))


def thresholded_relu(x: Array, alpha: Array) -> Array:
    return np.where(x > alpha, x, 0.0)


def shrink(x: Array, lambd: Array, bias: Array) -> Array:
    return np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0.0))


def softsign(x: Array) -> Array:
    return np.asarray(x / (1.0 + np.abs(x)))


def rsqrt(x: Array) -> Array:
    return np.asarray(1.0 / np.sqrt(x))


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "max": np.maximum,
    "min": np.minimum,
    "clip": np.clip,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "silu": silu,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": hard_swish,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "celu": celu,
    "thresholded_relu": thresholded_relu,
    "shrink": shrink,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "mish": mish,
    "erf": erf,
    "softplus": softplus,
    "softsign": softsign,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": rsqrt,
    "abs": np.abs,
    "neg": np.negative,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}


def evaluate(function: Expression, x: Array) -> Array:
    """float64 values of an expression, shaped like x (or a scalar, for an expression without X). NaN and
    infinities are values; no warnings."""
    if function == X:
        return np.asarray(x, np.float64)
    if not isinstance(function, tuple):
        return np.float64(function)  # type: ignore[return-value]
    name, *arguments = function
    with np.errstate(all="ignore"):
        return FUNCTIONS[name](*(evaluate(a, x) for a in arguments))


def size(function: Expression) -> int:
    """Number of functions and leaves of an expression."""
    return 1 + sum(size(a) for a in function[1:]) if isinstance(function, tuple) else 1


def substitute(function: Expression, inner: Expression) -> Expression:
    """function(inner): the expression with `inner` for X."""
    if function == X:
        return inner
    if not isinstance(function, tuple):
        return function
    return (function[0], *(substitute(a, inner) for a in function[1:]))


def compose(function: Expression, inner: Expression) -> Expression:
    """function(inner) in its simplest form: bounds merged, well-known functions by name."""
    return recognise(_merge_bounds(substitute(function, inner)))


def affine(function: Expression) -> tuple[float, float] | None:
    """(a, b) of an expression that is written as a * x + b; None for any other."""
    if not isinstance(function, tuple):
        return 0.0, float(function)
    if function == X:
        return 1.0, 0.0
    name = function[0]
    parts = [affine(p) for p in function[1:]] if name in ("neg", "add", "sub", "mul", "div") else [None]
    (a, b), (c, d) = parts[0] or (math.nan, 0.0), parts[-1] or (math.nan, 0.0)
    if None in parts:
        return None
    if name == "neg":
        return -a, -b
    if name == "add":
        return a + c, b + d
    if name == "sub":
        return a - c, b - d
    if name == "mul" and a * c == 0.0:
        return a * d + c * b, b * d
    return (a / d, b / d) if name == "div" and c == 0.0 and d != 0.0 else None


def _merge_bounds(function: Expression) -> Expression:
    """max, min and clip with constant bounds as one clip."""
    if not isinstance(function, tuple) or function == X:
        return function
    name, *arguments = (function[0], *(_merge_bounds(a) for a in function[1:]))
    if name in ("max", "min") and isinstance(arguments[0], tuple) != isinstance(arguments[1], tuple):
        e, bound = sorted(arguments, key=lambda a: not isinstance(a, tuple))
        name, arguments = "clip", [e, bound, math.inf] if name == "max" else [e, -math.inf, bound]
    if name == "clip" and not any(isinstance(a, tuple) for a in arguments[1:]):
        e, lo, hi = arguments
        if isinstance(e, tuple) and e[0] == "clip" and not any(isinstance(a, tuple) for a in e[2:]):
            return ("clip", e[1], min(max(e[2], lo), hi), min(max(e[3], lo), hi))
    return (name, *arguments)


# Expressions are compared by value: exporters write one function in many ways, with constants rounded to
# float32. 1/128 apart near 0, so that the usual kinks are met; far ones for bounds and saturation.
_FAR = np.geomspace(16.0, 1e4, 64)
_PROBES = np.concatenate([-_FAR, np.linspace(-16.0, 16.0, 4097), _FAR])
_TOLERANCE = 1e-6 * np.maximum(1.0, np.abs(_PROBES))
_NAMED: tuple[Expression, ...] = (
    X,
    ("clip", X, 0.0, math.inf),
    *((name, X) for name in ("sigmoid", "tanh", "silu", "hard_swish", "gelu", "gelu_tanh", "mish")),
)
_NAMED_VALUES = tuple(evaluate(function, _PROBES) for function in _NAMED)


def recognise(function: Expression) -> Expression:
    """The name of a composed function that is a well-known one: `x * sigmoid(x)` -> `("silu", X)`, ..."""
    if not isinstance(function, tuple) or all(a == X or not isinstance(a, tuple) for a in function[1:]):
        return function
    values = evaluate(function, _PROBES)
    if not np.isfinite(values).all():
        return function
    for known, known_values in zip(_NAMED, _NAMED_VALUES, strict=True):
        if np.all(np.abs(values - known_values) <= _TOLERANCE):
            return known
    slope = float(-evaluate(function, np.array(-1.0)))
    if np.all(np.abs(values - evaluate(("leaky_relu", X, slope), _PROBES)) <= _TOLERANCE):
        return ("leaky_relu", X, slope)
    return function
