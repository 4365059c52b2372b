"""Reading ONNX files that nobody vouches for: what is refused, in which words, and that no more comes out."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import (
    AttributeProto,
    FunctionProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    helper,
    numpy_helper,
)

from mcugen.errors import McugenError, ModelError, UnsupportedError, UsageError
from mcugen.read.onnx_check import form_faults
from mcugen.read.onnx_file import OPSETS, LoadedModel, load_onnx, nonfinite_initializers

W = np.arange(6, dtype=np.float32).reshape(2, 3)


def small(opset: int = 17, ir: int = 8) -> ModelProto:
    """x [1, 2] -> MatMul with W [2, 3] -> Add a constant -> Relu -> y [1, 3]."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["xw"], name="dense"),
            helper.make_node("Constant", [], ["b"], name="bias", value=numpy_helper.from_array(W[0])),
            helper.make_node("Add", ["xw", "b"], ["xwb"], name="add"),
            helper.make_node("Relu", ["xwb"], ["y"], name="relu"),
        ],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(W, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def load(model: ModelProto, folder: Path) -> LoadedModel:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return load_onnx(path)


def test_a_good_model(tmp_path: Path) -> None:
    loaded = load(small(), tmp_path)
    data = (tmp_path / "model.onnx").read_bytes()
    assert loaded.path == tmp_path / "model.onnx"
    assert loaded.sha256 == hashlib.sha256(data).hexdigest()
    assert (loaded.opset, loaded.bytes, loaded.notes) == (17, len(data), ())
    assert loaded.model == small()
    assert form_faults(loaded.model, 17) == []


@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
def test_opsets_at_the_ends(opset: int, tmp_path: Path) -> None:
    assert load(small(opset), tmp_path).opset == opset


# --- not a model file at all


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.onnx: no such file"):
        load_onnx(tmp_path / "none.onnx")
    with pytest.raises(UsageError, match="is a folder"):
        load_onnx(tmp_path)
    with pytest.raises(UsageError):
        load_onnx(Path("a\0b"))
    with pytest.raises(UsageError, match="cannot be read: File name too long"):
        load_onnx(tmp_path / ("n" * 5000))
    with pytest.raises(UsageError, match="not a regular file"):
        load_onnx(Path("/dev/null"))


def zip_of(name: str, folder: Path) -> bytes:
    path = folder / "archive"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"content")
    return path.read_bytes()


