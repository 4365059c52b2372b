"""lstm_portable equals the reference: shapes, scales, zero points, clips, run after run; overlapping buffers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import int8_type, one_node_graph
from harness import check_kernel

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.errors import UnsupportedError
from mcugen.ir import Array, DType, Graph, Quant, Tensor, TensorType
from mcugen.kernels import KERNELS
from mcugen.kernels.kernel import Tables
from mcugen.pipeline import lay_out
from mcugen.select import options

KERNEL = KERNELS["lstm_portable"]


def lstm_graph(
    rng: np.random.Generator,
    steps: int,
    inputs: int,
    units: int,
    power: int = -12,
    reach: float = 2.0,
    low: tuple[int, ...] = tuple(range(-128, 128)),
    hidden_scale: float = 0.008,
    cell_range: tuple[int, int] = (-(1 << 15), (1 << 15) - 1),
) -> Graph:
    """`reach`: of the gates before their functions, about, in real numbers; `low`: the weights' values."""

    def weights(columns: int, source: float) -> Tensor:
        scales = rng.uniform(0.5, 2.0, 4) * reach / (columns**0.5 * 70 * 70 * source)
        quant = Quant(tuple(float(np.float32(s)) for s in scales), (0, 0, 0, 0), 0)
        data = rng.choice(np.array(low), (4, units, columns)).astype(np.int8)
        return Tensor("", TensorType(data.shape, DType.INT8, quant), data)

    def zero() -> int:
        return int(rng.choice([-128, 127, 0, rng.integers(-128, 128)]))

    x = int8_type((1, steps, inputs), rng.uniform(0.001, 0.2), zero())
    y = int8_type((1, steps, units), hidden_scale, zero())
    bias: Array = rng.integers(-9000, 9000, (4, units)).astype(np.int32)
    b = Tensor("", TensorType(bias.shape, DType.INT32), bias)
    states = replace(y, shape=(1, units)), TensorType((1, units), DType.INT16, Quant((2.0**power,), (0,)))
    operands = [x, weights(inputs, x.scale), weights(units, y.scale), b, *states]
    return one_node_graph("lstm", operands, {"cell_range": cell_range}, y, states=(4, 5))


def test_random() -> None:
    rng = np.random.default_rng(3)
    graphs = []
    for k in range(30):
        steps, inputs, units = (int(rng.integers(1, n)) for n in (7, 10, 9))
        power = int(rng.choice([-30, -18, -15, -13, -12, -11, -9, -4, -1]))
        reach, most = float(rng.choice([0.3, 2.0, 9.0, 60.0])), int(rng.integers(0, 1 << 15))
        limits = (-most, most) if k % 2 else (-(1 << 15), (1 << 15) - 1)
        graphs.append(lstm_graph(rng, steps, inputs, units, power, reach, cell_range=limits))
    check_kernel(graphs, 20, kernel="lstm_portable")


def test_extremes() -> None:
    """Saturated gates, cells and outputs, also by shifts to the left."""
    rng = np.random.default_rng(4)
    both = (-128, 127)
    graphs = [
        lstm_graph(rng, 3, 9, 8, low=both, reach=1e5),
        lstm_graph(rng, 3, 9, 8, low=(127,), reach=1e12),
        lstm_graph(rng, 3, 9, 8, low=(-128,), reach=1e-9),
        lstm_graph(rng, 3, 9, 8, power=-30, low=both, hidden_scale=2.0**-31),
        lstm_graph(rng, 3, 9, 8, power=-1, low=both, hidden_scale=2.0**-60),
        lstm_graph(rng, 3, 9, 8, low=(0,), hidden_scale=1e6),
        lstm_graph(rng, 5, 2, 3, reach=60.0, cell_range=(0, 0)),
    ]
    check_kernel(graphs, 20, kernel="lstm_portable")


def test_overlapping_buffers() -> None:
    """Rows of x give way to rows of y, but never before they have been read."""
    rng = np.random.default_rng(5)
    for inputs, units in ((7, 3), (3, 7), (5, 5), (1, 9)):
        graph = lstm_graph(rng, 9, inputs, units)
        library = lay_out(graph, load_board("host"), "t", "test", "0" * 64, "test")
        assert library.storage.arena == max(inputs, units) * 9 + min(inputs, units)
        check_kernel(graph, 12, kernel="lstm_portable")
    access = KERNEL.access(graph.nodes[0], graph)
    assert access[0] is not None and access[0].directions == (Direction.ASCENDING,)
    assert access[1:] == (None,) * 5


def test_one_table_for_all_layers() -> None:
    rng = np.random.default_rng(6)
    first, second = lstm_graph(rng, 2, 3, 4), lstm_graph(rng, 2, 3, 4)
    tables = Tables()
    for k, graph in enumerate((first, second)):
        KERNEL.calls(graph.nodes[0], graph, tables, f"l{k}")
    assert [name for name in tables.arrays if "sigmoid" in name] == ["l0_sigmoid"]


def test_bounds_and_refusal() -> None:
    rng = np.random.default_rng(7)
    graph = lstm_graph(rng, 2, 3, 4)
    board = load_board("host")
    (line,) = KERNEL.bounds(graph.nodes[0], graph)
    x, h = graph.type("x0"), graph.type("x4")
    reach = max(127 - x.zero_point, 128 + x.zero_point)
    sums = np.abs(graph.constant("x1").astype(int)).sum(axis=2) * reach + np.abs(graph.constant("x3"))
    recurrent = np.abs(graph.constant("x2").astype(int)).sum(axis=2)
    recurrent *= max(127 - h.zero_point, 128 + h.zero_point)
    assert f"<= {sums.max():,} of x, {recurrent.max():,} of the hidden state" in line
    large = replace(graph.tensors["x3"], data=np.full((4, 4), (1 << 31) - 1, np.int32))
    graph = replace(graph, tensors={**graph.tensors, "x3": large})
    with pytest.raises(UnsupportedError, match="beyond int32"):
        options(graph, board)
