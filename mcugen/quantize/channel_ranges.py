"""Which integers a channel (index along the last axis) can hold: intervals proved from the constants alone.

Nothing here depends on data: inputs hold anything their type can. Operators that are monotone are run by
their own reference on the least and on the largest input; tables are looked up; weighted sums follow each
weight's sign.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcugen.fixed import ALL_INT8, INT32_MAX, mbqm
from mcugen.ir import Array, Graph, Node
from mcugen.ops import OPS
from mcugen.ops.conv2d import output_range, requantization

Range = tuple[Array, Array]  # least and largest value of every channel, both int64 [C]

# Larger inputs never give smaller outputs, wherever the input stands.
MONOTONE = (
    "average_pool2d",
    "concat",
    "gather",
    "max_pool2d",
    "mean",
    "mirror_pad",
    "pad",
    "reduce_max",
    "reduce_min",
    "reshape",
    "resize_bilinear",
    "slice",
    "sum",
    "transpose",
)
TABLES = ("requantize", "unary")  # element-wise functions of one int8
SUMS = ("conv2d", "depthwise_conv2d", "fully_connected")


def channel_count(shape: tuple[int, ...]) -> int:
    """Size of the last axis; 1 for a scalar."""
    return shape[-1] if shape else 1


@dataclass(frozen=True, eq=False)
class Sums:
    """A weighted operator: output o is bias[o] + the sum over taps t and inputs i of w[o, t, i] * (x - zx).

    weights int64 [O, T, I], bias int64 [O]; `always` and `ever`, bool [T]: whether a tap lies on the input
    (not on padding, where it adds 0) at all or at some output positions. A depthwise convolution has I = 1.
    """

    weights: Array
    bias: Array
    always: Array
    ever: Array

    def bound(self, zero_point: int) -> Array:
        """What no |accumulator| and no partial sum exceeds, whatever the int8 input: int64 [O]."""
        reach = max(127 - zero_point, 128 + zero_point)
        return np.asarray(np.abs(self.bias) + np.abs(self.weights).sum(axis=(1, 2)) * reach)


def _taps_on_input(node: Node, graph: Graph, kernel: tuple[int, ...]) -> tuple[Array, Array]:
    """Sums.always and Sums.ever of a sliding window, row by row of the kernel."""
    axes = []
    for axis, extent in enumerate(kernel):
        size, out = graph.type(node.inputs[0]).shape[1 + axis], graph.type(node.outputs[0]).shape[1 + axis]
        starts = np.arange(out) * node.attrs["strides"][axis] - node.attrs["pads"][axis]
        places = starts + np.arange(extent)[:, np.newaxis] * node.attrs["dilations"][axis]
        inside = (places >= 0) & (places < size)
        axes.append((inside.all(axis=1), inside.any(axis=1)))
    (rows_always, rows_ever), (columns_always, columns_ever) = axes
    return np.outer(rows_always, columns_always).reshape(-1), np.outer(rows_ever, columns_ever).reshape(-1)


def sums_of(node: Node, graph: Graph) -> Sums | None:
    """The weighted sums of a node; None for other operators and for grouped convolutions."""
    if node.op not in SUMS or node.attrs.get("groups", 1) != 1:
        return None
    weights, bias = (graph.constant(name).astype(np.int64) for name in node.inputs[1:])
    if node.op == "fully_connected":
        everywhere = np.ones(1, bool)
        return Sums(weights[:, np.newaxis, :], bias, everywhere, everywhere)
    always, ever = _taps_on_input(node, graph, weights.shape[1:3])
    if node.op == "conv2d":
        return Sums(weights.reshape(weights.shape[0], -1, weights.shape[3]), bias, always, ever)
    return Sums(weights.reshape(-1, weights.shape[3], 1).transpose(1, 0, 2), bias, always, ever)


def _accumulators(sums: Sums, low: Array, high: Array) -> Range:
    """Accumulators' interval [O] from that of x - zx, [1, 1, I] or, of a depthwise convolution, [O, 1, 1]."""
    always, ever = sums.always[:, np.newaxis], sums.ever[:, np.newaxis]
    low = np.where(always, low, np.where(ever, np.minimum(low, 0), 0))
    high = np.where(always, high, np.where(ever, np.maximum(high, 0), 0))
    up, down = np.maximum(sums.weights, 0), np.minimum(sums.weights, 0)
    least = (up * low + down * high).sum(axis=(1, 2)) + sums.bias
    largest = (up * high + down * low).sum(axis=(1, 2)) + sums.bias
    return least, largest


