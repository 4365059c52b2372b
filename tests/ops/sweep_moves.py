"""Cases of operators that move elements or choose between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from sweep_case import ACTIVATIONS, IMAGES, RATIOS, Case, Rng, activation, like, rescaled, zero_point
from tflite_case import ints
from tflm import TensorSpec

from mcugen.ir import Array

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
