"""Integer graphs of several nodes for tests: built by hand, or drawn at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from graphs import int8_type, random_int8

from mcugen.check import check_graph
from mcugen.ir import Array, Attr, DType, Graph, Node, Quant, Tensor, TensorType
from mcugen.ops import OPS
from mcugen.rewrite import live

PLAIN: dict[str, Attr] = dict(strides=(1, 1), dilations=(1, 1), pads=(0, 0, 0, 0), groups=1)
SAME: dict[str, Attr] = {**PLAIN, "pads": (1, 1, 1, 1)}
RELU = (0.0, math.inf)


class Builder:
    """Integer graphs, node by node; shapes follow the operators, scales are 1 unless given."""

    def __init__(self, *shape: int, zero_point: int = 0) -> None:
        self.tensors = {"x": Tensor("x", int8_type(shape, 1.0, zero_point), source="x")}
        self.nodes: list[Node] = []

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name].shape

    def constant(self, data: Array, quant: Quant) -> str:
        name = f"c{len(self.tensors)}"
        ttype = TensorType(data.shape, DType(data.dtype.name), quant)
        self.tensors[name] = Tensor(name, ttype, data)
        return name

    def node(self, op: str, inputs: Sequence[str], quant: Quant | None = None, **attrs: Attr) -> str:
        """Append a node; without a quantization the output has the first input's."""
        node = Node(f"n{len(self.nodes)}", op, tuple(inputs), (f"t{len(self.nodes)}",), attrs)
        (out,) = OPS[op].infer(node, [self.tensors[i].type for i in inputs])
        chosen = OPS[op].fixed_quant(node) or quant or self.tensors[inputs[0]].type.quant
        name = node.outputs[0]
        self.tensors[name] = Tensor(name, TensorType(out.shape, DType.INT8, chosen), source=name)
        self.nodes.append(node)
        return name

    def weighted(
        self, op: str, x: str, weights: Array, bias: Sequence[int], zero_point: int = 0, **attrs: Attr
    ) -> str:
        """A convolution or dense layer that divides its accumulator by 2^6 or 2^7, by the channel."""
        axis = 3 if op == "depthwise_conv2d" else 0
        scales = tuple(2.0 ** -(6 + i % 2) for i in range(weights.shape[axis]))
        zeros = (0,) * len(scales)
        w = self.constant(weights.astype(np.int8), Quant(scales, zeros, axis))
        b = self.constant(np.asarray(bias, np.int32), Quant(scales, zeros, 0))
        return self.node(op, [x, w, b], Quant((1.0,), (zero_point,)), **attrs)

    def graph(self, *outputs: str) -> Graph:
        graph = Graph("test", ("x",), outputs, tuple(self.nodes), self.tensors)
        return check_graph(live(graph), "building")


