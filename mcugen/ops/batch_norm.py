"""BatchNormalization in its inference form; only an import, as a 1x1 depthwise convolution.

y = gamma * (x - mean) / sqrt(var + epsilon) + beta, per channel (axis 1). Normalising folds it into the
convolution or dense layer before it, if there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode


def import_batch_normalization(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """Inputs x, gamma, beta, mean, variance; x of rank 2 to 4."""
    if n.attr("training_mode", 0) or any(n.outputs[1:]):
        ctx.unsupported(n, "batch normalization in training mode", "export with model.eval()")
    if not n.attr("spatial", 1):
        ctx.unsupported(
            n, "statistics per element (spatial=0) are not supported", "export with opset 9 or later"
        )
    x = n.inputs[0]
    shape = ctx.shape(x)
    if len(shape) < 2:
        ctx.invalid(n, f"an input with {len(shape)} axes")
    names = ("gamma", "beta", "mean", "variance")
    gamma, beta, mean, variance = (
        ctx.constant_input(n, i, name).astype(np.float64) for i, name in enumerate(names, start=1)
    )
    if any(p.shape != (shape[1],) for p in (gamma, beta, mean, variance)):
        ctx.invalid(n, f"its parameters do not have one value for each of {shape[1]} channels")
    variance = variance + float(n.attr("epsilon", 1e-5))
    if not (variance > 0.0).all():
        ctx.invalid(n, "the variance is not positive")
    weights = gamma / np.sqrt(variance)
    bias = beta - mean * weights
    # samples stay on axis 0; other rows of a matrix are pixels
    pixels = (1, 1, *shape) if shape[0] != 1 else (1, 1, 1, shape[1])
    nhwc = ctx.reshape(n, x, pixels) if len(shape) == 2 else ctx.to_channels_last(n, x)
    attrs = dict(strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0))
    kernel = ctx.add(n, weights.reshape(1, 1, 1, -1))
    y = ctx.emit(n, "depthwise_conv2d", [nhwc, kernel, ctx.add(n, bias)], attrs)
    return [ctx.reshape(n, y, shape) if len(shape) == 2 else ctx.from_channels_last(n, y, rank=len(shape))]


class BatchNorm(Op):
    """No node of a graph: the import makes depthwise convolutions."""

    name = "batch_norm"
    restrictions = ("inference form: constant parameters, one per channel; not spatial=0", "2 to 4 axes")
    onnx = {"BatchNormalization": import_batch_normalization}
