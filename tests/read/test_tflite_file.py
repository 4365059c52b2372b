"""Reading .tflite files that nobody vouches for: what is refused, in which words, and that no more comes out."""

from __future__ import annotations

import hashlib
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_model import model
from tflm import TensorSpec

from mcugen.check import check_graph
from mcugen.errors import ModelError, UnsupportedError, UsageError
from mcugen.read import tflite_file, tflite_schema
from mcugen.read.tflite_entry import choose_entry
from mcugen.read.tflite_file import TfliteFile, load_tflite, parse_tflite
from mcugen.read.tflite_import import import_entry

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/tflite"
SMALL = [
    EXAMPLES / f"{name}.tflite" for name in ("hello_world_int8", "hello_world_float", "micro_speech_int8")
]
X = TensorSpec((1, 4), "int8", 0.1, 3)
W = TensorSpec((2, 4), "int8", [0.01, 0.02], axis=0, data=np.arange(8).reshape(2, 4))
B = TensorSpec((2,), "int32", [0.001, 0.002], axis=0, data=np.array([5, -6]))
Y = TensorSpec((1, 2), "int8", 0.2, -3)

Edit = Callable[[Any, Any], None]


def dense(edit: Edit = lambda made, schema: None) -> bytes:
    """x t0 -> FULLY_CONNECTED with t1, t2 -> t3 -> RELU -> t4."""
    operators = [("FULLY_CONNECTED", {}, (0, 1, 2), (3,)), ("RELU", {}, (3,), (4,))]
    return model([X, W, B, Y, Y], operators, [0], [4], edit)


def parse(data: bytes) -> TfliteFile:
    return parse_tflite(data, Path("model.tflite"))


def test_a_good_file(tmp_path: Path) -> None:
    path, data = tmp_path / "m.tflite", dense()
    path.write_bytes(data)
    file = load_tflite(path)
    assert (file.path, file.sha256, file.bytes) == (path, hashlib.sha256(data).hexdigest(), len(data))
    (graph,) = file.subgraphs
    assert (graph.inputs, graph.outputs) == ((0,), (4,))
    assert [op.code for op in graph.operators] == ["FULLY_CONNECTED", "RELU"]
    assert graph.operators[0].inputs == (0, 1, 2)
    assert graph.operators[0].options["fused_activation_function"] == "NONE"
    x, w, b = graph.tensors[:3]
    assert (x.name, x.shape, x.dtype, x.data) == ("t0", (1, 4), "int8", None)
    assert (x.scale, x.zero_point) == ((float(np.float32(0.1)),), (3,))
    assert w.data is not None and w.data.dtype == np.int8
    np.testing.assert_array_equal(w.data, np.arange(8).reshape(2, 4))
    assert (len(w.scale), w.axis) == (2, 0)
    assert b.data is not None and b.data.dtype == np.int32
    np.testing.assert_array_equal(b.data, [5, -6])


def test_signatures_and_signature_shapes() -> None:
    file = load_tflite(EXAMPLES / "sww_int8.tflite")
    (signature,) = file.signatures
    assert (signature.key, signature.subgraph) == ("serving_default", 0)
    assert signature.inputs == (("input_1", 0),)
    assert file.subgraphs[0].tensors[0].shape_signature == (-1, 30, 1, 40)
    assert file.description == "MLIR Converted."


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.tflite"):
        load_tflite(tmp_path / "none.tflite")


def test_large_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(dense())
    monkeypatch.setattr(tflite_file, "MAX_FILE", 100)
    with pytest.raises(ModelError, match="larger than"):
        load_tflite(path)


# --- bytes that are no flatbuffer ---


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "identifier"),
        (b"TFL3", "identifier"),
        (b"\x08\x07ONNX-like bytes of another format", "identifier"),
        (b"\xff\xff\xff\x7fTFL3", "outside"),
        (b"\x00\x00\x00\x00TFL3" + bytes(64), "offset of 0"),
        (b"\x09\x00\x00\x00TFL3" + bytes(64), "not aligned"),
        (struct.pack("<I4sIi", 12, b"TFL3", 0, 1 << 30) + bytes(64), "outside"),
        (struct.pack("<I4sIi", 12, b"TFL3", 0, 4) + bytes(64), "vtable"),
    ],
)
def test_no_flatbuffer(data: bytes, word: str) -> None:
    with pytest.raises(ModelError, match=word):
        parse(data)


def test_every_truncation_is_refused() -> None:
    data = dense()
    for size in range(len(data)):
        with pytest.raises(ModelError):
            parse(data[:size])


def test_the_number_of_tables_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite_schema, "MAX_TABLES", 10)
    with pytest.raises(ModelError, match="more than 10 tables"):
        parse(dense())


def test_shared_vectors_are_counted_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite_schema, "MAX_VECTORS", 50)
    with pytest.raises(ModelError, match="more than 50 bytes"):
        parse(dense())


