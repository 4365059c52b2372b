"""Every operator of .tflite that the wheel can run: our import and integer reference against TensorFlow Lite Micro over
shapes, scales, zero points at both ends, options and extreme values. What is special about an operator is tested in its
own file."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import sweep_moves as moves
import sweep_numbers as numbers
from graphs import random_int8
from sweep_case import Case, Rng
from tflite_case import import_case
from tflm import build, run_model

from mcugen.execute import run
from mcugen.ir import Array, DType, TensorType

LEAST = 16  # cases of an operator
SWEEP: dict[str, Callable[[Rng], Iterator[Case]]] = {
    "RESHAPE": moves.reshapes,
    "SQUEEZE": moves.squeezes,
    "EXPAND_DIMS": moves.expansions,
    "TRANSPOSE": moves.transposes,
    "SLICE": moves.slices,
    "STRIDED_SLICE": moves.strided_slices,
    "SPLIT": moves.splits,
    "SPLIT_V": moves.uneven_splits,
    "PACK": moves.packs,
    "UNPACK": moves.unpacks,
    "GATHER": moves.gathers,
    "PAD": moves.zero_pads,
    "PADV2": moves.value_pads,
    "MIRROR_PAD": moves.mirror_pads,
    "DEPTH_TO_SPACE": moves.depth_to_space,
    "SPACE_TO_DEPTH": moves.space_to_depth,
    "SPACE_TO_BATCH_ND": moves.phases,
    "CONCATENATION": moves.concatenations,
    "AVERAGE_POOL_2D": moves.pools,
    "MAX_POOL_2D": moves.pools,
    "REDUCE_MAX": moves.extremes,
    "REDUCE_MIN": moves.extremes,
    "MEAN": moves.sums,
    "SUM": moves.sums,
    "ARG_MAX": moves.indices,
    "ARG_MIN": moves.indices,
    "RESIZE_BILINEAR": moves.images_to,
    "RESIZE_NEAREST_NEIGHBOR": moves.images_to,
    **dict.fromkeys(("ABS", "ELU", "HARD_SWISH", "RELU"), numbers.functions),
    "QUANTIZE": numbers.conversions,
    "DEQUANTIZE": numbers.dequantizations,
    "LEAKY_RELU": numbers.leaky,
    "RELU6": numbers.clamps,
    "RSQRT": numbers.positive,
    "LOGISTIC": numbers.fixed(1 / 256, -128),
    "TANH": numbers.fixed(1 / 128, 0),
    "L2_NORMALIZATION": numbers.fixed(1 / 128, 0),
    "LOG_SOFTMAX": numbers.fixed(1 / 16, 127),
    "SOFTMAX": numbers.softmaxes,
    **dict.fromkeys(("ADD", "SUB", "MUL"), numbers.binaries),
    "DIV": numbers.divisions,
    "PRELU": numbers.slopes,
    "SQUARED_DIFFERENCE": lambda rng: numbers.binaries(rng, fused=False),
    **dict.fromkeys(("MINIMUM", "MAXIMUM"), numbers.choices),
    "CONV_2D": numbers.convolutions,
    "DEPTHWISE_CONV_2D": numbers.depthwise_convolutions,
    "TRANSPOSE_CONV": numbers.transposed_convolutions,
    "FULLY_CONNECTED": numbers.dense,
    "BATCH_MATMUL": numbers.products,
}


def feeds(rng: Rng, ttype: TensorType) -> Iterator[Array]:
    """At random, all at either end, and the two ends by turns."""
    shape, dtype = ttype.shape, ttype.dtype.numpy
    if ttype.dtype is DType.FLOAT32:
        yield rng.normal(0.0, 20.0, shape).astype(np.float32)
        ends = [-1e5, 1e5]  # beyond 2^31 steps of the output TFLM's cast is undefined
    else:
        lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max
        first = ttype.dtype is DType.INT8
        yield random_int8(rng, shape) if first else rng.integers(lowest, highest + 1, shape, dtype)
        ends = [lowest, highest]
    for end in ends:
        yield np.full(shape, end, dtype)
    yield np.resize(np.array(ends, dtype), shape)


@pytest.mark.parametrize("op", SWEEP)
def test_equals_tflm(op: str) -> None:
    rng = np.random.default_rng(zlib.crc32(op.encode()))
    cases: list[Case] = []
    while len(cases) < LEAST:
        cases += SWEEP[op](rng)
    for options, inputs, outputs in cases:
        graph = import_case(op, options, inputs, outputs)
        model = build(op, options, inputs, outputs)
        for samples in zip(*(feeds(rng, graph.type(name)) for name in graph.inputs), strict=True):
            expected = run_model(model, samples)
            values = run(graph, dict(zip(graph.inputs, samples, strict=True)))
            for name, want in zip(graph.outputs, expected, strict=True):
                assert values[name].dtype == want.dtype
                np.testing.assert_array_equal(values[name], want, f"{options} {inputs} {outputs}")