OTHERS: list[tuple[str, Callable[[Path], bytes], str]] = [
    ("empty", lambda _: b"", "an empty file"),
    ("tflite", lambda _: b"\x1c\0\0\0TFL3" + bytes(64), "TensorFlow Lite"),
    ("ort", lambda _: b"\x1c\0\0\0ORTM" + bytes(64), r"onnxruntime \.ort"),
    ("pte", lambda _: b"\x1c\0\0\0ET12" + bytes(64), "ExecuTorch"),
    ("pt", lambda folder: zip_of("model/data.pkl", folder), "PyTorch"),
    ("zip", lambda folder: zip_of("model.onnx", folder), "zip archive"),
    ("pickle", lambda _: pickle.dumps({"a": 1}), "pickle"),
    ("npy", lambda _: b"\x93NUMPY" + bytes(64), "numpy"),
    ("gzip", lambda _: gzip.compress(b"x"), "gzip"),
    ("gguf", lambda _: b"GGUF" + bytes(64), "GGUF"),
    ("lfs", lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
    ("html", lambda _: b"<!DOCTYPE html><html>", "web page"),
    ("text", lambda _: b"# A model\nnothing here\n", "text file"),
    ("bytes", lambda _: bytes(range(256)), "not ONNX, or damaged"),
    ("zeros", lambda _: bytes(100), "not ONNX, or damaged"),
    ("unknown fields", lambda _: b"\xa0\x06\x01", "no graph in it"),
]


@pytest.mark.parametrize(("make", "words"), [pytest.param(*other[1:], id=other[0]) for other in OTHERS])
def test_other_files_are_recognised(make: Callable[[Path], bytes], words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(make(tmp_path))
    with pytest.raises(ModelError, match=words) as info:
        load_onnx(path)
    assert info.value.exit_code == 3
    assert info.value.headline == "model.onnx: 1 fault in the model file"
    assert info.value.faults[0].fix


# --- faults in the model

Change = Callable[[ModelProto], object]


def with_initializer(**fields: object) -> Change:
    return lambda model: model.graph.initializer.append(TensorProto(name="t", **fields))


def set_opset(*versions: int) -> Change:
    def change(model: ModelProto) -> None:
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid("", version) for version in versions)

    return change


def add_node(op: str, inputs: list[str], outputs: list[str], **attrs: object) -> Change:
    return lambda model: model.graph.node.append(helper.make_node(op, inputs, outputs, name="extra", **attrs))


def add_attribute(attribute: AttributeProto) -> Change:
    return lambda model: model.graph.node[3].attribute.append(attribute)


def cycle(model: ModelProto) -> None:
    model.graph.node[0].input[0] = "y"


def not_utf8(model: ModelProto) -> None:
    """Same length, so that the text can be exchanged in the serialized model."""
    data = model.SerializeToString().replace(b"relu", b"re\xff\xfe")
    model.ParseFromString(data)


FLOAT, INT8 = TensorProto.FLOAT, TensorProto.INT8
MODEL_FAULTS: list[tuple[str, Change, str]] = [
    ("no graph", lambda m: m.ClearField("graph"), "no graph in it"),
    ("no nodes", lambda m: m.graph.ClearField("node"), "it has no nodes"),
    ("no inputs", lambda m: m.graph.ClearField("input"), "it has no inputs"),
    ("no outputs", lambda m: m.graph.ClearField("output"), "it has no outputs"),
    ("no opset", set_opset(), "does not say which ONNX opset"),
    ("opset 0", set_opset(0), "opset 0 of ai.onnx does not exist"),
    ("two opsets", set_opset(11, 13), r"given as \[11, 13\]"),
    ("not UTF-8", not_utf8, r"graph\.node\[3\]\.name: the text is not UTF-8"),
    (
        "short raw data",
        with_initializer(data_type=FLOAT, dims=[2], raw_data=b"1234567"),
        "8 bytes, 7 are there",
    ),
    ("absent data", with_initializer(data_type=FLOAT, dims=[2**15, 2**15]), "needs 1073741824 values, 0 are"),
    ("typed data", with_initializer(data_type=INT8, dims=[3], int32_data=[1, 2]), "needs 3 values, 2 are"),
    (
        "wrong field",
        with_initializer(data_type=FLOAT, dims=[1], int32_data=[1]),
        "int32_data instead of float_data",
    ),
    ("both", with_initializer(data_type=FLOAT, dims=[1], float_data=[1], raw_data=b"1234"), "given twice"),
    (
        "negative",
        with_initializer(data_type=FLOAT, dims=[-1, -1], float_data=[1]),
        r"\[-1, -1\] are negative",
    ),
    ("absurd", with_initializer(data_type=FLOAT, dims=[2**62, 4]), "beyond all measure"),
    (
        "absurd product",
        with_initializer(data_type=FLOAT, dims=[0, 2**31 - 1, 2**31 - 1]),
        "beyond all measure",
    ),
    ("rank", with_initializer(data_type=FLOAT, dims=[1] * 99, float_data=[1]), "it has 99 dimensions"),
    ("no type", with_initializer(data_type=0, dims=[1], float_data=[1]), "type UNDEFINED does not exist"),
    ("bad type", with_initializer(data_type=999, dims=[1], float_data=[1]), "type number 999 does not exist"),
    (
        "segment",
        with_initializer(data_type=FLOAT, dims=[0], segment=TensorProto.Segment(begin=1)),
        "segments",
    ),
    ("unnamed", lambda m: m.graph.initializer.add(data_type=FLOAT, dims=[0]), "has no name"),
    (
        "initializer twice",
        lambda m: m.graph.initializer.append(m.graph.initializer[0]),
        '"w": is defined 2 times',
    ),
    ("input twice", lambda m: m.graph.input.append(m.graph.input[0]), 'input "x": is defined 2 times'),
    ("output twice", lambda m: m.graph.output.append(m.graph.output[0]), 'output "y": is listed 2 times'),
    (
        "written twice",
        add_node("Relu", ["x"], ["y"]),
        r'"y": is written by onnx:Relu "relu", onnx:Relu "extra"',
    ),
    (
        "input written",
        add_node("Relu", ["y"], ["x"]),
        'by onnx:Relu "extra" and is an input or initializer too',
    ),
    (
        "weight written",
        add_node("Relu", ["y"], ["w"]),
        'by onnx:Relu "extra" and is an input or initializer too',
    ),
    (
        "undefined input",
        add_node("Add", ["x", "ghost"], ["z"]),
        'onnx:Add "extra": reads "ghost", which nothing',
    ),
    ("undefined output", lambda m: m.graph.output.add(name="ghost"), 'output "ghost": nothing in the graph'),
    ("cycle", cycle, "these nodes wait for one another"),
    ("own input", add_node("Add", ["x", "z"], ["z"]), r'onnx:Add "extra": these nodes wait'),
    ("attribute twice", add_node("Relu", ["x"], ["z"], a=1), "is given twice"),
    (
        "attribute untyped",
        add_attribute(AttributeProto(name="a")),
        'onnx:Relu "relu": attribute "a" has no type',
    ),
    ("attribute empty", add_attribute(AttributeProto(name="a", type=AttributeProto.TENSOR)), "has no value"),
    ("attribute text", add_attribute(AttributeProto(name="a", type=3, s=b"\xff")), "is not UTF-8 text"),
    (
        "attribute ref",
        add_attribute(AttributeProto(name="a", type=2, ref_attr_name="b")),
        "outside of a function",
    ),
    (
        "attribute tensor",
        add_attribute(AttributeProto(name="a", type=4, t=TensorProto(data_type=FLOAT, dims=[9]))),
        r'onnx:Relu "relu", attribute "a": shape \[9\] of FLOAT needs 9 values',
    ),
]


@pytest.mark.parametrize(
    ("change", "words"), [pytest.param(*fault[1:], id=fault[0]) for fault in MODEL_FAULTS]
)
def test_model_faults(change: Change, words: str, tmp_path: Path) -> None:
    model = small()
    change(model)
    if words == "is given twice":
        model.graph.node[-1].attribute.append(model.graph.node[-1].attribute[0])
    with pytest.raises(ModelError, match=words) as info:
        load(model, tmp_path)
    assert info.value.headline.startswith("model.onnx: ")


def test_all_faults_at_once(tmp_path: Path) -> None:
    model = small()
    for name in ("a", "b"):
        model.graph.initializer.append(TensorProto(name=name, data_type=FLOAT, dims=[3], raw_data=b"1234"))
    with pytest.raises(ModelError) as info:
        load(model, tmp_path)
    assert info.value.headline == "model.onnx: 2 faults in the model file"
    assert [fault.where for fault in info.value.faults] == ['initializer "a"', 'initializer "b"']

    model = small()
    for index in range(250):
        add_node("Relu", [f"ghost{index}"], [f"z{index}"])(model)
    with pytest.raises(ModelError, match="250 faults") as info:
        load(model, tmp_path)
    assert str(info.value.faults[-1]) == "and 150 more"


UNSUPPORTED: list[tuple[str, Change, str]] = [
    ("old", set_opset(6), "opset 6 is not supported\n    fix: export with an opset of 7 to 26"),
    ("new", set_opset(27), "opset 27 is not supported"),
    ("absurd", set_opset(2**60), "is not supported"),
    ("text", with_initializer(data_type=TensorProto.STRING, dims=[1], string_data=[b"a"]), "STRING tensors"),
    (
        "complex",
        with_initializer(data_type=TensorProto.COMPLEX64, dims=[1], float_data=[1, 2]),
        "COMPLEX64 tensors",
    ),
    ("int4", with_initializer(data_type=TensorProto.INT4, dims=[2], raw_data=b"1"), "INT4 tensors"),
    (
        "sparse",
        lambda m: m.graph.sparse_initializer.append(SparseTensorProto(values=TensorProto(name="s"))),
        'initializer "s": sparse tensors are not supported',
    ),
]


@pytest.mark.parametrize(
    ("change", "words"), [pytest.param(*fault[1:], id=fault[0]) for fault in UNSUPPORTED]
)
def test_valid_but_unsupported(change: Change, words: str, tmp_path: Path) -> None:
    model = small()
    change(model)
    with pytest.raises(UnsupportedError, match=words) as info:
        load(model, tmp_path)
    assert info.value.exit_code == 4


def test_a_used_sparse_initializer_is_unsupported_not_undefined(tmp_path: Path) -> None:
    model = small()
    model.graph.sparse_initializer.append(SparseTensorProto(values=TensorProto(name="s")))
    add_node("Add", ["y", "s"], ["z"])(model)
    with pytest.raises(UnsupportedError, match="sparse"):
        load(model, tmp_path)


# --- what is put right


def test_unsorted_nodes_are_sorted(tmp_path: Path) -> None:
    model = small()
    nodes = list(model.graph.node)[::-1]
    shuffled = ModelProto()
    shuffled.CopyFrom(model)
    del shuffled.graph.node[:]
    shuffled.graph.node.extend(nodes)
    loaded = load(shuffled, tmp_path).model
    names = [node.name for node in loaded.graph.node]
    assert sorted(names) == sorted(node.name for node in model.graph.node)
    assert names.index("dense") < names.index("add") < names.index("relu")
    assert names.index("bias") < names.index("add")


def test_subgraphs_are_left_alone_but_ordered(tmp_path: Path) -> None:
    """If is not supported, which is said later; what it captures still comes before it."""
    model = small()
    inner = helper.make_graph(
        [helper.make_node("Add", ["late", "local"], ["r"])],
        "then",
        [],
        [helper.make_empty_tensor_value_info("r")],
    )
    branch = helper.make_node("If", ["x"], ["z"], name="if", then_branch=inner, else_branch=inner)
    model.graph.node.append(branch)
    add_node("Relu", ["x"], ["late"])(model)
    names = [node.name for node in load(model, tmp_path).model.graph.node]
    assert names.index("extra") < names.index("if")


def test_inputs_with_an_initializer_are_constants(tmp_path: Path) -> None:
    for ir, notes in ((3, 0), (8, 1)):
        model = small(ir=ir)
        model.graph.input.append(helper.make_tensor_value_info("w", FLOAT, [2, 3]))
        loaded = load(model, tmp_path)
        assert [value.name for value in loaded.model.graph.input] == ["x"]
        assert len(loaded.notes) == notes


def test_newer_ir_version_is_tried_with_a_note(tmp_path: Path) -> None:
    loaded = load(small(ir=99), tmp_path)
    assert "IR version 99" in loaded.notes[0]


def test_the_default_domain_has_one_spelling(tmp_path: Path) -> None:
    model = small()
    model.opset_import[0].domain = "ai.onnx"
    model.graph.node[0].domain = "ai.onnx"
    loaded = load(model, tmp_path)
    assert loaded.opset == 17
    assert {node.domain for node in loaded.model.graph.node} == {""}


# --- functions


def function(name: str, *calls: str) -> FunctionProto:
    """y = calls[-1](... calls[0](x)); without a domain in the name a call is of ONNX's own operators."""
    values = ["x", *(f"t{index}" for index in range(len(calls) - 1)), "y"]
    nodes = [
        helper.make_node(call, [a], [b], domain="" if call == "Relu" else "local")
        for call, a, b in zip(calls, values, values[1:], strict=False)
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, ["x"], ["y"], nodes, opsets)


def with_functions(*functions: FunctionProto) -> ModelProto:
    model = small()
    model.functions.extend(functions)
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.graph.node[3].op_type, model.graph.node[3].domain = functions[0].name, "local"
    return model


def test_functions_are_inlined(tmp_path: Path) -> None:
    loaded = load(with_functions(function("F", "G", "G"), function("G", "Relu")), tmp_path).model
    assert [node.op_type for node in loaded.graph.node] == ["MatMul", "Constant", "Add", "Relu", "Relu"]
    assert loaded.graph.node[-1].output[0] == "y"
    assert not loaded.functions


@pytest.mark.parametrize(
    ("functions", "words"),
    [
        ([function("F", "F")], "functions F: call themselves"),
        ([function("F", "G"), function("G", "F")], "functions [FG], [FG]: call themselves"),
        ([function("F", "Relu"), function("F", "Relu")], "defined twice"),
        (
            [*(function(f"F{i}", f"F{i + 1}", f"F{i + 1}") for i in range(40)), function("F40", "Relu")],
            "unfold into 1,099,511,627,779 nodes",
        ),
        (
            [*(function(f"F{i}", f"F{i + 1}") for i in range(2000)), function("F2000", "Relu")],
            "more than 64 deep",
        ),
    ],
    ids=["self", "ring", "twice", "doubling", "deep"],
)
def test_hostile_functions(functions: list[FunctionProto], words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=words):
        load(with_functions(*functions), tmp_path)


# --- external data


def external(**entries: object) -> ModelProto:
    model = small()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return model


def test_external_data_are_fetched(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"pad!" + W.tobytes())
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(W.tobytes())
    (tmp_path / "link.bin").symlink_to("w.bin")
    hashes = set()
    for entries in (
        {"location": "w.bin", "offset": 4, "length": 24},
        {"location": "w.bin", "offset": 4},
        {"location": "link.bin", "offset": 4},
        {"location": "sub/w.bin"},
    ):
        loaded = load(external(**entries), tmp_path)
        np.testing.assert_array_equal(numpy_helper.to_array(loaded.model.graph.initializer[0]), W)
        data = (tmp_path / "model.onnx").read_bytes()
        assert loaded.sha256 == hashlib.sha256(data + W.tobytes()).hexdigest()
        assert loaded.bytes == len(data) + W.nbytes
        hashes.add(loaded.sha256)
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({}, 'location "" is not inside'),
        ({"location": "/etc/hostname"}, "is not inside the model's folder"),
        ({"location": "C:\\w.bin"}, "is not inside the model's folder"),
        ({"location": "\\w.bin"}, "is not inside the model's folder"),
        ({"location": "../w.bin"}, "is not inside the model's folder"),
        ({"location": "sub/../w.bin"}, "is not inside the model's folder"),
        ({"location": "sub\\..\\..\\w.bin"}, "is not inside the model's folder"),
        ({"location": "out.bin"}, "leads out of the model's folder through a link"),
        ({"location": "outside/w.bin"}, "leads out of the model's folder through a link"),
        ({"location": "ghost.bin"}, 'file "ghost.bin" is missing'),
        ({"location": "."}, "is missing"),
        ({"location": "loop"}, "external data"),
        ({"location": "a\0b"}, "external data"),
        ({"location": "n" * 5000}, "external data"),
        ({"location": "w.bin", "offset": -1}, 'offset "-1" is not a number'),
        ({"location": "w.bin", "offset": "x"}, 'offset "x" is not a number'),
        ({"location": "w.bin", "offset": "9" * 5000}, "is not a number"),
        ({"location": "w.bin", "offset": 1}, '"w.bin" ends at 24, the data at 25'),
        ({"location": "w.bin", "offset": 2**62}, '"w.bin" ends at 24'),
        ({"location": "w.bin", "length": 23}, r"23 bytes are given, shape \[2, 3\] needs 24"),
        ({"location": "w.bin", "length": 2**40}, "bytes are given"),
    ],
)
def test_external_data_that_are_refused(entries: dict[str, object], words: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "w.bin").write_bytes(W.tobytes())
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    (folder / "out.bin").symlink_to(tmp_path / "w.bin")
    (folder / "outside").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    with pytest.raises(ModelError, match=words) as info:
        load(external(**entries), folder)
    assert info.value.faults[0].where == 'initializer "w"'


