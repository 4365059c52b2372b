"""Every operator of .tflite that the wheel can run: our import and integer reference against TensorFlow Lite Micro over
shapes, scales, zero points at both ends, options and extreme values. What is special about an operator is tested in its
own file."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from graphs import random_int8
from tflite_case import import_case, int8, ints
from tflm import TensorSpec, build, run_model

from mcugen.execute import run
from mcugen.ir import Array, Graph
from mcugen.ops import OPS

Case = tuple[Mapping[str, Any], Sequence[TensorSpec | None], Sequence[TensorSpec]]
Rng = np.random.Generator
ENDS = (-128, 127)
SCALES = (0.004, 0.11, 1.7)
RATIOS = (0.02, 0.4, 1.0, 1.9, 30.0)  # of the input's to the output's scale
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
LEAST = 16  # cases of an operator
VECTORS = ((1, 1), (1, 37), (3, 8))
IMAGES = ((1, 1, 1, 1), (1, 5, 4, 3), (1, 7, 9, 2))
SHAPES = (*VECTORS, (1, 4, 6), *IMAGES, (1, 2, 1, 3, 4))


def zero_point(rng: Rng) -> int:
    """Either end in two of three draws."""
    return int(rng.choice([*ENDS, *ENDS, *rng.integers(-127, 127, 2)]))


def scale(rng: Rng) -> float:
    return float(np.float32(rng.choice(SCALES) * rng.uniform(0.5, 2.0)))


def activation(rng: Rng, shape: Sequence[int], step: float | None = None) -> TensorSpec:
    return int8(shape, scale(rng) if step is None else step, zero_point(rng))


def like(spec: TensorSpec, shape: Sequence[int]) -> TensorSpec:
    """Another tensor of the same scale and zero point."""
    assert isinstance(spec.scale, float) and isinstance(spec.zero_point, int)
    return int8(shape, spec.scale, spec.zero_point)


def rescaled(rng: Rng, spec: TensorSpec, shape: Sequence[int], ratio: float) -> TensorSpec:
    """An output whose scale is the input's divided by `ratio`."""
    assert isinstance(spec.scale, float)
    return activation(rng, shape, spec.scale / ratio)


# --- the same elements at other places ---


def reshapes(rng: Rng) -> Iterator[Case]:
    for a, b in (((1, 12), (3, 4)), ((1, 5, 4, 3), (1, 60)), ((6,), (1, 1, 2, 3)), ((1, 1), (1,))):
        x = activation(rng, a)
        yield {"new_shape": b}, [x, ints(np.array(b))], [like(x, b)]


def squeezes(rng: Rng) -> Iterator[Case]:
    for a, dims, b in (((1, 1, 5), [1], (1, 5)), ((1, 4, 1, 3), [-2, 0], (4, 3)), ((1, 7, 1), [], (7,))):
        x = activation(rng, a)
        yield {"squeeze_dims": dims}, [x], [like(x, b)]


def expansions(rng: Rng) -> Iterator[Case]:
    for a, axis, b in (((1, 5), 1, (1, 1, 5)), ((4, 3), 0, (1, 4, 3)), ((1, 2, 3), -1, (1, 2, 3, 1))):
        x = activation(rng, a)
        yield {}, [x, ints([axis])], [like(x, b)]


def transposes(rng: Rng) -> Iterator[Case]:
    for shape in ((5, 3), (1, 4, 6), (2, 3, 4), (1, 5, 4, 3), (2, 3, 4, 5), (1, 2, 3, 4, 5)):
        perm = [int(p) for p in rng.permutation(len(shape))]
        x = activation(rng, shape)
        yield {}, [x, ints(np.array(perm))], [like(x, [shape[p] for p in perm])]


def slices(rng: Rng) -> Iterator[Case]:
    for shape in ((1, 37), (1, 4, 6), (1, 5, 4, 3), (1, 7, 9, 2), (1, 2, 3, 4, 5)):
        for _ in range(3):
            x = activation(rng, shape)
            begin = [int(rng.integers(0, d)) for d in shape]
            size = [int(rng.integers(1, d - b + 1)) for d, b in zip(shape, begin, strict=True)]
            given = [-1 if b + s == d else s for d, b, s in zip(shape, begin, size, strict=True)]
            yield {}, [x, ints(np.array(begin)), ints(np.array(given))], [like(x, size)]


