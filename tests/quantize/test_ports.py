"""Inputs and outputs of other types than the network's: every combination equals its reference and the real numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zoo

import mcugen
from mcugen.errors import UsageError
from mcugen.graph_file import load_graph
from mcugen.ir import DType, Quant, TensorType
from mcugen.quantize.ports import port_type, set_ports
from mcugen.verify import verify

TYPES = ("int8", "uint8", "int16", "float")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> mcugen.HostLibrary:
    return built(tmp_path_factory.mktemp("plain"), None)


def built(work: Path, io: str | None) -> mcugen.HostLibrary:
    model = zoo.small(work)
    folder = mcugen.build(model, calib="random", out=work, io=io).path
    assert verify(folder).ok
    return mcugen.HostLibrary(folder)


@pytest.mark.parametrize("io", TYPES)
def test_real_numbers_are_the_same(io: str, plain: mcugen.HostLibrary, tmp_path: Path) -> None:
    library = built(tmp_path, io)
    dtype = "float32" if io == "float" else io
    assert {p["dtype"] for p in (*library.inputs, *library.outputs)} == {dtype}
    x = np.random.default_rng(3).standard_normal((40, *library.inputs[0]["shape"])).astype(np.float32)
    got, wanted = library.run_float(x), plain.run_float(x)
    scale = plain.outputs[0]["scale"]
    assert np.abs(got - wanted).max() <= (1e-6 if io != "int16" else 2 * scale)
    assert library.run(library.quantize_inputs(x)).dtype == np.dtype(dtype)


def test_what_a_type_becomes() -> None:
    int8 = TensorType((1, 4), DType.INT8, Quant((0.5,), (-28,)))
    assert port_type(int8, DType.UINT8).quant == Quant((0.5,), (100,))
    wide = port_type(int8, DType.INT16)
    assert wide.zero_point == 0 and wide.scale * 32767 == pytest.approx(0.5 * 155)
    assert port_type(int8, DType.FLOAT32) == TensorType((1, 4))


def test_conversions_at_the_border_are_replaced(plain: mcugen.HostLibrary) -> None:
    graph = load_graph(plain.folder / "small.graph.npz")
    as_float = set_ports(graph, DType.FLOAT32)
    assert [n.op for n in as_float.nodes][:: len(as_float.nodes) - 1] == ["quantize", "dequantize"]
    back = set_ports(as_float, DType.INT8)
    assert [n.op for n in back.nodes] == [n.op for n in graph.nodes]
    assert set_ports(graph, None) is graph


def test_an_unknown_type_and_one_that_does_not_fit(tmp_path: Path) -> None:
    model = zoo.small(tmp_path)
    with pytest.raises(UsageError, match="one of int8, uint8, int16, float"):
        mcugen.build(model, calib="random", out=tmp_path, io="int4")
    with pytest.raises(UsageError, match="would need ranges"):
        mcugen.build(model, out=tmp_path, io="int8", quantize="float32")


def test_an_input_that_is_converted_twice_and_a_float_output(plain: mcugen.HostLibrary) -> None:
    """As TensorFlow's converter writes a float input with two readers; real numbers that no layer quantizes."""
    graph = set_ports(load_graph(plain.folder / "small.graph.npz"), DType.FLOAT32)
    first = graph.nodes[0]
    twin, reader = f"{first.outputs[0]}/2", graph.nodes[1]
    tensors = {**graph.tensors, twin: replace(graph.tensors[first.outputs[0]], name=twin)}
    moved = replace(reader, inputs=(twin, *reader.inputs[1:]))
    doubled = replace(
        graph,
        tensors=tensors,
        nodes=(first, replace(first, name=twin, outputs=(twin,)), moved, *graph.nodes[2:]),
    )
    assert [n.op for n in set_ports(doubled, DType.INT8).nodes] == [n.op for n in graph.nodes[1:-1]]
    cut = replace(graph, outputs=(graph.inputs[0],), nodes=())
    with pytest.raises(UsageError, match="without a scale"):
        set_ports(cut, DType.INT8)
