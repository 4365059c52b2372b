"""Models whose outputs are indices (ArgMax, ArgMin), from float ONNX and int8 .tflite to C: int32 in every place."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from native import SANITIZERS, compile_native, run_native
from onnx import TensorProto
from onnx_net import Net
from tflite_model import model
from tflm import TensorSpec, run_model

import mcugen
from mcugen.errors import InternalError, UnsupportedError
from mcugen.execute import run_samples
from mcugen.graph_file import load_graph
from mcugen.normalise import normalise
from mcugen.pipeline import Build
from mcugen.read.float_check import check_import
from mcugen.read.onnx_file import load_onnx
from mcugen.read.onnx_import import import_onnx
from mcugen.read.onnx_run import OnnxRunner
from mcugen.report.analysis import analyze
from mcugen.simulate import HostLibrary
from mcugen.verify import random_vectors, verify

BUILDS = (("gcc", SANITIZERS), ("clang", SANITIZERS), ("gcc", ("-O3", "-flto")))


def save(net: Net, path: Path, *outputs: str) -> Path:
    """The network as a file; outputs of ArgMax and ArgMin are int64 as ONNX has them."""
    made = net.model(*outputs)
    indices = {n.output[0] for n in made.graph.node if n.op_type in ("ArgMax", "ArgMin")}
    for output in made.graph.output:
        if output.name in indices:
            output.type.tensor_type.elem_type = TensorProto.INT64
    onnx.save(made, path)
    return path


def classifier(path: Path) -> Path:
    net = Net(13)
    x = net.input("batch", 3, 8, 8)
    y = net.add("GlobalAveragePool", net.add("Relu", net.conv(x, 3, 6, 3, 3)))
    return save(net, path, net.add("ArgMax", net.dense(net.add("Flatten", y), 6, 10), axis=1, keepdims=0))


def segmenter(path: Path, keepdims: int) -> Path:
    net = Net(13)
    y = net.conv(net.input(1, 3, 7, 5), 3, 4, 3, 3)
    return save(net, path, net.add("ArgMin", y, axis=1, keepdims=keepdims))


def cast_index(path: Path) -> Path:
    """As tf2onnx writes tf.argmax with output_type=tf.int32, and a reshape of it."""
    net = Net(13)
    index = net.add("ArgMax", net.dense(net.input(1, 9), 9, 6), axis=1, keepdims=0)
    made = net.model(net.reshape(net.add("Cast", index, to=TensorProto.INT32), 1, 1))
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32
    onnx.save(made, path)
    return path


def mixed(path: Path) -> Path:
    net = Net(13)
    y = net.dense(net.input(1, 9), 9, 6)
    return save(net, path, y, net.add("ArgMax", y, axis=1, keepdims=1), net.add("ArgMin", y, axis=-1))


def check_bytes(built: Build, work: Path) -> None:
    """Compiled with sanitizers and with link-time optimisation, every layer and output equals the reference."""
    graph = load_graph(built.path / f"{built.manifest['name']}.graph.npz")
    samples = random_vectors(built.manifest["inputs"], 20)
    (values,) = run_samples(graph, dict(zip(graph.inputs, samples, strict=True)))
    layers = [values[e["output"]["tensor"]] for e in built.manifest["layers"]]
    for compiler, flags in BUILDS:
        outputs, traces = run_native(compile_native(built.path, work, compiler, flags), built.path, samples)
        wanted = [*(values[n] for n in graph.outputs), *layers]
        for got, exact in zip([*outputs, *traces], wanted, strict=True):
            assert got.tobytes() == exact.tobytes(), compiler


def compile_example(built: Build, work: Path) -> str:
    """What the example prints; the header also serves C++."""
    sources = [*sorted((built.path / "src").glob("*.c")), built.path / "main.c"]
    include, name = f"-I{built.path / 'src'}", built.manifest["name"]
    program = work / "example"
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Wcast-qual", "-Werror"]
    subprocess.run(["gcc", *strict, include, *map(str, sources), "-o", str(program)], check=True)
    cpp = work / "header.cpp"
    cpp.write_text(f'#include "{name}.h"\n{name}_t net;\n')
    subprocess.run(["g++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", include, str(cpp)], check=True)
    return subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout


def test_onnx_classifier(tmp_path: Path) -> None:
    path = classifier(tmp_path / "digits.onnx")
    x = np.random.default_rng(0).standard_normal((64, 3, 8, 8)).astype(np.float32)
    built = mcugen.build(path, calib=x, out=tmp_path)
    (port,) = built.manifest["outputs"]
    assert (port["dtype"], port["scale"], port["zero_point"], port["shape"]) == ("int32", None, None, [])
    assert built.manifest["layers"][-1]["output"]["scale"] is None
    header = (built.path / "src" / "digits.h").read_text()
    assert "const mcugen_int32_t *digits_output(const digits_t *net);" in header
    assert re.search(r"#define DIGITS_OUTPUT_SIZE 1\b", header) and "OUTPUT_SCALE" not in header
    assert "#define DIGITS_OUTPUT_BYTES 4\n" in header and "const int32_t *y = digits_output(&net)" in header
    check_bytes(built, tmp_path)
    assert re.search(r"= \d\n", compile_example(built, tmp_path))

    net = HostLibrary(built.path)
    q = net.quantize_inputs(x)[0]
    index = net.run(q)
    assert index.dtype == np.int32 and index.shape == (64,)
    assert np.array_equal(net.run_float(x), index)
    (exact,) = OnnxRunner(load_onnx(path)).run([{"in0": s[np.newaxis]} for s in x])
    assert np.mean(exact.reshape(-1) == index) > 0.8

    labels = tmp_path / "test.npz"
    np.savez(labels, x=x, y=exact.reshape(-1))
    report = verify(built.path, data=str(labels), model=path)
    report.check()
    assert report.output_bytes == 64 * 4 and report.float_report is not None
    assert report.accuracy == report.float_report.agreement == np.mean(exact.reshape(-1) == index)
    assert report.float_report.sqnr is None and report.float_report.float_accuracy == 1.0


@pytest.mark.parametrize("keepdims", [0, 1])
def test_onnx_segmenter(tmp_path: Path, keepdims: int) -> None:
    built = mcugen.build(segmenter(tmp_path / "seg.onnx", keepdims), calib="random", out=tmp_path)
    assert built.manifest["outputs"][0]["shape"] == [1] * keepdims + [5, 3]
    assert "transpose" not in [e["op"] for e in built.manifest["layers"][1:]]  # only the input's
    check_bytes(built, tmp_path)
    verify(built.path).check()
    assert analyze(tmp_path / "seg.onnx", "cortex-m4")["outputs"][0]["dtype"] == "int32"


def test_onnx_cast_and_reshaped(tmp_path: Path) -> None:
    built = mcugen.build(cast_index(tmp_path / "cast.onnx"), calib="random", out=tmp_path)
    assert [(p["dtype"], p["shape"]) for p in built.manifest["outputs"]] == [("int32", [1])]
    check_bytes(built, tmp_path)
    verify(built.path, model=tmp_path / "cast.onnx").check()


def test_onnx_with_outputs_of_both_types(tmp_path: Path) -> None:
    path = mixed(tmp_path / "both.onnx")
    built = mcugen.build(path, calib="random", out=tmp_path)
    assert [p["dtype"] for p in built.manifest["outputs"]] == ["int8", "int32", "int32"]
    header = (built.path / "src" / "both.h").read_text()
    assert "const void *both_output(const both_t *net, int index);" in header
    check_bytes(built, tmp_path)
    compile_example(built, tmp_path)
    x = np.random.default_rng(1).standard_normal((8, 9)).astype(np.float32)
    y, largest, smallest = HostLibrary(built.path).run_float(x)
    # of equal int8 values the first counts, as in numpy
    assert np.array_equal(largest[:, 0], y.argmax(axis=1)) and np.array_equal(
        smallest[:, 0], y.argmin(axis=1)
    )
    report = verify(built.path, model=path)
    report.check()
    assert report.float_report is not None and report.float_report.sqnr is not None


def test_import_is_compared_with_onnxruntime(tmp_path: Path) -> None:
    imported = import_onnx(classifier(tmp_path / "net.onnx"))
    graph = normalise(imported.graph)
    check_import(imported, graph)
    *others, last = graph.nodes
    with pytest.raises(InternalError, match="does not compute"):
        check_import(imported, replace(graph, nodes=(*others, replace(last, op="arg_min"))))


def tflite(path: Path, op: str = "ARG_MAX", dtype: str = "int32") -> Path:
    rng = np.random.default_rng(2)
    weights = rng.integers(-127, 128, (7, 12)).astype(np.int8)
    tensors = [
        TensorSpec((1, 12), "int8", 0.05, -3),
        TensorSpec((7, 12), "int8", 0.01, 0, data=weights),
        TensorSpec((7,), "int32", 0.0005, 0, data=rng.integers(-500, 500, 7).astype(np.int32)),
        TensorSpec((1, 7), "int8", 0.1, 4),
        TensorSpec((1,), "int32", data=np.array([1], np.int32)),
        TensorSpec((1,), dtype),
    ]
    operators = [("FULLY_CONNECTED", {}, [0, 1, 2], [3]), (op, {}, [3, 4], [5])]
    path.write_bytes(model(tensors, operators, [0], [5]))
    return path


@pytest.mark.parametrize(("op", "dtype"), [("ARG_MAX", "int32"), ("ARG_MIN", "int64")])
def test_tflite(tmp_path: Path, op: str, dtype: str) -> None:
    path = tflite(tmp_path / "net.tflite", op, dtype)
    built = mcugen.build(path, out=tmp_path)
    (port,) = built.manifest["outputs"]
    assert (port["dtype"], port["scale"], port["bytes"]) == ("int32", None, 4)
    check_bytes(built, tmp_path)
    (samples,) = random_vectors(built.manifest["inputs"], 20)
    index = HostLibrary(built.path).run(samples)
    assert index.dtype == np.int32 and len(set(index.tolist())) > 2
    if dtype == "int32":
        exact = np.stack([run_model(path.read_bytes(), [s[np.newaxis]])[0] for s in samples])
        assert np.array_equal(index, exact.reshape(-1))
    verify(built.path).check()


@pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")), reason="no emulator"
)
def test_emulated(tmp_path: Path) -> None:
    built = mcugen.build(tflite(tmp_path / "net.tflite"), out=tmp_path)
    report = verify(built.path, on_board=True)
    report.check()
    assert report.emulation is not None and report.emulation.ok


def onnx_reader(reader: str) -> Net:
    net = Net(13)
    x = net.input(1, 6)
    index = net.add("ArgMax", x, axis=1, keepdims=1)
    if reader == "Gather":
        net.add("Gather", net.constant(np.arange(12.0).reshape(6, 2)), index, name="y")
    else:
        net.add("Add", net.add("Cast", index, to=1), net.constant(np.ones(1)), name="y")
    return net


@pytest.mark.parametrize("reader", ["Gather", "Add"])
def test_onnx_index_inside(tmp_path: Path, reader: str) -> None:
    path = save(onnx_reader(reader), tmp_path / "net.onnx", "y")
    with pytest.raises(UnsupportedError) as caught:
        mcugen.build(path, calib="random", out=tmp_path)
    assert len(caught.value.faults) == 1, caught.value.faults
    assert re.search("ind(ex|ices)", caught.value.faults[0].why) and caught.value.exit_code == 4


@pytest.mark.parametrize("reader", ["ADD", "CAST", "RESHAPE", "GATHER"])
def test_tflite_index_inside(tmp_path: Path, reader: str) -> None:
    tensors = [
        TensorSpec((1, 7), "int8", 0.1, 4),
        TensorSpec((1,), "int32", data=np.array([1], np.int32)),
        TensorSpec((1,), "int32"),
        TensorSpec((1,), "float32" if reader == "CAST" else "int32"),
        TensorSpec((7,), "int8", 0.1, 4, data=np.zeros(7, np.int8)),
        TensorSpec((1,), "int8", 0.1, 4),
    ]
    read = {"ADD": [2, 1], "CAST": [2], "RESHAPE": [2, 1], "GATHER": [4, 2]}[reader]
    out = 5 if reader == "GATHER" else 3
    data = model(tensors, [("ARG_MAX", {}, [0, 1], [2]), (reader, {}, read, [out])], [0], [out])
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    with pytest.raises(UnsupportedError) as caught:
        mcugen.build(path, out=tmp_path)
    assert len(caught.value.faults) == 1, caught.value.faults
    assert "index" in caught.value.faults[0].why and caught.value.exit_code == 4
