"""Recipes as TOML files: options, and wishes for single layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zoo

import mcugen
from mcugen.errors import UsageError
from mcugen.graph_file import load_graph
from mcugen.ir import DType
from mcugen.quantize.recipe_file import read_recipe
from mcugen.verify import verify


def recipe(work: Path, text: str) -> Path:
    path = work / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_says_what_options_say(tmp_path: Path) -> None:
    text = """
    quantize = "int8-float-fallback"
    io = "int8"
    [[layer]]
    match = "conv2d"
    type = "float32"
    """
    built = mcugen.build(zoo.small(tmp_path), calib="random", out=tmp_path, recipe=recipe(tmp_path, text))
    assert built.manifest["quantization"]["recipe"] == "int8-float-fallback"
    assert {p["dtype"] for p in built.manifest["inputs"]} == {"int8"}
    kernels = {layer["kernel"] for layer in built.manifest["layers"]}
    assert "conv2d_float32" in kernels and "quantize_float_int8" in kernels
    assert any("asked for by recipe.toml" in note for note in built.manifest["notes"])
    assert verify(built.path).ok
    graph = load_graph(built.path / "small.graph.npz")
    assert all(graph.type(n.outputs[0]).dtype is DType.FLOAT32 for n in graph.nodes if n.op == "conv2d")


def test_a_layer_of_another_calibration(tmp_path: Path) -> None:
    model = zoo.small(tmp_path)
    shape = mcugen.build(model, calib="random", out=tmp_path).manifest["inputs"][0]["shape"]
    x = np.random.default_rng(1).standard_normal((40, *shape)).astype(np.float32)
    x[0] *= 30.0
    text = """
    [[layer]]
    match = "conv2d"
    percentile = 95.0
    """
    plain, clipped = (
        mcugen.build(model, calib=x, out=tmp_path / str(i), refine=False, recipe=file).manifest["ranges"]
        for i, file in enumerate((None, recipe(tmp_path, text)))
    )
    smaller = {n for n in plain if clipped[n] != plain[n]}
    assert smaller and all(clipped[n][1] <= plain[n][1] for n in smaller) and len(smaller) < len(plain)


def test_options_come_first(tmp_path: Path) -> None:
    file = recipe(tmp_path, 'quantize = "float16"')
    built = mcugen.build(zoo.small(tmp_path), calib="random", out=tmp_path, recipe=file, quantize="int8")
    assert built.manifest["quantization"]["recipe"] == "int8"


def test_all_faults_of_a_file_at_once(tmp_path: Path) -> None:
    text = """
    calibration = "median"
    colour = "blue"
    [ranges]
    input = [1.0]
    [[layer]]
    type = "int4"
    """
    with pytest.raises(UsageError) as caught:
        read_recipe(recipe(tmp_path, text))
    message = str(caught.value)
    for word in ("calibration", "colour", "ranges.input", "layer[0].match", "layer[0].type"):
        assert word in message, message


def test_a_recipe_names_an_aim_and_kernels(tmp_path: Path) -> None:
    text = 'optimize = "ram"\n[[layer]]\nmatch = "conv2d*"\nkernel = "conv2d_portable"\n'
    model, file = zoo.small(tmp_path), recipe(tmp_path, text)
    manifest = mcugen.build(model, calib="random", out=tmp_path, recipe=file).manifest
    assert manifest["optimize"] == "ram" and manifest["layers"][0]["kernel"] == "conv2d_portable"
    manifest = mcugen.build(model, calib="random", out=tmp_path, recipe=file, optimize="size").manifest
    assert manifest["optimize"] == "size" and manifest["command"].endswith(" --optimize size")
    file = recipe(tmp_path, text.replace("conv2d_portable", "conv2d_fast"))
    with pytest.raises(UsageError, match="conv2d_fast for r: there is none for such a layer"):
        mcugen.build(model, calib="random", out=tmp_path, recipe=file)
    with pytest.raises(UsageError, match="optimize"):
        read_recipe(recipe(tmp_path, 'optimize = "fast"'))


def test_layers_that_are_not_there_and_recipes_that_have_none(tmp_path: Path) -> None:
    model = zoo.small(tmp_path)
    names = ("conv2e", "zzz")
    file = recipe(tmp_path, "".join(f'[[layer]]\nmatch = "{name}"\ntype = "int8"\n' for name in names))
    with pytest.raises(UsageError, match="(?s)conv2e.*fits no layer.*did you mean.*zzz"):
        mcugen.build(model, calib="random", out=tmp_path, recipe=file)
    file = recipe(tmp_path, '[[layer]]\nmatch = "conv2d"\ntype = "float32"')
    with pytest.raises(UsageError, match="int8-float-fallback"):
        mcugen.build(model, calib="random", out=tmp_path, recipe=file)
    with pytest.raises(UsageError, match="minimises the error of int8"):
        mcugen.build(model, calib="random", out=tmp_path, quantize="int16x8", calibration="mse")
    with pytest.raises(UsageError, match="cannot be read"):
        mcugen.build(model, calib="random", out=tmp_path, recipe=tmp_path / "none.toml")
