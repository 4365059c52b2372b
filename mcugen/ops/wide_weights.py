"""Layers of ONNX files with quantized weights, also where these are not int8.

uint8 weights with a zero point are 9 bits once it is subtracted. They are the sum of two int8 weights, each times the
same input, so that the layer reads those input channels twice whose weights need it: the sums are the same integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ir import Array, Attr, Quant

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode

WIDE = "its weights reach from {:.0f} to {:.0f} steps from their zero point"
NARROW = "quantize weights to 8 bits"
SYMMETRIC = "quantize these weights symmetrically, with the zero point 0"


def integers(weights: Array, quant: Quant) -> Array:
    """The integers that weights with these scales are, as float64."""
    assert quant.axis is not None
    shape = [1] * weights.ndim
    shape[quant.axis] = -1
    return np.asarray(np.rint(weights.astype(np.float64) / np.asarray(quant.scale).reshape(shape)))


def check_narrow(ctx: Importer, n: OnnxNode, weights: Array, quant: Quant | None, limit: int = 128) -> bool:
    """Whether weights fit int8; refuses those beyond `limit`."""
    if quant is None:
        return True
    q = integers(weights, quant)
    least, most = q.min(initial=0.0), q.max(initial=0.0)
    if least < -limit or most >= limit:
        wide = least < -256 or most >= 256
        ctx.unsupported(n, WIDE.format(least, most), NARROW if wide else SYMMETRIC)
    return bool(least >= -128 and most <= 127)


def emit_layer(
    ctx: Importer,
    n: OnnxNode,
    op: str,
    x: str,
    weights: Array,
    bias: Array,
    quant: Quant | None,
    attrs: Mapping[str, Attr] | None = None,
) -> str:
    """A conv2d, depthwise_conv2d or fully_connected with the file's scales of its weights, if it has any."""
    attrs = attrs or {}
    if quant is None or check_narrow(ctx, n, weights, quant, 256):
        return ctx.emit(n, op, [x, ctx.add(n, weights, quant), ctx.add(n, bias)], attrs)
    if op == "depthwise_conv2d":
        weights = weights.transpose(3, 1, 2, 0)
        op, attrs = "conv2d", {**attrs, "groups": ctx.shape(x)[-1]}
        quant = Quant(quant.scale, quant.zero_point, 0)
    q, groups, depth = integers(weights, quant), int(attrs.get("groups", 1)), weights.shape[-1]
    low = np.clip(q, -128, 127)
    needed = np.abs(q - low).reshape(-1, depth).any(axis=0) if groups == 1 else np.ones(depth, bool)
    twice = np.flatnonzero(needed)
    order = [g * depth + int(c) for g in range(groups) for c in (*range(depth), *twice)]
    rank = len(ctx.shape(x))
    x = ctx.emit(n, "gather", [x], {"indices": (*(None,) * (rank - 1), tuple(order))})
    steps = np.asarray(quant.scale).reshape(-1, *(1,) * (weights.ndim - 1))
    both = np.concatenate([low, (q - low)[..., twice]], axis=-1) * steps
    return ctx.emit(n, op, [x, ctx.add(n, both, quant), ctx.add(n, bias)], attrs)
