"""Cases of operators that compute: element by element, and sums of products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from graphs import random_int8
from sweep_case import ACTIVATIONS, ENDS, RATIOS, SCALES, SHAPES, Case, Rng, activation, like, rescaled, scale
from tflite_case import int8, ints
from tflm import TensorSpec

# --- element by element ---


def functions(rng: Rng) -> Iterator[Case]:
    for shape in SHAPES:
        for ratio in RATIOS:
            x = activation(rng, shape)
            yield {}, [x], [rescaled(rng, x, shape, ratio)]


CONVERTED = (("int8", "uint8"), ("uint8", "int8"), ("int8", "int16"), ("int16", "int8"), ("int16", "int16"))
LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (0, 0)}  # zero points


def conversions(rng: Rng) -> Iterator[Case]:
    """QUANTIZE of int8, between integer types, and of float32."""
    yield from functions(rng)
    for shape in SHAPES:
        for before, after in CONVERTED:
            step = scale(rng)
            for ratio in RATIOS:
                x = TensorSpec(shape, before, step, int(rng.choice(LIMITS[before])))
                yield {}, [x], [TensorSpec(shape, after, step / ratio, int(rng.choice(LIMITS[after])))]
        for after in ("int8", "int16"):  # the wheel has no float32 to uint8
            x, y = (
                TensorSpec(shape, "float32"),
                TensorSpec(shape, after, scale(rng), int(rng.choice(LIMITS[after]))),
            )
            yield {}, [x], [y]


def dequantizations(rng: Rng) -> Iterator[Case]:
    for shape in SHAPES:
        for before, zeros in LIMITS.items():
            x = TensorSpec(shape, before, scale(rng), int(rng.choice(zeros)))
            yield {}, [x], [TensorSpec(shape, "float32")]


def leaky(rng: Rng) -> Iterator[Case]:
    for _, xs, ys in functions(rng):
        yield {"alpha": float(np.float32(rng.choice([-1.5, 0.0, 0.01, 0.3, 4.0])))}, xs, ys


def clamps(rng: Rng) -> Iterator[Case]:
    """RELU6 clamps and does not rescale, whatever the output's scale is."""
    for _, (x,), (y,) in functions(rng):
        assert x is not None
        yield {}, [x], [y]
        yield {}, [x], [like(x, x.shape)]


def positive(rng: Rng) -> Iterator[Case]:
    """RSQRT stops at numbers below 0: there are none. Where its output's scale is 2^11 of what one step gives,
    TFLM shifts by 32 bits, which C does not define."""
    for shape in SHAPES:
        for size in (0.003, 0.02, 0.4, 1.0, 90.0):
            step = scale(rng)
            yield {}, [int8(shape, step, -128)], [activation(rng, shape, size / step**0.5)]


def fixed(step: float, zero: int) -> Callable[[Rng], Iterator[Case]]:
    """Operators whose output's scale and zero point are given."""

    def cases(rng: Rng) -> Iterator[Case]:
        for shape in SHAPES[:-1]:  # at most four axes
            for size in SCALES:
                yield {}, [activation(rng, shape, size)], [int8(shape, step, zero)]

    return cases


def softmaxes(rng: Rng) -> Iterator[Case]:
    for _, xs, ys in fixed(1 / 256, -128)(rng):
        yield {"beta": float(np.float32(rng.choice([0.25, 1.0, 3.0])))}, xs, ys


def plain_options(cases: Callable[[Rng], Iterator[Case]], **options: Any) -> Callable[[Rng], Iterator[Case]]:
    return lambda rng: (({**options}, xs, ys) for _, xs, ys in cases(rng))


BROADCASTS = (
    ((1, 1), (1, 1)),
    ((1, 37), (1, 37)),
    ((1, 37), (1, 1)),
    ((1, 4, 6), (6,)),
    ((1, 5, 4, 3), (1, 5, 4, 3)),
    ((1, 1, 4, 3), (1, 5, 1, 3)),
)


