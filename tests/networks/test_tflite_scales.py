"""Operators that copy integers may give them another scale, which TensorFlow Lite Micro does not look at: what reads
the copy must take the scale of the copy, whatever the compiler does without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite_model
from tflite_case import int8, ints
from tflite_layers import check_layers
from tflm import TensorSpec

SHAPE = (1, 4, 4, 4)
AROUND = ints([[0, 0], [1, 1], [1, 0], [0, 0]])
COPIES: dict[str, tuple[str, dict[str, Any], list[TensorSpec], tuple[int, ...]]] = {
    "relu6": ("RELU6", {}, [], SHAPE),
    "reshape": ("RESHAPE", {}, [ints(1, 16, 1, 4)], (1, 16, 1, 4)),
    "nothing": ("RESHAPE", {}, [ints(*SHAPE)], SHAPE),
    "transpose": ("TRANSPOSE", {}, [ints(0, 2, 3, 1)], SHAPE),
    "blocks": ("SPACE_TO_DEPTH", {"block_size": 2}, [], (1, 2, 2, 16)),
    "pad": ("PAD", {}, [AROUND], (1, 6, 5, 4)),
    "slice": ("SLICE", {}, [ints(0, 1, 0, 0), ints(1, 2, 4, 4)], (1, 2, 4, 4)),
}


@pytest.mark.parametrize("copy", COPIES)
def test_the_reader_takes_the_scale_of_the_copy(copy: str, tmp_path: Path) -> None:
    """A function, an addition and a convolution that read a copy of the input, which is no output."""
    code, options, parameters, shape = COPIES[copy]
    weights = np.random.default_rng(1).integers(-127, 128, (3, 3, 3, shape[3]))
    tensors = [int8(SHAPE, 0.05, -3), int8(shape, 0.11, 20)]  # and what reads the copy
    tensors += [TensorSpec(shape, "int8", 1 / 256, -128), int8(shape, 0.3, 5), int8((*shape[:3], 3), 1.5, 0)]
    tensors += [TensorSpec(weights.shape, "int8", 0.01, data=weights), *parameters]
    conv = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    readers = [("LOGISTIC", {}, [1], [2]), ("ADD", {}, [1, 1], [3]), ("CONV_2D", conv, [1, 5, -1], [4])]
    operator = (code, options, [0, *range(6, len(tensors))], [1])
    for reader in readers:
        check_layers(tflite_model.model(tensors, [operator, reader], [0], reader[3]), tmp_path)
