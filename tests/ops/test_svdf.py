"""svdf: sequences of runs against TensorFlow Lite Micro; what imports refuse; whole networks with memories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite_model
import tflm
from graphs import random_int8
from halves import telling_scales
from tflite_case import check_case, import_case, int8
from tflite_model import Operator
from tflm import TensorSpec

import mcugen
from mcugen.errors import ModelError
from mcugen.execute import rest, run
from mcugen.graph_file import load_graph
from mcugen.ir import Array, Graph
from mcugen.ops import OPS
from mcugen.read.tflite_import import OperatorFault
from mcugen.verify import verify

Shape = tuple[int, int, int, int]  # inputs, units, rank, memory


def random_operands(
    shape: Shape,
    state: str,
    rng: np.random.Generator,
    zeros: tuple[int, int, int] = (0, 0, 0),
    busy: float = 1.0,
) -> tuple[list[TensorSpec], TensorSpec]:
    """Inputs and output of an SVDF with random weights. `zeros` are the zero points of x, the state and y; the state's
    and the output's scales are such that most values fit, a large `busy` makes the state saturate."""
    inputs, units, rank, memory = shape
    filters, most = units * rank, np.iinfo(state).max
    scales = [float(np.float32(s)) for s in rng.uniform(0.002, 0.1, 3)]
    features = rng.integers(-127, 128, (filters, inputs))
    time = rng.integers(-most, most + 1, (filters, memory))
    kept = float(np.float32(scales[0] * scales[1] * 1e4 * np.sqrt(inputs) / most / busy))
    y = kept * scales[2] * most * most * np.sqrt(rank * memory) / 300.0
    bias = rng.integers(-most, most + 1, units) * most
    specs = [
        int8((1, inputs), scales[0], zeros[0]),
        TensorSpec((filters, inputs), "int8", scales[1], data=features),
        TensorSpec((filters, memory), state, scales[2] * 1e-4, data=time),
        TensorSpec((units,), "int32", kept * scales[2] * 1e-4, data=bias),
        TensorSpec((1, filters * memory), state, kept, zeros[1], variable=True),
    ]
    return specs, int8((1, units), y * 1e-4, zeros[2])


SHAPES: list[Shape] = [(1, 1, 1, 1), (7, 5, 1, 4), (40, 3, 2, 10), (16, 2, 3, 8), (5, 4, 4, 1), (33, 1, 5, 3)]