def strided_slices(rng: Rng) -> Iterator[Case]:
    for shape in ((1, 37), (1, 4, 6), (1, 5, 4, 3), (1, 7, 9, 2)):
        for _ in range(6):
            x, axes = activation(rng, shape), range(len(shape))
            step = [int(rng.choice([-3, -2, -1, 1, 2, 3])) for _ in axes]
            begin = [int(rng.integers(-d, d)) for d in shape]
            masks = {
                f"{name}_mask": int(rng.integers(0, 1 << len(shape))) for name in ("begin", "shrink_axis")
            }
            masks["end_mask"] = (1 << len(shape)) - 1
            masks["shrink_axis_mask"] &= int(rng.integers(0, 1 << len(shape)))
            masks["begin_mask"] &= ~masks["shrink_axis_mask"]
            step = [1 if masks["shrink_axis_mask"] >> i & 1 else s for i, s in enumerate(step)]
            index = tuple(
                begin[i]
                if masks["shrink_axis_mask"] >> i & 1
                else slice(None if masks["begin_mask"] >> i & 1 else begin[i], None, step[i])
                for i in axes
            )
            out = np.zeros(shape, np.int8)[index].shape
            parameters = [ints(np.array(v)) for v in (begin, shape, step)]
            none = {"ellipsis_mask": 0, "new_axis_mask": 0, "offset": False}
            if out:
                yield {**masks, **none}, [x, *parameters], [like(x, out)]


def splits(rng: Rng) -> Iterator[Case]:
    for shape, axis, parts in (
        ((1, 36), 1, 3),
        ((1, 4, 6), -2, 4),
        ((1, 5, 4, 6), 3, 2),
        ((1, 6, 9, 2), 1, 3),
    ):
        x, out = activation(rng, shape), list(shape)
        out[axis] //= parts
        yield {"num_splits": parts}, [ints([axis]), x], [like(x, out)] * parts


def uneven_splits(rng: Rng) -> Iterator[Case]:
    for shape, axis, sizes in (
        ((1, 37), 1, (1, 30, 6)),
        ((1, 4, 6), -1, (2, 4)),
        ((1, 5, 4, 3), 1, (3, 1, 1)),
    ):
        x, outs = activation(rng, shape), []
        for size in sizes:
            out = list(shape)
            out[axis] = size
            outs.append(like(x, out))
        given = [-1 if i == 1 else s for i, s in enumerate(sizes)]
        yield {"num_splits": len(sizes)}, [x, ints(np.array(given)), ints([axis])], outs


def packs(rng: Rng) -> Iterator[Case]:
    for shape, axis, count in (((1, 5), 0, 2), ((1, 4, 6), -1, 3), ((1, 5, 4), 1, 1)):
        x, where = activation(rng, shape), axis % (len(shape) + 1)
        out = (*shape[:where], count, *shape[where:])
        yield {"axis": axis, "values_count": count}, [x] * count, [like(x, out)]


def unpacks(rng: Rng) -> Iterator[Case]:
    for shape, axis in (((1, 5), 1), ((1, 4, 6), -2), ((1, 5, 4, 3), 3), ((1, 3, 2), 0)):
        x, where = activation(rng, shape), axis % len(shape)
        outs = [like(x, (*shape[:where], *shape[where + 1 :]))] * shape[where]
        yield {"axis": axis, "num": shape[where]}, [x], outs


def gathers(rng: Rng) -> Iterator[Case]:
    for shape, axis in (((1, 37), 1), ((1, 4, 6), -2), ((1, 5, 4, 3), 1), ((1, 7, 9, 2), 3)):
        x, out = activation(rng, shape), list(shape)
        places = rng.integers(0, shape[axis], 5)
        out[axis] = 5
        yield {"axis": axis}, [x, ints(places)], [like(x, out)]


def pads(rng: Rng) -> Iterator[tuple[TensorSpec, Array, TensorSpec]]:
    for shape in ((1, 37), (1, 4, 6), (1, 5, 4, 3), (1, 1, 1, 1), (1, 7, 9, 2)):
        for _ in range(3):
            x, around = activation(rng, shape), rng.integers(0, 4, (len(shape), 2))
            around[0] = 0
            yield x, around, like(x, [d + int(p.sum()) for d, p in zip(shape, around, strict=True)])


def zero_pads(rng: Rng) -> Iterator[Case]:
    for x, around, y in pads(rng):
        yield {}, [x, ints(around)], [y]


def value_pads(rng: Rng) -> Iterator[Case]:
    for x, around, y in pads(rng):
        value = np.array([zero_point(rng)])
        yield {}, [x, ints(around), TensorSpec((1,), "int8", x.scale, x.zero_point, data=value)], [y]