class RandomGraph(Builder):
    """Layers drawn at random, with zero weights, saturating biases and narrow clamps among them."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(
            1, *rng.integers(2, 6, 2).tolist(), int(rng.integers(1, 4)), zero_point=self._zero(rng)
        )
        self.rng = rng

    @staticmethod
    def _zero(rng: np.random.Generator) -> int:
        return int(rng.choice([-128, 0, 3, 127]))

    def some(self, *values: Any) -> Any:
        return values[self.rng.integers(len(values))]

    def clamp(self) -> tuple[float, float]:
        return (*self.some((-math.inf, math.inf), RELU, RELU, (0.0, 6.0), (2.0, 2.0), (-40.0, 5.0)),)

    def sparse(self, shape: tuple[int, ...], axes: Sequence[int]) -> Array:
        """Weights of which some indices of the axes are all zero."""
        weights: Array = self.rng.integers(-127, 128, shape) // self.some(1, 1, 30)
        for axis in axes:
            mask = self.rng.random(shape[axis]) > self.some(0.0, 0.3, 0.6)
            weights = weights * mask.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        return weights

    def bias(self, count: int) -> list[int]:
        return [
            int(self.some(0, 640, -1280, 1 << 20, -(1 << 20), self.rng.integers(-5000, 5000)))
            for _ in range(count)
        ]

    def window(self, kernel: tuple[int, int]) -> dict[str, Attr]:
        """A sliding window with padding below the kernel's size."""
        pads = tuple(int(self.rng.integers(0, k)) * self.some(0, 1) for k in (*kernel, *kernel))
        return dict(strides=self.some((1, 1), (1, 2), (2, 2)), dilations=(1, 1), pads=pads)

    def extend(self, x: str, kind: str) -> str:
        """A layer of a kind behind a tensor, or the tensor itself where it does not fit."""
        shape, rank = self.shape(x), len(self.shape(x))
        channels = shape[-1]
        if kind == "dense":
            weights = self.sparse((self.some(2, 5), channels), (0, 1))
            bias = self.bias(len(weights))
            return self.weighted(
                "fully_connected", x, weights, bias, self._zero(self.rng), clamp=self.clamp()
            )
        if kind == "table":
            quant = Quant((self.some(0.5, 1.0, 2.0),), (self._zero(self.rng),))
            function = self.some(("clip", ("x",), *self.clamp()), ("abs", ("x",)), ("hard_swish", ("x",)))
            return self.node(
                *self.some(("unary", [x], quant), ("requantize", [x], quant)), **{"function": function}
            )
        if kind == "binary":
            return self.node(self.some("add", "sub", "mul"), [x, x], clamp=self.clamp())
        if kind == "concat":
            part = self.constant(random_int8(self.rng, shape), self.tensors[x].type.quant or Quant((), ()))
            return self.node("concat", self.some([x, x], [x, part], [part, x]), axis=self.some(rank - 1, 1))
        if kind == "reshape":
            flat = (1, math.prod(shape))
            turned = (1, math.prod(shape[1:-1]), channels) if rank == 4 else (1, 1, 1, math.prod(shape))
            halved = (
                (1, 2 * shape[1], *shape[2:-1], channels // 2) if channels % 2 == 0 and rank > 2 else flat
            )
            return self.node("reshape", [x], shape=self.some(flat, turned, halved))
        if kind in ("elementwise", "rows", "matmul"):
            return self.whole(x, kind)
        if rank != 4:
            return x
        return self.spatial(x, kind)

    def whole(self, x: str, kind: str) -> str:
        """An operator that needs all channels of what it reads."""
        shape, same = self.shape(x), self.tensors[x].type.quant or Quant((), ())
        quant = Quant((self.some(0.5, 1.0, 30.0),), (self._zero(self.rng),))
        if kind == "rows":
            return self.node(self.some("l2_norm", "log_softmax"), [x])
        if kind == "matmul":
            if len(shape) < 3:
                return x
            constant = self.constant(random_int8(self.rng, (*(1,) * (len(shape) - 2), shape[-1], 3)), quant)
            if self.some(0, 1):
                return self.node("batch_matmul", [x, constant], quant, adj_x=False, adj_y=False)
            turn = bool(self.some(0, 1))
            return self.node("batch_matmul", [x, x], quant, adj_x=turn, adj_y=not turn)
        op = self.some("minimum", "maximum", "squared_difference", "div", "prelu")
        constant = self.constant(random_int8(self.rng, (*(1,) * (len(shape) - 1), shape[-1])), same)
        other = constant if op == "prelu" else self.some(constant, x)
        return self.node(op, [x, other], None if op in ("minimum", "maximum") else quant)

    def spatial(self, x: str, kind: str) -> str:
        _, height, width, channels = self.shape(x)
        kernel = (int(self.rng.integers(1, min(3, height) + 1)), int(self.rng.integers(1, min(3, width) + 1)))
        window = self.window(kernel)
        zero, clamp = self._zero(self.rng), self.clamp()
        if kind == "conv":
            groups = self.some(1, 1, 1, 2) if channels % 2 == 0 else 1
            weights = self.sparse(
                (self.some(2, 4, 6), *kernel, channels // groups), self.some((0, 3), (0, 1, 2, 3))
            )
            return self.weighted(
                "conv2d", x, weights, self.bias(len(weights)), zero, clamp=clamp, groups=groups, **window
            )
        if kind == "depthwise":
            weights = self.sparse((1, *kernel, channels * self.some(1, 1, 2)), (3,))
            bias = self.bias(weights.shape[3])
            return self.weighted("depthwise_conv2d", x, weights, bias, zero, clamp=clamp, **window)
        if kind == "transpose_conv":
            weights = self.sparse((self.some(2, 4), *kernel, channels), self.some((0, 3), (0, 1, 2, 3)))
            pads = (kernel[0] - 1, 0, self.some(0, -1), 0)
            strides = self.some((1, 1), (2, 1))
            bias = self.bias(len(weights))
            return self.weighted(
                kind, x, weights, bias, zero, clamp=clamp, groups=1, pads=pads, strides=strides
            )
        if kind == "max_pool":
            return self.node("max_pool2d", [x], kernel=kernel, clamp=clamp, **window)
        if kind == "average_pool":
            counted = bool(self.some(0, 1))
            return self.node(
                "average_pool2d", [x], kernel=kernel, clamp=clamp, count_include_pad=counted, **window
            )
        if kind == "mean":
            quant = Quant((self.some(0.5, 1.0),), (zero,))
            return self.node("mean", [x], quant, axes=(1, 2), keepdims=bool(self.some(0, 1)))
        if kind == "reduce":
            quant = (
                None
                if (op := self.some("sum", "reduce_max", "reduce_min")) != "sum"
                else Quant((4.0,), (zero,))
            )
            return self.node(op, [x], quant, axes=self.some((1,), (1, 2), (2,), (3,)), keepdims=True)
        if kind == "mirror_pad":
            pads = ((0, 0), (0, height - 1), (min(1, width - 1), 0), self.some((0, 0), (0, channels - 1)))
            return self.node("mirror_pad", [x], pads=pads, mode=self.some("reflect", "symmetric", "edge"))
        if kind == "gather":
            axis = int(self.some(1, 2, 3))
            places = tuple(self.rng.integers(0, self.shape(x)[axis], int(self.rng.integers(1, 5))).tolist())
            return self.node("gather", [x], indices=tuple(places if i == axis else None for i in range(4)))
        if kind == "resize":
            size = (int(self.rng.integers(1, 6)), int(self.rng.integers(1, 6)))
            how = self.some("asymmetric", "half_pixel", "align_corners")
            return self.node("resize_bilinear", [x], size=size, coordinates=how)
        if kind == "pad":
            return self.node(
                "pad", [x], pads=((0, 0), (0, 1), (1, 0), self.some((0, 0), (0, 0), (1, 0))), value=0.0
            )
        if kind == "slice":
            spans = self.some(((0, 1, channels),), ((channels - 1, -1, channels),))[0]
            begin, step, size = zip((0, 1, 1), (0, 1, height), (width - 1, 1, 1), spans, strict=True)
            return self.node("slice", [x], begin=begin, step=step, size=size)
        return self.node("transpose", [x], perm=self.some((0, 2, 1, 3), (0, 3, 1, 2)))


KINDS = ("conv", "conv", "conv", "depthwise", "depthwise", "dense", "table", "binary", "concat", "reshape")
RARE = (
    "max_pool",
    "average_pool",
    "mean",
    "reduce",
    "pad",
    "mirror_pad",
    "slice",
    "gather",
    "resize",
    "transpose",
    "transpose_conv",
    "elementwise",
    "rows",
    "matmul",
)


def random_graph(kinds: Sequence[str], branches: Sequence[int], seed: int) -> Graph:
    """Each layer reads the one before it or, by `branches`, an earlier one.

    Outputs are a dense layer behind each tensor that nothing else reads, and now and then a tensor between.
    """
    builder = RandomGraph(np.random.default_rng(seed))
    names = ["x"]
    for kind, back in zip(kinds, branches, strict=True):
        if builder.tensors[names[-1]].type.elements <= 400:
            names.append(builder.extend(names[max(0, len(names) - 1 - back)], kind))
    read = {name for node in builder.nodes for name in node.inputs}
    outputs = [builder.extend(name, "dense") for name in dict.fromkeys(names) if name not in read]
    between = [node.outputs[0] for node in builder.nodes if builder.rng.random() < 0.04]
    return builder.graph(*dict.fromkeys([*outputs, *between]))
