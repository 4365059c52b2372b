"""Constant and dead channels: what goes, what must stay, and that no byte of what stays changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from graphs import random_int8
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import KINDS, PLAIN, RARE, RELU, SAME, Builder, random_graph

from mcugen.calibrate.ranges import calibrate
from mcugen.check import check_graph
from mcugen.execute import run
from mcugen.ir import Array, Attr, Channels, Graph, Quant
from mcugen.normalise import normalise
from mcugen.ops import OPS
from mcugen.quantize.channel_ranges import proven_ranges
from mcugen.quantize.channels import drop_channels
from mcugen.quantize.ptq import quantize
from mcugen.read.onnx_import import import_onnx


def check_equal(before: Graph, after: Graph, rng: np.random.Generator, samples: int = 3) -> None:
    """No byte of any kept or constant channel differs; records are complete and types consistent."""
    check_graph(after, "channel elimination")
    assert after.inputs == before.inputs and after.outputs == before.outputs
    batch = all(OPS[n.op].batchable(n, before) for n in before.nodes)
    shape = before.type("x").shape if "x" in before.tensors else before.type(before.inputs[0]).shape
    feeds = [random_int8(rng, shape) for _ in range(samples)]
    feeds += [np.full(shape, value, np.int8) for value in (-128, 127)]
    for x in [np.concatenate(feeds)] if batch else feeds:
        old, new = run(before, {before.inputs[0]: x}), run(after, {before.inputs[0]: x})
        for name in before.outputs:
            np.testing.assert_array_equal(old[name], new[name])
        for name, values in new.items():
            record = after.tensors[name].channels
            if record is None:
                np.testing.assert_array_equal(old[name], values)
                continue
            constant = [c for c, _ in record.constant]
            assert record.total == before.type(name).shape[-1]
            assert sorted([*record.kept, *constant, *record.dead]) == list(range(record.total))
            np.testing.assert_array_equal(old[name][..., list(record.kept)], values)
            for channel, value in record.constant:
                assert (old[name][..., channel] == value).all()


def dropped(graph: Graph, rng_seed: int) -> Graph:
    """The graph after the pass, compared with the one before; a second pass finds nothing more."""
    after = drop_channels(graph)
    check_equal(graph, after, np.random.default_rng(rng_seed))
    forgotten = replace(after, tensors={n: replace(t, channels=None) for n, t in after.tensors.items()})
    assert drop_channels(forgotten) is forgotten
    return after


def work(graph: Graph) -> tuple[int, int]:
    """Multiply-accumulates and bytes of weights."""
    weights = (graph.type(n.inputs[1]).bytes for n in graph.nodes if len(n.inputs) == 3)
    return sum(OPS[n.op].macs(n, graph) for n in graph.nodes), sum(weights)


def ones(*shape: int) -> Array:
    return np.ones(shape, np.int64)


def with_constant(builder: Builder, channel: int, bias: int, channels: int = 3, zero_point: int = 0) -> str:
    """A 1x1 convolution whose one channel has no weights; it divides that one's bias by 64 or 128."""
    weights = 5 * ones(channels, 1, 1, builder.shape("x")[3])
    weights[channel] = 0
    biases = [bias if c == channel else 7 for c in range(channels)]
    return builder.weighted("conv2d", "x", weights, biases, zero_point, **PLAIN)


def test_a_constant_moves_into_the_bias(rng_seed: int) -> None:
    builder = Builder(1, 4, 4, 2)
    y = with_constant(builder, 1, bias=128 * 9)
    z = builder.weighted("conv2d", y, np.arange(12).reshape(4, 1, 1, 3) - 5, [100, 200, 300, 400], **PLAIN)
    after = dropped(builder.graph(z), rng_seed)
    assert after.tensors[y].channels == Channels(3, (0, 2), ((1, 9),))
    assert after.type(y).shape == (1, 4, 4, 2)
    _, weights, bias = after.nodes[1].inputs
    np.testing.assert_array_equal(after.constant(weights)[:, 0, 0], [[-5, -3], [-2, 0], [1, 3], [4, 6]])
    np.testing.assert_array_equal(after.constant(bias), [100 - 4 * 9, 200 - 1 * 9, 300 + 2 * 9, 400 + 5 * 9])
    quant = after.type(after.nodes[0].inputs[1]).quant
    assert quant == Quant((2.0**-6, 2.0**-6), (0, 0), 0)
    assert after.type(after.nodes[0].inputs[2]).quant == quant


