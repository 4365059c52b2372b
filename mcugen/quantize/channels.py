"""Constant and dead channels: an integer graph without the channels (indices along the last axis) that it
does not need. Its outputs keep every byte.

A channel goes if no reader needs it. A convolution or dense layer does not need an input channel whose
weights are zero in all outputs that stay, nor one that always holds one value: its contribution moves into
the bias, if it is the same at every position (always for the zero point; for another value, where no weight
lies on padding). Pooling, tables, depthwise convolutions and operators that only move elements keep or lose
channels of input and output together. Every other operator, and the model's inputs, outputs and states, keep all.

One pass suffices: which values a channel can hold (channel_ranges) does not depend on what is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mcugen.fixed import INT32_MAX
from mcugen.ir import Array, Channels, Graph, Node, Quant, Tensor
from mcugen.quantize.channel_ranges import SUMS, Range, channel_count, proven_ranges, sums_of
from mcugen.rewrite import with_nodes

Masks = dict[str, Array]  # bool [C] per tensor


def drop_channels(graph: Graph) -> Graph:
    """The integer graph without constant and dead channels; same outputs, byte for byte.

    Every activation that shrank says in `channels` which of its former channels are kept, constant or dead.
    At least one channel of every tensor stays.
    """
    ranges = proven_ranges(graph)
    needed = _needed_channels(graph, ranges)
    if all(mask.all() for mask in needed.values()):
        return graph
    kept = {name: np.flatnonzero(mask) for name, mask in needed.items()}
    tensors: dict[str, Tensor] = {
        name: _shrunk(graph.tensors[name], kept[name], ranges[name])
        for name in ranges
        if not needed[name].all()
    }
    nodes, consumers = [], graph.consumers()
    for node in graph.nodes:
        changed, constants = _rewritten(node, graph, ranges, kept)
        for name, constant in constants.items():
            if len(consumers[name]) > 1:  # each may drop other channels of it
                fresh = f"{name}/{node.outputs[0]}"
                assert fresh not in graph.tensors
                constant = replace(constant, name=fresh)
                changed = replace(changed, inputs=tuple(fresh if i == name else i for i in changed.inputs))
            tensors[constant.name] = constant
        nodes.append(changed)
    return with_nodes(graph, nodes, tensors)


@dataclass(frozen=True, eq=False)
class _Link:
    """Channels of an input and the output that stay or go together: those of equal number in `inner`, int [C]
    of the input, and `outer`, int [C] of the output."""

    tensor: str
    inner: Array
    outer: Array


def _links(node: Node, graph: Graph) -> list[_Link] | None:
    """How a node hands on channels, input by input; None if it does not."""
    x, out = node.inputs[0], graph.type(node.outputs[0]).shape
    shape = graph.type(x).shape
    same, last = np.arange(channel_count(out)), len(shape) - 1
    channels = np.arange(channel_count(shape))
    if node.op == "depthwise_conv2d":
        return [_Link(x, channels, same // (same.size // channels.size))]
    if node.op == "reshape":
        # element e is in channels e mod C and e mod D: both tell e mod gcd(C, D)
        common = math.gcd(channels.size, same.size)
        return [_Link(x, channels % common, same % common)]
    if node.op == "concat":
        sizes = [channel_count(graph.type(i).shape) for i in node.inputs]
        starts = np.cumsum([0, *sizes[:-1]]) if node.attrs["axis"] == last else [0] * len(sizes)
        parts = zip(node.inputs, starts, sizes, strict=True)
        return [_Link(name, start + np.arange(size), same) for name, start, size in parts]
    return [_Link(x, same, same)] if _channelwise(node, shape) else None


def _channelwise(node: Node, shape: tuple[int, ...]) -> bool:
    """Whether each channel of the output is made of that of the input, which has the given shape, alone."""
    attrs, last = node.attrs, len(shape) - 1
    match node.op:
        case "average_pool2d" | "max_pool2d" | "requantize" | "resize_bilinear" | "unary":
            return True
        case "mean" | "sum" | "reduce_max" | "reduce_min":
            return last not in attrs["axes"]
        case "pad" | "mirror_pad":
            return tuple(attrs["pads"][last]) == (0, 0)
        case "gather":
            return attrs["indices"][last] is None
        case "slice":
            return (attrs["begin"][last], attrs["step"][last], attrs["size"][last]) == (0, 1, shape[last])
        case "transpose":
            return bool(attrs["perm"][last] == last)
    return False


def _reads(node: Node, graph: Graph, x: Range) -> Array | None:
    """Whether output o of a convolution or dense layer needs input i, bool [O, I]; None for other nodes."""
    sums = None if node.op == "depthwise_conv2d" else sums_of(node, graph)
    if sums is None:
        return None
    zero_point = graph.type(node.inputs[0]).zero_point
    used = sums.weights != 0
    varying = used[:, sums.ever].any(axis=1)
    moves = used[:, sums.ever & ~sums.always].any(axis=1)  # the contribution depends on the position
    # The new bias is a partial sum of the old accumulator, so it fits int32 where that is proved to.
    fits = (sums.bound(zero_point) <= INT32_MAX)[:, np.newaxis]
    constant, zero = x[0] == x[1], x[0] == zero_point
    return np.asarray(varying & ~(constant & (zero | (fits & ~moves))))


def _needed_channels(graph: Graph, ranges: Mapping[str, Range]) -> Masks:
    """The least set of channels that holds all that the outputs need, and one of every tensor."""
    needed: Masks = {name: np.zeros(low.size, bool) for name, (low, _) in ranges.items()}
    steps: list[tuple[Node, Array | None, list[_Link]]] = []  # backwards
    for name in (*graph.inputs, *graph.states, *graph.outputs):
        needed[name][:] = True
    for node in reversed(graph.nodes):
        x = node.inputs[0]
        reads = _reads(node, graph, ranges[x]) if x in ranges else None
        links = _links(node, graph) if reads is None else []
        if links is None:
            for name in (*node.inputs, *node.outputs):
                if name in needed:
                    needed[name][:] = True
            continue
        for link in links:
            needed.setdefault(link.tensor, np.zeros(link.inner.size, bool))  # a constant part of a concat
        steps.append((node, reads, links))
    _spread(steps, needed)
    for mask in [needed[name] for name in reversed(needed)]:
        if not mask.any():
            mask[0] = True
            _spread(steps, needed)
    return needed


def _spread(steps: list[tuple[Node, Array | None, list[_Link]]], needed: Masks) -> None:
    """Add to the masks what is needed because others are, until nothing changes."""
    before = -1
    while (now := sum(int(mask.sum()) for mask in needed.values())) != before:
        before = now
        for node, reads, links in steps:
            outer = needed[node.outputs[0]]
            if reads is not None:
                needed[node.inputs[0]] |= reads[outer].any(axis=0)
            for link in links:
                inner = needed[link.tensor]
                both = np.zeros(1 + max(link.inner.max(), link.outer.max()), bool)
                both[link.inner[inner]] = True
                both[link.outer[outer]] = True
                inner |= both[link.inner]
                outer |= both[link.outer]


def _shrunk(tensor: Tensor, kept: Array, values: Range) -> Tensor:
    """An activation with some of its channels, and the record of the others."""
    assert tensor.channels is None, "channels are dropped once"
    low, high = values
    dropped = np.setdiff1d(np.arange(low.size), kept).tolist()
    channels = Channels(
        total=low.size,
        kept=tuple(kept.tolist()),
        constant=tuple((c, int(low[c])) for c in dropped if low[c] == high[c]),
        dead=tuple(c for c in dropped if low[c] != high[c]),
    )
    shape = (*tensor.shape[:-1], kept.size)
    return replace(tensor, type=replace(tensor.type, shape=shape), channels=channels)


def _taken(tensor: Tensor, axis: int, kept: Array) -> Tensor:
    """Some indices of one axis of a constant, with their scales and zero points."""
    assert tensor.data is not None
    data = np.ascontiguousarray(tensor.data.take(kept, axis))
    quant = tensor.type.quant
    if quant is not None and quant.axis == axis:
        scale, zero_point = (tuple(values[i] for i in kept) for values in (quant.scale, quant.zero_point))
        quant = Quant(scale, zero_point, axis)
    return replace(tensor, type=replace(tensor.type, shape=data.shape, quant=quant), data=data)


def _folded_bias(node: Node, graph: Graph, x: Range, gone: Array) -> Array:
    """The bias int64 [O] of a convolution or dense layer, plus what constant inputs among `gone` add."""
    sums = sums_of(node, graph)
    assert sums is not None
    constant = gone[x[0][gone] == x[1][gone]]
    values = x[0][constant] - graph.type(node.inputs[0]).zero_point
    return np.asarray(sums.bias + (sums.weights[:, sums.always][:, :, constant] * values).sum(axis=(1, 2)))


def _rewritten(
    node: Node, graph: Graph, ranges: Mapping[str, Range], kept: Mapping[str, Array]
) -> tuple[Node, dict[str, Tensor]]:
    """A node between shrunk tensors, and those of its constants that change."""
    x, y = node.inputs[0], node.outputs[0]
    out, shape = kept[y], graph.type(y).shape
    names = [name for name in (x, y) if name in kept]
    if all(kept[name].size == channel_count(graph.type(name).shape) for name in names):
        return node, {}
    if node.op in ("reshape", "slice"):
        key = "shape" if node.op == "reshape" else "size"
        return node.with_attrs(**{key: (*shape[:-1], out.size)}), {}
    if node.op == "concat":
        parts = [graph.tensors[i] for i in node.inputs if graph.is_constant(i)]
        return node, {part.name: _taken(part, len(shape) - 1, kept[part.name]) for part in parts}
    if node.op not in SUMS:
        return node, {}
    weights, bias = (graph.tensors[i] for i in node.inputs[1:])
    if node.op == "depthwise_conv2d":
        return node, {weights.name: _taken(weights, 3, out), bias.name: _taken(bias, 0, out)}
    gone = np.setdiff1d(np.arange(ranges[x][0].size), kept[x])
    folded = _folded_bias(node, graph, ranges[x], gone)[out]
    narrow = folded.astype(np.int32)
    assert np.array_equal(narrow, folded)
    fewer = _taken(_taken(weights, 0, out), len(weights.shape) - 1, kept[x])
    return node, {weights.name: fewer, bias.name: replace(_taken(bias, 0, out), data=narrow)}
