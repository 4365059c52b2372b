"""Channels-first inputs are transposed or read as they come, whichever the aim prefers; the bytes are the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_net import Net

from mcugen.boards import load_board
from mcugen.budget import STACK_BYTES
from mcugen.choice import Optimize
from mcugen.choice_input import decide_with_inputs
from mcugen.errors import UsageError
from mcugen.execute import run
from mcugen.ir import Graph
from mcugen.pipeline import Settings, compile_model
from mcugen.quantize.layers import LayerWish

M4, M4_BOARD = load_board("cortex-m4"), load_board("nucleo-f446re")


def network(folder: Path, channels: int, size: int, filters: int, stride: int) -> Path:
    """One convolution of an image with its channels first, then few outputs."""
    net = Net(17, 0)
    x = net.input(1, channels, size, size, name="x")
    x = net.add("Relu", net.conv(x, channels, filters, 3, 3, pads=[1] * 4, strides=[stride] * 2))
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    onnx.save(net.model(net.dense(x, filters, 3)), folder / "net.onnx")
    return folder / "net.onnx"


def compiled(path: Path, optimize: Optimize) -> tuple[Graph, int, int]:
    """The graph that is made, its arena, its cycles."""
    library = compile_model(path, M4, Settings(calib="random", refine=False, optimize=optimize)).library
    decision = library.decision
    return library.graph, decision.storage.arena, decision.choice.cycles(decision.picked)


def transposes(graph: Graph) -> int:
    return Counter(node.op for node in graph.nodes)["transpose"]


def test_many_channels_are_transposed_for_speed(tmp_path: Path) -> None:
    path = network(tmp_path, 16, 12, 16, 1)
    assert transposes(compiled(path, Optimize.SPEED)[0]) == 1
    assert transposes(compiled(path, Optimize.BALANCED)[0]) == 1


def test_ram_decides_where_a_copy_is_the_peak(tmp_path: Path) -> None:
    """A large image, few outputs: two images are more than one and the outputs."""
    path = network(tmp_path, 3, 40, 4, 2)
    found = {aim: compiled(path, aim) for aim in Optimize}
    assert transposes(found[Optimize.RAM][0]) == 0 and transposes(found[Optimize.SPEED][0]) == 1
    assert found[Optimize.RAM][1] < found[Optimize.SPEED][1]
    assert found[Optimize.SPEED][2] < found[Optimize.RAM][2]


@pytest.mark.parametrize("aim", Optimize)
def test_all_aims_give_the_same_bytes(aim: Optimize, tmp_path: Path) -> None:
    path = network(tmp_path, 3, 16, 4, 2)
    graph, *_ = compiled(path, aim)
    one, *_ = compiled(path, Optimize.RAM)
    x = np.random.default_rng(1).integers(-128, 128, (3, *graph.type("x").shape[1:])).astype(np.int8)
    (y,) = graph.outputs
    assert np.array_equal(run(graph, {"x": x})[y], run(one, {"x": x})[y])


def test_a_board_with_little_memory_reads_what_comes(tmp_path: Path) -> None:
    """Speed takes the faster way only where the board's RAM holds it."""
    path = network(tmp_path, 3, 40, 4, 2)
    (graph, fast, _), (_, least, _) = (compiled(path, aim) for aim in (Optimize.SPEED, Optimize.RAM))
    small = least + (fast - least) // 2 + STACK_BYTES
    flash, ram, *_ = M4_BOARD.memories
    memories = (flash, ram.model_copy(update={"size": small}))
    for board, copies in ((M4_BOARD, 1), (M4_BOARD.model_copy(update={"memories": memories}), 0)):
        way, decision = decide_with_inputs(graph, board, Optimize.SPEED)
        assert transposes(way) == copies
        assert (decision.storage.arena <= small - STACK_BYTES) == (copies == 0)


def test_a_wish_that_one_way_alone_can_fulfil(tmp_path: Path) -> None:
    """Winograd reads neighbouring channels only."""
    graph, *_ = compiled(network(tmp_path, 8, 12, 8, 1), Optimize.SPEED)
    wish = [LayerWish("conv2d", "the test", kernel="conv2d_winograd_dsp")]
    way, decision = decide_with_inputs(graph, M4, Optimize.RAM, wish)
    assert transposes(way) == 1
    assert "conv2d_winograd_dsp" in {layer.kernel.name for layer in decision.layers}
    with pytest.raises(UsageError, match="no_such_kernel"):
        decide_with_inputs(
            graph, M4, Optimize.RAM, [LayerWish("conv2d", "the test", kernel="no_such_kernel")]
        )