def mirror_pads(rng: Rng) -> Iterator[Case]:
    for mode, short in (("REFLECT", 1), ("SYMMETRIC", 0)):
        for shape in ((1, 37), (1, 4, 6), (1, 5, 4, 3)):
            x = activation(rng, shape)
            around = np.array([rng.integers(0, d - short + 1, 2) for d in shape])
            out = [d + int(p.sum()) for d, p in zip(shape, around, strict=True)]
            yield {"mode": mode}, [x, ints(around)], [like(x, out)]


def depth_to_space(rng: Rng) -> Iterator[Case]:
    for h, w, c, b in ((1, 1, 4, 2), (2, 3, 18, 3), (5, 4, 8, 2), (2, 2, 3, 1)):
        x = activation(rng, (1, h, w, c))
        yield {"block_size": b}, [x], [like(x, (1, h * b, w * b, c // (b * b)))]


def space_to_depth(rng: Rng) -> Iterator[Case]:
    for options, (x,), (y,) in depth_to_space(rng):
        assert x is not None
        yield options, [y], [x]


def phases(rng: Rng) -> Iterator[Case]:
    """Without padding, whose value TFLM leaves to chance (ops/space_to_batch.py)."""
    for shape, block in (
        ((1, 6, 2), (3,)),
        ((1, 6, 4, 3), (3, 2)),
        ((1, 4, 4, 1), (2, 2)),
        ((1, 5, 7, 2), (1, 7)),
    ):
        x, none = activation(rng, shape), np.zeros((len(block), 2), int)
        smaller = [d // b for d, b in zip(shape[1:-1], block, strict=True)]
        out = (int(np.prod(block)), *smaller, shape[-1])
        yield {}, [x, ints([*block]), ints(none)], [like(x, out)]


def concatenations(rng: Rng) -> Iterator[Case]:
    for shape, axis in (((1, 37), 1), ((1, 4, 6), -2), ((1, 5, 4, 3), 3), ((1, 7, 9, 2), 1)):
        for _ in range(3):  # TFLM refuses inputs of other scales
            y, out, sizes = activation(rng, shape), list(shape), [int(s) for s in rng.integers(1, 5, 3)]
            xs = []
            for size in sizes:
                out[axis] = size
                xs.append(like(y, out))
            out[axis] = sum(sizes)
            yield {"axis": axis}, xs, [like(y, out)]


# --- choices between elements ---


def pools(rng: Rng) -> Iterator[Case]:
    for image in ((1, 1, 1, 1), (1, 5, 4, 3), (1, 7, 9, 2), (1, 12, 1, 5)):
        for padding in ("SAME", "VALID"):
            for act in ACTIVATIONS:
                x = activation(rng, image)
                kernel = [int(rng.integers(1, min(d, 5) + 1)) for d in image[1:3]]
                strides = [int(s) for s in rng.integers(1, 4, 2)]
                spatial = [
                    -(-d // s) if padding == "SAME" else (d - k) // s + 1
                    for d, k, s in zip(image[1:3], kernel, strides, strict=True)
                ]
                options = dict(
                    padding=padding,
                    filter_height=kernel[0],
                    filter_width=kernel[1],
                    stride_h=strides[0],
                    stride_w=strides[1],
                    fused_activation_function=act,
                )
                yield options, [x], [like(x, (1, *spatial, image[3]))]


def reduced(shape: Sequence[int], axes: Sequence[int], keep: bool) -> list[int]:
    return [1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes]


REDUCTIONS = (
    ((1, 37), (1,)),
    ((1, 4, 6), (1,)),
    ((1, 5, 4, 3), (1, 2)),
    ((1, 5, 4, 3), (3,)),
    ((1, 7, 9, 2), (2,)),
)


def extremes(rng: Rng) -> Iterator[Case]:
    for shape, axes in REDUCTIONS:
        for keep in (False, True):
            x = activation(rng, shape)
            yield {"keep_dims": keep}, [x, ints([*axes])], [like(x, reduced(shape, axes, keep))]


def sums(rng: Rng) -> Iterator[Case]:
    for shape, axes in REDUCTIONS:
        for ratio in RATIOS:
            for keep in (False, True):
                x = activation(rng, shape)
                y = rescaled(rng, x, reduced(shape, axes, keep), ratio)
                yield {"keep_dims": keep}, [x, ints([*axes])], [y]


def indices(rng: Rng) -> Iterator[Case]:
    for shape, axis in (((1, 37), 1), ((1, 4, 6), -1), ((1, 5, 4, 3), 3), ((1, 7, 9, 2), 1), ((1, 300), -1)):
        x = activation(rng, shape)
        out = [d for i, d in enumerate(shape) if i != axis % len(shape)]
        yield {}, [x, ints([axis])], [TensorSpec(tuple(out), "int32")]


def images_to(rng: Rng) -> Iterator[Case]:
    """Resizing: all options over sizes that grow and shrink."""
    for image in IMAGES:
        for how in ({}, {"align_corners": True}, {"half_pixel_centers": True}):
            for size in ((1, 1), (3, 8), (image[1] * 2, image[2] * 3)):
                x = activation(rng, image)
                yield how, [x, ints(*size)], [like(x, (1, *size, image[3]))]


# --- element by element ---


def functions(rng: Rng) -> Iterator[Case]:
    for shape in SHAPES:
        for ratio in RATIOS:
            x = activation(rng, shape)
            yield {}, [x], [rescaled(rng, x, shape, ratio)]


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


SWEEP: dict[str, Callable[[Rng], Iterator[Case]]] = {
    "RESHAPE": reshapes,
    "SQUEEZE": squeezes,
    "EXPAND_DIMS": expansions,
    "TRANSPOSE": transposes,
    "SLICE": slices,
    "STRIDED_SLICE": strided_slices,
    "SPLIT": splits,
    "SPLIT_V": uneven_splits,
    "PACK": packs,
    "UNPACK": unpacks,
    "GATHER": gathers,
    "PAD": zero_pads,
    "PADV2": value_pads,
    "MIRROR_PAD": mirror_pads,
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_DEPTH": space_to_depth,
    "SPACE_TO_BATCH_ND": phases,
    "CONCATENATION": concatenations,
    "AVERAGE_POOL_2D": pools,
    "MAX_POOL_2D": pools,
    "REDUCE_MAX": extremes,
    "REDUCE_MIN": extremes,
    "MEAN": sums,
    "SUM": sums,
    "ARG_MAX": indices,
    "ARG_MIN": indices,
    "RESIZE_BILINEAR": images_to,
    "RESIZE_NEAREST_NEIGHBOR": images_to,
    **dict.fromkeys(("ABS", "ELU", "HARD_SWISH", "QUANTIZE", "RELU"), functions),
    "LEAKY_RELU": leaky,
    "RELU6": clamps,
    "RSQRT": positive,
    "LOGISTIC": fixed(1 / 256, -128),
    "TANH": fixed(1 / 128, 0),
    "L2_NORMALIZATION": fixed(1 / 128, 0),
    "LOG_SOFTMAX": fixed(1 / 16, 127),
    "SOFTMAX": softmaxes,
    **dict.fromkeys(("ADD", "SUB", "MUL"), binaries),
    "DIV": divisions,
    "PRELU": slopes,
    "SQUARED_DIFFERENCE": lambda rng: binaries(rng, fused=False),
    **dict.fromkeys(("MINIMUM", "MAXIMUM"), choices),
    "CONV_2D": convolutions,
    "DEPTHWISE_CONV_2D": depthwise_convolutions,
    "TRANSPOSE_CONV": transposed_convolutions,
    "FULLY_CONNECTED": dense,
    "BATCH_MATMUL": products,
}


def feeds(rng: Rng, shape: Sequence[int]) -> Iterator[Array]:
    """At random, all at either end, and the two ends by turns."""
    yield random_int8(rng, shape)
    for end in ENDS:
        yield np.full(shape, end, np.int8)
    yield np.resize(np.array(ENDS, np.int8), shape)


def check_types(graph: Graph) -> None:
    """Operators' types are those that docs/operators.md names."""
    for node in graph.nodes:
        room = OPS[node.op]
        for names, said in ((node.inputs, room.takes), (node.outputs, room.gives)):
            assert {str(graph.type(name).dtype) for name in names} <= {word.split()[0] for word in said}, (
                node.op
            )


@pytest.mark.parametrize("op", SWEEP)
def test_equals_tflm(op: str) -> None:
    rng = np.random.default_rng(zlib.crc32(op.encode()))
    cases: list[Case] = []
    while len(cases) < LEAST:
        cases += SWEEP[op](rng)
    for options, inputs, outputs in cases:
        graph = import_case(op, options, inputs, outputs)
        check_types(graph)
        model = build(op, options, inputs, outputs)
        for samples in zip(*(feeds(rng, graph.type(name).shape) for name in graph.inputs), strict=True):
            expected = run_model(model, samples)
            values = run(graph, dict(zip(graph.inputs, samples, strict=True)))
            for name, want in zip(graph.outputs, expected, strict=True):
                assert values[name].dtype == want.dtype
                np.testing.assert_array_equal(values[name], want, f"{options} {inputs} {outputs}")
