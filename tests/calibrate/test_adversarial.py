"""Networks and data made to break calibration: each gives C that equals the reference, or one clear error."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_net import Net, smooth_samples

import mcugen
from mcugen.errors import McugenError, ModelError
from mcugen.ir import Array
from mcugen.verify import verify

SHAPE = (3, 6, 6)
METHODS: tuple[dict[str, Any], ...] = (
    {},
    {"percentile": 99.0},
    {"calibration": "mse"},
    {"quantize": "dynamic-range"},
    {"quantize": "float16"},
    {"quantize": "int16x8"},
    {"quantize": "int16x8-float-fallback", "in_float": ["depthwise_conv2d"]},
    {"quantize": "int8-float-fallback", "in_float": ["depthwise_conv2d"]},
)


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """Users shall see no warnings of numpy."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _samples(count: int = 20) -> Array:
    return smooth_samples(np.random.default_rng(1), count, SHAPE)


def _network(
    factors: Callable[[Array], Array] = lambda f: f, bias: float = 1.0, function: str = "Relu", **attrs: Any
) -> onnx.ModelProto:
    """Convolution, depthwise, 1x1 and dense; `factors` turns ones per channel into what multiplies each layer."""
    net = Net(seed=5)
    x = net.input(1, *SHAPE, name="x")
    for channels, out, kernel, group in ((3, 8, 3, 1), (8, 8, 3, 8), (8, 6, 1, 1)):
        x = net.conv(x, channels, out, kernel, kernel, group=group)
        w, b = net.nodes[-1].input[1:]
        f = factors(np.ones(out)).astype(np.float32)
        net.constants[w] = (net.constants[w] * f[:, None, None, None]).astype(np.float32)
        net.constants[b] = (net.constants[b] * f * np.float32(bias)).astype(np.float32)
        x = net.add(function, x, **attrs)
    x = net.reshape(net.add("GlobalAveragePool", x), 1, 6)
    return net.model(net.dense(x, 6, 4))


def _mixed(f: Array) -> Array:
    return f * np.resize([1e-12, 1.0, 1e12], f.shape)


def _holes(f: Array) -> Array:
    return f * np.resize([0.0, 1.0, 1.0], f.shape)


def _times(factor: float) -> Callable[[Array], Array]:
    return lambda f: f * factor


CASES: dict[str, tuple[onnx.ModelProto, Array]] = {
    "huge and tiny in one layer": (_network(_mixed), _samples()),
    "all-zero channels": (_network(_holes), _samples()),
    "all-zero layers": (_network(_times(0.0)), _samples()),
    "1e-30 weights": (_network(_times(1e-30)), _samples()),
    "1e10 weights": (_network(_times(1e10)), _samples()),
    "1e30 weights": (_network(_times(1e30)), _samples()),
    "1e-30 data": (_network(), _samples() * np.float32(1e-30)),
    "1e30 data": (_network(), _samples() * np.float32(1e30)),
    "1e38 data": (_network(), np.clip(_samples(), -3, 3) * np.float32(1e38)),
    "1e-42 data": (_network(bias=0.0), _samples() * np.float32(1e-42)),
    "1e38 weights, 1e-38 data": (_network(_times(1e12)), _samples() * np.float32(1e-38)),
    "one sample in 1e30": (_network(), np.concatenate([_samples(), _samples(1) * np.float32(1e30)])),
    "constant zero": (_network(), np.zeros((20, *SHAPE), np.float32)),
    "constant": (_network(), np.full((20, *SHAPE), -7.0, np.float32)),
    "constant huge": (_network(), np.full((20, *SHAPE), 1e30, np.float32)),
    "one sample": (_network(), _samples(1)),
    "same samples": (_network(), np.repeat(_samples(1), 20, axis=0)),
    "ten samples": (_network(), _samples(10)),
    "saturated tanh": (_network(_times(1e6), function="Tanh"), _samples()),
    "saturated sigmoid": (_network(_times(1e20), function="Sigmoid"), _samples()),
    "saturated clip": (_network(_times(1e8), function="HardSigmoid"), _samples()),
    "saturated softmax": (_network(_times(1e6), function="Softmax", axis=1), _samples()),
    "relu never on": (_network(_times(0.0)), -np.abs(_samples())),
    "softplus": (_network(_times(1e4), function="Softplus"), _samples()),
    "bias far above weights": (_network(_times(1e-12), bias=1e18), _samples()),
}


@pytest.mark.parametrize("name", CASES)
def test_a_library_or_one_clear_error(name: str, tmp_path: Path) -> None:
    model, samples = CASES[name]
    onnx.save(model, tmp_path / "net.onnx")
    for i, method in enumerate(METHODS):
        try:
            built = mcugen.build(tmp_path / "net.onnx", calib=samples, out=tmp_path / str(i), **method)
        except McugenError as error:
            assert error.exit_code in (2, 3), error
            assert error.faults and str(error)
            assert name in MAY_FAIL, f"{name} {method}: {error}"
            continue
        assert name not in MUST_FAIL
        text = (built.path / "net.json").read_text()
        json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in the manifest"))
        for entry in built.manifest.get("calibration", {"tensors": {}})["tensors"].values():
            assert all(math.isfinite(v) for v in (*entry["observed"], *entry["used"]))
            uncounted = entry["clipped"] is None and (entry["origin"] == "fixed" or name == "1e-42 data")
            assert uncounted or entry["origin"] == "fixed" or 0.0 <= entry["clipped"] <= 0.1
        if i == list(CASES).index(name) % len(METHODS):  # compiling takes a while
            report = verify(built.path, data=samples, model=tmp_path / "net.onnx")
            assert report.ok


MUST_FAIL: set[str] = set()
MAY_FAIL: set[str] = {"1e30 weights", "1e38 data", "1e38 weights, 1e-38 data"}


def test_infinite_data_are_refused(tmp_path: Path) -> None:
    onnx.save(_network(), tmp_path / "net.onnx")
    for value in (np.inf, np.nan):
        samples = _samples()
        samples[3, 1, 2, 2] = value
        with pytest.raises(McugenError) as raised:
            mcugen.build(tmp_path / "net.onnx", calib=samples, out=tmp_path)
        assert raised.value.faults


def test_what_overflows_is_named(tmp_path: Path) -> None:
    onnx.save(_network(_times(1e30)), tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="not finite"):
        mcugen.build(tmp_path / "net.onnx", calib=_samples(), out=tmp_path)


@pytest.mark.parametrize("bounds", [(-1e-30, 1e-30), (-1e30, 1e30), (-1e-44, 0.0), (0.0, 3e38), (5.0, 6.0)])
def test_absurd_ranges_by_hand(bounds: tuple[float, float], tmp_path: Path) -> None:
    onnx.save(_network(), tmp_path / "net.onnx")
    for samples in (_samples(), _samples() * np.float32(1e20)):
        try:
            built = mcugen.build(tmp_path / "net.onnx", calib=samples, ranges={"x": bounds}, out=tmp_path)
        except ModelError as error:
            assert bounds[1] < 1e-20 and "too far" in str(error)
        else:
            assert verify(built.path, data=samples).ok
