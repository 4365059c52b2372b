"""What kernels for the DSP extension share: the zero point in the bias, and the shortest exact requantization.

`mcugen_requantize_<form>` of runtime_c/mcugen_output_dsp.h equals gemmlowp's double rounding under conditions that
are proved here for every channel of a layer. SMMULR(2 * acc, M) is the rounded product, exact while |acc| < 2^30;
dividing by 2^e with halves away from zero is (t - (t < 0) + 2^(e-1)) >> e, and the zero point joins the sum as
zero_point * 2^e, which fits 32 bits while e <= 22.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from mcugen.fixed import INT32_MIN
from mcugen.ir import Array, DType, Graph, Node
from mcugen.kernels.kernel import Tables, Value
from mcugen.ops.conv2d import output_range, requantization
from mcugen.ops.op import limits

MOST_RIGHT = 22  # bits of a right shift that leave room for the zero point
ACCUMULATOR = 1 << 30  # |acc| below: twice it fits 32 bits


class Form(StrEnum):
    """Functions of mcugen_output_dsp.h, from the shortest to the most general."""

    SHORT = "short"
    CLAMPED = "clamped"
    SHIFTED = "shifted"
    WIDE = "wide"


@dataclass(frozen=True, eq=False)
class Rescaling:
    """A layer's requantization: multipliers and shifts int64 [C], negative shifts to the right."""

    form: Form
    multiplier: Array
    shift: Array


def weight_sums(node: Node, graph: Graph) -> tuple[Array, Array]:
    """(sum of the positive weights, of the negative ones) of each output channel, int64 [C]."""
    w = graph.constant(node.inputs[1]).astype(np.int64)
    axis = 3 if node.op == "depthwise_conv2d" else 0
    others = tuple(i for i in range(w.ndim) if i != axis)
    return np.maximum(w, 0).sum(axis=others), np.minimum(w, 0).sum(axis=others)


def folded_bias(node: Node, graph: Graph) -> Array:
    """int64 [C]: the bias with which sum (x - zx) * w + bias = sum x * w + folded; padding must then be zx."""
    sums = np.add(*weight_sums(node, graph))
    bias = graph.constant(node.inputs[2]).astype(np.int64)
    return np.asarray(bias - graph.type(node.inputs[0]).zero_point * sums)


def accumulator_range(node: Node, graph: Graph) -> tuple[Array, Array]:
    """The least and the largest accumulator of each output channel at its end, bias included; int64 [C]."""
    bias, x = graph.constant(node.inputs[2]).astype(np.int64), graph.type(node.inputs[0])
    low, high = (limit - x.zero_point for limit in limits(x.dtype))
    positive, negative = weight_sums(node, graph)  # low <= 0 <= high: a tap in the padding lies between
    return bias + positive * low + negative * high, bias + positive * high + negative * low


def channel_bounds(node: Node, graph: Graph) -> Array:
    """int64 [C]: what |accumulator| of each output channel cannot exceed at its end; partial sums may."""
    least, most = accumulator_range(node, graph)
    return np.asarray(np.maximum(most, -least))


def rescaling(node: Node, graph: Graph) -> Rescaling:
    """The shortest form that is exact for every channel of the node, whose output is int8."""
    bounds = channel_bounds(node, graph)
    multiplier, shift = (np.broadcast_to(a, bounds.shape).copy() for a in requantization(node, graph))
    assert (multiplier >= 0).all()
    # |scaled| <= |acc|: where all of them round to nothing, the channel is its zero point
    vanishes = (multiplier == 0) | ((shift < 0) & (bounds < 1 << np.maximum(-shift - 1, 0)))
    multiplier[vanishes], shift[vanishes] = 0, -1
    fits = (bounds << np.maximum(shift, 0) < ACCUMULATOR) & (shift >= -MOST_RIGHT)
    full = output_range(node, graph) == limits(DType.INT8)
    if not fits.all():
        form = Form.WIDE
    elif (shift >= 0).any():
        form = Form.SHIFTED
    else:
        form = Form.SHORT if full else Form.CLAMPED
    return Rescaling(form, multiplier, shift)


def wrapped(x: Array) -> Array:
    """int32 of int64, modulo 2^32: sums of instructions wrap, and the accumulator itself fits."""
    return ((x - INT32_MIN) % (1 << 32) + INT32_MIN).astype(np.int32)


def output_dsp(
    node: Node, graph: Graph, tables: Tables, layer: str, bias: Array | None = None, times: int = 1
) -> tuple[Value, ...]:
    """An mcugen_output_dsp_t of the layer, for the form that `rescaling` finds. `bias`: if not the folded one;
    `times`: how often the channels follow each other."""
    scaling = rescaling(node, graph)
    given = folded_bias(node, graph) if bias is None else bias
    return (
        tables.add(f"{layer}_bias", np.tile(wrapped(given), times)),
        tables.add(f"{layer}_multiplier", np.tile(scaling.multiplier.astype(np.int32), times)),
        tables.add(f"{layer}_shift", np.tile(scaling.shift.astype(np.int8), times)),
        graph.type(node.outputs[0]).zero_point,
        *output_range(node, graph),
    )
