"""Whole float networks drawn at random: layers, activations, branches, reshapes and transposes, several outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx_net import Net

# fmt: off
ACTIVATIONS = (
    "Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "HardSigmoid", "Elu", "Softplus", "Abs", "Neg", "Mish",
)
# fmt: on


class RandomNet:
    """A net and the tensors to go on from, each with its shape."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.net = Net(int(self.rng.choice([13, 14, 17, 18, 20])), seed)
        self.pool: list[tuple[str, tuple[int, ...]]] = []

    def some(self, *values: Any) -> Any:
        return values[self.rng.integers(len(values))]

    def put(self, name: str, *shape: int) -> None:
        self.pool.append((name, tuple(int(d) for d in shape)))

    def start(self) -> None:
        rng = self.rng
        shape = self.some(
            (1, int(rng.integers(1, 5)), *rng.integers(4, 9, 2).tolist()),
            (1, int(rng.integers(1, 5)), int(rng.integers(6, 17))),
            (1, int(rng.integers(3, 9))),
        )
        self.put(self.net.input(*shape), *shape)
        if rng.random() < 0.25:
            self.put(self.net.input(*shape, name="second"), *shape)

    def window(self, shape: tuple[int, ...], kernel: list[int]) -> tuple[dict[str, Any], list[int]] | None:
        """Attributes of a sliding window and its output's extents; None if it does not fit."""
        strides = [int(self.rng.integers(1, 3)) for _ in kernel]
        pads = [int(self.rng.integers(0, (k + 1) // 2 + 1)) if k > 1 else 0 for k in kernel * 2]
        pads = [min(p, (kernel * 2)[i] - 1) for i, p in enumerate(pads)]
        n = len(kernel)
        out = [(s + pads[i] + pads[n + i] - kernel[i]) // strides[i] + 1 for i, s in enumerate(shape[2:])]
        return ({"strides": strides, "pads": pads}, out) if min(out, default=0) > 0 else None

    # --- one layer each; None where the shape does not suit ---

    def conv(self, x: str, shape: tuple[int, ...]) -> bool:
        kernel = [int(self.rng.integers(1, 4)) for _ in shape[2:]]
        found = self.window(shape, kernel)
        if len(shape) < 3 or found is None:
            return False
        group = self.some(1, 1, shape[1]) if shape[1] < 8 else 1
        out = group * int(self.rng.integers(1, 4))
        self.put(self.net.conv(x, shape[1], out, *kernel, group=group, **found[0]), 1, out, *found[1])
        return True

    def pooling(self, x: str, shape: tuple[int, ...]) -> bool:
        kernel = [int(self.rng.integers(1, 4)) for _ in shape[2:]]
        found = self.window(shape, kernel)
        if len(shape) < 3 or found is None:
            return False
        op_type = self.some("MaxPool", "AveragePool")
        self.put(self.net.add(op_type, x, kernel_shape=kernel, **found[0]), *shape[:2], *found[1])
        return True

    def norm(self, x: str, shape: tuple[int, ...]) -> bool:
        if len(shape) > 4:
            return False
        self.put(self.net.batch_norm(x, shape[1]), *shape)
        return True

    def activation(self, x: str, shape: tuple[int, ...]) -> bool:
        if self.rng.random() < 0.2:
            bounds = (self.net.constant(-0.7), self.net.constant(self.some(0.9, 6.0)))
            self.put(self.net.add("Clip", x, *bounds), *shape)
        elif self.rng.random() < 0.2:
            self.put(self.net.add("Mul", x, self.net.add("Sigmoid", x)), *shape)
        else:
            op_type = self.some(*(a for a in ACTIVATIONS if a != "Mish" or self.net.opset >= 18))
            op_type = "Relu" if op_type == "HardSwish" and self.net.opset < 14 else op_type
            self.put(self.net.add(op_type, x), *shape)
        return True

    def softmax(self, x: str, shape: tuple[int, ...]) -> bool:
        axis = int(self.rng.integers(1, len(shape)))
        self.put(self.net.add("Softmax", x, axis=axis), *shape)
        return True

    def constants(self, x: str, shape: tuple[int, ...]) -> bool:
        """A scale or an offset: of one number, by channel (first or last), or by element."""
        full = self.some((), (shape[1], *[1] * (len(shape) - 2)), shape[-1:], shape[1:])
        c = self.net.constant(self.rng.uniform(0.4, 1.6, full))
        operands = (x, c) if self.rng.random() < 0.7 else (c, x)
        self.put(self.net.add(self.some("Mul", "Add", "Sub"), *operands), *shape)
        return True

    def merge(self, x: str, shape: tuple[int, ...]) -> bool:
        """Add, Sub, Mul or Concat with an earlier tensor that fits."""
        others = [(n, s) for n, s in self.pool if len(s) == len(shape)]
        name, other = self.some(*others)
        differing = [i for i, (a, b) in enumerate(zip(shape, other, strict=True)) if a != b]
        if all(shape[i] == 1 or other[i] == 1 for i in differing) and self.rng.random() < 0.6:
            self.put(
                self.net.add(self.some("Add", "Sub", "Mul"), x, name), *np.broadcast_shapes(shape, other)
            )
            return True
        axes = differing or [int(self.rng.integers(1, len(shape)))]
        if len(axes) > 1:
            return False
        out = [a + b if i == axes[0] else a for i, (a, b) in enumerate(zip(shape, other, strict=True))]
        self.put(self.net.add("Concat", x, name, axis=axes[0]), *out)
        return True

    def slices(self, x: str, shape: tuple[int, ...]) -> bool:
        axis = int(self.rng.integers(1, len(shape)))
        if shape[axis] < 2:
            return False
        if shape[axis] % 2 == 0 and self.rng.random() < 0.5:
            sizes = self.net.constant(np.array([shape[axis] // 2] * 2))
            half = [d // 2 if i == axis else d for i, d in enumerate(shape)]
            for part in self.net.add("Split", x, sizes, outputs=2, axis=axis):
                self.put(part, *half)
            return True
        begin, step = int(self.rng.integers(0, 2)), self.some(1, 2)
        bounds = [self.net.constant(np.array([v])) for v in (begin, shape[axis], axis, step)]
        size = -((begin - shape[axis]) // step)
        self.put(self.net.add("Slice", x, *bounds), *(size if i == axis else d for i, d in enumerate(shape)))
        return True

    def pad(self, x: str, shape: tuple[int, ...]) -> bool:
        pads = [0, *(int(self.rng.integers(0, 3)) for _ in shape[1:])]
        after = [0, *(int(self.rng.integers(0, 2)) for _ in shape[1:])]
        value = self.net.constant(self.some(0.0, 0.0, 0.5))
        out = [d + a + b for d, a, b in zip(shape, pads, after, strict=True)]
        self.put(self.net.add("Pad", x, self.net.constant(np.array([*pads, *after])), value), *out)
        return True

    def turn(self, x: str, shape: tuple[int, ...]) -> bool:
        perm = [0, *(1 + self.rng.permutation(len(shape) - 1)).tolist()]
        self.put(self.net.add("Transpose", x, perm=perm), *(shape[p] for p in perm))
        return True

    def shuffle(self, x: str, shape: tuple[int, ...]) -> bool:
        """Split one axis, or merge two, or flatten."""
        axis = int(self.rng.integers(1, len(shape)))
        factor = self.some(2, 3)
        if len(shape) < 4 and shape[axis] % factor == 0 and shape[axis] > factor:
            new = (*shape[:axis], factor, shape[axis] // factor, *shape[axis + 1 :])
        elif len(shape) > 2 and axis < len(shape) - 1:
            new = (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
        else:
            new = (1, math.prod(shape))
        self.put(self.net.reshape(x, *new), *new)
        return True

    def reduce(self, x: str, shape: tuple[int, ...]) -> bool:
        count = int(self.rng.integers(1, len(shape)))
        axes = sorted((1 + self.rng.permutation(len(shape) - 1)[:count]).tolist())
        keep = int(self.rng.integers(0, 2)) if len(shape) - count > 1 else 1
        out = [1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes]
        if self.net.opset < 18 and self.rng.random() < 0.2:
            self.put(self.net.add("ReduceMax", x, axes=axes, keepdims=keep), *out)
        else:
            self.put(self.net.mean(x, axes, keep), *out)
        return True

    def dense(self, x: str, shape: tuple[int, ...]) -> bool:
        out = int(self.rng.integers(2, 9))
        make = self.net.dense if len(shape) == 2 else self.net.linear
        self.put(make(x, shape[-1], out), *shape[:-1], out)
        return True

    def model(self) -> onnx.ModelProto:
        self.start()
        layers = [
            self.conv,
            self.conv,
            self.conv,
            self.pooling,
            self.norm,
            self.activation,
            self.activation,
            self.dense,
        ]
        layers += [
            self.softmax,
            self.constants,
            self.merge,
            self.merge,
            self.slices,
            self.pad,
            self.turn,
            self.shuffle,
        ]
        layers += [self.reduce]
        wanted = len(self.pool) + int(self.rng.integers(4, 14))
        for _ in range(200):
            name, shape = self.pool[-1] if self.rng.random() < 0.75 else self.some(*self.pool)
            if math.prod(shape) < 4000:
                self.some(*layers)(name, shape)
            if len(self.pool) >= wanted:
                break
        used = {i for node in self.net.nodes for i in node.input}
        made = [name for name, _ in self.pool if name not in self.net.inputs]
        ends = [name for name in made if name not in used] or made[-1:]
        inner = [name for name in made if name in used]
        extra = [self.some(*inner)] if inner and self.rng.random() < 0.3 else []
        return self.net.model(*ends, *extra)


def random_model(seed: int) -> onnx.ModelProto:
    """A valid network of some 5 to 15 nodes; the same for the same seed."""
    return RandomNet(seed).model()
