"""Empirical bias correction: the mean by which quantization shifts a layer's outputs over samples goes into its bias.

Layer by layer in order of execution, each on what the corrected layers before it give (M. Nagel et al., Data-Free
Quantization Through Weight Equalization and Bias Correction, 2019, with samples). The shift is that before the
activation, per output channel: float sums minus sums of what the integers stand for. Sums are linear in the input,
so that they are taken once, of the input's mean over all samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mcugen.execute import batches, run_samples
from mcugen.ir import Array, Graph, Node, Tensor
from mcugen.ops import OPS
from mcugen.ops.op import NO_CLAMP, quantize_array
from mcugen.quantize.ptq import Ranges, quantize
from mcugen.rewrite import with_constants

LAYERS = ("conv2d", "depthwise_conv2d", "fully_connected", "transpose_conv")  # inputs are x, weights, bias

Shifts = dict[str, Array]  # by a layer's output: float32 [C], to be added to its bias


class _Mean:
    """The mean of a tensor over all samples, float64 of one sample's shape."""

    def __init__(self) -> None:
        self.total: Array = np.zeros(())
        self.count = 0

    def add(self, values: Array, shape: tuple[int, ...]) -> None:
        """`values` hold one or several samples of `shape`."""
        rows = values.reshape(-1, *shape)
        self.total = self.total + rows.sum(axis=0, dtype=np.float64)
        self.count += len(rows)

    @property
    def value(self) -> Array:
        mean: Array = self.total / self.count
        return mean


def _float_means(graph: Graph, samples: Mapping[str, Array]) -> dict[str, _Mean]:
    """The mean input of every layer of the float graph."""
    means = {node.inputs[0]: _Mean() for node in graph.nodes if node.op in LAYERS}
    for chunk in run_samples(graph, samples, exact=False):
        for name, mean in means.items():
            mean.add(chunk[name], graph.type(name).shape)
    return means


def _real(tensor: Tensor, values: Array) -> Array:
    """What integers stand for, float64."""
    quant = tensor.type.quant
    assert quant is not None
    shape = [1] * len(tensor.shape)
    if quant.axis is not None:
        shape[quant.axis] = -1
    real: Array = (values - np.reshape(quant.zero_point, shape)) * np.reshape(quant.scale, shape)
    return real


def _sums(node: Node, graph: Graph, xs: list[Array]) -> Array:
    """A layer's mean per output channel before its activation, float64 [C]."""
    bare = node.with_attrs(clamp=NO_CLAMP)
    (y,) = OPS[node.op].float_reference(bare, graph, xs)
    means: Array = y.reshape(-1, y.shape[-1]).mean(axis=0, dtype=np.float64)
    return means


def find_shifts(graph: Graph, ranges: Ranges, samples: Mapping[str, Array]) -> Shifts:
    """What is to be added to every layer's bias, from samples {input: float32 [N, *shape without batch]}.

    The graph is float and has no states. Layers with a bias that would not be finite are left as they are.
    """
    layers = {node.outputs[0]: node for node in graph.nodes if node.op in LAYERS}
    means = _float_means(graph, samples)
    integer = quantize(graph, ranges)
    quants = {name: t.type.quant for name, t in integer.tensors.items() if t.type.quant is not None}
    chunks = [
        {n: quantize_array(a, quants[n]) if n in quants else a for n, a in chunk.items()}
        for chunk in batches(graph, samples)
    ]
    last = {name: node for node in integer.nodes for name in node.inputs}
    shifts: Shifts = {}
    for node in integer.nodes:
        out, view = node.outputs[0], integer
        if out in layers:
            x = node.inputs[0]
            seen = _Mean()
            for values in chunks:
                seen.add(values[x], integer.type(x).shape)
            floats = layers[out]
            w, b = floats.inputs[1:]
            exact = _sums(
                floats, graph, [means[floats.inputs[0]].value, graph.constant(w), graph.constant(b)]
            )
            tensors = [integer.tensors[n] for n in node.inputs]
            values_of = [seen.value, *(integer.constant(n).astype(np.float64) for n in node.inputs[1:])]
            reals = [_real(t, v) for t, v in zip(tensors, values_of, strict=True)]
            shift = (exact - _sums(floats, graph, reals)).astype(np.float32)
            if np.isfinite(graph.constant(b) + shift).all():
                shifts[out] = shift
                node, view = _corrected(node, floats, graph, integer, shift)
        for values in chunks:
            xs = [view.constant(n) if view.is_constant(n) else values[n] for n in node.inputs]
            results = OPS[node.op].reference(node, view, xs)
            values.update(zip(node.outputs, results, strict=True))
            for name in [n for n in values if last.get(n) is node]:
                del values[name]
    return shifts


def _corrected(node: Node, floats: Node, graph: Graph, integer: Graph, shift: Array) -> tuple[Node, Graph]:
    """An integer layer with the shift in its bias, and a graph that knows its constants."""
    _, w, b = floats.inputs
    bias = replace(graph.tensors[b], data=graph.constant(b) + shift)
    node = replace(node, inputs=(node.inputs[0], w, b))
    types = {name: tensor.type for name, tensor in integer.tensors.items()}
    node, constants = OPS[node.op].quantize(node, replace(graph, tensors={**graph.tensors, b: bias}), types)
    return node, replace(integer, tensors={**integer.tensors, **constants})


def shift_biases(graph: Graph, shifts: Mapping[str, Array]) -> Graph:
    """The float graph with the shifts in its layers' biases."""
    changed = {
        (node.outputs[0], 2): (graph.constant(node.inputs[2]) + shifts[node.outputs[0]]).astype(np.float32)
        for node in graph.nodes
        if node.outputs[0] in shifts
    }
    return with_constants(graph, changed)
