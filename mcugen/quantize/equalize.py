"""Cross-layer equalization: channels between two layers take more of their common int8 scale; the function stays.

Between two layers without anything but ReLU, channel i may be divided by s[i] > 0 if the second layer's weights are
multiplied by it (M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019).
Weights have a scale per output channel here, so that what s balances is not the paper's weights of both layers but

* the activation's range r1[i], observed on samples, since all its channels share one scale, against
* the second layer's weights r2[i], the largest share of any row's range that input channel i has:
  s[i] = sqrt(r1[i] / r2[i]); in a depthwise layer every channel has a scale of its own: s[i] = r1[i].

s is a power of two, so that the float network computes the very same numbers; relative to the channel with the
largest range. Channels below one step of the activation's scale stay as they are: they would cost what they do not now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from mcugen.ir import Array, Graph, Node
from mcugen.ops.op import NO_CLAMP, clamp_of
from mcugen.rewrite import sole_consumer, with_constants

Scales = dict[str, Array]  # by activation: float64 [C], what its channels are divided by

LAYERS = {"conv2d": 0, "depthwise_conv2d": 3, "fully_connected": 0}  # the weights' axis of output channels
MOST = 2.0**10  # by which one channel's share may grow
FEWEST_STEPS = 1.0 / 255.0  # of the activation's range: below, a channel is constant or nearly


def pairs(graph: Graph) -> list[tuple[Node, Node]]:
    """Layers with weights and the layers that alone read them, with nothing but ReLU between."""
    users = graph.consumers()
    found = []
    for node in graph.nodes:
        user = sole_consumer(graph, node.outputs[0], users) if node.op in LAYERS else None
        if user is None or user.op not in LAYERS or user.inputs[0] != node.outputs[0]:
            continue
        if clamp_of(node) in (NO_CLAMP, (0.0, math.inf)) and not user.attrs.get("channels_first"):
            found.append((node, user))
    return found


def peaks(graph: Graph, chunks: Iterable[Mapping[str, Array]]) -> Scales:
    """Largest magnitude of every channel between such layers, float64 [C], over values as `run_samples` gives them."""
    found: Scales = {}
    names = [node.outputs[0] for node, _ in pairs(graph)]
    for chunk in chunks:
        for name in names:
            values = np.abs(chunk[name]).reshape(-1, chunk[name].shape[-1]).max(axis=0).astype(np.float64)
            found[name] = np.maximum(found[name], values) if name in found else values
    return found


def _columns(user: Node, weights: Array, channels: int) -> Array:
    """r2 of every input channel, float64 [C], from 0 to 1."""
    if user.op == "depthwise_conv2d":
        return np.ones(channels)
    rows = np.abs(weights.astype(np.float64)).reshape(len(weights), -1, weights.shape[-1]).max(axis=1)
    whole = rows.max(axis=1, keepdims=True)
    shares = np.divide(rows, whole, out=np.zeros_like(rows), where=whole > 0.0)
    largest: Array = shares.reshape(channels // weights.shape[-1], -1, weights.shape[-1]).max(axis=1)
    return largest.reshape(-1)


def choose_scales(graph: Graph, seen: Mapping[str, Array]) -> Scales:
    """The scales of every pair for which there is anything to gain, from the `peaks`."""
    found: Scales = {}
    for node, user in pairs(graph):
        name = node.outputs[0]
        r1, r2 = seen[name], _columns(user, graph.constant(user.inputs[1]), len(seen[name]))
        live = (r1 > r1.max(initial=0.0) * FEWEST_STEPS) & (r2 > 0.0)
        if not live.any():
            continue
        wanted = np.where(live, r1, 1.0) / np.where(live, r2, 1.0)
        wanted = wanted if user.op == "depthwise_conv2d" else np.sqrt(wanted)
        top = wanted[live].max()
        exponents = np.ceil(np.log2(np.clip(wanted / top, 1.0 / MOST, 1.0)))
        scales = np.where(live, np.exp2(exponents), 1.0)
        if (scales != 1.0).any():
            found[name] = scales
    return found


def equalize(graph: Graph, scales: Mapping[str, Array]) -> Graph:
    """The graph with the channels of each named activation divided by its scales; outputs are unchanged."""
    changed: dict[tuple[str, int], Array] = {}

    def multiply(node: Node, place: int, factors: Array) -> None:
        key = node.outputs[0], place
        old = changed.get(key, graph.constant(node.inputs[place]))
        changed[key] = (old * factors).astype(np.float32)

    for node, user in pairs(graph):
        s = scales.get(node.outputs[0])
        if s is not None:
            shape = [1] * len(graph.type(node.inputs[1]).shape)
            shape[LAYERS[node.op]] = -1
            multiply(node, 1, (1.0 / s).reshape(shape))
            multiply(node, 2, 1.0 / s)
            multiply(user, 1, _input_factors(user, graph.type(user.inputs[1]).shape, s))
    return with_constants(graph, changed)


def _input_factors(user: Node, shape: tuple[int, ...], s: Array) -> Array:
    """The scales of a layer's input channels, shaped to multiply its weights of this shape."""
    if user.op == "depthwise_conv2d":
        return np.repeat(s, shape[3] // len(s)).reshape(1, 1, 1, -1)
    if user.op == "fully_connected":
        return s.reshape(1, -1)
    groups = user.attrs["groups"]
    return np.repeat(s.reshape(groups, 1, 1, -1), shape[0] // groups, axis=0)