def test_external_data_are_bounded_in_total(tmp_path: Path) -> None:
    """Many tensors over one sparse file of which nothing needs to be read."""
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(2**30)
    model = small()
    for index in range(4):
        tensor = model.graph.initializer.add(name=f"t{index}", data_type=FLOAT, dims=[2**28])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="w.bin")
    with pytest.raises(ModelError, match="4,294,967,296 bytes in all"):
        load(model, tmp_path)


# --- what the importer asks for


def test_form_of_nodes() -> None:
    model = small()
    nodes = {
        "few": helper.make_node("Conv", ["x"], ["a"], name="few"),
        "many": helper.make_node("Relu", ["x", "w"], ["b"], name="many"),
        "gap": helper.make_node("Conv", ["x", ""], ["c"], name="gap"),
        "optional": helper.make_node("Clip", ["x", "", "w"], ["d"], name="optional"),
        "outputs": helper.make_node("Relu", ["x"], [], name="outputs"),
        "type": helper.make_node("Concat", ["x", "x"], ["e"], name="type", axis=1.5),
        "required": helper.make_node("Concat", ["x", "x"], ["f"], name="required"),
        "surplus": helper.make_node("Relu", ["x"], ["g"], name="surplus", alpha=1.0, __hint=1),
        "unknown": helper.make_node("Ghost", [], ["h"], name="unknown", domain="local"),
    }
    model.graph.node.extend(nodes.values())
    found = {fault.where.split('"')[1]: fault.why for fault in form_faults(model, 17)}
    assert found == {
        "few": "has 1 inputs, the operator has 2 to 3",
        "many": "has 2 inputs, the operator has 1",
        "gap": 'input 1 ("W") must be given',
        "outputs": "has 0 outputs, the operator has 1",
        "type": 'attribute "axis" is of type FLOAT, it must be INT',
        "required": 'attribute "axis" must be given',
        "surplus": 'the operator has no attribute "alpha"',
    }


