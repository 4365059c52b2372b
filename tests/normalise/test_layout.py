"""Layouts settle with as few transposes as one would write by hand, and nothing but the layout changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx_net import Net, normalised

from mcugen.check import check_graph
from mcugen.execute import outputs
from mcugen.ir import DType, Graph, Node, Tensor, TensorType
from mcugen.normalise.layout import settle_layout
from mcugen.ops import OPS

SAME = {"pads": [1, 1, 1, 1]}


def _image(net: Net, channels: int = 4) -> str:
    """A convolution's output [1, channels, 5, 6], whose bytes are channels-last."""
    return net.conv(net.input(1, 1, 5, 6), 1, channels, 3, 3, **SAME)


def _ops(net: Net, *ends: str) -> list[str]:
    return [n.op for n in normalised(net.model(*ends)).nodes if n.op != "reshape"]


def _slice(net: Net, x: str) -> str:
    return str(net.add("Slice", x, *(net.constant(np.array(v)) for v in ([1, 0], [3, 4], [1, 3], [1, 2]))))


# What a convolution's output goes through before the next convolution, channels and spatial size unknown to it.
THROUGH: dict[str, Callable[[Net, str], str]] = {
    "relu": lambda net, x: str(net.add("Relu", x)),
    "gate": lambda net, x: str(net.add("Mul", x, net.add("Sigmoid", net.mean(x, [2, 3], 1)))),
    "spatial gate": lambda net, x: str(net.add("Mul", x, net.add("Sigmoid", net.mean(x, [1], 1)))),
    "constant by channel": lambda net, x: str(
        net.add("Mul", x, net.constant(np.arange(1.0, 5.0).reshape(4, 1, 1)))
    ),
    "constant by element": lambda net, x: str(
        net.add("Add", x, net.constant(net.rng.standard_normal((4, 5, 6))))
    ),
    "concat": lambda net, x: str(net.add("Concat", x, net.add("Neg", x), axis=1)),
    "concat of rows": lambda net, x: str(net.add("Concat", x, x, axis=2)),
    "concat with a constant": lambda net, x: str(
        net.add("Concat", x, net.constant(np.ones((1, 1, 5, 6))), axis=1)
    ),
    "split": lambda net, x: str(net.add("Sub", *net.add("Split", x, outputs=2, axis=1))),
    "slice": _slice,
    "pad": lambda net, x: str(
        net.add("Pad", x, net.constant(np.array([0, 1, 2, 0, 0, 0, 0, 3])), net.constant(0.5))
    ),
    "mirrored": lambda net, x: str(
        net.add("Pad", x, net.constant(np.array([0, 0, 2, 0, 0, 0, 0, 3])), mode="reflect")
    ),
    "rows by number": lambda net, x: str(net.add("Gather", x, net.constant(np.array([0, 3, 1, 1])), axis=2)),
    "channels by number": lambda net, x: str(
        net.add("Gather", x, net.constant(np.array([0, 3, 1, 1])), axis=1)
    ),
    "nearest neighbours": lambda net, x: str(
        net.add("Resize", x, "", net.constant(np.array([1.0, 1.0, 2.0, 2.0])), mode="nearest")
    ),
    "interpolation": lambda net, x: str(
        net.add("Resize", x, "", "", net.constant(np.array([1, 4, 7, 9])), mode="linear")
    ),
    "sum gate": lambda net, x: str(
        net.add("Mul", x, net.add("Tanh", net.add("ReduceSum", x, net.constant(np.array([2, 3])))))
    ),
    "largest gate": lambda net, x: str(net.add("Mul", x, net.add("ReduceMax", x, axes=[1]))),
    "blocks": lambda net, x: str(
        net.add("SpaceToDepth", net.add("DepthToSpace", x, blocksize=2, mode="CRD"), blocksize=2)
    ),
    "softmax over channels": lambda net, x: str(net.add("Softmax", x, axis=1)),
    "split axis": lambda net, x: net.reshape(net.add("Neg", net.reshape(x, 1, 2, 2, 5, 6)), 1, 4, 5, 6),
    "transposed and back": lambda net, x: str(
        net.add("Transpose", net.add("Tanh", net.add("Transpose", x, perm=[0, 2, 3, 1])), perm=[0, 3, 1, 2])
    ),
    "flat and back": lambda net, x: net.reshape(net.add("Abs", net.add("Flatten", x)), 1, 4, 5, 6),
    "rows and back": lambda net, x: net.reshape(net.add("Elu", net.reshape(x, 1, 4, 30)), 1, 4, 5, 6),
}


@pytest.mark.parametrize("name", THROUGH)
def test_no_transpose_between_two_convolutions(name: str) -> None:
    net = Net()
    x = THROUGH[name](net, _image(net))
    channels = {"concat": 8, "concat with a constant": 5, "split": 2, "slice": 2, "pad": 5}.get(name, 4)
    ops = _ops(net, net.mean(net.conv(x, channels, 3, 2, 2), [2, 3]))
    assert "transpose" not in ops, ops


