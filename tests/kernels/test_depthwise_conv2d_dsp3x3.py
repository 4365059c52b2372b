"""depthwise_conv2d_dsp3x3 equals the reference in every form of its requantization, at every border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from harness import BUILDS, check_kernel, check_on_board, leave_out
from random_conv import random_depthwise

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS

KERNEL = KERNELS["depthwise_conv2d_dsp3x3"]
BOARD = load_board("cortex-m4")
FORMS = {
    f"{KERNEL.name}_s{stride}_{form}"
    for stride in (1, 2)
    for form in ("short", "wide", "affine_p0", "affine_p1")
}


@pytest.fixture(autouse=True)
def no_other_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers are done by this kernel, whatever is cheaper."""
    others = [n for n, k in KERNELS.items() if "depthwise_conv2d" in k.ops and n != KERNEL.name]
    leave_out(monkeypatch, others)


def layers(seed: int, count: int) -> list[Graph]:
    """Random layers that the kernel takes, most of them with a fused ReLU, some with two outputs per input."""
    rng = np.random.default_rng(seed)
    found: list[Graph] = []
    while len(found) < count:
        usual = len(found) % 4 > 0
        each = 2 if len(found) % 4 == 3 else 1
        channels = (int(rng.integers(1, 7)), each) if usual else None
        graph = random_depthwise(rng, kernel=(3, 3), usual=usual, pads=3, channels=channels)
        if KERNEL.reject(graph.nodes[0], graph, BOARD) is None:
            found.append(graph)
    return found


def variants(graphs: Sequence[Graph]) -> set[str]:
    return {KERNEL.variant(graph.nodes[0], graph)[0] for graph in graphs}


def test_random_convolutions() -> None:
    graphs = layers(2, 40)
    assert variants(graphs) >= FORMS
    check_kernel(graphs, 4, board="cortex-m4", builds=BUILDS[:1], kernel=KERNEL.name)


def test_sanitized() -> None:
    check_kernel(layers(4, 12), 4, board="cortex-m4", builds=BUILDS[1:], kernel=KERNEL.name)


def test_bytes_of_a_channel() -> None:
    """Nine weights, the bias, the multiplier; and the shift where one multiplication is not all."""
    for graph in layers(6, 12):
        node = graph.nodes[0]
        channels = graph.type(node.outputs[0]).shape[3]
        each = 17 if "affine" in KERNEL.variant(node, graph)[0] else 18
        assert 0 <= KERNEL.constants(node, graph) - each * channels < 4


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33"])
def test_on_board(core: str) -> None:
    graphs = layers(5, 30)
    assert variants(graphs) >= FORMS
    check_on_board(graphs, core)


def test_what_it_refuses() -> None:
    graph = layers(3, 1)[0]
    node = graph.nodes[0]
    for name, value in (("strides", (1, 3)), ("dilations", (1, 2)), ("pads", (0, 2, 0, 0))):
        changed = replace(node, attrs={**node.attrs, name: value})
        assert KERNEL.reject(changed, graph, BOARD) is not None
    assert KERNEL.serves(BOARD) and not KERNEL.serves(load_board("cortex-m3"))
