"""arg_max_portable equals the reference: axes, ties, first and last, overlapping buffers."""

from __future__ import annotations

import numpy as np
from graphs import int8_type
from harness import check_kernel

from mcugen.ir import DType, Graph, Node, Tensor, TensorType

SHAPES = [((1, 10), 1), ((1, 3, 4, 5), 3), ((1, 3, 4, 5), 1), ((1, 6, 4), 2), ((1, 1, 9), 1), ((1, 2, 40), 1)]


def arg_graph(op: str, shape: tuple[int, ...], axis: int, last: bool) -> Graph:
    x = Tensor("x", int8_type(shape, 0.1, 3))
    out = tuple(d for i, d in enumerate(shape) if i != axis)
    node = Node("y", op, ("x",), ("y",), {"axes": (axis,), "keepdims": False, "last": last})
    return Graph("arg", ("x",), ("y",), (node,), {"x": x, "y": Tensor("y", TensorType(out, DType.INT32))})


def test_random() -> None:
    graphs = [
        arg_graph(op, s, a, last)
        for op in ("arg_max", "arg_min")
        for s, a in SHAPES
        for last in (False, True)
    ]
    check_kernel(graphs, kernel="arg_max_portable")


def test_ties() -> None:
    rng = np.random.default_rng(0)
    graphs = [arg_graph(op, (1, 5, 6), 1, last) for op in ("arg_max", "arg_min") for last in (False, True)]
    samples = rng.choice(np.array([-128, 0, 127], np.int8), (20, 1, 5, 6))
    check_kernel(graphs, [samples] * len(graphs), kernel="arg_max_portable")