@pytest.mark.parametrize(
    ("name", "build", "count"),
    [
        ("input", lambda net: net.conv(net.input(1, 3, 4, 4), 3, 2, 4, 4), 1),
        ("input of one channel", lambda net: net.conv(net.input(1, 1, 4, 4), 1, 2, 4, 4), 0),
        ("two readers", lambda net: net.add(
            "Concat", *(net.conv(x, 3, 2, 2, 2) for x in [net.input(1, 3, 4, 4)] * 2), axis=1
        ), 2),
        ("padded and not", lambda net: _padded_and_not(net), 2),
        ("signal", lambda net: net.mean(net.conv(net.input(1, 3, 9), 3, 2, 3), [2]), 1),
        ("sequence", lambda net: net.mean(
            net.conv(net.add("Transpose", net.input(1, 9, 3), perm=[0, 2, 1]), 3, 2, 3), [2]
        ), 0),
        ("output", lambda net: _image(net), 1),
        ("flattened", lambda net: net.dense(net.add("Flatten", _image(net)), 120, 3), 0),
        ("channels last rows", lambda net: net.linear(
            net.add("Transpose", net.reshape(_image(net), 1, 4, 30), perm=[0, 2, 1]), 4, 3
        ), 0),
        ("channel shuffle", lambda net: net.mean(net.conv(_shuffled(net, _image(net)), 4, 2, 2, 2), [2, 3]), 1),
        ("tokens", lambda net: net.linear(net.reshape(_image(net), 1, 4, 30), 30, 3), 1),
    ],
)  # fmt: skip
def test_transposes_that_are_left(name: str, build: Callable[[Net], str], count: int) -> None:
    net = Net()
    assert _ops(net, build(net)).count("transpose") == count


def _shuffled(net: Net, x: str) -> str:
    x = net.add("Transpose", net.reshape(x, 1, 2, 2, 5, 6), perm=[0, 2, 1, 3, 4])
    return net.reshape(x, 1, 4, 5, 6)


def _padded_and_not(net: Net) -> str:
    x = net.input(1, 2, 5, 5)
    wide = net.add("Pad", x, net.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])))
    return str(net.add("Add", net.conv(x, 2, 3, 1, 1), net.conv(wide, 2, 3, 3, 3)))


def test_a_mean_over_channels_and_rows_is_computed_where_the_bytes_lie() -> None:
    for axes in ([1], [2], [3], [2, 3], [1, 2], [1, 3], [1, 2, 3]):
        net = Net()
        _ops(net, net.mean(_image(net), axes))


def test_inner_axes_keep_the_batch_in_front() -> None:
    """Samples run at once only if every tensor has its first axis for them."""
    net = Net()
    x = net.conv(_shuffled(net, _image(net)), 4, 2, 2, 2)
    graph = normalised(net.model(net.mean(x, [2, 3])))
    assert all(t.shape[0] == 1 for t in graph.tensors.values() if t.data is None)


def _random_views(rng: np.random.Generator) -> Graph:
    """Transposes and reshapes at random, with functions, sums and softmax among them."""
    shape = (1, *rng.integers(1, 5, int(rng.integers(1, 4))).tolist())
    tensors = {"x": Tensor("x", TensorType(shape), source="x")}
    nodes: list[Node] = []
    names = ["x"]

    def add(op: str, inputs: tuple[str, ...], **attrs: object) -> None:
        name = f"t{len(nodes)}"
        node = Node(name, op, inputs, (name,), attrs)
        (ttype,) = OPS[op].infer(node, [tensors[i].type for i in inputs])
        tensors[name] = Tensor(name, ttype, source=name)
        nodes.append(node)
        names.append(name)

    for _ in range(int(rng.integers(3, 12))):
        x = names[-1] if rng.random() < 0.7 else str(rng.choice(names))
        dims = tensors[x].shape
        kind = rng.integers(5)
        if kind == 0:
            add("transpose", (x,), perm=tuple(rng.permutation(len(dims)).tolist()))
        elif kind == 1:
            rest, cut = int(np.prod(dims)), []
            while len(cut) < 5 and rng.random() < 0.8:
                divisors = [d for d in range(1, rest + 1) if rest % d == 0]
                cut.append(int(rng.choice(divisors)))
                rest //= cut[-1]
            add("reshape", (x,), shape=(*cut, rest))
        elif kind == 2:
            add("unary", (x,), function=("tanh", ("x",)))
        elif kind == 3:
            same = [n for n in names if tensors[n].shape == dims]
            add("add", (x, str(rng.choice(same))))
        elif dims:
            add("softmax", (x,), beta=1.0)
    ends = tuple(dict.fromkeys([names[-1], str(rng.choice(names[1:]))]))
    return check_graph(Graph("views", ("x",), ends, tuple(nodes), tensors), "building")


@pytest.mark.parametrize("seed", range(200))
def test_random_views_keep_every_element(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = _random_views(rng)
    settled = check_graph(settle_layout(graph), "layout")
    assert [graph.tensors[o].source for o in graph.outputs] == [
        settled.tensors[o].source for o in settled.outputs
    ]
    x = {"x": rng.standard_normal((2, *graph.type("x").shape)).astype(DType.FLOAT32.numpy)}
    before, after = outputs(graph, x), outputs(settled, x)
    for a, b in zip(graph.outputs, settled.outputs, strict=True):
        assert settled.type(b).shape == graph.type(a).shape
        np.testing.assert_allclose(after[b], before[a], rtol=1e-5, atol=1e-6)
