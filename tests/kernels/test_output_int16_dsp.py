"""The short rescalings of int16 outputs equal the reference at every step of the output, and where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import as_int16
from random_conv import int16_layer, random_dense

from mcugen.fixed import INT32_MAX, reduced_multiplier, saturating_mbqm64
from mcugen.ir import Array, DType, Graph
from mcugen.kernels.output_dsp import accumulator_range
from mcugen.kernels.output_int16_dsp import ShortForm, ShortRescaling, short_rescaling
from mcugen.ops.conv2d import requantization

ANY = (-np.inf, np.inf)
RELU = (0.0, np.inf)


def layer(seed: int, right: tuple[int, int], clamp: tuple[float, float] = ANY) -> Graph:
    rng = np.random.default_rng(seed)
    return int16_layer(rng, random_dense(rng, (1,), 24), right, clamp)


def computed(short: ShortRescaling, acc: Array) -> Array:
    """What the instructions give; acc int64 [N, C]."""
    assert (short.multiplier >= 0).all() and short.multiplier.max() <= INT32_MAX
    if short.form is ShortForm.ONE:
        scaled = (acc * short.multiplier + (1 << 31)) >> 32
    else:
        assert (short.shift >= 1).all() and (short.shift < 32).all()
        scaled = ((acc * short.multiplier >> 32 >> short.shift - 1) + 1) >> 1
    return np.clip(scaled, 0 if short.relu else -32768, 32767)


def accumulators(graph: Graph) -> Array:
    """int64 [N, C]: around every step of the outputs of each channel as far as there are 65536, its least and its
    largest accumulator, and some others."""
    node = graph.nodes[0]
    low, high = accumulator_range(node, graph)
    multiplier, shift = requantization(node, graph)
    m, s = reduced_multiplier(multiplier), 15 - shift
    steps = np.arange(-32770, 32771)[:, None]
    at = -(-((2 * steps - 1) << (s - 1)) // np.maximum(m, 1))  # the least acc of each output
    found = np.concatenate(
        [at - 1, at, at + 1, low[None], high[None], np.linspace(low, high, 999, dtype=np.int64)]
    )
    return np.clip(found, low, high)


@pytest.mark.parametrize("right", [(16, 16), (16, 32), (17, 46), (33, 46), (32, 34)])
@pytest.mark.parametrize("clamp", [ANY, RELU])
def test_equal_at_every_step(right: tuple[int, int], clamp: tuple[float, float]) -> None:
    for seed in range(4):
        graph = layer(seed, right, clamp)
        node = graph.nodes[0]
        short = short_rescaling(node, graph)
        assert short is not None and short.relu == (clamp == RELU)
        acc = accumulators(graph)
        wanted = saturating_mbqm64(acc, *requantization(node, graph))
        wanted = np.clip(wanted, 0 if clamp == RELU else -32768, 32767)
        assert np.array_equal(computed(short, acc), wanted)


def test_forms() -> None:
    def form(right: tuple[int, int]) -> ShortForm | None:
        found = short_rescaling(layer(1, right).nodes[0], layer(1, right))
        return None if found is None else found.form

    assert form((16, 32)) is ShortForm.ONE
    assert form((17, 40)) is ShortForm.SHIFTED
    assert form((1, 15)) is None
    assert form((16, 16)) is ShortForm.ONE


def test_channels_that_round_to_zero_need_no_shift() -> None:
    graph = layer(1, (44, 46))
    graph = replace(
        graph, tensors={**graph.tensors, "b": replace(graph.tensors["b"], data=graph.constant("b") * 0)}
    )
    short = short_rescaling(graph.nodes[0], graph)
    assert short is not None and short.form is ShortForm.ONE and not short.multiplier.any()


def test_there_is_none() -> None:
    """Two roundings, sums beyond int32, other bounds of the output."""
    twice = as_int16(random_dense(np.random.default_rng(1), (1,)), DType.INT32)
    wide = layer(2, (20, 24))
    bias = np.full(wide.constant("b").shape, INT32_MAX, np.int64)
    wide = replace(wide, tensors={**wide.tensors, "b": replace(wide.tensors["b"], data=bias)})
    six = layer(3, (20, 24), (-1.0, 6.0))
    assert all(short_rescaling(g.nodes[0], g) is None for g in (twice, wide, six))
