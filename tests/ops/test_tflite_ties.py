"""Multipliers of .tflite operators, bit by bit: scales are chosen so that results lie as near to a half step as float32
lets them. One bit less in a multiplier (a float32 product where TensorFlow Lite Micro has float64) changes bytes."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from tflite_case import import_case, int8, ints
from tflm import TensorSpec, build, run_model

from mcugen.execute import run

Case = tuple[Mapping[str, Any], Sequence[TensorSpec | None], Sequence[TensorSpec]]
Rng = np.random.Generator
ALL = np.arange(-128, 128, dtype=np.int8)
LEFT = (1, 256)
MODELS = 40  # of each kind


def float32(value: float) -> float:
    return float(np.float32(value))


def scale(rng: Rng) -> float:
    return float32(rng.uniform(0.01, 0.1))


def halfway(rng: Rng, value: int) -> float:
    """About an odd number of half steps, where the arithmetic's two roundings of value * multiplier are undecided."""
    target = int(rng.integers(3, 60)) + 0.5
    right_shift = max(-math.frexp(target / value)[1], 0)
    return target - (0.5 ** (right_shift + 1) if right_shift else 0.0)  # the first rounds to 2^-right_shift


def tied(rng: Rng, real: float, factor: int = 1) -> float:
    """An output scale by which `factor` times some int8 times `real` is halfway between two steps."""
    value = factor * int(rng.integers(40, 127))
    return float32(value * real / halfway(rng, value))


def number(value: int, step: float, zero: int = 0, shape: Sequence[int] = (1, 1)) -> TensorSpec:
    """A constant of equal elements."""
    return TensorSpec(tuple(shape), "int8", step, zero, data=np.full(shape, value, np.int8))


def rescaling(rng: Rng) -> Iterator[Case]:
    for _ in range(MODELS):
        step = scale(rng)
        yield {}, [int8(LEFT, step, 0)], [int8(LEFT, tied(rng, step), 0)]


def leaky(rng: Rng) -> Iterator[Case]:
    for _ in range(MODELS):
        step, alpha = scale(rng), float32(rng.uniform(0.1, 0.9))
        yield {"alpha": alpha}, [int8(LEFT, step, 0)], [int8(LEFT, tied(rng, step * alpha), 0)]


def slopes(rng: Rng) -> Iterator[Case]:
    for _ in range(MODELS):
        step, other, slope = scale(rng), scale(rng), int(rng.integers(1, 127))
        y = tied(rng, step * other, slope)
        yield {}, [int8(LEFT, step, 0), number(slope, other)], [int8(LEFT, y, 0)]


def products(rng: Rng) -> Iterator[Case]:
    for options, xs, ys in slopes(rng):
        yield {**options, "fused_activation_function": "NONE"}, xs, ys


def sums(rng: Rng) -> Iterator[Case]:
    """The other operand is 0, but its scale takes part."""
    for smaller in (1.0, 0.37):
        for _ in range(MODELS):
            step = scale(rng)
            y = int8(LEFT, tied(rng, step), 0)
            yield {}, [int8(LEFT, step, 0), number(0, float32(step * smaller))], [y]


def squares(rng: Rng) -> Iterator[Case]:
    for _ in range(MODELS):
        step, value = scale(rng), int(rng.integers(8, 120))
        y = float32((value * step) ** 2 / halfway(rng, value * value))
        yield {}, [int8(LEFT, step, 0), number(0, step)], [int8(LEFT, y, -128)]


def reductions(rng: Rng) -> Iterator[Case]:
    for count in (1, 3):
        for _ in range(MODELS):
            step = scale(rng)
            x = int8((1, 256, count), step, 0)
            yield {"keep_dims": False}, [x, ints([2])], [int8(LEFT, tied(rng, step), 0)]


def matrices(rng: Rng) -> Iterator[Case]:
    """Every product of two bytes, both computed; and with one constant."""
    for _ in range(MODELS // 4):
        a, b = scale(rng), scale(rng)
        y = tied(rng, a * b, int(rng.integers(20, 127)))
        yield {}, [int8((1, 256, 1), a, 0), int8((1, 1, 256), b, 0)], [int8((1, 256, 256), y, 0)]
        constant = TensorSpec((1, 1, 256), "int8", b, 0, data=ALL.reshape(1, 1, 256))
        yield {}, [int8((1, 256, 1), a, 0), constant], [int8((1, 256, 256), y, 0)]


def weighted(op: str) -> Callable[[Rng], Iterator[Case]]:
    """Biases of about half steps, where the input is 0; weights with one scale, and one per channel."""
    axis = 3 if op == "DEPTHWISE_CONV_2D" else 0
    steps = np.arange(-100, 101)
    count = len(steps)
    image = (1, 1) if op == "FULLY_CONNECTED" else (1, 1, 1, 1)
    shape = (1, 1, 1, count) if axis == 3 else (count, *image[1:])
    options: dict[str, Any] = {"fused_activation_function": "NONE"}
    if op == "FULLY_CONNECTED":
        options |= {"weights_format": "DEFAULT", "keep_num_dims": False}
    else:
        options |= {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    if op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        options |= {"dilation_h_factor": 1, "dilation_w_factor": 1}
    if axis == 3:
        options["depth_multiplier"] = count

    def cases(rng: Rng) -> Iterator[Case]:
        for channels in (1, count):
            for _ in range(MODELS // 4):
                x, y = scale(rng), scale(rng) * 1000
                scales = [float32(s) for s in rng.uniform(0.001, 0.002, channels)]
                real = np.array(scales) * x / float32(y)
                bias = np.rint((steps + 0.5) / real).astype(np.int64)
                inputs = [
                    int8(image, x, -128),
                    TensorSpec(shape, "int8", scales, axis=axis, data=np.ones(shape, np.int8)),
                    TensorSpec((count,), "int32", [x * s for s in scales], data=bias),
                ]
                out = int8((*image[:-1], count), float32(y), 0)
                if op == "TRANSPOSE_CONV":
                    inputs = [ints(np.array(out.shape)), inputs[1], inputs[0], inputs[2]]
                yield options, inputs, [out]

    return cases


TIES: dict[str, Callable[[Rng], Iterator[Case]]] = {
    **dict.fromkeys(("QUANTIZE", "RELU", "ABS", "ELU"), rescaling),
    "LEAKY_RELU": leaky,
    "PRELU": slopes,
    "MUL": products,
    **dict.fromkeys(("ADD", "SUB"), sums),
    "SQUARED_DIFFERENCE": squares,
    **dict.fromkeys(("MEAN", "SUM"), reductions),
    "BATCH_MATMUL": matrices,
    **{op: weighted(op) for op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")},
}


@pytest.mark.parametrize("op", TIES)
def test_equals_tflm(op: str) -> None:
    rng = np.random.default_rng(zlib.crc32(op.encode()))
    for options, inputs, outputs in TIES[op](rng):
        graph = import_case(op, options, inputs, outputs)
        samples = [np.resize(ALL, graph.type(name).shape) for name in graph.inputs]
        if graph.type(graph.inputs[0]).shape == (1, 256, 3):
            samples = [np.repeat(ALL, 3).reshape(1, 256, 3)]
        (expected,) = run_model(build(op, options, inputs, outputs), samples)
        values = run(graph, dict(zip(graph.inputs, samples, strict=True)))
        np.testing.assert_array_equal(values[graph.outputs[0]], expected, f"{options} {inputs} {outputs}")
