"""lstm: UNIDIRECTIONAL_SEQUENCE_LSTM against TFLM, run after run; whole networks; what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite_model
import tflm
from tflite_case import check_case, import_case, int8, operators
from tflm import TensorSpec

import mcugen
from mcugen.errors import ModelError, UnsupportedError
from mcugen.fixed import mbqm, quantize_multiplier
from mcugen.fixed16 import sigmoid_table
from mcugen.ops import OPS
from mcugen.read.tflite_import import OperatorFault
from mcugen.verify import verify

OP = "UNIDIRECTIONAL_SEQUENCE_LSTM"
OPTIONS = {"fused_activation_function": "TANH", "cell_clip": 10.0}
Case = tuple[dict[str, Any], list[TensorSpec | None], TensorSpec]


def case(
    rng: np.random.Generator,
    steps: int = 4,
    inputs: int = 3,
    units: int = 5,
    clip: float = 10.0,
    power: int = -12,
    major: bool = False,
    reach: float = 2.0,
    extreme: bool = False,
) -> Case:
    """Options, the 24 inputs, the output. `reach`: of the gates before their functions, about, in real numbers;
    `extreme`: all weights are -128 or 127."""

    def scale(fan: int) -> float:
        return float(rng.uniform(0.5, 2.0) * reach / (fan**0.5 * 70 * 70))

    def weights(columns: int, source: float) -> TensorSpec:
        low = [-128, 127] if extreme else np.arange(-128, 128)
        return TensorSpec(
            (units, columns), "int8", scale(columns) / source, data=rng.choice(low, (units, columns))
        )

    def zero() -> int:
        return int(rng.choice([-128, 127, 0, rng.integers(-128, 128)]))

    s_x, s_h = float(np.float32(rng.uniform(0.001, 0.2))), float(np.float32(rng.uniform(0.002, 0.02)))
    x = int8((steps, 1, inputs) if major else (1, steps, inputs), s_x, zero())
    y = int8((steps, 1, units) if major else (1, steps, units), s_h, zero())
    w = [weights(inputs, s_x) for _ in range(4)]
    r = [weights(units, s_h) for _ in range(4)]
    b = [TensorSpec((units,), "int32", s_x * v.scale, data=rng.integers(-9000, 9000, units)) for v in w]
    hidden = replace(y, shape=(1, units), variable=True)
    cell = TensorSpec((1, units), "int16", 2.0**power, 0, variable=True)
    absent: list[TensorSpec | None] = [None]
    operands = [x, *w, *r, *absent * 3, *b, *absent * 2, hidden, cell, *absent * 4]
    return {**OPTIONS, "cell_clip": clip, "time_major": major}, operands, y


def changed(operands: Sequence[TensorSpec | None], index: int, **values: Any) -> list[TensorSpec | None]:
    spec = operands[index]
    assert spec is not None
    return [replace(spec, **values) if i == index else s for i, s in enumerate(operands)]


@pytest.mark.parametrize("power", [-18, -15, -13, -12, -11, -9, -5])
@pytest.mark.parametrize("clip", [0.0, 0.37, 10.0])
def test_equals_tflm(power: int, clip: float, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed + 100 * abs(power) + int(clip))
    for round_ in range(12):
        steps, inputs, units = (int(rng.integers(1, n)) for n in (7, 10, 9))
        reach = float(rng.choice([0.3, 2.0, 9.0, 60.0]))
        options, operands, y = case(
            rng, steps, inputs, units, clip, power, bool(round_ % 4 == 3), reach, bool(round_ % 5 == 4)
        )
        graph = check_case(OP, options, operands, [y], seed=round_, runs=6)
        assert "lstm" in operators(graph)


def test_clip_that_is_no_number_of_steps(rng_seed: int) -> None:
    """The clip is truncated to integers of the cell; a negative one, and NaN, are none."""
    for clip in (1e-9, 0.00029, 7.9999, 1e30, -1.0, float("nan"), float("inf")):
        options, operands, y = case(np.random.default_rng(rng_seed), clip=clip, reach=9.0)
        check_case(OP, options, operands, [y], runs=5)


def test_multipliers_are_computed_in_double(rng_seed: int) -> None:
    """Older sources of TFLM multiply the scales in float. The cell gate is made to round one way or the other, the
    scales let the output show it."""
    rng = np.random.default_rng(rng_seed)
    options, operands, y = case(rng, 1, 1, 8, clip=0.0, power=-15)
    y = replace(y, scale=2.0**-15, zero_point=0)
    operands = changed(operands, 18, scale=2.0**-15, zero_point=0)
    for i in (*range(1, 9), *range(12, 16)):  # sums are the biases alone; of i, f and o: large
        shape = getattr(operands[i], "shape", ())
        operands = changed(operands, i, data=np.full(shape, 0 if i < 12 else 1 << 30), scale=0.01)
    found = 0
    while found < 5:
        s_x = np.float32(rng.uniform(1e-4, 2e-4))
        s_w = np.float32(2.0**-38 / s_x * rng.uniform(0.6, 1.6))
        pairs = [quantize_multiplier(float(p) * 2.0**12) for p in (float(s_x) * float(s_w), s_x * s_w)]
        halves = (np.arange(1, 14) + 0.5) / (float(s_x * s_w) * 2.0**12)
        near = (halves[:, np.newaxis] + np.arange(-200, 200)).astype(np.int64).reshape(-1)
        sums = near[near < 1 << 30]
        telling = sums[mbqm(sums, *pairs[0]) != mbqm(sums, *pairs[1])][:8]
        if len(telling) < 8:
            continue
        found += 1
        specs = changed(changed(operands, 0, scale=float(s_x), zero_point=0), 3, scale=float(s_w))
        check_case(OP, options, changed(specs, 14, data=telling), [y])


def test_the_table() -> None:
    """That of TFLM (kernels/internal/common.h), every entry."""
    table = sigmoid_table().astype("<u2")
    assert table[:5].tolist() == [32768, 33451, 34133, 34813, 35493]
    assert table[-5:].tolist() == [65534, 65534, 65534, 65534, 65535]
    assert hashlib.sha256(table.tobytes()).hexdigest()[:16] == "c79a34d2c8c6e794"


def test_multiply_accumulates() -> None:
    options, operands, y = case(np.random.default_rng(1), steps=4, inputs=3, units=5)
    graph = import_case(OP, options, operands, [y])
    assert OPS["lstm"].macs(graph.nodes[0], graph) == 4 * 4 * 5 * (3 + 5)


# --- whole networks ---


def network(rng: np.random.Generator, steps: int = 6) -> bytes:
    """Two LSTMs, a dense layer on all of their states, softmax."""
    options, first, middle = case(rng, steps, 3, 5)
    _, second, last = case(rng, steps, 5, 4, power=-11)
    second[0] = middle
    tensors = [spec for spec in (*first, *second[1:]) if spec is not None]
    places = iter(range(len(tensors)))
    read = [-1 if spec is None else next(places) for spec in (*first, *second[1:])]
    shapes = TensorSpec((2,), "int32", data=[1, 4 * steps])
    w = TensorSpec((3, 4 * steps), "int8", 0.01, data=rng.integers(-127, 128, (3, 4 * steps)))
    n = len(tensors)
    tensors += [middle, last, shapes, replace(last, shape=(1, 4 * steps)), w]
    tensors += [TensorSpec((3,), "int32", 0.01 * last.scale, data=[50, -60, 700]), int8((1, 3), 0.07, 5)]
    tensors += [int8((1, 3), 1 / 256, -128)]
    return tflite_model.model(
        tensors,
        [
            (OP, options, read[: len(first)], [n]),
            (OP, options, [n, *read[len(first) :]], [n + 1]),
            ("RESHAPE", {}, [n + 1, n + 2], [n + 3]),
            ("FULLY_CONNECTED", {}, [n + 3, n + 4, n + 5], [n + 6]),
            ("SOFTMAX", {"beta": 1.0}, [n + 6], [n + 7]),
        ],
        [0],
        [n + 7],
    )


def test_network_equals_tflm(rng_seed: int, tmp_path: Path) -> None:
    model = network(np.random.default_rng(rng_seed))
    path = tmp_path / "recurrent.tflite"
    path.write_bytes(model)
    library = mcugen.HostLibrary(mcugen.build(path, out=tmp_path).path)
    assert [layer["op"] for layer in library.layers] == ["lstm", "lstm", "fully_connected", "softmax"]
    assert library.manifest["memory"]["state"] == 28  # 5 + 1 + 10, 4 + 8
    x = np.random.default_rng(rng_seed).integers(-128, 128, (20, 6, 3)).astype(np.int8)
    wanted = np.stack([run[0][0] for run in tflm.run_sequence(model, [[row[np.newaxis]] for row in x])])
    first = library.run(x)
    np.testing.assert_array_equal(first, wanted)
    assert not np.array_equal(library.run(x), first), "the state has no effect"
    library.reset()
    np.testing.assert_array_equal(library.run(x), first)
    report = verify(library.folder, model=path)
    assert report.ok and report.original is not None and report.original.different == 0


# --- refusals ---


@pytest.mark.parametrize(
    ("index", "values", "why"),
    [
        (0, {"shape": (2, 4, 3)}, "batch of 2"),
        (0, {"shape": (1, 12)}, "not \\[batch, time, inputs\\]"),
        (0, {"dtype": "int16"}, "int16, not int8"),
        (0, {"dtype": "float32"}, "float32 activations"),
        (1, {"data": None}, "computed by the model"),
        (3, {"shape": (5, 4), "data": np.zeros((5, 4))}, r"\[5, 4\], not \[5, 3\]"),
        (6, {"shape": (25,), "data": np.zeros(25)}, r"\[25\], not \[5, 5\]"),
        (4, {"dtype": "int16"}, "weights of int16"),
        (4, {"scale": [0.1] * 5}, "one scale"),
        (7, {"zero_point": 3}, "zero point 0"),
        (13, {"dtype": "int16"}, "bias of int16"),
        (14, {"shape": (1, 5), "data": np.zeros((1, 5))}, "bias of the shape"),
        (18, {"variable": False}, "no variable tensor"),
        (18, {"scale": 0.5}, "differ in scale"),
        (18, {"shape": (5, 1)}, r"states of the shapes \[5, 1\]"),
        (19, {"shape": (1, 4)}, r"\[1, 4\]"),
        (19, {"dtype": "float32"}, "not int16"),
        (19, {"scale": 0.001}, "power of 2"),
        (19, {"scale": 1.0}, "power of 2"),
        (19, {"scale": 2.0**-31}, "power of 2"),
        (19, {"zero_point": 1}, "power of 2"),
    ],
)
def test_what_does_not_fit(index: int, values: dict[str, Any], why: str) -> None:
    options, operands, y = case(np.random.default_rng(1))
    with pytest.raises(OperatorFault, match=why):
        import_case(OP, options, changed(operands, index, **values), [y])


@pytest.mark.parametrize(
    ("index", "why"), [(9, "peephole"), (10, "peephole"), (16, "projection"), (20, "layer normalization")]
)
def test_variants(index: int, why: str) -> None:
    options, operands, y = case(np.random.default_rng(1))
    operands[index] = operands[12]
    with pytest.raises(OperatorFault, match=why):
        import_case(OP, options, operands, [y])


@pytest.mark.parametrize(
    ("index", "why"), [(1, "CIFG"), (5, "CIFG"), (2, "missing"), (12, "missing"), (18, "no var")]
)
def test_missing(index: int, why: str) -> None:
    options, operands, y = case(np.random.default_rng(1))
    operands[index] = None
    with pytest.raises(OperatorFault, match=why):
        import_case(OP, options, operands, [y])


@pytest.mark.parametrize(
    ("option", "why"),
    [({"fused_activation_function": "RELU"}, "RELU"), ({"diagonal_recurrent_tensors": True}, "diagonal")],
)
def test_options(option: dict[str, Any], why: str) -> None:
    options, operands, y = case(np.random.default_rng(1))
    with pytest.raises(OperatorFault, match=why):
        import_case(OP, {**options, **option}, operands, [y])


@pytest.mark.parametrize("what", ["another LSTM", "read", "viewed", "output", "input", "foreign"])
def test_states_are_the_operators_own(what: str, tmp_path: Path) -> None:
    options, operands, y = case(np.random.default_rng(1), inputs=5)
    operands[0] = y
    places = iter(range(len(operands)))
    read = [-1 if spec is None else next(places) for spec in operands]
    row = replace(y, shape=(1, 5))
    tensors = [spec for spec in operands if spec is not None]
    n, hidden = len(tensors), read[18]
    tensors += [
        y,
        row,
        TensorSpec((1,), "int32", data=[5]),
        replace(row, shape=(5,)),
        replace(row, variable=True),
        y,
    ]
    own: tflite_model.Operator = (OP, options, read, [n])
    calls, inputs, outputs = {
        "another LSTM": ([own, (OP, options, [n, *read[1:]], [n + 5])], [0], [n + 5]),
        "read": ([("ADD", {}, [hidden, hidden], [n + 1]), own], [0], [n, n + 1]),
        "viewed": ([own, ("RESHAPE", {}, [hidden, n + 2], [n + 3])], [0], [n, n + 3]),
        "output": ([own], [0], [n, hidden]),
        "input": ([own], [0, hidden], [n]),
        "foreign": ([own, ("RELU", {}, [n + 4], [n + 1])], [0], [n, n + 1]),
    }[what]
    path = tmp_path / "shared.tflite"
    path.write_bytes(tflite_model.model(tensors, calls, inputs, outputs))
    with pytest.raises(ModelError, match="no variable tensor of its own|but is used elsewhere too"):
        mcugen.build(path, out=tmp_path)


def test_float_file(repository: Path, tmp_path: Path) -> None:
    path = repository / "examples/tflite/mnist_lstm_float.tflite"
    with pytest.raises(UnsupportedError, match="float32 activations") as caught:
        mcugen.build(path, out=tmp_path)
    assert "full integer quantization" in str(caught.value)
