"""Element-wise functions of one int16: definitions for ops/unary.py, zero points 0.

* sigmoid, tanh (output scale 1/32768): TFLM's int16 LOGISTIC and TANH (mcugen/fixed16.py).
* clip, leaky_relu, abs: TFLM's RELU, LEAKY_RELU and ABS: y = clamp(MBQM(x, s_x / s_y)), for x < 0 the other slope's.
* any other function f: a table of 513 entries, f at every 128th x, interpolated between (`sampled` and `lookup` of
  mcugen/fixed16.py), in float64; f that is not a number counts as 0. Kernels refuse functions that jump.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mcugen import fixed16
from mcugen.fixed import activation_range, mbqm, quantize_multiplier
from mcugen.ir import Array, Graph, Node, Quant
from mcugen.ops.functions import Expression, X, evaluate

OUTPUT_QUANT = Quant((1 / 32768,), (0,))  # of sigmoid and tanh
RATIO_LIMIT = 2.0**14  # of input to output scale: products with int16 fit int32
POWERS = {"sigmoid": (-12,), "tanh": (-12, -11)}  # input scales that TFLM takes as exact powers of 2
JUMPING = ("sign", "floor", "ceil", "round", "thresholded_relu", "shrink", "tan")


@dataclass(frozen=True)
class Slopes:
    """y = clamp(x positive), and for negative x the other factor's, negated where `sign` is -1; `fold` makes x |x|."""

    positive: tuple[int, int]
    negative: tuple[int, int]
    sign: int
    fold: bool
    lo: int
    hi: int


def jumps(function: Expression) -> bool:
    """Whether a function has places where it is not continuous, between which nothing must be interpolated."""
    return isinstance(function, tuple) and (
        function[0] in JUMPING or any(jumps(argument) for argument in function[1:])
    )


def squashing(node: Node, graph: Graph) -> str | None:
    """`sigmoid` or `tanh` where the node is one of TFLM's."""
    name = node.attrs["function"][0]
    known = node.attrs["function"] in (("sigmoid", X), ("tanh", X))
    return name if known and graph.type(node.outputs[0]).quant == OUTPUT_QUANT else None


def slopes(node: Node, graph: Graph) -> Slopes | None:
    """The node as two straight lines that meet at 0, if it is that."""
    name, *arguments = node.attrs["function"]
    if arguments[:1] != [X] or any(isinstance(p, tuple) for p in arguments[1:]):
        return None
    x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
    alpha, bounds = 1.0, (-math.inf, math.inf)
    if name == "clip":
        bounds = (float(arguments[1]), float(arguments[2]))
    elif name == "leaky_relu":
        alpha = float(arguments[1])
    elif name != "abs":
        return None
    factors = [quantize_multiplier(min(x.scale * f / y.scale, RATIO_LIMIT)) for f in (1.0, abs(alpha))]
    lo, hi = activation_range(*bounds, y.scale, 0, fixed16.INT16_MIN, fixed16.INT16_MAX)
    return Slopes(factors[0], factors[1], -1 if alpha < 0 else 1, name == "abs", lo, hi)


def sigmoid_factor(node: Node, graph: Graph) -> tuple[int, int]:
    """(multiplier, right shift) to positions in sigmoid's table."""
    name = node.attrs["function"][0]
    return fixed16.sigmoid_factor(graph.type(node.inputs[0]).scale, POWERS[name])


def table16(node: Node, graph: Graph) -> Array:
    """int16 [513]: the outputs of -32768, -32640, ..., 32768."""
    x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
    points = x.scale * (np.arange(fixed16.STEPS + 1, dtype=np.float64) * 128.0 - 32768.0)
    return fixed16.sampled(lambda values: evaluate(node.attrs["function"], values), points, 1.0 / y.scale)


def reference16(node: Node, graph: Graph, x: Array) -> Array:
    """int16 outputs."""
    name, lines = squashing(node, graph), slopes(node, graph)
    if name is not None:
        function = fixed16.sigmoid_int16 if name == "sigmoid" else fixed16.tanh_int16
        y = function(x, *sigmoid_factor(node, graph))
    elif lines is not None:
        wide = np.abs(x.astype(np.int64)) if lines.fold else x.astype(np.int64)
        y = np.where(wide < 0, lines.sign * mbqm(wide, *lines.negative), mbqm(wide, *lines.positive))
        y = np.clip(y, lines.lo, lines.hi)
    else:
        y = fixed16.lookup(table16(node, graph), x)
    return np.asarray(np.clip(y, fixed16.INT16_MIN, fixed16.INT16_MAX).astype(np.int16))