@pytest.mark.parametrize(
    ("value", "zero_point", "attrs", "kernel", "goes"),
    [
        (9, 0, SAME, ones(2, 3, 3, 3), False),  # another sum at the border
        (0, 0, SAME, ones(2, 3, 3, 3), True),
        (-20, -20, SAME, ones(2, 3, 3, 3), True),  # the zero point
        (9, 0, SAME, np.pad(ones(2, 1, 1, 3), ((0, 0), (1, 1), (1, 1), (0, 0))), True),  # the centre alone
        (9, 0, PLAIN, ones(2, 3, 3, 3), True),
        (9, 0, {**PLAIN, "strides": (2, 2), "pads": (0, 0, 1, 1)}, ones(2, 2, 2, 3), True),  # padding unread
        (9, 0, {**PLAIN, "strides": (2, 2), "pads": (1, 1, 0, 0)}, ones(2, 2, 2, 3), False),
        (9, 0, {**PLAIN, "dilations": (2, 2), "pads": (0, 0, 1, 0)}, ones(2, 2, 2, 3), False),
    ],
)
def test_padding(
    value: int, zero_point: int, attrs: dict[str, Attr], kernel: Array, goes: bool, rng_seed: int
) -> None:
    builder = Builder(1, 4, 4, 2)
    y = with_constant(builder, 1, bias=128 * (value - zero_point), zero_point=zero_point)
    z = builder.weighted("conv2d", y, kernel, [1, 2], **attrs)
    record = dropped(builder.graph(z), rng_seed).tensors[y].channels
    assert record == (Channels(3, (0, 2), ((1, value),)) if goes else None)


def ranges_of(graph: Graph) -> dict[str, list[tuple[int, int]]]:
    """The proven least and largest value of each channel."""
    return {name: list(zip(*bounds, strict=True)) for name, bounds in proven_ranges(graph).items()}


def corner(channels: int) -> Array:
    """A 3x3 kernel for one output that reads its upper left cell alone."""
    kernel = np.zeros((1, 3, 3, channels), np.int64)
    kernel[0, 0, 0] = 64
    return kernel


def test_a_weight_on_padding_reads_its_input(rng_seed: int) -> None:
    builder = Builder(1, 4, 4, 2)
    y = builder.weighted("conv2d", "x", 64 * ones(3, 1, 1, 2), [0, 0, 0], **PLAIN)
    z = builder.weighted("conv2d", y, corner(3) * np.array([1, 0, 1]), [0], **SAME)
    assert dropped(builder.graph(z), rng_seed).tensors[y].channels == Channels(3, (0, 2), (), (1,))


@pytest.mark.parametrize(("zero_point", "clamp"), [(-50, (60.0, 100.0)), (50, (-100.0, -60.0))])
def test_padding_widens_a_range(zero_point: int, clamp: tuple[float, float]) -> None:
    """x - zx lies in 60..100 (or the mirror of it), or is 0 on padding."""
    builder = Builder(1, 4, 4, 2)
    y = builder.weighted("conv2d", "x", 64 * ones(1, 1, 1, 2), [0], zero_point, clamp=clamp, **PLAIN)
    z = builder.weighted("conv2d", y, corner(1), [0], **SAME)
    w = builder.weighted("conv2d", y, corner(1), [0], **PLAIN)
    ranges = ranges_of(builder.graph(z, w))
    low, high = (int(bound) for bound in clamp)
    assert ranges[y] == [(low + zero_point, high + zero_point)]
    assert ranges[z] == [(min(low, 0), max(high, 0))]
    assert ranges[w] == [(low, high)]