def _shared_subgraphs(count: int) -> bytes:
    """A file whose list of subgraphs names one subgraph again and again."""
    data = dense()
    data += bytes(-len(data) % 16)
    (root,) = struct.unpack_from("<I", data)
    vtable = root - struct.unpack_from("<i", data, root)[0]
    field = root + struct.unpack_from("<H", data, vtable + 4 + 2 * 2)[0]
    vector = field + struct.unpack_from("<I", data, field)[0]
    graph = vector + 4 + struct.unpack_from("<I", data, vector + 4)[0]
    # offsets point forwards: the longer list comes behind the file, and a copy of the file behind the list
    head = bytearray(data)
    struct.pack_into("<I", head, field, len(data) - field)
    words = [count, *(4 * (count + 1) - 4 * (i + 1) + graph for i in range(count))]
    return bytes(head) + struct.pack(f"<{count + 1}I", *words) + data


def test_lists_that_share_one_table_end_soon() -> None:
    began = time.monotonic()
    with pytest.raises(ModelError, match="more than .* tables"):
        parse(_shared_subgraphs(1 << 16))
    assert time.monotonic() - began < 20


# --- contradictions ---


def tensor(index: int, **fields: Any) -> Edit:
    def edit(made: Any, schema: Any) -> None:
        for name, value in fields.items():
            setattr(made.subgraphs[0].tensors[index], name, value)

    return edit


def quantization(index: int, **fields: Any) -> Edit:
    def edit(made: Any, schema: Any) -> None:
        for name, value in fields.items():
            setattr(made.subgraphs[0].tensors[index].quantization, name, value)

    return edit


def operator(index: int, **fields: Any) -> Edit:
    def edit(made: Any, schema: Any) -> None:
        for name, value in fields.items():
            setattr(made.subgraphs[0].operators[index], name, value)

    return edit


def graph(**fields: Any) -> Edit:
    def edit(made: Any, schema: Any) -> None:
        for name, value in fields.items():
            setattr(made.subgraphs[0], name, value)

    return edit


def _version(made: Any, schema: Any) -> None:
    made.version = 2


def _no_subgraphs(made: Any, schema: Any) -> None:
    made.subgraphs = []


def _other_options(made: Any, schema: Any) -> None:
    made.subgraphs[0].operators[0].builtinOptionsType = schema.BuiltinOptions.AddOptions
    made.subgraphs[0].operators[0].builtinOptions = schema.AddOptionsT()


def _signature(**fields: Any) -> Edit:
    def edit(made: Any, schema: Any) -> None:
        maps = [schema.TensorMapT(name="a", tensorIndex=fields.get("tensor", 0))]
        made.signatureDefs = [
            schema.SignatureDefT(
                inputs=maps, outputs=[], signatureKey="s", subgraphIndex=fields.get("subgraph", 0)
            )
        ]

    return edit


WRONG: list[tuple[Edit, str]] = [
    (_version, "schema version 2, not 3"),
    (_no_subgraphs, "has no subgraph"),
    (tensor(0, shape=[1, -4]), "impossible shape"),
    (tensor(3, shape=[1 << 30, 1 << 30]), "impossible shape"),
    (tensor(0, shape=[1] * 9), "has 9 axes"),
    (tensor(0, shapeSignature=[-1]), "signature"),
    (tensor(1, shape=[2, 5]), r"holds 8 bytes; int8\[2, 5\] takes 10"),
    (tensor(1, buffer=99), "has the buffer 99, of which there are 3"),
    (quantization(0, scale=[0.0]), "scale of 0.0"),
    (quantization(0, scale=[-0.5]), "scale of -0.5"),
    (quantization(0, scale=[float("nan")]), "scale of nan"),
    (quantization(0, scale=[float("inf")]), "scale of inf"),
    (quantization(0, zeroPoint=[128]), "zero point of 128, outside of int8"),
    (quantization(0, zeroPoint=[1, 2]), "1 scales, but 2 zero points"),
    (quantization(1, scale=[0.1, 0.2, 0.3]), "3 scales along axis 0"),
    (quantization(1, quantizedDimension=1), "2 scales along axis 1"),
    (quantization(1, quantizedDimension=-1), "2 scales along axis -1"),
    (operator(0, opcodeIndex=7), "has the code 7 of 2"),
    (operator(0, inputs=[0, 1, 77]), r"inputs name the tensors \[77\], of which there are 5"),
    (operator(0, inputs=[0, 1, -2]), r"inputs name the tensors \[-2\]"),
    (operator(0, outputs=[-1]), r"outputs name the tensors \[-1\]"),
    (operator(0, inputs=[4, 1, 2]), "before it is computed"),
    (operator(0, inputs=[3, 1, 2]), "before it is computed"),
    (operator(1, outputs=[3]), "has its values already"),
    (operator(1, outputs=[1]), "has its values already"),
    (operator(1, outputs=[0]), "has its values already"),
    (_other_options, "has AddOptions instead of FullyConnectedOptions"),
    (graph(inputs=[9]), "graph: its inputs name the tensors"),
    (graph(inputs=[]), "which nothing computes"),
    (graph(inputs=[0, 0]), "listed twice"),
    (graph(outputs=[-1]), "graph: its outputs name the tensors"),
    (graph(operators=[]), "output 't4': nothing computes it"),
    (_signature(tensor=44), "signature 's': its inputs name the tensors"),
    (_signature(subgraph=3), "has the subgraph 3 of 1"),
]


