"""requantize: the integer reference against TFLM's QUANTIZE."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.ir import Array
from mcugen.ops import OPS
from tests.graphs import int8_type, one_node_graph
from tests.tflm import TensorSpec, run_tflm

ALL = np.arange(-128, 128).astype(np.int8).reshape(1, 256)


def reference(si: float, zi: int, so: float, zo: int) -> Array:
    graph = one_node_graph("requantize", [int8_type((1, 256), si, zi)], {}, int8_type((1, 256), so, zo))
    (y,) = OPS["requantize"].reference(graph.nodes[0], graph, [ALL])
    return y


@pytest.mark.parametrize(
    "ratio", [1e-4, 0.1, 0.5, 0.75, 1.0, 1.0001, 2.0, 3.7, 260.0, 300.0, 511.0, 600.0, 1e5]
)
def test_equals_tflm(ratio: float, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    for _ in range(4):
        so = float(rng.uniform(0.001, 0.1))
        zi, zo = (int(z) for z in rng.choice([-128, 127, *rng.integers(-128, 128, 4)], 2))
        (expected,) = run_tflm(
            "QUANTIZE",
            {},
            [TensorSpec((1, 256), "int8", so * ratio, zi)],
            [TensorSpec((1, 256), "int8", so, zo)],
            [ALL],
        )
        np.testing.assert_array_equal(reference(so * ratio, zi, so, zo), expected)


def test_same_quantization_changes_nothing() -> None:
    np.testing.assert_array_equal(reference(0.3, 17, 0.3, 17), ALL)
