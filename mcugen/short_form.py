"""Shorter integer code for functions of two bytes, proved equal to the operator's reference on all 65,536 pairs.

An operator of two int8 operands has so few inputs that a candidate is not argued about but tried: the reference gives
the output of every pair, and the candidate must give the same. The double rounding of the reference is no obstacle:
it only moves thresholds by less than the distance of the nearest pair, nearly always.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mcugen.fixed import ALL_INT8, INT32_MAX, INT32_MIN, Ints
from mcugen.ir import DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.ops import OPS
from mcugen.ops.op import Clamp, activation_limits, clamp_of

PRODUCT_BITS = 14  # of the lower half of a product's factor
LEAST_SHIFT = 8
NARROW_SHIFT = 20  # enough for nearly all sums; layers with one shift share a function


@dataclass(frozen=True)
class SumForm:
    """y = clamp((bias + term(a) + term(b)) >> shift), nothing of it leaving int32; term(x) is x * factor, or
    (x * factor) >> 8 where `narrow`: the factor then has 8 more bits."""

    a_factor: int
    b_factor: int
    bias: int
    shift: int


@dataclass(frozen=True)
class ProductForm:
    """y = clamp((bias + p * high + ((p * low) >> PRODUCT_BITS) + (p < 0 ? negative : 0)) >> shift) with
    p = (a - z_a) (b - z_b) and 0 <= low < 2^PRODUCT_BITS, nothing of it leaving int32."""

    high: int
    low: int
    bias: int
    negative: int
    shift: int


@dataclass(frozen=True)
class Pairs:
    """A node as a function of two bytes: operator, quantization of both operands and the output, fused clamp."""

    op: str
    a: Quant
    b: Quant
    y: Quant
    clamp: Clamp

    def graph(self) -> Graph:
        """The operator on all pairs: int8 [256, 1] and [1, 256] to [256, 256]."""
        shapes = {"a": (256, 1), "b": (1, 256), "y": (256, 256)}
        quants = {"a": self.a, "b": self.b, "y": self.y}
        tensors = {n: Tensor(n, TensorType(shapes[n], DType.INT8, quants[n])) for n in shapes}
        node = Node("pairs", self.op, ("a", "b"), ("y",), {"clamp": self.clamp})
        return Graph("pairs", ("a", "b"), ("y",), (node,), tensors)

    def outputs(self) -> tuple[Ints, int, int]:
        """The reference's output of every pair, int64 [256, 256], and the bounds of its clamp."""
        graph = self.graph()
        node, y = graph.nodes[0], graph.type("y")
        every = ALL_INT8.astype(np.int8)
        (table,) = OPS[self.op].reference(node, graph, [every[:, np.newaxis], every[np.newaxis, :]])
        return table.astype(np.int64), *activation_limits(node, y)


def pairs(node: Node, graph: Graph) -> Pairs | None:
    """A binary node as a function of two bytes; None where its tensors are not int8 with one scale each."""
    quants = [graph.type(name).quant for name in (*node.inputs, node.outputs[0])]
    types = {graph.type(name).dtype for name in (*node.inputs, node.outputs[0])}
    a, b, y = (None if quant is None or quant.axis is not None else quant for quant in quants)
    if a is None or b is None or y is None or types != {DType.INT8}:
        return None
    return Pairs(node.op, a, b, y, clamp_of(node))


def biases(terms: Ints, outputs: Ints, shift: int, lo: int, hi: int) -> tuple[int, int]:
    """The least and the largest bias with clamp((bias + terms) >> shift) == outputs; none if the least is larger."""
    least = np.where(outputs > lo, (outputs << shift) - terms, INT32_MIN).max(initial=INT32_MIN)
    most = np.where(outputs < hi, ((outputs + 1) << shift) - 1 - terms, INT32_MAX).min(initial=INT32_MAX)
    return int(least), int(most)


def fits(*values: Ints | int) -> bool:
    """Whether all numbers are in int32."""
    return all(np.min(v) >= INT32_MIN and np.max(v) <= INT32_MAX for v in values)


def sum_form(node: Node, graph: Graph, *, narrow: bool = False) -> SumForm | None:
    """A short form of an add or sub of int8 that is exact on all pairs; None if none is known."""
    key = pairs(node, graph)
    return None if key is None else _sum_form(key, narrow)