def test_accumulators_beyond_int32_prove_nothing() -> None:
    """The accumulator 2^12 is to be shifted left by 20; no kernel takes such a layer, and nothing is dropped."""
    builder = Builder(1, 1, 1, 2)
    scales = Quant((2.0**20,), (0,), 0)
    weights, bias = builder.constant(np.zeros((1, 2), np.int8), scales), np.array([1 << 12], np.int32)
    y = builder.node("fully_connected", ["x", weights, builder.constant(bias, scales)], clamp=(-3.0, 5.0))
    assert ranges_of(builder.graph(y))[y] == [(-3, 5)]


@pytest.mark.parametrize("value", [0, 9])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_hands_constants_on(value: int, multiplier: int, rng_seed: int) -> None:
    builder = Builder(1, 4, 4, 2)
    y = with_constant(builder, 1, bias=128 * value)
    kernel = 3 * ones(1, 2, 2, 3 * multiplier)
    attrs = {name: PLAIN[name] for name in ("strides", "dilations", "pads")}
    z = builder.weighted("depthwise_conv2d", y, kernel, range(0, 192 * multiplier, 64), **attrs)
    last = builder.weighted("conv2d", z, ones(2, 1, 1, 3 * multiplier), [0, 0], **PLAIN)
    after = dropped(builder.graph(last), rng_seed)
    assert after.type(y).shape == (1, 4, 4, 2) and after.type(z).shape == (1, 3, 3, 2 * multiplier)
    record = after.tensors[z].channels
    assert record and [c for c, _ in record.constant] == list(range(multiplier, 2 * multiplier))
    assert after.constant(after.nodes[1].inputs[1]).shape == (1, 2, 2, 2 * multiplier)


def test_depthwise_keeps_a_group_of_which_one_is_read(rng_seed: int) -> None:
    builder = Builder(1, 4, 4, 2)
    attrs = {name: PLAIN[name] for name in ("strides", "dilations", "pads")}
    y = builder.weighted("conv2d", "x", 64 * ones(3, 1, 1, 2), [1, 2, 3], **PLAIN)
    z = builder.weighted("depthwise_conv2d", y, 64 * ones(1, 1, 1, 6), range(6), **attrs)
    last = builder.weighted("conv2d", z, np.array([[1, 0, 0, 0, 0, 1]])[:, None, None], [0], **PLAIN)
    after = dropped(builder.graph(last), rng_seed)
    assert after.tensors[z].channels == Channels(6, (0, 1, 4, 5), (), (2, 3))
    assert after.tensors[y].channels == Channels(3, (0, 2), (), (1,))


def test_dead_channels_backwards_through_layers(rng_seed: int) -> None:
    """Nothing reads channel 2 of the second layer; channel 0 of the first, which only it reads, goes too."""
    builder = Builder(1, 2, 2, 2)
    y = builder.weighted("conv2d", "x", 64 * ones(2, 1, 1, 2), [1, 2], **PLAIN)
    second = np.array([[0, 50], [0, 60], [1, 50]])[:, None, None]
    z = builder.weighted("conv2d", y, second, [0, 0, 0], **PLAIN)
    last = builder.weighted("conv2d", z, np.array([[3, 4, 0]])[:, None, None], [0], **PLAIN)
    after = dropped(builder.graph(last), rng_seed)
    assert after.tensors[y].channels == Channels(2, (1,), (), (0,))
    assert after.tensors[z].channels == Channels(3, (0, 1), (), (2,))


