"""Weighted operators that quantize their input while they run: float32 activations, int8 weights, float32 bias.

TFLM has no such operator ("hybrid" in TensorFlow Lite); the definition is ours. All in float32, each operation
rounded once; lo and hi are the input's smallest and largest value in one inference, 0 among them, NaN left out:

    s = (hi - lo) / 255, or 1 where that is below 2^-126 or infinite        r = 1 / s
    z = round(clamp(-128 - lo * r, -128, 127))
    q = clamp(round(clamp(x * r, -255, 255)) + z, -128, 127), z where x * r is NaN; halves away from zero
    y = float(sum of (q - z) * w) * (s * s_w[c]) + bias[c], clamped by the fused activation
"""

from __future__ import annotations

import numpy as np

from mcugen.fixed import round_half_away
from mcugen.ir import Array, DType, Graph, Node
from mcugen.ops.op import clamp_exact, clamp_of

LARGEST = float(np.finfo(np.float32).max)
SMALLEST = 2.0**-126  # normal: its reciprocal is finite


def is_dynamic(node: Node, graph: Graph) -> bool:
    """Whether a weighted operator quantizes its float32 input while it runs."""
    types = graph.type(node.inputs[0]).dtype, graph.type(node.inputs[1]).dtype
    return types == (DType.FLOAT32, DType.INT8)


def quantized_input(node: Node, graph: Graph, x: Array) -> tuple[Array, Array]:
    """q - z int64 and s float32 [len(x)] of the input of one or, along the first axis, several inferences."""
    first = graph.type(node.inputs[0]).shape[0]  # 1, unless the first axis is no batch
    rows = x.reshape(len(x) // first, -1)
    zero = np.zeros((len(rows), 1), np.float32)
    known = np.concatenate([zero, np.where(np.isnan(rows), np.float32(0), rows)], axis=1)
    lo, hi = known.min(axis=1), known.max(axis=1)
    with np.errstate(all="ignore"):
        scale = (hi - lo) / np.float32(255)
        scale = np.where((scale >= SMALLEST) & (scale <= LARGEST), scale, np.float32(1))
        inverse = np.float32(1) / scale
        place = clamp_exact(np.float32(-128) - lo * inverse, (-128.0, 127.0))
        zero_point = round_half_away(place)[:, np.newaxis]
        scaled = rows * inverse[:, np.newaxis]
        steps = round_half_away(np.where(np.isnan(scaled), 0, clamp_exact(scaled, (-255.0, 255.0))))
    q = np.clip(steps + zero_point, -128, 127) - zero_point
    return q.astype(np.int64).reshape(x.shape), np.repeat(scale, first)


def rescaled(node: Node, graph: Graph, sums: Array, scale: Array, bias: Array) -> Array:
    """float32 results [N, ..., C] of integer sums; `scale` is the inputs', float32 [N]."""
    quant = graph.type(node.inputs[1]).quant
    assert quant is not None
    each = scale.reshape(-1, *(1,) * (sums.ndim - 1)) * np.array(quant.scale, np.float32)
    with np.errstate(all="ignore"):
        return clamp_exact(sums.astype(np.float32) * each + bias, clamp_of(node))