@lru_cache(maxsize=256)
def _sum_form(key: Pairs, narrow: bool) -> SumForm | None:
    ratios = key.a.scale[0] / key.y.scale[0], key.b.scale[0] / key.y.scale[0]
    signs = 1, (-1 if key.op == "sub" else 1)
    more = 8 if narrow else 0
    # |term(a) + term(b) + bias| < (span + 256) * 2^shift
    top = 31 - math.ceil(math.log2(sum(ratios) * 255 + 256))
    if top < LEAST_SHIFT:  # the reference itself may leave int32
        return None
    outputs, lo, hi = key.outputs()
    shifts = list(range(top, max(top - 3, LEAST_SHIFT - 1), -1))
    if narrow and top > NARROW_SHIFT:
        shifts.insert(0, NARROW_SHIFT)
    for shift in shifts:
        for factors in _factors(ratios, shift + more, 0 if narrow else 1):
            a, b = (s * f for s, f in zip(signs, factors, strict=True))
            a_terms, b_terms = (ALL_INT8 * f >> more for f in (a, b))
            terms = a_terms[:, np.newaxis] + b_terms
            least, most = biases(terms, outputs, shift, lo, hi)
            bias = min(max(least, 0), most)
            products = () if narrow else (ALL_INT8 * a, ALL_INT8 * b)
            if least <= most and fits(a, b, bias, bias + a_terms, bias + terms, *products):
                return SumForm(a, b, bias, shift)
    return None


def _factors(ratios: tuple[float, float], bits: int, around: int) -> Iterator[tuple[int, int]]:
    """Candidates for both factors: their ratios with that many fractional bits, a little more (halves are rounded away
    from zero), and the neighbours of each within `around`."""
    steps = sorted((i, j) for i in range(-around, around + 1) for j in range(-around, around + 1))
    steps.sort(key=lambda step: abs(step[0]) + abs(step[1]))
    for more in (0.0, *(2.0**-e for e in (22, 21, 20, 19))):
        a, b = (round(math.ldexp(r * (1.0 + more), bits)) for r in ratios)
        for i, j in steps:
            yield a + i, b + j


@dataclass(frozen=True)
class MeanForm:
    """mean of `count` int8 = (bias + (sum * factor >> 16)) >> shift, halves away from zero, nothing leaving int32."""

    factor: int
    bias: int
    shift: int


@lru_cache(maxsize=256)
def mean_form(count: int) -> MeanForm | None:
    """The short form of an average of `count` int8 values, exact for all their sums; None if none is known.

    The sum must fit int16: count <= 256.
    """
    if count > 256:
        return None
    sums = np.arange(-128 * count, 127 * count + 1, dtype=np.int64)
    means = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
    top = min(22, 14 + (count.bit_length() - 1))
    for shift in range(top, max(top - 4, 0), -1):
        exact = math.ldexp(1.0, shift + 16) / count
        for factor in (math.floor(exact) + more for more in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 0)):
            terms = sums * factor >> 16
            least, most = biases(terms, means, shift, -129, 128)
            bias = min(max(least, 0), most)
            if least <= most and fits(factor, bias, bias + terms):
                return MeanForm(factor, bias, shift)
    return None


def product_form(node: Node, graph: Graph) -> ProductForm | None:
    """The short form of a mul of int8 that is exact on all pairs; None if none is known."""
    key = pairs(node, graph)
    return None if key is None else _product_form(key)


@lru_cache(maxsize=256)
def _product_form(key: Pairs) -> ProductForm | None:
    a, b = ALL_INT8 - key.a.zero_point[0], ALL_INT8 - key.b.zero_point[0]
    products, index = np.unique(a[:, np.newaxis] * b, return_index=True)
    ratio = key.a.scale[0] * key.b.scale[0] / key.y.scale[0]
    top = 31 - math.ceil(math.log2(ratio * int(np.abs(products).max()) + 256))
    if top < LEAST_SHIFT:
        return None
    table, lo, hi = key.outputs()
    outputs = table.reshape(-1)[index]
    for shift in range(top, max(top - 3, LEAST_SHIFT - 1), -1):
        for more in (0, 1, 2, -1, -2, 4, 8, 16, 32, 64):
            factor = round(math.ldexp(ratio, shift + PRODUCT_BITS)) + more
            form = _product_with(factor, shift, products, outputs, lo, hi)
            if form is not None:
                return form
    return None


def _product_with(
    factor: int, shift: int, products: Ints, outputs: Ints, lo: int, hi: int
) -> ProductForm | None:
    """The form with this factor, if there are biases for both signs."""
    high, low = factor >> PRODUCT_BITS, factor & ((1 << PRODUCT_BITS) - 1)
    terms = products * high + (products * low >> PRODUCT_BITS)
    found = []
    for chosen in (products >= 0, products < 0):
        least, most = biases(terms[chosen], outputs[chosen], shift, lo, hi)
        if least > most:
            return None
        found.append(min(max(least, 0), most))
    bias, negative = found[0], found[1] - found[0]
    total = terms + np.where(products < 0, found[1], bias)
    if not fits(bias, negative, products * high + bias, products * high, products * low, terms + bias, total):
        return None
    return ProductForm(high, low, bias, negative, shift)