def binaries(rng: Rng, fused: bool = True) -> Iterator[Case]:
    for a, b in BROADCASTS:
        for ratio in RATIOS:
            x, other = activation(rng, a), activation(rng, b)
            y = rescaled(rng, x, np.broadcast_shapes(a, b), ratio)
            act = {"fused_activation_function": str(rng.choice(ACTIVATIONS))} if fused else {}
            constant = TensorSpec(b, "int8", other.scale, other.zero_point, data=random_int8(rng, b))
            yield act, [x, other], [y]
            yield act, [x, constant], [y]


def divisions(rng: Rng) -> Iterator[Case]:
    """TFLM stops where a divisor is 0: none is. Where s_a / (s_b s_y) is below 64 it shifts by 32 bits for a dividend
    of 0, which C does not define (ops/div.py)."""
    for act, (x, other), _ in binaries(rng):
        if x is not None and other is not None and other.data is not None:
            zero = np.asarray(other.data) == other.zero_point
            data = np.where(zero, -1 if other.zero_point == 127 else 127, other.data)
            divisor = TensorSpec(other.shape, "int8", other.scale, other.zero_point, data=data)
            assert isinstance(x.scale, float) and isinstance(other.scale, float)
            step = x.scale / (other.scale * float(rng.choice([65, 90, 400, 5000])))
            fused = "RELU6" if act["fused_activation_function"] == "RELU6" else "NONE"
            y = activation(rng, np.broadcast_shapes(x.shape, other.shape), step)
            yield {"fused_activation_function": fused}, [x, divisor], [y]


def slopes(rng: Rng) -> Iterator[Case]:
    for _, xs, ys in binaries(rng, fused=False):
        if xs[0] is not None and xs[0].shape == ys[0].shape:
            yield {}, xs, ys


def choices(rng: Rng) -> Iterator[Case]:
    for a, b in BROADCASTS:
        for data in (None, random_int8(rng, b)):
            x = activation(rng, a)
            other = TensorSpec(b, "int8", x.scale, x.zero_point, data=data)
            yield {}, [x, other], [like(x, np.broadcast_shapes(a, b))]


# --- sums of products ---


def weights(
    rng: Rng, shape: Sequence[int], axis: int, x: TensorSpec, kind: int, bias: bool
) -> list[TensorSpec | None]:
    """Weights of one scale or one per channel: at random, all -128, all 127 (kinds 0 to 2); a bias, or none."""
    count = shape[axis]
    scales = [float(s) for s in rng.uniform(0.001, 0.02, count if rng.integers(0, 3) else 1)]
    data = random_int8(rng, shape) if kind == 0 else np.full(shape, ENDS[kind - 1], np.int8)
    assert isinstance(x.scale, float)
    products = [x.scale * s for s in scales]
    numbers = rng.choice([-20000, -300, 0, 77, 20000], count)
    return [
        TensorSpec(tuple(shape), "int8", scales, axis=axis, data=data),
        TensorSpec((count,), "int32", products, data=numbers) if bias else None,
    ]


