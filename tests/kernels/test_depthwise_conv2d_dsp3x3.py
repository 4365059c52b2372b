"""depthwise_conv2d_dsp3x3 equals the reference in every form of its requantization, at every border."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from harness import check_kernel
from random_conv import random_depthwise

from mcugen.boards import load_board
from mcugen.ir import Graph
from mcugen.kernels import KERNELS

KERNEL = KERNELS["depthwise_conv2d_dsp3x3"]
BOARD = load_board("cortex-m4")


def layers(seed: int, count: int) -> list[Graph]:
    """Random layers that the kernel takes, half of them with a fused ReLU."""
    rng = np.random.default_rng(seed)
    found: list[Graph] = []
    while len(found) < count:
        graph = random_depthwise(rng, kernel=(3, 3), usual=len(found) % 2 == 0, pads=3)
        if KERNEL.reject(graph.nodes[0], graph, BOARD) is None:
            found.append(graph)
    return found


def variants(graphs: list[Graph]) -> set[str]:
    return {KERNEL.variant(graph.nodes[0], graph)[0].removeprefix(f"{KERNEL.name}_") for graph in graphs}


def test_random_convolutions() -> None:
    graphs = layers(2, 60)
    assert {"s1_affine", "s2_affine", "s1_wide", "s2_wide"} <= variants(graphs)
    check_kernel(graphs, board="cortex-m4", kernel=KERNEL.name)


def test_what_it_refuses() -> None:
    graph = layers(3, 1)[0]
    node = graph.nodes[0]
    for name, value in (("strides", (1, 3)), ("dilations", (1, 2)), ("pads", (0, 2, 0, 0))):
        changed = replace(node, attrs={**node.attrs, name: value})
        assert KERNEL.reject(changed, graph, BOARD) is not None
    assert KERNEL.serves(BOARD) and not KERNEL.serves(load_board("cortex-m3"))