@pytest.mark.parametrize(("edit", "why"), WRONG, ids=[why[:40] for _, why in WRONG])
def test_contradictions(edit: Edit, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        parse(dense(edit))


def test_all_faults_at_once() -> None:
    def edit(made: Any, schema: Any) -> None:
        quantization(0, scale=[-1.0])(made, schema)
        tensor(3, shape=[-1, 2])(made, schema)
        operator(1, inputs=[88])(made, schema)

    with pytest.raises(ModelError) as caught:
        parse(dense(edit))
    assert [fault.where for fault in caught.value.faults] == ["tensor 't0'", "tensor 't3'", "tflite:RELU #1"]


def test_only_the_first_of_many_faults_are_shown() -> None:
    with pytest.raises(ModelError) as caught:
        parse(dense(operator(1, inputs=[3], outputs=[3] * 200)))
    assert len(caught.value.faults) == tflite_file.SHOWN + 1
    assert caught.value.faults[-1].why == "and 151 more"  # an output is missing, too


def test_duplicate_and_empty_names() -> None:
    def edit(made: Any, schema: Any) -> None:
        for index, name in enumerate(("a", "a", "", "a", "a.1\n*/")):
            made.subgraphs[0].tensors[index].name = name

    file = parse(dense(edit))
    assert [t.name for t in file.subgraphs[0].tensors] == ["a", "a.1", "tensor_2", "a.2", "a.1?*/"]
    assert file.notes == ("2 tensors have the name of another and got a number behind it",)


def test_an_old_converters_axis_of_a_bias() -> None:
    assert parse(dense(quantization(2, quantizedDimension=3))).subgraphs[0].tensors[2].axis == 0


def test_int4_and_bool_data() -> None:
    def edit(made: Any, schema: Any) -> None:
        made.subgraphs[0].tensors[1].type = schema.TensorType.INT4
        made.buffers[1].data = np.array([0x21, 0x43, 0xF8, 0x70], np.uint8)
        made.subgraphs[0].tensors[2].type = schema.TensorType.BOOL
        made.subgraphs[0].tensors[2].quantization = None
        made.buffers[2].data = np.array([0, 7], np.uint8)

    w, b = parse(dense(edit)).subgraphs[0].tensors[1:3]
    assert w.dtype == "int4" and w.data is not None and b.data is not None
    np.testing.assert_array_equal(w.data, [[1, 2, 3, 4], [-8, -1, 0, 7]])
    np.testing.assert_array_equal(b.data, [False, True])


def test_buffers_behind_the_flatbuffer() -> None:
    def external(offset: int, size: int) -> bytes:
        def edit(made: Any, schema: Any) -> None:
            made.buffers[1] = schema.BufferT(offset=offset, size=size)

        return dense(edit)

    end = len(external(1 << 20, 8))
    data = external(end, 8) + bytes(range(8, 16))
    weights = parse(data).subgraphs[0].tensors[1].data
    assert weights is not None
    np.testing.assert_array_equal(weights.reshape(-1), range(8, 16))
    with pytest.raises(ModelError, match="lie outside of the file"):
        parse(data[:-1])


# --- fuzzing ---


def mutant(rng: random.Random, seeds: list[bytes]) -> bytes:
    """One of the files with some bits, bytes, words or slices changed, or cut off."""
    data = bytearray(rng.choice(seeds))
    near = rng.choice([len(data), min(len(data), 1200)])  # many tables lie at the front
    place = rng.randrange(near)
    kind = rng.randrange(5)
    if kind == 0:
        for _ in range(rng.choice([1, 2, 8])):
            data[rng.randrange(near)] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data = data[: rng.randrange(len(data))]
    elif kind == 2:
        data[place] = rng.choice([0, 1, 2, 4, 127, 128, 255])
    elif kind == 3:
        other, size = rng.choice(seeds), rng.randrange(1, 64)
        start = rng.randrange(len(other) - size)
        data[place : place + size] = other[start : start + size]
    else:
        word = rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, rng.randrange(len(data))])
        data[place & ~3 : (place & ~3) + 4] = struct.pack("<I", word)
    return bytes(data)


@pytest.mark.parametrize("seed", range(3))
def test_mutants_are_read_or_refused(seed: int) -> None:
    rng, seeds = random.Random(seed), [path.read_bytes() for path in SMALL]
    outcomes = {"read": 0, "refused": 0}
    for _ in range(400):
        data = mutant(rng, seeds)
        try:
            file = parse(data)
            check_graph(import_entry(choose_entry(file), file).graph, "import")
            outcomes["read"] += 1
        except (ModelError, UnsupportedError, UsageError) as error:
            assert str(error)
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20
