"""Random networks quantized by onnxruntime: each builds (with samples where onnxruntime left tensors without a range),
equals its reference, and is close to what onnxruntime makes of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_net import smooth_samples
from quantized_net import INT8, QDQ, QOPERATOR, UINT8, built, quantize
from random_networks import random_model

from mcugen.errors import UsageError

# Networks with one input; 36 and 68 were faults once.
SEEDS = (0, 2, 4, 7, 12, 14, 36, 38, 41, 68)
NOISE = 25.0  # dB: among 343 such networks the least was above


def _options(rng: np.random.Generator) -> dict[str, Any]:
    form, per_channel, activations = (QDQ, QOPERATOR)[rng.integers(2)], rng.integers(2), rng.integers(2)
    weights = (INT8, INT8, UINT8)[rng.integers(3)] if activations else INT8  # it has no int8 by uint8
    types = {"activation_type": (INT8, UINT8)[activations], "weight_type": weights}
    return {"quant_format": form, "per_channel": bool(per_channel), **types}


@pytest.mark.parametrize("seed", SEEDS)
def test_random_quantized_networks(seed: int, tmp_path: Path) -> None:
    model = random_model(seed)
    (port,) = model.graph.input
    shape = [d.dim_value for d in port.type.tensor_type.shape.dim][1:]
    path = quantize(model, shape, tmp_path, **_options(np.random.default_rng(seed)))
    try:
        _, report = built(path, tmp_path, 32)
    except UsageError as error:
        assert "without a range" in str(error) or "needs calibration data" in str(error)
        calib = {port.name: smooth_samples(np.random.default_rng(5), 32, shape)}
        _, report = built(path, tmp_path, 32, calib=calib)
    assert report.ok
    assert report.float_report is not None and report.float_report.sqnr is not None
    assert report.float_report.sqnr > NOISE
