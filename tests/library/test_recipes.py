"""Every recipe on the example models: the C equals its own reference with every compiler and on the boards it suits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from emulated import need
from native import SANITIZERS, compile_native, run_native

import mcugen
from mcugen.boards import load_board
from mcugen.execute import run_samples
from mcugen.graph_file import load_graph
from mcugen.quantize.recipes import TRAITS, Recipe
from mcugen.simulate import HostLibrary, as_bytes
from mcugen.verify import emulate, random_vectors, verify

MODELS = ("ad", "ic", "kws", "sww", "vww")
SHARE = {
    Recipe.FLOAT32: 1.02,
    Recipe.FLOAT16: 0.55,
    Recipe.DYNAMIC_RANGE: 0.33,
}  # of float32's constants, at most
FLOAT_LAYERS = {Recipe.INT8_FLOAT_FALLBACK: ("softmax", "depthwise_conv2d")}


def built(model: Path, recipe: Recipe, out: Path, board: str = "cortex-m4") -> mcugen.Build:
    calib = "random" if TRAITS[recipe].calibrated else None
    layers = FLOAT_LAYERS.get(recipe, ())
    if model.stem.startswith(("ad", "ic")):
        layers = layers[:0]  # they have none of these
    return mcugen.build(model, calib=calib, out=out, board=board, quantize=recipe, in_float=layers)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", list(Recipe))
@pytest.mark.parametrize("model", MODELS)
def test_recipe_on_host_and_board(
    model: str, recipe: Recipe, models: dict[str, Path], tmp_path: Path
) -> None:
    made = built(models[model], recipe, tmp_path)
    report = verify(made.path, data=None)
    assert report.ok
    if recipe in SHARE:
        assert made.manifest["memory"]["weights"] <= SHARE[recipe] * made.manifest["float_bytes"] + 4096
    need("cortex-m4")
    library = HostLibrary(made.path)
    graph = load_graph(made.path / f"{made.path.name}.graph.npz")
    result = emulate(
        library, graph, load_board("cortex-m4"), [a[:1] for a in random_vectors(library.inputs, 1)]
    )
    assert result.ok


@pytest.mark.slow
@pytest.mark.parametrize("recipe", list(Recipe))
@pytest.mark.parametrize(
    ("compiler", "flags"), [("clang", ("-O2",)), ("gcc", SANITIZERS), ("gcc", ("-O3", "-flto"))]
)
def test_recipe_with_other_compilers(
    recipe: Recipe, compiler: str, flags: tuple[str, ...], models: dict[str, Path], tmp_path: Path
) -> None:
    folder = built(models["kws"], recipe, tmp_path).path
    graph = load_graph(folder / f"{folder.name}.graph.npz")
    inputs = random_vectors(HostLibrary(folder).inputs, 4)
    results, layers = run_native(compile_native(folder, tmp_path, compiler, flags), folder, inputs)
    chunks = list(run_samples(graph, dict(zip(graph.inputs, inputs, strict=True))))
    for name, got in zip(graph.outputs, results, strict=True):
        np.testing.assert_array_equal(got, as_bytes(np.concatenate([c[name] for c in chunks])))
    assert len(layers) > 10


@pytest.mark.slow
@pytest.mark.parametrize("recipe", list(Recipe))
@pytest.mark.parametrize("board", ["cortex-m0", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc"])
def test_recipe_on_other_cores(recipe: Recipe, board: str, models: dict[str, Path], tmp_path: Path) -> None:
    """With and without FPU the same bits."""
    need(board)
    made = built(models["kws"], recipe, tmp_path, board)
    library = HostLibrary(made.path)
    graph = load_graph(made.path / f"{made.path.name}.graph.npz")
    result = emulate(library, graph, load_board(board), [a[:1] for a in random_vectors(library.inputs, 1)])
    assert result.ok
