"""docs/tested.md: every operator of .tflite is in it, and it says what the tests compare."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tested
from tflm import TensorSpec, TflmError, build, run_tflm

from mcugen.ops import TFLITE_IMPORTS


def test_every_operator_is_compared_or_excused() -> None:
    text = tested.PAGE.read_text(encoding="utf-8")
    compared, excused = set(re.findall(r"^## (\w+)$", text, re.M)), set(tested.OWN)
    assert not compared & excused
    assert compared | excused == set(TFLITE_IMPORTS), "compare the operator with TFLM, then run `make tested`"
    assert set(re.findall(r"^\* ([A-Z_0-9]+): ", text, re.M)) == excused, "run `make tested`"
    assert set(tested.NOTES) <= compared


@pytest.mark.parametrize("op", sorted(tested.OWN))
def test_the_wheel_cannot_run_what_is_excused(op: str, capfd: pytest.CaptureFixture[str]) -> None:
    x, y = TensorSpec((1, 4), "int8", 0.5, -128), TensorSpec((1, 4), "int8", 0.5, -128)
    build(op, {}, [x], [y])
    with pytest.raises(TflmError):
        run_tflm(op, {}, [x], [y], [np.arange(4, dtype=np.int8).reshape(1, 4)])
    said = capfd.readouterr().err
    assert ("Didn't find op" in said) == (tested.OWN[op] == tested.UNKNOWN)
    assert ("FLOAT32" in said or "INT8 (9) not supported" in said) == (tested.OWN[op] == tested.FLOAT_ONLY)


@pytest.mark.slow
def test_the_page_is_fresh() -> None:
    build("RELU", {}, [TensorSpec((1, 1))], [TensorSpec((1, 1))])  # skips where the wheel is missing
    assert tested.PAGE.read_text(encoding="utf-8") == tested.page(tested.collect()), "run `make tested`"
