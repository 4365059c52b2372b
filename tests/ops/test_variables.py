"""Variables of .tflite files: values that persist between runs, against TensorFlow Lite Micro."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tflite_model
import tflm
from tflite_model import Operator
from tflm import TensorSpec

import mcugen
from mcugen.errors import ModelError, UnsupportedError
from mcugen.ir import Array
from mcugen.verify import verify

SCALE, ZERO = 0.05, 11
HANDLE = TensorSpec((1,), "resource")


def int8(*shape: int) -> TensorSpec:
    return TensorSpec(shape, "int8", SCALE, ZERO)


def ints(*values: int) -> TensorSpec:
    return TensorSpec((len(values),), "int32", data=values)


def handle(index: int, name: str = "ring") -> Operator:
    return "VAR_HANDLE", {"shared_name": name}, [], [index]


# A window of 5 rows: the rows kept, the new one behind them, the sum over time as output, the last 4 rows kept again.
TENSORS = [
    int8(1, 1, 1, 3),  # 0 new row
    HANDLE,
    int8(1, 4, 1, 3),  # 2 the rows kept
    int8(1, 5, 1, 3),  # 3 window
    ints(0, 1, 0, 0),
    ints(1, 5, 1, 3),
    ints(1, 1, 1, 1),
    int8(1, 4, 1, 3),  # 7 the rows to keep
    ints(1),
    int8(1, 1, 3),  # 9
]
CONCAT: Operator = ("CONCATENATION", {"axis": 1}, [2, 0], [3])
SLICE: Operator = ("STRIDED_SLICE", {}, [3, 4, 5, 6], [7])
SUM: Operator = ("SUM", {"keep_dims": False}, [3, 8], [9])
READ: Operator = ("READ_VARIABLE", {}, [1], [2])
ASSIGN: Operator = ("ASSIGN_VARIABLE", {}, [1, 7], [])
STREAM = (handle(1), READ, CONCAT, SLICE, ASSIGN, SUM)


def samples(count: int, *shape: int) -> Array:
    return np.random.default_rng(5).integers(-128, 128, (count, *shape)).astype(np.int8)


def check(model: bytes, folder: Path, x: Array) -> mcugen.HostLibrary:
    """The C equals TFLM on a sequence, and after a reset again; verify finds nothing either."""
    path = folder / "stream.tflite"
    path.write_bytes(model)
    library = mcugen.HostLibrary(mcugen.build(path, out=folder).path)
    shape = (1, *x.shape[1:])
    wanted = np.stack([run[0] for run in tflm.run_sequence(model, [[row.reshape(shape)] for row in x])])
    first = library.run(x)
    np.testing.assert_array_equal(first.reshape(len(x), -1), wanted.reshape(len(x), -1))
    assert not np.array_equal(library.run(x), first), "the state has no effect"
    library.reset()
    np.testing.assert_array_equal(library.run(x), first)
    report = verify(library.folder, model=path)
    assert report.ok and report.original is not None
    return library


def test_a_ring_of_rows(tmp_path: Path) -> None:
    library = check(tflite_model.model(TENSORS, STREAM, [0], [9]), tmp_path, samples(20, 1, 1, 3))
    assert library.manifest["memory"]["state"] == 12
    assert sorted(e["op"] for e in library.layers) == ["assign_variable", "concat", "slice", "sum"]


def test_the_value_before_it_is_overwritten(tmp_path: Path) -> None:
    """Its reader comes after the assignment: the old value must be copied."""
    operators = [handle(1), READ, ("ASSIGN_VARIABLE", {}, [1, 0], []), ("ADD", {}, [2, 0], [3])]
    tensors = [int8(1, 6), HANDLE, int8(1, 6), int8(1, 6)]
    library = check(tflite_model.model(tensors, operators, [0], [3]), tmp_path, samples(9, 6))
    assert [e["op"] for e in library.layers] == ["read_variable", "assign_variable", "add"]


def test_the_old_value_as_output(tmp_path: Path) -> None:
    operators = [handle(1), READ, ("ASSIGN_VARIABLE", {}, [1, 0], [])]
    check(tflite_model.model([int8(1, 6), HANDLE, int8(1, 6)], operators, [0], [2]), tmp_path, samples(9, 6))


def test_two_variables_and_two_handles_of_one(tmp_path: Path) -> None:
    operators = [
        handle(1, "a"),
        handle(2, "b"),
        handle(3, "a"),
        ("READ_VARIABLE", {}, [1], [4]),
        ("READ_VARIABLE", {}, [2], [5]),
        ("ADD", {}, [4, 5], [6]),
        ("ASSIGN_VARIABLE", {}, [2, 4], []),
        ("ASSIGN_VARIABLE", {}, [3, 0], []),
    ]
    tensors = [int8(1, 6), HANDLE, HANDLE, HANDLE, *(int8(1, 6) for _ in range(3))]
    library = check(tflite_model.model(tensors, operators, [0], [6]), tmp_path, samples(9, 6))
    assert library.manifest["memory"]["state"] == 12


def once(value: int) -> bytes:
    """The ring, whose variable is assigned a constant before the first run."""

    def edit(made: object, schema: object) -> None:
        tensors = [HANDLE, TensorSpec((1, 4, 1, 3), "int8", SCALE, ZERO, data=np.full((1, 4, 1, 3), value))]
        init = tflite_model.model(tensors, [handle(0), ("ASSIGN_VARIABLE", {}, [0, 1], [])], [], [])
        tflite_model.add_subgraph(made, schema, init)

    call: Operator = ("CALL_ONCE", {"init_subgraph_index": 1}, [], [])
    return tflite_model.model(TENSORS, [call, *STREAM], [0], [9], edit)


def test_initialised_with_zero(tmp_path: Path) -> None:
    check(once(ZERO), tmp_path, samples(20, 1, 1, 3))


def refusal(model: bytes, folder: Path) -> str:
    path = folder / "bad.tflite"
    path.write_bytes(model)
    with pytest.raises((ModelError, UnsupportedError)) as caught:
        mcugen.build(path, out=folder)
    return str(caught.value)


def test_initialised_with_another_number(tmp_path: Path) -> None:
    assert "other than zero" in refusal(once(3), tmp_path)


@pytest.mark.parametrize(
    ("operators", "why"),
    [
        ((READ, CONCAT, SLICE, ASSIGN, SUM), "nothing computes"),
        ((handle(1), READ, CONCAT, SLICE, ("ASSIGN_VARIABLE", {}, [1, 3], []), SUM), "several shapes"),
        ((handle(1), READ, CONCAT, SLICE, ("ASSIGN_VARIABLE", {}, [7, 7], []), SUM), "no variable's handle"),
        ((handle(1), READ, ("CONCATENATION", {"axis": 1}, [1, 0], [3]), SLICE, ASSIGN, SUM), "resource"),
    ],
)
def test_mangled(operators: Sequence[Operator], why: str, tmp_path: Path) -> None:
    assert why in refusal(tflite_model.model(TENSORS, operators, [0], [9]), tmp_path)