@pytest.mark.parametrize("state", ["int8", "int16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_tflm(shape: Shape, state: str, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    for x, kept, y in ((0, 0, 0), (-128, 0, 127), (127, 0, -128), (3, 0, -9)):
        for busy in (1.0, 6.0):
            operands, result = random_operands(shape, state, rng, (x, kept, y), busy)
            graph = check_case(
                "SVDF", {"rank": shape[2]}, operands, [result], int(rng.integers(99)), runs=shape[3] + 4
            )
            inputs, units, rank, memory = shape
            assert OPS["svdf"].macs(graph.nodes[0], graph) == units * rank * (inputs + memory)


@pytest.mark.parametrize(
    ("state", "zero_point"), [("int8", 5), ("int8", -128), ("int8", 127), ("int16", 700)]
)
def test_a_state_with_a_zero_point_wraps(state: str, zero_point: int, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    operands, result = random_operands((9, 4, 2, 5), state, rng, (-7, zero_point, 3), busy=4.0)
    check_case("SVDF", {"rank": 2}, operands, [result], runs=12)


def test_a_fused_activation_is_ignored_and_the_bias_may_be_missing(rng_seed: int) -> None:
    """TFLM's preparation reads a bias's scale in any case: there it is one of zeros."""
    operands, result = random_operands((9, 4, 1, 5), "int16", np.random.default_rng(rng_seed))
    options = {"rank": 1, "fused_activation_function": "RELU"}
    graph = check_case("SVDF", options, operands, [result], runs=9)
    without = import_case("SVDF", options, [*operands[:3], None, operands[4]], [result])
    assert not without.constant(without.nodes[0].inputs[3]).any()
    assert graph.nodes[0].attrs == without.nodes[0].attrs == {"rank": 1}


@pytest.mark.parametrize("most", [127, -127])
@pytest.mark.parametrize("state", ["int8", "int16"])
def test_extremes(state: str, most: int) -> None:
    """Every weight and input at its limit: sums over an int16 state pass 2^31 and wrap."""
    inputs, units, rank, memory = 64, 2, 2, 16
    wide = np.iinfo(state).max if most > 0 else np.iinfo(state).min
    operands, result = random_operands((inputs, units, rank, memory), state, np.random.default_rng(1))
    operands[0] = replace(operands[0], zero_point=-128 if most > 0 else 127)
    operands[1] = replace(operands[1], data=np.full((4, inputs), most))
    operands[2] = replace(operands[2], data=np.full((4, memory), wide))
    check_case("SVDF", {"rank": rank}, operands, [result], runs=24)


def test_ratios_of_scales_are_float64(rng_seed: int) -> None:
    """The features, then the sums over time, are all products with the ratio that tells."""
    rng = np.random.default_rng(rng_seed)
    every, ones = np.arange(-127, 128), np.ones(255)

    def case(features: Array, time: Array, scales: tuple[float, float, float, float, float]) -> None:
        x, for_x, kept, for_time, y = scales
        operands = [
            int8((1, 1), x, 0),
            TensorSpec((255, 1), "int8", for_x, data=features.reshape(255, 1)),
            TensorSpec((255, 1), "int8", for_time, data=time.reshape(255, 1)),
            TensorSpec((255,), "int32", kept * for_time, data=np.zeros(255)),
            TensorSpec((1, 255), "int8", kept, variable=True),
        ]
        check_case("SVDF", {"rank": 1}, operands, [int8((1, 255), y, 0)], runs=256)

    for a, b, c in telling_scales(lambda a, b, c: a * b / c, 8, rng):
        case(every, ones, (a, b, c, 1.0, c))
        case(ones, every, (a, 1.0, a, b, c))


def test_the_state_holds_the_bytes_of_tflm(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    for state, zero_point in (("int8", 0), ("int8", 9), ("int16", 0)):
        operands, result = random_operands((6, 3, 2, 4), state, rng, (-7, zero_point, 3), busy=3.0)
        tensors = [*operands, result]
        model = tflite_model.model(tensors, [("SVDF", {"rank": 2}, range(5), [5])], [0], [5, 4])
        graph = import_case("SVDF", {"rank": 2}, operands, [result])
        memory = rest(graph)
        samples = [random_int8(rng, (1, 6)) for _ in range(9)]
        for x, (y, kept) in zip(samples, tflm.run_sequence(model, [[x] for x in samples]), strict=True):
            np.testing.assert_array_equal(run(graph, {"x0": x}, memory)["y0"], y)
            np.testing.assert_array_equal(memory["x4"], kept)
            assert memory["x4"].dtype == kept.dtype


def small(**changed: TensorSpec) -> list[TensorSpec]:
    """Operands of 6 inputs, 2 units of rank 2, 3 steps; some of them others."""
    names = ("x", "features", "time", "bias", "state")
    operands, _ = random_operands((6, 2, 2, 3), "int8", np.random.default_rng(0))
    return [changed.get(name, spec) for name, spec in zip(names, operands, strict=True)]


def weights(*shape: int, dtype: str = "int8", **quant: Any) -> TensorSpec:
    return TensorSpec(shape, dtype, **{"scale": 0.1, **quant}, data=np.ones(shape))


def state(*shape: int, dtype: str = "int8", **quant: Any) -> TensorSpec:
    return TensorSpec(shape, dtype, **{"scale": 0.1, **quant}, variable=True)


@pytest.mark.parametrize(
    ("changed", "rank", "why"),
    [
        ({}, 0, "rank 0"),
        ({}, -2, "rank -2"),
        ({}, 3, "rank 3"),
        ({}, 1, "bias"),
        ({"x": int8((2, 6))}, 2, "batch of 2"),
        ({"x": int8((1, 5))}, 2, "do not fit an input"),
        ({"x": int8((1, 1, 6))}, 2, "not .batch, elements"),
        ({"x": TensorSpec((1, 6), "int16", 0.1)}, 2, "int16, not int8"),
        ({"features": int8((4, 6))}, 2, "constant"),
        ({"features": weights(4, 6, dtype="int16")}, 2, "feature weights of int16"),
        ({"features": weights(4, 6, zero_point=1)}, 2, "zero point 0"),
        ({"features": weights(4, 6, scale=[0.1] * 4)}, 2, "one scale"),
        ({"features": weights(24)}, 2, "do not fit"),
        ({"time": weights(5, 3)}, 2, "do not fit the rank"),
        ({"time": weights(4, 0)}, 2, "do not fit"),
        ({"time": weights(4, 3, dtype="int32")}, 2, "time weights of int32"),
        ({"time": weights(4, 3, dtype="int16")}, 2, "a state of int8 with time weights of int16"),
        ({"bias": TensorSpec((2,), "int8", 0.1, data=[1, 2])}, 2, "a bias of int8"),
        ({"bias": weights(3, dtype="int32")}, 2, "bias"),
        ({"state": int8((1, 12))}, 2, "no variable tensor"),
        ({"state": state(12)}, 2, "a state"),
        ({"state": state(1, 12, scale=[0.1] * 12, axis=1)}, 2, "one scale"),
    ],
)
def test_what_imports_refuse(changed: Mapping[str, TensorSpec], rank: int, why: str) -> None:
    with pytest.raises(OperatorFault, match=why):
        import_case("SVDF", {"rank": rank}, small(**changed), [int8((1, 2))])


def test_float_is_refused() -> None:
    operands = [
        TensorSpec(s.shape, "float32", data=s.data, variable=s.variable) if s.dtype == "int8" else s
        for s in small()
    ]
    with pytest.raises(OperatorFault, match="float32 is not supported"):
        import_case("SVDF", {"rank": 2}, operands, [TensorSpec((1, 2), "float32")])


TENSORS = [*small(), int8((1, 2)), int8((1, 12), 0.1, 0)]
SVDF: Operator = ("SVDF", {"rank": 2}, [0, 1, 2, 3, 4], [5])


@pytest.mark.parametrize(
    ("operators", "inputs", "outputs", "why"),
    [
        ([SVDF, ("SVDF", {"rank": 2}, [0, 1, 2, 3, 4], [7])], [0], [5, 7], "of its own"),
        ([SVDF], [0, 4], [5], "used elsewhere"),
        ([SVDF], [0], [5, 4], "used elsewhere"),
        ([SVDF, ("ADD", {}, [4, 4], [6])], [0], [5, 6], "used elsewhere"),
        ([("ADD", {}, [4, 4], [6]), SVDF], [0], [5, 6], "used elsewhere"),
        ([SVDF, ("RESHAPE", {}, [4], [6])], [0], [5, 6], "used elsewhere"),
    ],
)
def test_a_state_is_shared_with_nothing(
    operators: list[Operator], inputs: list[int], outputs: list[int], why: str, tmp_path: Path
) -> None:
    path = tmp_path / "shared.tflite"
    path.write_bytes(tflite_model.model([*TENSORS, int8((1, 2))], operators, inputs, outputs))
    with pytest.raises(ModelError, match=why):
        mcugen.build(path, out=tmp_path)


def network(rng: np.random.Generator) -> bytes:
    """Dense, SVDF with an int8 state, SVDF with an int16 state, dense, softmax. A channel of the first dense layer is
    constant, one of the second SVDF is read by nobody."""
    first, second = (40, 12, 1, 6), (12, 8, 2, 5)
    dense = rng.integers(-127, 128, (40, 10))
    dense[7] = 0
    last = rng.integers(-127, 128, (4, 8))
    last[:, 3] = 0
    one, y1 = random_operands(first, "int8", rng, (-128, 0, -20))
    two, y2 = random_operands(second, "int16", rng, (-20, 0, 6))
    one[0] = int8((1, 40), one[0].scale, -128)
    two[0] = y1
    tensors = [
        int8((1, 10), 0.05, 4),
        TensorSpec((40, 10), "int8", 0.01, data=dense),
        TensorSpec((40,), "int32", 0.0005, data=rng.integers(-999, 999, 40)),
        *one,
        *two,
        y2,
        TensorSpec((4, 8), "int8", 0.01, data=last),
        TensorSpec((4,), "int32", float(y2.scale) * 0.01, data=rng.integers(-999, 999, 4)),
        int8((1, 4), float(y2.scale) * 3.0, 0),
        int8((1, 4), 1 / 256, -128),
    ]
    operators: list[Operator] = [
        ("FULLY_CONNECTED", {"fused_activation_function": "RELU"}, [0, 1, 2], [3]),
        ("SVDF", {"rank": 1}, [3, 4, 5, 6, 7], [8]),
        ("SVDF", {"rank": 2}, [8, 9, 10, 11, 12], [13]),
        ("FULLY_CONNECTED", {}, [13, 14, 15], [16]),
        ("SOFTMAX", {"beta": 1.0}, [16], [17]),
    ]
    return tflite_model.model(tensors, operators, [0], [17])


def test_a_network_remembers_and_forgets(tmp_path: Path, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    model, path = network(rng), tmp_path / "recall.tflite"
    path.write_bytes(model)
    library = mcugen.HostLibrary(mcugen.build(path, out=tmp_path).path)
    x = rng.integers(-128, 128, (30, 10)).astype(np.int8)
    wanted = np.stack([y.reshape(-1) for (y,) in tflm.run_sequence(model, [[row[np.newaxis]] for row in x])])
    assert len(np.unique(wanted)) > 20
    first = library.run(x)
    np.testing.assert_array_equal(first, wanted)
    assert not np.array_equal(library.run(x), first), "the states have no effect"
    library.reset()
    np.testing.assert_array_equal(library.run(x), first)
    assert library.manifest["memory"]["state"] == 12 * 6 + 2 * 16 * 5
    kernels = [layer["kernel"] for layer in library.layers]
    assert kernels[1:3] == ["svdf_portable", "svdf_portable_int16"]
    report = verify(library.folder, model=path)
    assert report.ok and report.original is not None and report.original.layers == 5


def test_channels_beside_an_svdf_stay(tmp_path: Path, rng_seed: int) -> None:
    path = tmp_path / "recall.tflite"
    path.write_bytes(network(np.random.default_rng(rng_seed)))
    built = mcugen.build(path, out=tmp_path)
    graph: Graph = load_graph(built.path / f"{built.path.name}.graph.npz")
    svdfs = [node for node in graph.nodes if node.op == "svdf"]
    assert [graph.type(n.inputs[0]).elements for n in svdfs] == [40, 12]
    assert [graph.type(n.outputs[0]).elements for n in svdfs] == [12, 8]