def convolutions(rng: Rng, depthwise: bool = False) -> Iterator[Case]:
    for image in ((1, 1, 1, 3), (1, 5, 4, 3), (1, 9, 7, 2), (1, 6, 6, 8), (1, 12, 1, 4)):
        for padding in ("SAME", "VALID"):
            for act in ACTIVATIONS:
                for kind in range(3):
                    x, channels = activation(rng, image), image[3]
                    dilations = [int(d) for d in rng.integers(1, 3, 2)]
                    kernel = [
                        int(rng.integers(1, min(3, 1 + (d - 1) // e) + 1))
                        for d, e in zip(image[1:3], dilations, strict=True)
                    ]
                    strides = [int(s) for s in rng.integers(1, 4, 2)]
                    spatial = [
                        -(-d // s) if padding == "SAME" else (d - (k - 1) * e - 1) // s + 1
                        for d, k, s, e in zip(image[1:3], kernel, strides, dilations, strict=True)
                    ]
                    multiplier = int(rng.integers(1, 4))
                    groups = 1 if depthwise else int(rng.choice([g for g in (1, 2, 4) if channels % g == 0]))
                    filters = channels * multiplier if depthwise else groups * multiplier
                    shape = (1, *kernel, filters) if depthwise else (filters, *kernel, channels // groups)
                    options = dict(
                        padding=padding,
                        stride_h=strides[0],
                        stride_w=strides[1],
                        dilation_h_factor=dilations[0],
                        dilation_w_factor=dilations[1],
                        fused_activation_function=act,
                    )
                    more = {"depth_multiplier": multiplier} if depthwise else {}
                    bias = depthwise or bool(rng.integers(0, 4))  # TFLM's depthwise kernel needs one
                    w = weights(rng, shape, 3 if depthwise else 0, x, kind, bias)
                    y = rescaled(rng, x, (1, *spatial, filters), float(rng.choice(RATIOS)))
                    yield {**options, **more}, [x, *w], [y]


def depthwise_convolutions(rng: Rng) -> Iterator[Case]:
    return convolutions(rng, depthwise=True)


def transposed_convolutions(rng: Rng) -> Iterator[Case]:
    for h, w, channels in ((1, 1, 3), (5, 4, 3), (3, 1, 8), (6, 7, 1)):
        for padding in ("SAME", "VALID"):
            for act in ("NONE", "RELU", "RELU6"):
                for kind in range(3):
                    x = activation(rng, (1, h, w, channels))
                    kernel, strides = rng.integers(1, 4, 2), rng.integers(1, 4, 2)
                    out = [
                        int(d * s if padding == "SAME" else (d - 1) * s + max(k, s))
                        for d, k, s in zip((h, w), kernel, strides, strict=True)
                    ]
                    filters = int(rng.integers(1, 5))
                    shape = (filters, *(int(k) for k in kernel), channels)
                    more = weights(rng, shape, 0, x, kind, bool(rng.integers(0, 4)))
                    y = rescaled(rng, x, (1, *out, filters), float(rng.choice(RATIOS)))
                    options = dict(
                        padding=padding,
                        stride_h=int(strides[0]),
                        stride_w=int(strides[1]),
                        fused_activation_function=act,
                    )
                    inputs = [ints(np.array(y.shape)), more[0], x, *([more[1]] if more[1] else [])]
                    yield options, inputs, [y]


def dense(rng: Rng) -> Iterator[Case]:
    for shape, filters in (((1, 1), 1), ((1, 37), 5), ((3, 8), 4), ((1, 640), 3), ((1, 4, 6), 7)):
        for act in ACTIVATIONS:
            for kind in range(3):
                x = activation(rng, shape)
                keep = len(shape) > 2
                w = weights(rng, (filters, shape[-1]), 0, x, kind, bool(rng.integers(0, 4)))
                y = rescaled(rng, x, (*shape[:-1], filters), float(rng.choice(RATIOS)))
                options = {
                    "weights_format": "DEFAULT",
                    "fused_activation_function": act,
                    "keep_num_dims": keep,
                }
                yield options, [x, *w], [y]


def products(rng: Rng) -> Iterator[Case]:
    for lead, m, k, n in (
        ((), 3, 4, 5),
        ((1,), 1, 1, 1),
        ((1,), 5, 37, 2),
        ((1, 3), 4, 6, 5),
        ((1, 2, 2), 3, 8, 3),
    ):
        for ratio in RATIOS:
            adj_x, adj_y = bool(rng.integers(0, 2)), bool(rng.integers(0, 2))
            a = activation(rng, (*lead, *((k, m) if adj_x else (m, k))), 0.07)
            b = activation(rng, (*lead, *((n, k) if adj_y else (k, n))), 0.02)
            yield {"adj_x": adj_x, "adj_y": adj_y}, [a, b], [rescaled(rng, a, (*lead, m, n), ratio)]