def test_nonfinite_constants_in_use() -> None:
    model = small()
    graph = model.graph
    for name, values in {
        "nan": [1, np.nan],
        "inf": [np.inf],
        "unused": [np.nan],
        "dead": [np.nan],
        "bound": [-np.inf],
        "far_bound": [np.inf],
        "shared_bound": [np.inf],
        "nan_bound": [np.nan],
        "fine": [1.0],
        "result": [np.inf],
    }.items():
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.float32), name))
    graph.initializer.append(numpy_helper.from_array(np.array([np.nan], np.float16), "half"))
    graph.initializer.append(
        TensorProto(name="bf16", data_type=TensorProto.BFLOAT16, dims=[1], int32_data=[0x7FC0])
    )
    graph.initializer.append(numpy_helper.from_array(np.array([7], np.int64), "whole"))
    graph.node.extend(
        [
            helper.make_node("Constant", [], ["node_nan"], value_floats=[float("nan")]),
            helper.make_node("Constant", [], ["node_fine"], value_int=1),
            helper.make_node("Cast", ["far_bound"], ["far"], to=FLOAT),
            helper.make_node("Add", ["y", "dead"], ["nobody"]),
            helper.make_node("Clip", ["nan", "bound", "far"], ["o0"]),
            helper.make_node("Min", ["inf", "shared_bound", "nan_bound"], ["o1"]),
            helper.make_node("Concat", ["o0", "o1", "inf", "half", "bf16", "whole"], ["o2"], axis=0),
            helper.make_node(
                "Concat", ["o2", "shared_bound", "fine", "node_nan", "node_fine"], ["o3"], axis=0
            ),
        ]
    )
    graph.output.extend([helper.make_empty_tensor_value_info(name) for name in ("o3", "result")])
    expected = ["nan", "inf", "shared_bound", "nan_bound", "result", "half", "bf16", "node_nan"]
    assert nonfinite_initializers(model) == expected
    assert nonfinite_initializers(small()) == []


