"""add_portable equals the reference over shapes, broadcasting, constants, scales and clamps."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.ir import Graph, Tensor, TensorType
from mcugen.kernels import KERNELS
from mcugen.kernels.add_portable import loops
from mcugen.ops import OPS
from mcugen.place import Buffer, Plan
from mcugen.plan_check import StepAccess, check_plan
from tests.graphs import int8_constant, int8_type, one_node_graph, random_int8
from tests.kernels.harness import check_kernel, leave_out


@pytest.fixture(autouse=True)
def no_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The general kernels alone."""
    leave_out(monkeypatch, ("add_linear", "mul_linear"))


SHAPES = [
    ((1, 7, 5, 3), (1, 7, 5, 3)),
    ((1, 7, 5, 3), (1, 1, 1, 3)),
    ((1, 7, 5, 3), (1, 1, 5, 1)),
    ((1, 1, 1, 3), (1, 7, 5, 3)),
    ((1, 7, 5, 3), (1, 1, 1, 1)),
    ((1, 1, 5, 1), (1, 7, 1, 3)),
    ((1, 2, 1, 3, 1, 2), (1, 1, 4, 1, 5, 1)),
    ((1, 1, 1), (1, 1, 1)),
    ((1, 6, 1), (1, 6, 4)),
    ((2, 1, 3), (1, 2, 1)),
]


def random_binary(
    op: str, shapes: tuple[tuple[int, ...], ...], rng: np.random.Generator, most: int = 1
) -> Graph:
    """A node with random quantization and clamp; one operand in three is constant. `most`: of a mul's operands."""
    scales = 10.0 ** rng.uniform(-3, 0, 2)
    # outputs that fit, saturate, or keep a few steps only
    largest = 255 * (most * scales.prod() if op == "mul" else scales.max())
    scale = largest * 10.0 ** rng.uniform(-3, 0.5) / 255
    zeros = rng.choice([-128, 127, *rng.integers(-128, 128, 6)], 3)
    inputs: list[TensorType | Tensor] = [
        int8_type(s, f, z) for s, f, z in zip(shapes, scales, zeros, strict=False)
    ]
    constant = rng.integers(0, 6)
    if constant < 2:
        data = random_int8(rng, shapes[constant])
        inputs[constant] = int8_constant(data, scales[constant], int(zeros[constant]))
    clamp = (0.0, largest / 4) if rng.random() < 0.4 else (-np.inf, np.inf)
    output = int8_type(np.broadcast_shapes(*shapes), scale, int(zeros[2]))
    return one_node_graph(op, inputs, {"clamp": clamp}, output)


@pytest.mark.parametrize("op", ["add", "sub"])
def test_random_sums(op: str, rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    check_kernel([random_binary(op, s, rng) for s in SHAPES for _ in range(3)], kernel="add_portable")


def test_sum_of_a_tensor_with_itself(rng_seed: int) -> None:
    rng = np.random.default_rng(rng_seed)
    graph = one_node_graph("add", [int8_type((1, 9), 0.1, 4)] * 2, {}, int8_type((1, 9), 0.15, -3))
    node = graph.nodes[0]
    doubled = Graph(
        "g",
        ("x0",),
        ("y",),
        (type(node)(node.name, "add", ("x0", "x0"), ("y",), node.attrs, node.origin),),
        {name: graph.tensors[name] for name in ("x0", "y")},
    )
    check_kernel(doubled, [random_int8(rng, (5, 1, 9))])


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_loops_visit_the_elements_that_numpy_broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    shape = np.broadcast_shapes(a, b)
    nested = loops(shape, a, b)
    indices = np.indices([extent for extent, _, _ in nested]).reshape(len(nested), -1)
    for number, own in enumerate((a, b)):
        steps = np.array([loop[1 + number] for loop in nested])
        wanted = np.broadcast_to(np.arange(np.prod(own)).reshape(own), shape).reshape(-1)
        np.testing.assert_array_equal(steps @ indices, wanted)


def test_loops_are_merged() -> None:
    assert loops((1, 7, 5, 3), (1, 7, 5, 3), (1, 7, 5, 3)) == [(105, 1, 1)]
    assert loops((1, 7, 5, 3), (1, 7, 5, 3), (1, 1, 1, 3)) == [(35, 3, 0), (3, 1, 1)]
    assert loops((1, 7, 5, 3), (1, 7, 5, 3), (1, 1, 1, 1)) == [(105, 1, 0)]
    assert loops((1, 1), (1, 1), (1, 1)) == [(1, 0, 0)]


def test_rejects_what_32_bits_or_six_loops_do_not_hold() -> None:
    board = load_board("host")
    kernel = KERNELS["add_portable"]
    x = int8_type((1, 4), 1.0)
    # the sum keeps 28 bits and a sign, so a factor of up to 8 is left
    fits = one_node_graph("add", [x, x], {}, int8_type((1, 4), 2.0**-21))
    assert kernel.reject(fits.nodes[0], fits, board) is None
    OPS["add"].reference(fits.nodes[0], fits, [np.full((1, 4), 127, np.int8)] * 2)
    tiny = one_node_graph("add", [x, x], {}, int8_type((1, 4), 2.0**-24))
    assert "scale" in (kernel.reject(tiny.nodes[0], tiny, board) or "")
    a, b = (2, 1) * 4, (1, 2) * 4
    deep = one_node_graph("add", [int8_type(a), int8_type(b)], {}, int8_type((2,) * 8))
    assert "loops" in (kernel.reject(deep.nodes[0], deep, board) or "")


def test_in_place_over_full_operands_only() -> None:
    graph = one_node_graph("add", [int8_type((1, 4, 3)), int8_type((1, 1, 3))], {}, int8_type((1, 4, 3)))
    full, broadcast = KERNELS["add_portable"].access(graph.nodes[0], graph)
    assert full is not None and full.distance(Direction.ASCENDING) == 0 and broadcast is None
    buffers = [Buffer("x0", 12, 0, 1), Buffer("x1", 3, 0, 1), Buffer("y", 12, 1, 2)]
    step = StepAccess(1, "y", (("x0", full),), Direction.ASCENDING, ("x1",))
    check_plan(Plan({"x0": 0, "x1": 12, "y": 0}, {1: Direction.ASCENDING}, 15, 15), buffers, [step])
