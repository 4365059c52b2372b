"""depthwise_conv2d: x [N, H, W, C], weights [1, kh, kw, C*M], bias [C*M] -> [N, Ho, Wo, C*M].

Output channel c * M + m reads input channel c. Attributes: strides (h, w), dilations (h, w), pads (top, left,
bottom, right), clamp (lo, hi). Integer form: semantics.md, DEPTHWISE_CONV_2D. ops/conv2d.py imports it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mcugen.ir import Array, Graph, Node, Tensor, TensorType
from mcugen.ops.conv2d import quantize_weighted, requantize, window_patches, window_shape
from mcugen.ops.dynamic_range import is_dynamic, quantized_input, rescaled
from mcugen.ops.op import Op, clamp_array, clamp_exact, clamp_of


class DepthwiseConv2D(Op):
    name = "depthwise_conv2d"
    restrictions = ("as conv2d, whose imports make it",)

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        x, w, b = (t.shape for t in inputs)
        if len(x) != 4 or len(w) != 4 or w[0] != 1 or w[3] % x[3] or b != w[3:]:
            raise ValueError(f"weights {list(w)} and bias {list(b)} do not fit an input {list(x)}")
        return (TensorType((*window_shape(node, x, (w[1], w[2])), w[3])),)

    def _accumulate(self, node: Node, graph: Graph, x: Array, w: Array) -> Array:
        """Sums of products [N, Ho, Wo, C*M] in the arrays' dtype, tap by tap; padding is 0."""
        _, ho, wo, channels = graph.type(node.outputs[0]).shape
        _, kh, kw, _ = w.shape
        patches = window_patches(x, node, (kh, kw), (ho, wo), 0)
        per_channel = w.reshape(kh, kw, x.shape[3], -1)
        acc = np.zeros((x.shape[0], ho, wo, *per_channel.shape[2:]), x.dtype)
        for i in range(kh):
            for j in range(kw):
                acc += patches[:, :, :, i, j, :, np.newaxis] * per_channel[i, j]
        return acc.reshape(x.shape[0], ho, wo, channels)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, w, b = xs
        return (clamp_array(self._accumulate(node, graph, x, w) + b, clamp_of(node)),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        """The sum of the products in the order of the taps (kh, kw), plus the bias, clamped; or ops/dynamic_range."""
        x, w, b = xs
        if is_dynamic(node, graph):
            q, scale = quantized_input(node, graph, x)
            return (rescaled(node, graph, self._accumulate(node, graph, q, w.astype(np.int64)), scale, b),)
        with np.errstate(all="ignore"):
            return (clamp_exact(self._accumulate(node, graph, x, w.astype(np.float32)) + b, clamp_of(node)),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, w, b = xs
        centred = x.astype(np.int64) - graph.type(node.inputs[0]).zero_point
        return (requantize(node, graph, self._accumulate(node, graph, centred, w.astype(np.int64)) + b),)

    def quantize(
        self, node: Node, graph: Graph, types: Mapping[str, TensorType]
    ) -> tuple[Node, dict[str, Tensor]]:
        return quantize_weighted(node, graph, types, axis=3)

    def macs(self, node: Node, graph: Graph) -> int:
        _, kh, kw, _ = graph.type(node.inputs[1]).shape
        return graph.type(node.outputs[0]).elements * kh * kw