# --- anything else


def every_way_out(data: bytes, path: Path) -> str:
    """Load as the importer would; anything but one of our errors escapes and fails the test."""
    path.write_bytes(data)
    try:
        loaded = load_onnx(path)
        form_faults(loaded.model, loaded.opset)
        nonfinite_initializers(loaded.model)
        for tensor in loaded.model.graph.initializer:
            numpy_helper.to_array(tensor)
        for node in loaded.model.graph.node:
            assert isinstance(node, NodeProto)
            for attribute in node.attribute:
                helper.get_attribute_value(attribute)
    except McugenError as error:
        assert error.exit_code in (3, 4), error
        return type(error).__name__
    return "loaded"


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_never_surprise(seed: int, tmp_path: Path) -> None:
    model = with_functions(function("F", "G", "G"), function("G", "Relu")) if seed % 2 else small()
    data = model.SerializeToString()
    random = np.random.default_rng(seed)
    seen = set()
    for size in random.integers(0, len(data), 60):
        seen.add(every_way_out(data[:size], tmp_path / "model.onnx"))
    for flips in random.integers(1, 4, 240):
        damaged = bytearray(data)
        for bit in random.integers(0, 8 * len(data), flips):
            damaged[bit // 8] ^= 1 << (bit % 8)
        seen.add(every_way_out(bytes(damaged), tmp_path / "model.onnx"))
    assert {"ModelError", "loaded"} <= seen


def test_a_cycle_is_shown_in_the_order_of_the_data(tmp_path: Path) -> None:
    model = small()
    cycle(model)
    with pytest.raises(ModelError) as info:
        load(model, tmp_path)
    ring = info.value.faults[0].where.split(" -> ")
    start = ring.index('onnx:MatMul "dense"')
    assert ring[start:] + ring[:start] == ['onnx:MatMul "dense"', 'onnx:Add "add"', 'onnx:Relu "relu"']