READERS: dict[str, Callable[[Builder, str], str]] = {
    "add": lambda b, y: b.node("add", [y, y], clamp=RELU),
    "mul": lambda b, y: b.node("mul", [y, y]),
    "softmax": lambda b, y: b.node("softmax", [y], beta=1.0),
    "slice of channels": lambda b, y: b.node(
        "slice", [y], begin=(0, 0, 0, 1), step=(1,) * 4, size=(1, 4, 4, 3)
    ),
    "grouped": lambda b, y: b.weighted("conv2d", y, ones(4, 1, 1, 2), [0] * 4, **{**PLAIN, "groups": 2}),
    "transpose": lambda b, y: b.node("transpose", [y], perm=(0, 3, 1, 2)),
    "pad of channels": lambda b, y: b.node("pad", [y], pads=((0, 0),) * 3 + ((1, 0),), value=0.0),
    "mean of channels": lambda b, y: b.node("mean", [y], axes=(3,), keepdims=True),
    "counted padding": lambda b, y: b.node(
        "average_pool2d", [y], kernel=(2, 2), count_include_pad=True, **{**SAME, "counted_pads": SAME["pads"]}
    ),
}


@pytest.mark.parametrize("reader", READERS)
def test_readers_that_keep_a_constant(reader: str, rng_seed: int) -> None:
    """Channel 1 is 9 everywhere; the reader needs it all the same, though a dense layer follows."""
    builder = Builder(1, 4, 4, 2)
    y = with_constant(builder, 1, bias=128 * 9, channels=4)
    z = READERS[reader](builder, y)
    last = builder.weighted("fully_connected", z, ones(2, builder.shape(z)[-1]), [0, 0])
    assert dropped(builder.graph(last), rng_seed).tensors[y].channels is None


def test_outputs_and_inputs_keep_their_channels(rng_seed: int) -> None:
    builder = Builder(1, 2, 2, 3)
    y = with_constant(builder, 1, bias=128 * 9)
    weights = ones(2, 1, 1, 3)
    weights[..., 0] = 0
    z = builder.weighted("conv2d", y, weights, [0, 0], **PLAIN)
    graph = builder.graph(y, z)
    assert drop_channels(graph) is graph
    unread = Builder(1, 2, 2, 3)
    y = unread.weighted("conv2d", "x", weights, [0, 0], **PLAIN)
    graph = unread.graph(y)
    assert drop_channels(graph) is graph


@pytest.mark.parametrize(("bias", "goes"), [(2**31 - 1 - 300 * 129, True), (2**31 - 300 * 129, False)])
def test_a_bias_stays_inside_int32(bias: int, goes: bool) -> None:
    """The dense layer's accumulator is proved to be at most bias + 300 * 129 = INT32_MAX, or one more."""
    builder = Builder(1, 1, 1, 2)
    y = with_constant(builder, 1, bias=128 * 9, zero_point=1)
    z = builder.weighted("fully_connected", y, 100 * ones(1, 3), [bias])
    record = drop_channels(builder.graph(z)).tensors[y].channels
    assert (record is not None) == goes


def test_flatten_into_a_dense_layer(rng_seed: int) -> None:
    builder = Builder(1, 2, 3, 2)
    y = with_constant(builder, 1, bias=128 * 9)
    flat = builder.node("reshape", [y], shape=(1, 18))
    split = builder.node("reshape", [flat], shape=(3, 6))
    z = builder.weighted("fully_connected", flat, np.arange(36).reshape(2, 18), [0, 0])
    other = builder.weighted("fully_connected", split, ones(2, 6), [0, 0])
    after = dropped(builder.graph(z, other), rng_seed)
    kept = tuple(i for i in range(18) if i % 3 != 1)
    assert after.tensors[flat].channels == Channels(18, kept, tuple((i, 9) for i in range(1, 18, 3)))
    assert after.type(split).shape == (3, 4)
    np.testing.assert_array_equal(after.constant(after.nodes[3].inputs[1])[0], kept)


def test_concat_of_activations_and_a_constant(rng_seed: int) -> None:
    builder = Builder(1, 2, 2, 2)
    y = with_constant(builder, 1, bias=128 * 9)
    c = builder.constant(np.array([5, 6] * 4, np.int8).reshape(1, 2, 2, 2), Quant((1.0,), (0,)))
    joined = builder.node("concat", [c, y, c], axis=3)
    z = builder.weighted("conv2d", joined, np.array([[0, 1, 1, 1, 1, 0, 0]])[:, None, None], [0], **PLAIN)
    after = dropped(builder.graph(z), rng_seed)
    assert after.type(y).shape[-1] == 2
    record = after.tensors[joined].channels
    assert record and record.kept == (0, 2, 4, 5)  # one of the constant's stays
    assert record.constant == ((1, 6), (3, 9), (6, 6))


