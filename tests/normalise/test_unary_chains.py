"""fuse_unary: which parts become one node, under which name, and what stays."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from mcugen.check import check_graph
from mcugen.execute import run
from mcugen.ir import Array, Attr, Graph, Node, Tensor, TensorType
from mcugen.normalise.unary_chains import fuse_unary
from mcugen.ops.functions import Expression, X
from mcugen.rewrite import live

SHAPE = (1, 5, 3)
Step = tuple[str, str, Sequence[str | float | Array], dict[str, Attr]]  # output, op, operands, attributes
INF = math.inf


def build(steps: Sequence[Step], outputs: Sequence[str] = ("y",)) -> Graph:
    """A float graph of inputs x and z; numbers and arrays among the operands become constants."""
    tensors = {name: Tensor(name, TensorType(SHAPE)) for name in ("x", "z")}
    nodes = []
    for output, op, operands, attrs in steps:
        names = []
        for operand in operands:
            if not isinstance(operand, str):
                data = np.asarray(operand, np.float32).reshape(SHAPE if np.ndim(operand) == 3 else (1, 1, -1))
                operand = f"c{len(tensors)}"
                tensors[operand] = Tensor(operand, TensorType(data.shape), data)
            names.append(operand)
        tensors[output] = Tensor(output, TensorType(SHAPE))
        nodes.append(Node(output, op, tuple(names), (output,), attrs, f'onnx:{op} "{output}"'))
    return Graph("g", ("x", "z"), tuple(outputs), tuple(nodes), tensors)


def unary(output: str, operand: str, function: Expression) -> Step:
    return (output, "unary", (operand,), {"function": function})


def mul(output: str, *operands: str | float | Array) -> Step:
    return (output, "mul", operands, {})


def add(output: str, *operands: str | float | Array, **attrs: Attr) -> Step:
    return (output, "add", operands, attrs)


def check(before: Graph, ops: Sequence[str], function: Expression | None = None) -> Graph:
    """The fused graph, after checking that it computes the same with the wanted operators."""
    after = check_graph(fuse_unary(before), "fuse_unary")
    assert [n.op for n in after.nodes] == list(ops)
    if function is not None:
        assert after.nodes[-1].attrs["function"] == function
    rng = np.random.default_rng(0)
    feeds = {n: (4 * rng.standard_normal(SHAPE)).astype(np.float32) for n in ("x", "z")}
    old, new = run(before, feeds), run(after, feeds)
    for output in before.outputs:
        np.testing.assert_allclose(new[output], old[output], rtol=1e-5, atol=1e-5)
    assert after.outputs == before.outputs
    return after


def test_chain_becomes_one_node_with_the_last_name() -> None:
    steps = [mul("a", "x", 0.5), unary("b", "a", ("exp", X)), unary("y", "b", ("clip", X, 0.0, 2.0))]
    after = check(build(steps), ["unary"], ("clip", ("exp", ("mul", X, 0.5)), 0.0, 2.0))
    assert after.nodes[0].name == "y"
    assert set(after.nodes[0].fused) == {'onnx:mul "a"', 'onnx:unary "b"'}
    assert after.nodes[0].origin == 'onnx:unary "y"'
    assert set(after.tensors) == {"x", "z", "y"}


SIXTH = float(np.float32(1 / 6))
CLIPPED = [add("a", "x", 3.0), unary("b", "a", ("clip", X, 0.0, 6.0))]


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ([unary("s", "x", ("sigmoid", X)), mul("y", "x", "s")], "silu"),
        ([unary("s", "x", ("sigmoid", X)), mul("y", "s", "x")], "silu"),
        ([unary("h", "x", ("hard_sigmoid", X, SIXTH, 0.5)), mul("y", "x", "h")], "hard_swish"),
        ([*CLIPPED, mul("m", "x", "b"), mul("y", "m", SIXTH)], "hard_swish"),
        ([*CLIPPED, mul("m", "b", SIXTH), mul("y", "m", "x")], "hard_swish"),
        ([*CLIPPED, mul("m", SIXTH, "x"), mul("y", "m", "b")], "hard_swish"),
        ([unary("t", "x", ("softplus", X)), unary("u", "t", ("tanh", X)), mul("y", "x", "u")], "mish"),
        (
            [
                mul("a", "x", float(np.float32(math.sqrt(0.5)))),
                unary("e", "a", ("erf", X)),
                add("o", "e", 1.0),
                mul("m", "x", "o"),
                mul("y", "m", 0.5),
            ],
            "gelu",
        ),
    ],
)
def test_known_functions_get_their_name(steps: list[Step], name: str) -> None:
    check(build(steps), ["unary"], (name, X))


def test_leaky_relu_and_bounds_are_recognised() -> None:
    leaky = unary("y", "x", ("max", X, ("mul", X, 0.125)))
    check(build([leaky]), ["unary"], ("leaky_relu", X, 0.125))
    steps = [unary("a", "x", ("max", X, 0.0)), unary("y", "a", ("min", 6.0, X))]
    check(build(steps), ["unary"], ("clip", X, 0.0, 6.0))
    steps = [unary("a", "x", ("clip", X, 0.0, INF)), unary("y", "a", ("clip", X, -1.0, 4.0))]
    check(build(steps), ["unary"], ("clip", X, 0.0, 4.0))


def test_square_is_a_table() -> None:
    check(build([mul("y", "x", "x")]), ["unary"], ("mul", X, X))


def test_clamp_of_a_swallowed_node_stays() -> None:
    steps = [unary("a", "x", ("tanh", X)), add("y", "a", "x", clamp=(0.0, 1.0))]
    check(build(steps), ["unary"], ("clip", ("add", ("tanh", X), X), 0.0, 1.0))


def test_other_uses_and_outputs_end_a_chain() -> None:
    steps = [unary("a", "x", ("exp", X)), unary("b", "a", ("tanh", X)), add("y", "b", "z")]
    check(build(steps), ["unary", "add"])
    check(build(steps, ["y", "a"]), ["unary", "unary", "add"])
    steps = [
        unary("a", "x", ("exp", X)),
        unary("b", "a", ("tanh", X)),
        add("c", "a", "z"),
        add("y", "b", "c"),
    ]
    check(build(steps), ["unary", "unary", "add", "add"])


def test_two_inputs_are_no_function_of_one() -> None:
    steps = [unary("s", "z", ("sigmoid", X)), mul("y", "x", "s")]
    check(build(steps), ["unary", "mul"])


def test_constants_per_channel_stay() -> None:
    steps = [mul("a", "x", np.array([1.0, 2.0, 3.0])), unary("y", "a", ("tanh", X))]
    check(build(steps), ["mul", "unary"])


def test_residual_around_a_function_is_one_function() -> None:
    steps = [unary("a", "z", ("abs", X)), unary("b", "a", ("tanh", X)), add("y", "a", "b")]
    check(build(steps), ["unary"], ("add", ("abs", X), ("tanh", ("abs", X))))


def test_long_doublings_stay_small() -> None:
    """Every step uses the last result twice: as an expression it would double each time."""
    names = ["x", *(f"t{i}" for i in range(40)), "y"]
    steps = [
        mul(name, last, last, 0.5)[:2] + ((last, last), {})
        for last, name in zip(names, names[1:], strict=False)
    ]
    after = check_graph(fuse_unary(build(steps)), "fuse_unary")
    assert 1 < len(after.nodes) < 41
    names = ["x", "z", *(f"t{i}" for i in range(40)), "y"]
    steps = [mul(names[i + 2], names[i], names[i + 1]) for i in range(41)]
    assert len(check_graph(fuse_unary(build(steps)), "fuse_unary").nodes) == 41


def random_steps(rng: np.random.Generator) -> tuple[list[Step], list[str]]:
    """A random graph of element-wise nodes with shared operands, and one to three outputs."""
    names, steps = ["x", "z"], list[Step]()
    functions: list[Expression] = [
        ("tanh", X),
        ("sigmoid", X),
        ("clip", X, -1.0, 0.5),
        ("abs", X),
        ("sub", 1.0, X),
    ]
    for i in range(int(rng.integers(2, 14))):
        name = f"t{i}"
        first, second = (
            names[int(k)] for k in len(names) - 1 - rng.geometric(0.45, 2).clip(1, len(names)) + 1
        )
        choice = rng.integers(0, 4)
        if choice == 0:
            steps.append(unary(name, first, functions[int(rng.integers(len(functions)))]))
        elif choice == 1:
            steps.append(
                (name, str(rng.choice(["add", "sub", "mul"])), (first, float(rng.uniform(-1, 1))), {})
            )
        else:
            clamp = {"clamp": (-0.5, 1.0)} if rng.random() < 0.3 else {}
            steps.append((name, str(rng.choice(["add", "sub", "mul"])), (first, second), clamp))
        names.append(name)
    outputs = {names[-1], *rng.choice(names[2:], int(rng.integers(0, 3)))}
    return steps, sorted(str(o) for o in outputs)


def test_random_graphs_compute_the_same() -> None:
    rng = np.random.default_rng(3)
    fused = 0
    for _ in range(150):
        steps, outputs = random_steps(rng)
        before = live(build(steps, outputs))
        after = check_graph(fuse_unary(before), "fuse_unary")
        feeds = {n: rng.standard_normal(SHAPE).astype(np.float32) for n in ("x", "z")}
        old, new = run(before, feeds), run(after, feeds)
        for output in outputs:
            np.testing.assert_allclose(new[output], old[output], rtol=1e-4, atol=1e-5)
        fused += len(before.nodes) - len(after.nodes)
    assert fused > 150
