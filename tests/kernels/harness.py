"""Compare kernels with the integer reference: many one-node graphs in one library, every layer, several builds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from emulated import need
from native import SANITIZERS, compile_native, run_native

from mcugen.boards import load_board
from mcugen.choice import Optimize
from mcugen.execute import rest, run
from mcugen.ir import Array, DType, Graph, Node, Tensor
from mcugen.kernels import KERNELS
from mcugen.pipeline import Compiled, lay_out, write
from mcugen.simulate import HostLibrary
from mcugen.verify import emulate

BUILDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("gcc", ("-O3",)),
    ("clang", ("-O2", "-fsanitize=undefined", "-fno-sanitize-recover=all")),
    ("gcc", SANITIZERS),
)


def leave_out(patch: pytest.MonkeyPatch, names: Iterable[str]) -> None:
    """Kernels that are not chosen during a test."""
    patch.setattr("mcugen.select.KERNELS", {n: k for n, k in KERNELS.items() if n not in set(names)})


def merge(graphs: Sequence[Graph]) -> Graph:
    """One graph of several independent ones, so that one compilation tests them all."""
    inputs: list[str] = []
    outputs: list[str] = []
    states: list[str] = []
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    for i, graph in enumerate(graphs):
        names = {name: f"g{i}/{name}" for name in graph.tensors}
        inputs += [names[n] for n in graph.inputs]
        outputs += [names[n] for n in graph.outputs]
        states += [names[n] for n in graph.states]
        nodes += [
            replace(
                n,
                name=f"g{i}/{n.name}",
                inputs=tuple(names[x] for x in n.inputs),
                outputs=tuple(names[x] for x in n.outputs),
            )
            for n in graph.nodes
        ]
        tensors |= {names[n]: replace(t, name=names[n], source=names[n]) for n, t in graph.tensors.items()}
    return Graph("merged", tuple(inputs), tuple(outputs), tuple(nodes), tensors, tuple(states))


def samples_for(graph: Graph, count: int, seed: int) -> list[Array]:
    """Random samples [count, *shape], the last two all-min and all-max; real numbers are of both signs, all sizes."""
    rng = np.random.default_rng(seed)
    arrays = []
    for name in graph.inputs:
        dtype, shape = graph.type(name).dtype, (count, *graph.type(name).shape)
        if dtype is DType.FLOAT32:
            sizes = 2.0 ** rng.integers(-20, 4, shape)
            arrays.append((rng.standard_normal(shape) * sizes).astype(np.float32))
            continue
        limits = np.iinfo(dtype.numpy)
        values = rng.integers(limits.min, limits.max + 1, shape).astype(dtype.numpy)
        values[-2], values[-1] = limits.min, limits.max
        arrays.append(values)
    return arrays


def corners_for(graphs: Sequence[Graph], nan: bool = True, count: int = 6, seed: int = 0) -> list[Array]:
    """Samples of what float32 holds beside usual numbers: zeros of both signs, infinities, the smallest and the
    largest; `nan`: and what is no number."""
    rng = np.random.default_rng(seed)
    corners = [0.0, -0.0, np.inf, -np.inf, 1e-45, -1e-45, 3e38, -3e38, 1.0, *([np.nan] * 2 * nan)]
    shapes = [graph.type(name).shape for graph in graphs for name in graph.inputs]
    return [rng.choice(np.array(corners, np.float32), (count, *shape)) for shape in shapes]


def check_kernel(
    graphs: Graph | Sequence[Graph],
    inputs: Sequence[Array] | int = 8,
    seed: int = 0,
    board: str = "host",
    builds: Sequence[tuple[str, tuple[str, ...]]] = BUILDS,
    kernel: str | None = None,
    apart: bool = False,
) -> None:
    """Assert that the generated C of one or several integer graphs equals the reference in every layer, sample by
    sample: states persist.

    `inputs`: arrays [N, *shape of the type] per graph input, or a number of random samples. `kernel`: assert that
    this kernel was chosen for some layer. `apart`: all tensors have bytes of their own, which is planned faster.
    """
    graph = merge([graphs] if isinstance(graphs, Graph) else graphs)
    arrays = samples_for(graph, inputs, seed) if isinstance(inputs, int) else list(inputs)
    fastest = Optimize.SPEED  # whatever memory it takes
    library = lay_out(
        graph, load_board(board), "t", "test", "0" * 64, "test", keep_all=apart, optimize=fastest
    )
    assert kernel is None or kernel in {layer.kernel.name for layer in library.layers}
    memory = rest(graph)
    expected = [
        run(graph, dict(zip(graph.inputs, sample, strict=True)), memory)
        for sample in zip(*arrays, strict=True)
    ]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = write(Compiled(library, graph, {}, ()), work).path
        for compiler, flags in builds:
            program = compile_native(folder, work, compiler, flags)
            results, layers = run_native(program, folder, arrays)
            for layer, got in zip(library.layers, layers, strict=True):
                wanted = np.stack([e[layer.node.outputs[0]].reshape(-1).view(np.int8) for e in expected])
                wrong = np.argwhere(got != wanted)
                assert not len(wrong), (
                    f"{compiler} {flags}: {layer.node.name} ({layer.kernel.name}) {dict(layer.node.attrs)}: "
                    f"{len(wrong)} of {wanted.size} bytes, first at {wrong[0]}: "
                    f"{got[tuple(wrong[0])]} for {wanted[tuple(wrong[0])]}"
                )
            for tensor, got in zip(graph.outputs, results, strict=True):
                wanted = np.stack([e[tensor].reshape(-1).view(np.int8) for e in expected])
                assert np.array_equal(got, wanted), f"{compiler} {flags}: output {tensor}"


def check_on_board(graphs: Sequence[Graph], board: str, count: int = 4, seed: int = 0) -> None:
    """Assert that the generated C of independent graphs equals the reference in every layer on an emulated board; the
    last two of `count` samples are all-min and all-max."""
    need(board)
    graph = merge(graphs)
    arrays = samples_for(graph, count, seed)
    described = load_board(board)
    library = lay_out(graph, described, "t", "test", "0" * 64, "test", True, optimize=Optimize.SPEED)
    with tempfile.TemporaryDirectory() as name:
        folder = write(Compiled(library, graph, {}, ()), Path(name)).path
        result = emulate(HostLibrary(folder), graph, described, arrays)
    wrong = [library.layers[layer].node.name for _, layer in result.wrong_layers]
    assert not wrong and result.wrong_bytes == 0, f"{board}: {wrong}, {result.wrong_bytes} wrong bytes"