def test_mean_and_tables_recompute_the_constant(rng_seed: int) -> None:
    builder = Builder(1, 3, 3, 2)
    y = with_constant(builder, 1, bias=128 * 9)
    table = builder.node("unary", [y], Quant((0.5,), (-3,)), function=("leaky_relu", ("x",), 0.1))
    mean = builder.node("mean", [table], Quant((0.7,), (4,)), axes=(1, 2), keepdims=False)
    z = builder.weighted("fully_connected", mean, ones(2, 3), [0, 0])
    after = dropped(builder.graph(z), rng_seed)
    assert after.tensors[table].channels == Channels(3, (0, 2), ((1, 15),))
    assert after.tensors[mean].channels == Channels(3, (0, 2), ((1, 17),))  # (15 + 3) * 0.5 / 0.7 + 4


def test_a_channel_that_is_constant_behind_its_reader_is_dead_before_it(rng_seed: int) -> None:
    """A table that sends all values to one makes its input's channels unread."""
    builder = Builder(1, 2, 2, 2)
    y = builder.weighted("conv2d", "x", ones(3, 1, 1, 2), [0, 0, 0], **PLAIN)
    table = builder.node("unary", [y], function=("clip", ("x",), 4.0, 4.0))
    z = builder.weighted("conv2d", table, ones(2, 1, 1, 3), [0, 0], **PLAIN)
    after = dropped(builder.graph(z), rng_seed)
    assert after.tensors[y].channels == Channels(3, (0,), (), (1, 2))  # one must stay
    assert after.tensors[table].channels == Channels(3, (0,), ((1, 4), (2, 4)))


def test_shared_weights_become_two(rng_seed: int) -> None:
    builder = Builder(1, 2, 2, 3)
    y = with_constant(builder, 1, bias=128 * 9)
    first = builder.weighted("conv2d", y, 4 * ones(3, 1, 1, 3), [0, 1, 2], **PLAIN)
    second = builder.node("conv2d", [first, *builder.nodes[1].inputs[1:]], **PLAIN)
    after = dropped(builder.graph(second), rng_seed)
    assert [after.type(n.inputs[1]).shape for n in after.nodes[1:]] == [(3, 1, 1, 2), (3, 1, 1, 3)]


@settings(max_examples=150)
@given(
    layers=st.lists(st.tuples(st.sampled_from(KINDS + RARE), st.sampled_from((0, 0, 0, 1, 2))), max_size=9),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_graphs(layers: list[tuple[str, int]], seed: int) -> None:
    graph = random_graph([kind for kind, _ in layers], [back for _, back in layers], seed)
    after = dropped(graph, seed % 1000)
    assert work(after) <= work(graph)
    ranges = proven_ranges(graph)
    values = run(graph, {"x": random_int8(np.random.default_rng(seed), graph.type("x").shape)})
    for name, (low, high) in ranges.items():
        assert (low <= values[name]).all() and (values[name] <= high).all()


@pytest.fixture(scope="module")
def vww(models: dict[str, Path]) -> Graph:
    """The integer graph of vww, with ranges from four images of noise."""
    graph = normalise(import_onnx(models["vww"]).graph)
    rng = np.random.default_rng(3)
    samples = {n: rng.random((4, *graph.type(n).shape[1:]), dtype=np.float32) for n in graph.inputs}
    return quantize(graph, calibrate(graph, samples))


def test_half_of_vww_goes(vww: Graph) -> None:
    after = drop_channels(vww)
    check_equal(vww, after, np.random.default_rng(4), samples=2)
    (macs, weights), (fewer_macs, fewer_weights) = work(vww), work(after)
    assert (macs, weights) == (7_489_664, 208_112)
    assert fewer_macs < 0.55 * macs and fewer_weights < 0.2 * weights
