"""Expressions (functions.py) as steps in float32, each one function of mcugen/float_math.py: what float nodes compute.

A power becomes products and a root; what an expression says twice is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mcugen.float_math import FUNCTIONS
from mcugen.ir import Array
from mcugen.ops.functions import Expression, X

MAX_POWER = 16.0


@dataclass(frozen=True)
class Program:
    """Operands are "x", constants "c0", "c1", ... and results of steps "v0", "v1", ..."""

    constants: tuple[float, ...]  # float32 values
    steps: tuple[tuple[str, tuple[str, ...]], ...]  # function and operands
    result: str

    def run(self, x: Array) -> Array:
        """float32 values, shaped like x."""
        values: dict[str, Array] = {"x": np.asarray(x, np.float32)}
        values |= {f"c{i}": np.asarray(c, np.float32) for i, c in enumerate(self.constants)}
        with np.errstate(all="ignore"):
            for i, (name, operands) in enumerate(self.steps):
                values[f"v{i}"] = FUNCTIONS[name](*(values[o] for o in operands))
        return np.array(np.broadcast_to(values[self.result], x.shape))


def fault(function: Expression) -> str | None:
    """Why an expression cannot be computed in float32; None if it can."""
    for name, *arguments in _calls(function):
        if name == "pow" and not _is_half_integer(arguments[1]):
            return f"powers other than multiples of 0.5 up to {MAX_POWER:g} have no float kernel; use int8"
        if name != "pow" and name not in FUNCTIONS:
            return f"{name} has no float kernel; use int8"
    return None


def program(function: Expression) -> Program:
    """The steps of an expression that has no `fault`."""
    constants: list[float] = []
    steps: list[tuple[str, tuple[str, ...]]] = []
    known: dict[Expression, str] = {X: "x"}

    def place(e: Expression) -> str:
        if e in known:
            return known[e]
        if isinstance(e, tuple):
            operands = tuple(place(a) for a in e[1:])
            known[e] = f"v{len(steps)}"
            steps.append((e[0], operands))
            return known[e]
        with np.errstate(over="ignore"):
            constants.append(float(np.float32(e)))
        return f"c{len(constants) - 1}"

    result = place(_products(function))
    return Program(tuple(constants), tuple(steps), result)


def _calls(function: Expression) -> Iterator[Expression]:
    """All functions in an expression with their arguments."""
    if isinstance(function, tuple) and function != X:
        yield function
        for argument in function[1:]:
            yield from _calls(argument)


def _is_half_integer(exponent: Expression) -> bool:
    return not isinstance(exponent, tuple) and abs(exponent) <= MAX_POWER and (2.0 * exponent) % 1.0 == 0.0


def _products(function: Expression) -> Expression:
    """The expression without `pow`."""
    if not isinstance(function, tuple) or function == X:
        return function
    name, *arguments = (function[0], *(_products(a) for a in function[1:]))
    return _power(arguments[0], float(arguments[1])) if name == "pow" else (name, *arguments)


def _power(base: Expression, exponent: float) -> Expression:
    """base^exponent by squaring; exponent is a multiple of 0.5."""
    if exponent < 0.0:
        return ("rsqrt", base) if exponent == -0.5 else ("div", 1.0, _power(base, -exponent))
    whole = int(exponent)
    if exponent > whole:
        root: Expression = ("sqrt", base)
        return ("mul", _power(base, whole), root) if whole else root
    if whole < 2:
        return base if whole else 1.0
    half = _power(base, whole // 2)
    square: Expression = ("mul", half, half)
    return ("mul", square, base) if whole % 2 else square
