"""The example models as firmware on every kind of emulated core: every byte of every layer."""

from __future__ import annotations

from pathlib import Path

import pytest
from emulated import need

import mcugen
from mcugen.boards import load_board
from mcugen.graph_file import load_graph
from mcugen.simulate import HostLibrary
from mcugen.verify import emulate, random_vectors, verify

BOARDS = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc")


@pytest.mark.slow
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("model", ["ad", "ic", "kws", "sww", "vww"])
def test_example_on_board(model: str, board: str, models: dict[str, Path], tmp_path: Path) -> None:
    """Six random vectors, all-min and all-max: nothing differs from the integer reference."""
    need(board)
    built = mcugen.build(models[model], calib="random", board=board, out=tmp_path)
    library = HostLibrary(built.path)
    graph = load_graph(built.path / f"{built.path.name}.graph.npz")
    vectors = random_vectors(library.inputs, 6)
    result = emulate(library, graph, load_board(board), vectors)
    assert result.wrong_layers == () and result.wrong_bytes == 0
    assert len(result.instructions) == 8 and min(result.instructions) > 0


@pytest.mark.slow
@pytest.mark.parametrize("board", ["cortex-m0", "cortex-m4"])
def test_int16_on_board(board: str, models: dict[str, Path], tmp_path: Path) -> None:
    """kws with int16 activations."""
    need(board)
    built = mcugen.build(models["kws"], calib="random", board=board, out=tmp_path, quantize="int16x8")
    library = HostLibrary(built.path)
    graph = load_graph(built.path / f"{built.path.name}.graph.npz")
    result = emulate(library, graph, load_board(board), random_vectors(library.inputs, 2))
    assert result.wrong_layers == () and result.wrong_bytes == 0


@pytest.mark.slow
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(
    "model",
    ["ad", "hello_world", "ic", "kws", "micro_speech", "mnist_lstm", "person_detect", "sww", "vww"],
)
def test_tflite_on_board(model: str, board: str, repository: Path, tmp_path: Path) -> None:
    """The integers of TensorFlow's files: one random vector, all-min and all-max, in sequence."""
    need(board)
    path = repository / "examples" / "tflite" / f"{model}_int8.tflite"
    built = mcugen.build(path, board=board, out=tmp_path)
    library = HostLibrary(built.path)
    graph = load_graph(built.path / f"{built.path.name}.graph.npz")
    result = emulate(library, graph, load_board(board), random_vectors(library.inputs, 1))
    assert result.wrong_layers == () and result.wrong_bytes == 0
    assert len(result.instructions) == 3


@pytest.mark.parametrize("board", ["cortex-m0", "cortex-m55", "rv32imc"])
def test_every_kernel_on_board(board: str, every_kernel: Path, portable_libraries: dict[str, Path]) -> None:
    need(board)
    folder = every_kernel if load_board(board).isa.dsp else portable_libraries["every_kernel"]
    report = verify(folder, on_board=True, board=board)
    assert report.ok and report.emulation is not None and report.emulated_vectors == 8


def test_a_wrong_byte_on_the_board_is_found(every_kernel: Path) -> None:
    """The reference of other inputs: the comparison on the board can fail."""
    need("cortex-m4")
    library = HostLibrary(every_kernel)
    graph = load_graph(every_kernel / "every_kernel.graph.npz")
    first, conv = next((i, node) for i, node in enumerate(graph.nodes) if node.op == "conv2d")
    table = conv.inputs[1]
    graph.tensors[table].data[:] = -graph.tensors[table].data  # type: ignore[index,operator]
    result = emulate(library, graph, load_board("cortex-m4"), random_vectors(library.inputs, 2))
    assert not result.ok and result.wrong_layers[0] == (0, first)
