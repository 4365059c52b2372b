"""Whole int8 .tflite networks drawn at random: 5 to 20 operators, branches, several inputs and outputs, variables,
channels that are constant or that nothing reads, and copies under another scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tflite_model
from tflite_drawing import SPREAD, Drawing, Shape, along
from tflm import TensorSpec

FIXED = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "L2_NORMALIZATION": (1 / 128, 0)}
FIXED |= {"SOFTMAX": (1 / 256, -128), "LOG_SOFTMAX": (1 / 16, 127)}
FUNCTIONS = ("RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "ELU", "ABS", "QUANTIZE", *FIXED)
FUSED = ("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")
LARGEST = 3000  # elements of a tensor to go on from


class RandomTflite(Drawing):
    """A layer adds operators that read an activation, if its shape suits."""

    # --- layers of images ---

    def window(
        self, shape: Sequence[int], dilations: Shape = (1, 1)
    ) -> tuple[dict[str, Any], list[int], list[int]]:
        """Options of a sliding window, its size, and the extents of what it gives."""
        size = [self.upto(max(1, min(4, 1 + (d - 1) // e))) for d, e in zip(shape, dilations, strict=True)]
        strides, padding = [self.upto(3), self.upto(3)], self.some("SAME", "VALID")
        out = [
            -(-d // s) if padding == "SAME" else (d - (k - 1) * e - 1) // s + 1
            for d, k, s, e in zip(shape, size, strides, dilations, strict=True)
        ]
        options = {"stride_h": strides[0], "stride_w": strides[1], "padding": padding}
        return {**options, "fused_activation_function": self.some(*FUSED)}, size, out

    def conv(self, x: int) -> None:
        dilations, channels = (self.some(1, 1, 2), self.some(1, 1, 2)), self.shape(x)[3]
        options, size, out = self.window(self.shape(x)[1:3], dilations)
        options |= {"dilation_h_factor": dilations[0], "dilation_w_factor": dilations[1]}
        if channels < 9 and self.likely(0.35):
            options["depth_multiplier"] = self.upto(3)
            filters = channels * options["depth_multiplier"]
            more, scale = self.weights((1, *size, filters), 3, x, True)
            code = "DEPTHWISE_CONV_2D"
        else:
            groups = self.some(1, 1, 1, *(g for g in (2, 3, 4) if channels % g == 0))
            code, filters = "CONV_2D", groups * self.upto(4)
            more, scale = self.weights((filters, *size, channels // groups), 0, x, self.likely(0.8))
        self.add(code, options, [x, *more], self.activation((1, *out, filters), scale))

    def transposed_conv(self, x: int) -> None:
        options, size, _ = self.window((4, 4))
        _, *image, channels = self.shape(x)
        options["fused_activation_function"] = self.some("NONE", "RELU", "RELU6")
        places = zip(image, size, (options["stride_h"], options["stride_w"]), strict=True)
        out = [d * s if options["padding"] == "SAME" else (d - 1) * s + max(k, s) for d, k, s in places]
        (w, b), scale = self.weights((self.upto(5), *size, channels), 0, x, self.likely(0.8))
        y = self.activation((1, *out, self.shape(w)[0]), scale)
        self.add("TRANSPOSE_CONV", options, [self.ints(y.shape), w, x, *([b] if b >= 0 else [])], y)

    def pooling(self, x: int) -> None:
        options, size, out = self.window(self.shape(x)[1:3])
        options |= {"filter_height": size[0], "filter_width": size[1]}
        code = self.some("MAX_POOL_2D", "AVERAGE_POOL_2D")
        self.add(code, options, [x], self.like(x, (1, *out, self.shape(x)[3])))

    def resize(self, x: int) -> None:
        size, how = [self.upto(10), self.upto(10)], self.some("", "align_corners", "half_pixel_centers")
        code = self.some("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
        y = self.copied(x, (1, *size, self.shape(x)[3]))
        self.add(code, {how: True} if how else {}, [x, self.ints(size)], y)

    def blocks(self, x: int) -> None:
        (_, h, w, c), b = self.shape(x), self.some(2, 2, 3)
        if h % b == w % b == 0:
            y = self.copied(x, (1, h // b, w // b, c * b * b))
            self.add("SPACE_TO_DEPTH", {"block_size": b}, [x], y)
        elif c % (b * b) == 0:
            y = self.copied(x, (1, h * b, w * b, c // (b * b)))
            self.add("DEPTH_TO_SPACE", {"block_size": b}, [x], y)

    # --- layers of any shape with at most four axes ---

    def dense(self, x: int) -> None:
        *lead, depth = self.shape(x)
        more, scale = self.weights((self.upto(9), depth), 0, x, self.likely(0.8))
        options = {"fused_activation_function": self.some(*FUSED), "keep_num_dims": len(lead) > 1}
        y = self.activation((*lead, self.shape(more[0])[0]), scale)
        self.add("FULLY_CONNECTED", options, [x, *more], y)

    def products(self, x: int) -> None:
        """Of all rows with each other, or with a constant's."""
        *lead, rows, depth = self.shape(x)
        other = self.activation((*lead, self.upto(5), depth), 0.02)
        y = x if not lead or self.likely(0.5) else self.constant(other)
        scale = self.scale(x) * self.scale(y) * SPREAD * math.sqrt(depth)
        out = self.activation((*lead, rows, self.shape(y)[-2]), scale)
        self.add("BATCH_MATMUL", {"adj_x": False, "adj_y": True}, [x, y], out)

    def function(self, x: int) -> None:
        code, shape, options = self.some(*FUNCTIONS), self.shape(x), {}
        y = self.copied(x, shape) if code == "RELU6" else self.activation(shape, self.scale(x))
        if code in FIXED:
            y = TensorSpec(shape, "int8", *FIXED[code])
        if code in ("SOFTMAX", "LEAKY_RELU"):
            options = {"beta": self.some(1.0, 0.5)} if code == "SOFTMAX" else {"alpha": self.some(0.3, -0.5)}
        self.add(code, options, [x], y)

    def slope(self, x: int) -> None:
        shape = self.shape(x)
        alpha = self.constant(self.activation((1,) * self.some(0, len(shape) - 2) + shape[-1:], 0.01))
        if len(shape) == 4:
            self.add("PRELU", {}, [x, alpha], self.activation(shape, self.scale(x)))

    def merge(self, x: int) -> None:
        """x and an earlier tensor or a constant."""
        code = self.some("ADD", "ADD", "SUB", "MUL", "SQUARED_DIFFERENCE", "MINIMUM", "MAXIMUM")
        chooses, fuses = code in ("MINIMUM", "MAXIMUM"), code in ("ADD", "SUB", "MUL")
        if self.likely(0.3):
            shape = self.some((1,), self.shape(x)[-1:], self.shape(x))
            y = self.constant(self.like(x, shape) if chooses else self.activation(shape, self.scale(x)))
        else:
            y = self.fitted(self.earlier(x), x) if chooses else self.earlier(x)
        shape = np.broadcast_shapes(self.shape(x), self.shape(y))
        scale = max(self.scale(x), self.scale(y))
        if code in ("MUL", "SQUARED_DIFFERENCE"):
            scale *= SPREAD * (scale if code != "MUL" else min(self.scale(x), self.scale(y)))
        options = {"fused_activation_function": self.some(*FUSED)} if fuses else {}
        out = self.like(x, shape) if chooses else self.activation(shape, scale)
        self.add(code, options, self.some([x, y], [y, x]), out)

    def concat(self, x: int) -> None:
        shape, axis = self.shape(x), self.axis(x)
        parts = [x, *(self.fitted(self.earlier(x, axis), x) for _ in range(self.upto(2)))]
        if self.likely(0.2):
            parts.append(self.constant(self.like(x, along(shape, axis, 2))))
        y = self.like(x, along(shape, axis, sum(self.shape(p)[axis] for p in parts)))
        order = [parts[i] for i in self.rng.permutation(len(parts))]
        self.add("CONCATENATION", {"axis": axis - self.some(0, len(shape))}, order, y)

    def pad(self, x: int) -> None:
        shape, code = self.shape(x), self.some("PAD", "PADV2", "MIRROR_PAD")
        mode = self.some("REFLECT", "SYMMETRIC") if code == "MIRROR_PAD" else ""
        most = [d - (mode == "REFLECT") if mode else 2 for d in shape]
        around = [[0, 0], *([self.upto(min(m, 2), 0) for _ in "ab"] for m in most[1:])]
        y = self.copied(x, [d + sum(a) for d, a in zip(shape, around, strict=True)])
        value = [self.constant(replace(y, shape=(1,)))] if code == "PADV2" else []
        self.add(code, {"mode": mode} if mode else {}, [x, self.ints(around), *value], y)

    def reduce(self, x: int) -> None:
        shape, keep = self.shape(x), self.likely(0.5)
        axes = sorted(1 + int(a) for a in self.rng.permutation(len(shape) - 1)[: self.upto(2)])
        out = [1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes]
        code, size = self.some("MEAN", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"), math.prod(shape)
        scale = self.scale(x) * (size / math.prod(out)) ** (0.5 if code == "SUM" else -0.5)
        y = self.activation(out, scale) if code in ("MEAN", "SUM") else self.like(x, out)
        self.add(code, {"keep_dims": keep}, [x, self.ints(axes)], y)

    def slices(self, x: int) -> None:
        spans = [(0, 1, 1)]
        for d in self.shape(x)[1:]:
            begin = self.upto(max(0, min(2, d - 2)), 0)
            backwards = (d - 1, -d - 1, -self.upto(2))
            spans.append(
                backwards if self.likely(0.1) else (begin, self.upto(d, begin + 1), self.some(1, 1, 2))
            )
        index = self.axis(x) if len(spans) > 2 and self.likely(0.2) else 0  # an axis that goes
        if index:
            spans[index] = (0, 1, 1)
        out = [len(range(d)[slice(*s)]) for d, s in zip(self.shape(x), spans, strict=True)]
        bounds = [self.ints(values) for values in zip(*spans, strict=True)]
        if all(step == 1 for _, _, step in spans) and not index:
            self.add("SLICE", {}, [x, bounds[0], self.ints(out)], self.copied(x, out))
        else:
            y = self.copied(x, along(out, index) if index else out)
            self.add("STRIDED_SLICE", {"shrink_axis_mask": 1 << index if index else 0}, [x, *bounds], y)

    def split(self, x: int) -> None:
        axis, count = self.axis(x), self.some(2, 3)
        size = self.shape(x)[axis]
        sizes = [size // count] * (count - 1) + [size - size // count * (count - 1)]
        outs = [self.copied(x, along(self.shape(x), axis, s)) for s in sizes]
        if size >= count and size % count == 0 and self.likely(0.5):
            self.add("SPLIT", {"num_splits": count}, [self.ints([axis]), x], *outs)
        elif size >= count:
            self.add("SPLIT_V", {"num_splits": count}, [x, self.ints(sizes), self.ints([axis])], *outs)

    def pack(self, x: int) -> None:
        axis, same = self.axis(x), [i for i in self.pool if self.shape(i) == self.shape(x)]
        parts = [x, *(self.fitted(self.some(*same), x) for _ in range(self.upto(2, 0)))]
        y = self.copied(x, (*self.shape(x)[:axis], len(parts), *self.shape(x)[axis:]))
        self.add("PACK", {"axis": axis, "values_count": len(parts)}, parts, y)

    def unpack(self, x: int) -> None:
        axis = self.axis(x)
        size = self.shape(x)[axis]
        if len(self.shape(x)) > 2 and size < 6:
            outs = [self.copied(x, along(self.shape(x), axis)) for _ in range(size)]
            self.add("UNPACK", {"axis": axis, "num": size}, [x], *outs)

    def gather(self, x: int) -> None:
        axis = self.axis(x)
        places = self.rng.integers(0, self.shape(x)[axis], self.upto(6))
        y = self.copied(x, along(self.shape(x), axis, len(places)))
        self.add("GATHER", {"axis": axis}, [x, self.ints(places)], y)

    def transpose(self, x: int) -> None:
        perm = [0, *(1 + self.rng.permutation(len(self.shape(x)) - 1))]
        self.add("TRANSPOSE", {}, [x, self.ints(perm)], self.copied(x, [self.shape(x)[p] for p in perm]))

    def squeeze(self, x: int) -> None:
        shape, axis = self.shape(x), self.axis(x)
        if shape[axis] == 1 and len(shape) > 2:
            self.add("SQUEEZE", {"squeeze_dims": [axis]}, [x], self.copied(x, along(shape, axis)))
        else:
            self.add(
                "EXPAND_DIMS", {}, [x, self.ints([axis])], self.copied(x, along(shape, axis, 1, shape[axis]))
            )

    def reshape(self, x: int) -> None:
        new, rest = [1], math.prod(self.shape(x))
        for _ in range(self.upto(2, 0)):
            new.append(self.some(*(f for f in range(1, 9) if rest % f == 0)))
            rest //= new[-1]
        self.add(
            "RESHAPE", {"new_shape": [*new, rest]}, [x, self.ints([*new, -1])], self.copied(x, [*new, rest])
        )

    def remember(self, x: int) -> None:
        """A variable: what earlier runs left is added to x, or stands before it."""
        shape, handle = self.shape(x), self.tensor(TensorSpec((1,), "resource"))
        count = sum(code == "VAR_HANDLE" for code, *_ in self.operators)
        self.operators.append(("VAR_HANDLE", {"shared_name": f"v{count}"}, [], [handle]))
        if self.likely(0.5):
            old = self.add("READ_VARIABLE", {}, [handle], self.activation(shape, self.scale(x)))
            new = self.add("ADD", {}, [x, old], self.like(old, shape))
        else:
            rows = shape[1] * self.upto(3)
            old = self.add("READ_VARIABLE", {}, [handle], self.like(x, along(shape, 1, rows)))
            both = self.add(
                "CONCATENATION", {"axis": 1}, [old, x], self.like(x, along(shape, 1, rows + shape[1]))
            )
            bounds = along([0] * len(shape), 1, shape[1]), self.shape(both), [1] * len(shape)
            inputs = [both, *(self.ints(b) for b in bounds)]
            new = self.add("STRIDED_SLICE", {}, inputs, self.like(old, self.shape(old)))
        self.operators.append(("ASSIGN_VARIABLE", {}, [handle, new], []))

    # --- the whole ---

    def model(self) -> bytes:
        images = [*[self.conv] * 6, self.transposed_conv, self.pooling, self.resize, self.blocks]
        others = [
            self.dense,
            self.products,
            *[self.function] * 2,
            self.slope,
            *[self.merge] * 2,
            self.concat,
            self.pad,
        ]
        others += [self.reduce, self.slices, self.split, self.pack, self.unpack, self.gather, self.transpose]
        others += [self.squeeze, self.reshape, self.remember]
        image = (1, self.upto(9, 4), self.upto(9, 4), self.upto(5))
        shape = self.some(image, image, (1, self.upto(12, 3), self.upto(8)), (1, self.upto(40, 3)))
        inputs = [self.tensor(self.activation(shape, 0.05)) for _ in range(self.some(1, 1, 1, 2))]
        self.pool += inputs
        wanted = self.upto(18, 5)
        while len(self.operators) < wanted:
            x = self.pool[-1] if self.likely(0.7) else self.some(*self.pool)
            if math.prod(self.shape(x)) <= LARGEST and 1 < len(self.shape(x)) < 5:
                self.some(*(images if len(self.shape(x)) == 4 and self.likely(0.6) else others))(x)
        read = {i for _, _, operands, _ in self.operators for i in operands}
        made = [i for i in self.pool if i not in inputs]
        ends, inner = [i for i in made if i not in read], [i for i in made if i in read]
        if len(ends) > 1 and self.likely(0.3):  # what it needs alone is needed by nobody
            ends.remove(self.some(*ends))
        ends += [self.some(*inner)] if inner and (not ends or self.likely(0.3)) else []
        return tflite_model.model(self.tensors, self.operators, inputs, ends)


def random_tflite(seed: int) -> bytes:
    """The file of a network; the same for the same seed."""
    return RandomTflite(seed).model()