def _sums_range(node: Node, graph: Graph, sums: Sums, x: Range) -> Range:
    zero_point = graph.type(node.inputs[0]).zero_point
    low, high = (values - zero_point for values in x)
    if node.op == "depthwise_conv2d":
        multiplier = sums.bias.size // low.size
        shaped = [np.repeat(v, multiplier)[:, np.newaxis, np.newaxis] for v in (low, high)]
    else:
        shaped = [v[np.newaxis, np.newaxis, :] for v in (low, high)]
    acc = _accumulators(sums, *shaped)
    factor, shift = requantization(node, graph)
    clamp = output_range(node, graph)
    # Beyond int32 nothing is defined (and no kernel takes the node): only the clamp is certain.
    defined = np.maximum(np.abs(acc[0]), np.abs(acc[1])) <= INT32_MAX >> np.maximum(shift, 0)
    zero = graph.type(node.outputs[0]).zero_point
    least, largest = (np.clip(mbqm(np.where(defined, a, 0), factor, shift) + zero, *clamp) for a in acc)
    return np.where(defined, least, clamp[0]), np.where(defined, largest, clamp[1])


def _monotone_range(node: Node, graph: Graph, ranges: dict[str, Range]) -> Range:
    """The reference on inputs that hold their least, then their largest values everywhere."""
    ends = []
    for end, extreme in enumerate((np.min, np.max)):
        xs = [
            graph.constant(name)
            if graph.is_constant(name)
            else np.broadcast_to(ranges[name][end], graph.type(name).shape).astype(np.int8)
            for name in node.inputs
        ]
        (y,) = OPS[node.op].reference(node, graph, xs)
        rows = y.reshape(-1, channel_count(graph.type(node.outputs[0]).shape))
        ends.append(extreme(rows, axis=0).astype(np.int64))
    return ends[0], ends[1]


def _table_range(node: Node, graph: Graph, x: Range) -> Range:
    (table,) = OPS[node.op].reference(node, graph, [ALL_INT8.astype(np.int8)])
    parts = [table[low + 128 : high + 129] for low, high in zip(*x, strict=True)]
    return np.array([p.min() for p in parts], np.int64), np.array([p.max() for p in parts], np.int64)


def _node_range(node: Node, graph: Graph, ranges: dict[str, Range]) -> Range:
    if node.op in MONOTONE:
        return _monotone_range(node, graph, ranges)
    if node.op in TABLES:
        return _table_range(node, graph, ranges[node.inputs[0]])
    sums = sums_of(node, graph)
    if sums is not None:
        return _sums_range(node, graph, sums, ranges[node.inputs[0]])
    kind = graph.type(node.outputs[0])
    count = channel_count(kind.shape)
    if kind.quant is None:  # indices, which no node reads but reshape: nothing is concluded from their range
        return np.full(count, -128), np.full(count, 127)
    low, high = output_range(node, graph)  # the clamp, or the whole type
    return np.full(count, low), np.full(count, high)


def proven_ranges(graph: Graph) -> dict[str, Range]:
    """The interval of every channel of every activation and state of an integer graph (activations int8, but for
    indices)."""
    ranges: dict[str, Range] = {}
    for name in (*graph.inputs, *graph.states):
        count, limits = channel_count(graph.type(name).shape), np.iinfo(graph.type(name).dtype.numpy)
        ranges[name] = np.full(count, limits.min, np.int64), np.full(count, limits.max, np.int64)
    for node in graph.nodes:
        ranges[node.outputs[0]] = _node_range(node, graph, ranges)
    return ranges
