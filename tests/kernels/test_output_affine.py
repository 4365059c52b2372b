"""One multiplication and one saturation equal the double rounding at every accumulator, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from random_conv import random_depthwise

from mcugen.fixed import INT32_MAX, saturating_mbqm
from mcugen.ir import Array, Graph
from mcugen.kernels.output_affine import SCALE, SHIFT, affine
from mcugen.kernels.output_dsp import accumulator_range, rescaling
from mcugen.ops.conv2d import requantization


def layer(seed: int, usual: bool = True) -> Graph:
    return random_depthwise(np.random.default_rng(seed), (3, 3), usual, channels=(6, 1))


def reference(graph: Graph, acc: Array) -> Array:
    node = graph.nodes[0]
    multiplier, shift = requantization(node, graph)
    zero_point = graph.type(node.outputs[0]).zero_point
    return np.clip(saturating_mbqm(acc, multiplier, shift) + zero_point, -128, 127)


@pytest.mark.parametrize("seed", range(6))
def test_equal_at_every_accumulator(seed: int) -> None:
    graph = layer(seed)
    found = affine(graph.nodes[0], graph)
    assert found is not None
    low, high = accumulator_range(graph.nodes[0], graph)
    acc = np.minimum(low + np.arange((high - low).max() + 1)[:, np.newaxis], high)
    scaled = SCALE * acc + found.offset
    assert np.abs(scaled).max() <= INT32_MAX
    got = np.clip((scaled * found.multiplier.astype(np.int64) >> 32) >> SHIFT, -128, 127)
    assert np.array_equal(got, reference(graph, acc))


def test_there_is_none_where_outputs_lie_on_both_sides_of_the_zero_point() -> None:
    assert all(affine(g.nodes[0], g) is None for g in (layer(seed, False) for seed in range(4)))


def test_twice_the_accumulator_and_the_shift_less_one() -> None:
    """mcugen_requantize_twice in numpy, over accumulators around every step of the output and at random."""
    rng = np.random.default_rng(1)
    for right in range(1, 23):
        acc = np.concatenate([np.arange(-3000, 3000), rng.integers(-(2**30) + 1, 2**30, 3000)])
        multiplier, zero_point = int(rng.integers(2**30, 2**31)), int(rng.integers(-128, 128))
        scaled = (2 * acc * multiplier + 2**31) >> 32
        got = ((scaled + (acc >> 63)) >> (right - 1)) + 2 * zero_point + 1 >> 1
        wanted = saturating_mbqm(acc, multiplier, -right) + zero_point
        assert np.array_equal(np.clip(got, -128, 127), np.clip(wanted, -128, 127))
    assert rescaling(layer(1).nodes[0], layer(1)).form in ("short", "clamped")
