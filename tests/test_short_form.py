"""Short forms are exact on all pairs and stay in 32 bits; where there is none, that is said."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.fixed import ALL_INT8, INT32_MAX, INT32_MIN, Ints
from mcugen.ir import Graph
from mcugen.short_form import PRODUCT_BITS, biases, mean_form, pairs, product_form, sum_form
from tests.graphs import int8_type, int16_type, one_node_graph


def binary(
    op: str, scales: tuple[float, float, float], zeros: tuple[int, int, int], clamp: object = None
) -> Graph:
    a, b, y = (int8_type((1, 4), s, z) for s, z in zip(scales, zeros, strict=True))
    return one_node_graph(op, [a, b], {} if clamp is None else {"clamp": clamp}, y)


def wanted(graph: Graph) -> tuple[Ints, int, int]:
    key = pairs(graph.nodes[0], graph)
    assert key is not None
    return key.outputs()


def within(*values: Ints) -> None:
    """Every intermediate value is an int32."""
    for value in values:
        assert value.min() >= INT32_MIN and value.max() <= INT32_MAX


def random_case(rng: np.random.Generator) -> tuple[tuple[float, float, float], tuple[int, int, int]]:
    a = 10.0 ** rng.uniform(-3, 0)
    b = a * 10.0 ** rng.uniform(-1, 1)
    zeros = tuple(int(z) for z in rng.integers(-128, 128, 3))
    return (a, b, max(a, b) * rng.uniform(0.5, 2.5)), (zeros[0], zeros[1], zeros[2])


@pytest.mark.parametrize("op", ["add", "sub"])
@pytest.mark.parametrize("narrow", [False, True])
def test_sums(op: str, narrow: bool, rng_seed: int) -> None:
    rng, found = np.random.default_rng(rng_seed), 0
    for _ in range(12):
        scales, zeros = random_case(rng)
        graph = binary(op, scales, zeros, (0.0, 60 * scales[2]) if rng.random() < 0.3 else None)
        form = sum_form(graph.nodes[0], graph, narrow=narrow)
        if form is None:
            continue
        found += 1
        outputs, lo, hi = wanted(graph)
        more = 8 if narrow else 0
        left = form.bias + (ALL_INT8 * form.a_factor >> more)[:, np.newaxis]
        total = left + (ALL_INT8 * form.b_factor >> more)
        within(left, total, np.array([form.a_factor, form.b_factor, form.bias]))
        np.testing.assert_array_equal(np.clip(total >> form.shift, lo, hi), outputs)
    assert found >= 10


def test_products(rng_seed: int) -> None:
    rng, found = np.random.default_rng(rng_seed), 0
    for _ in range(12):
        (a, b, y), zeros = random_case(rng)
        graph = binary("mul", (a, b, 200 * a * b * y / max(a, b)), zeros)
        form = product_form(graph.nodes[0], graph)
        if form is None:
            continue
        found += 1
        outputs, lo, hi = wanted(graph)
        p = (ALL_INT8 - zeros[0])[:, np.newaxis] * (ALL_INT8 - zeros[1])
        sums = [form.bias + p * form.high, p * form.low]
        sums.append(sums[0] + (sums[1] >> PRODUCT_BITS))
        sums.append(sums[2] + np.where(p < 0, form.negative, 0))
        within(*sums)
        np.testing.assert_array_equal(np.clip(sums[3] >> form.shift, lo, hi), outputs)
    assert found >= 11


def test_powers_of_two_round_their_halves_away_from_zero() -> None:
    for scales in ((0.125, 0.125, 0.25), (0.125, 0.03125, 0.125), (0.0625, 0.125, 0.25)):
        graph = binary("add", scales, (3, -44, -13))
        assert sum_form(graph.nodes[0], graph) is not None, scales
        assert sum_form(graph.nodes[0], graph, narrow=True) is not None, scales


def test_constant_outputs_need_no_particular_bias() -> None:
    graph = binary("add", (0.1, 0.1, 0.15), (0, 0, 0), (3.0, 3.0))
    outputs, lo, hi = wanted(graph)
    assert lo == hi == 20 and np.all(outputs == 20)
    assert sum_form(graph.nodes[0], graph) is not None


def test_none_where_two_roundings_show_or_types_differ() -> None:
    thirds = binary("add", (0.1, 0.3, 0.2), (-66, -91, -63))
    assert sum_form(thirds.nodes[0], thirds) is None
    assert sum_form(thirds.nodes[0], thirds, narrow=True) is None
    wide = one_node_graph("mul", [int16_type((1, 4))] * 1 + [int16_type((1, 4))], {}, int16_type((1, 4)))
    assert product_form(wide.nodes[0], wide) is None


def test_biases_are_the_whole_interval() -> None:
    terms = np.array([0, 5, 9])
    outputs = np.array([0, 1, 2])
    least, most = biases(terms, outputs, 2, 0, 2)
    for bias in range(-20, 20):
        exact = np.array_equal(np.clip((bias + terms) >> 2, 0, 2), outputs)
        assert exact == (least <= bias <= most)


def test_means_of_up_to_256_bytes() -> None:
    for count in range(1, 257):
        form = mean_form(count)
        assert form is not None, count
        sums = np.arange(-128 * count, 127 * count + 1, dtype=np.int64)
        terms = form.bias + (sums * form.factor >> 16)
        within(terms, np.array([form.factor, form.bias, sums.min() * 2**16, sums.max() * 2**16]))
        wanted = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
        np.testing.assert_array_equal(terms >> form.shift, wanted)
    assert mean_form(257) is None


def test_none_for_outputs_that_leave_int32() -> None:
    for scale in (2.0**-24, 1e-30):
        graph = binary("add", (1.0, 1.0, scale), (0, 0, 0))
        assert sum_form(graph.nodes[0], graph) is None
        assert sum_form(graph.nodes[0], graph, narrow=True) is None
        graph = binary("mul", (1.0, 1.0, scale), (0, 0, 0))
        assert product_form(graph.nodes[0], graph) is None
