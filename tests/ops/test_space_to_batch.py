"""SPACE_TO_BATCH_ND, a convolution and BATCH_TO_SPACE_ND as one dilated convolution: TFLM runs the three.

TFLM's SPACE_TO_BATCH_ND pads with an uninitialised number: where there is padding, our phases stand for its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from graphs import random_int8
from tflite_case import add_operator, check_case, import_case, int8, ints, operators
from tflm import TensorSpec, run_tflm
from tflm_record import recording

from mcugen.check import check_graph
from mcugen.execute import run
from mcugen.ir import Array, Graph
from mcugen.ops import OPS
from mcugen.read.tflite_import import OperatorFault, TfliteImporter
from mcugen.rewrite import live


@dataclass
class Chain:
    """Operators one after the other, imported by us and run by TFLM."""

    x: TensorSpec
    steps: list[tuple[str, dict[str, Any], list[TensorSpec], TensorSpec]] = field(default_factory=list)

    def then(self, op: str, options: dict[str, Any], more: list[TensorSpec], out: TensorSpec) -> Chain:
        self.steps.append((op, options, more, out))
        return self

    def imported(self) -> Graph:
        ctx, name, spec = TfliteImporter(), "x", self.x
        for index, (op, options, more, out) in enumerate(self.steps):
            (name,) = add_operator(ctx, op, options, [spec, *more], [out], index, {0: name})
            spec = out
        return check_graph(live(Graph("chain", ("x",), (name,), tuple(ctx.nodes), ctx.tensors)), "import")

    def tflm(self, x: Array) -> Array:
        spec = self.x
        for index, (op, options, more, out) in enumerate(self.steps):
            if op == "SPACE_TO_BATCH_ND" and np.any(more[1].data):
                x = run(import_case(op, options, [spec, *more], [out]), {"x0": x})["y0"]
            else:
                with recording(index == len(self.steps) - 1):  # what is compared
                    (x,) = run_tflm(op, options, [spec, *more], [out], [x])
            spec = out
        return x


def weights(rng: np.random.Generator, op: str, kernel: tuple[int, int], channels: int) -> list[TensorSpec]:
    """Weights and bias: 4 output channels, or 1 for each input channel."""
    depthwise = op == "DEPTHWISE_CONV_2D"
    count = channels if depthwise else 4
    shape = (1, *kernel, count) if depthwise else (count, *kernel, channels)
    scales = [float(s) for s in rng.uniform(0.002, 0.02, count)]
    bias = [0.1 * s for s in scales]
    return [
        TensorSpec(shape, "int8", scales, axis=3 if depthwise else 0, data=random_int8(rng, shape)),
        TensorSpec((count,), "int32", bias, data=rng.integers(-3000, 3000, count)),
    ]


def options_of(op: str, **more: Any) -> dict[str, Any]:
    how = dict(padding="VALID", stride_h=1, stride_w=1, dilation_h_factor=1, dilation_w_factor=1)
    return {**how, **({"depth_multiplier": 1} if op == "DEPTHWISE_CONV_2D" else {}), **more}


def dilated(
    rng: np.random.Generator,
    op: str,
    image: tuple[int, int],
    kernel: tuple[int, int],
    block: tuple[int, int],
    same: bool,
    clamp: str = "NONE",
    zero_point: int = -9,
    output: tuple[float, int] = (0.07, 11),
) -> Chain:
    """What a converter writes of a dilated convolution with SAME or VALID padding."""
    channels, spans = 3, [(k - 1) * b for k, b in zip(kernel, block, strict=True)]
    around = [(s // 2, s - s // 2) if same else (0, 0) for s in spans]
    extra = [-(d + sum(a)) % b for d, a, b in zip(image, around, block, strict=True)]
    pads = [(a, b + e) for (a, b), e in zip(around, extra, strict=True)]
    phases = [(d + sum(p)) // b for d, p, b in zip(image, pads, block, strict=True)]
    count, batch = (channels if op == "DEPTHWISE_CONV_2D" else 4), block[0] * block[1]
    rows = [p - k + 1 for p, k in zip(phases, kernel, strict=True)]
    out = [r * b - e for r, b, e in zip(rows, block, extra, strict=True)]
    y = int8((batch, *rows, count), *output)
    chain = Chain(int8((1, *image, channels), 0.1, zero_point))
    chain.then(
        "SPACE_TO_BATCH_ND",
        {},
        [ints([*block]), ints(np.array(pads))],
        int8((batch, *phases, channels), 0.1, zero_point),
    )
    how = options_of(op, fused_activation_function=clamp)
    chain.then(op, how, weights(rng, op, kernel, channels), y)
    crops = np.array([(0, e) for e in extra])
    return chain.then(
        "BATCH_TO_SPACE_ND", {}, [ints([*block]), ints(crops)], replace(y, shape=(1, *out, count))
    )


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize(("same", "zero_point"), [(False, -9), (True, -9), (True, 0), (True, -128)])
@pytest.mark.parametrize(
    ("image", "kernel", "block"),
    [
        ((9, 8), (3, 3), (2, 2)),
        ((11, 7), (3, 2), (3, 2)),
        ((1, 12), (1, 3), (1, 4)),
        ((10, 10), (2, 3), (4, 3)),
    ],
)
def test_equals_tflm(
    op: str,
    same: bool,
    zero_point: int,
    image: tuple[int, int],
    kernel: tuple[int, int],
    block: tuple[int, int],
) -> None:
    rng = np.random.default_rng(image[0])
    clamp, output = {0: ("RELU6", (0.02, -128)), -128: ("NONE", (0.4, 127))}.get(
        zero_point, ("RELU6", (0.07, 11))
    )
    chain = dilated(rng, op, image, kernel, block, same, clamp, zero_point, output)
    graph = chain.imported()
    (node,) = graph.nodes
    assert node.op in ("conv2d", "depthwise_conv2d") and node.attrs["dilations"] == block
    assert node.origin == f"tflite:{op} #1"
    assert node.fused == ("tflite:SPACE_TO_BATCH_ND #0", "tflite:BATCH_TO_SPACE_ND #2")
    for _ in range(5):
        x = random_int8(rng, chain.x.shape)
        np.testing.assert_array_equal(run(graph, {"x": x})[graph.outputs[0]], chain.tflm(x))


@pytest.mark.parametrize("column", [False, True])
def test_signals_equal_tflm(column: bool) -> None:
    """[N, L, C] with reshapes around the convolution."""
    rng = np.random.default_rng(3)

    def image(shape: tuple[int, int, int]) -> tuple[int, ...]:
        return (shape[0], shape[1], 1, shape[2]) if column else (shape[0], 1, *shape[1:])

    def reshape(chain: Chain, shape: tuple[int, ...], spec: TensorSpec) -> Chain:
        return chain.then("RESHAPE", {"new_shape": []}, [ints([*shape])], replace(spec, shape=shape))

    x, y = int8((1, 13, 2)), int8((3, 4, 4), 0.07, 11)
    chain = Chain(x).then("SPACE_TO_BATCH_ND", {}, [ints([3]), ints(np.array([[3, 2]]))], int8((3, 6, 2)))
    reshape(chain, image((3, 6, 2)), x)
    kernel = (3, 1) if column else (1, 3)
    chain.then(
        "CONV_2D", options_of("CONV_2D"), weights(rng, "CONV_2D", kernel, 2), int8(image(y.shape), 0.07, 11)
    )
    reshape(chain, y.shape, y)
    out = replace(y, shape=(1, 11, 4))
    chain.then("BATCH_TO_SPACE_ND", {}, [ints([3]), ints(np.array([[0, 1]]))], out)
    graph = chain.imported()
    assert operators(graph) == ["reshape", "conv2d", "reshape"]
    for _ in range(5):
        sample = random_int8(rng, x.shape)
        np.testing.assert_array_equal(run(graph, {"x": sample})[graph.outputs[0]], chain.tflm(sample))


def test_phases_equal_tflm() -> None:
    """The operator by itself, from which the convolution's meaning follows."""
    none = ints(np.array([[0, 0], [0, 0]]))
    check_case("SPACE_TO_BATCH_ND", {}, [int8((1, 6, 4, 3)), ints(3, 2), none], [int8((6, 2, 2, 3))])
    check_case(
        "SPACE_TO_BATCH_ND", {}, [int8((1, 6, 2)), ints([2]), ints(np.array([[0, 0]]))], [int8((2, 3, 2))]
    )
    x, out = int8((1, 5, 4, 3)), int8((6, 2, 3, 3))
    parameters = [x, ints(3, 2), ints(np.array([[0, 1], [2, 0]]))]
    graph = import_case("SPACE_TO_BATCH_ND", {}, parameters, [out])
    sample = random_int8(np.random.default_rng(1), x.shape)
    (expected,) = run_tflm("SPACE_TO_BATCH_ND", {}, parameters, [out], [sample])
    node, room = graph.nodes[0], OPS["space_to_batch"]
    (inside,) = room.float_reference(node, graph, [np.ones(x.shape, np.float32)])
    (y,) = room.reference(node, graph, [sample])
    assert (y[inside == 0] == -9).all() and inside.sum() == sample.size
    np.testing.assert_array_equal(y[inside == 1], expected[inside == 1])


def test_what_is_refused() -> None:
    rng = np.random.default_rng(5)
    block, crops = ints(2, 2), ints(np.array([[0, 0], [0, 0]]))
    with pytest.raises(OperatorFault, match="does not stand behind a convolution"):
        import_case("BATCH_TO_SPACE_ND", {}, [int8((4, 2, 2, 3)), block, crops], [int8((1, 4, 4, 3))])
    y, one = int8((1, 3, 3, 4), 0.07, 11), ints(1, 1)
    lonely = Chain(int8((1, 5, 5, 3)))
    lonely.then("CONV_2D", options_of("CONV_2D"), weights(rng, "CONV_2D", (3, 3), 3), y)
    lonely.then("BATCH_TO_SPACE_ND", {}, [one, crops], y)
    with pytest.raises(OperatorFault, match="no SPACE_TO_BATCH_ND stands before"):
        lonely.imported()
    chain = dilated(rng, "CONV_2D", (9, 8), (3, 3), (2, 2), False)
    op, options, more, out = chain.steps[2]
    for wrong, why in (
        ((op, options, [ints(2, 1), more[1]], out), "blocks of"),
        ((op, options, more, replace(out, zero_point=12)), "scale or zero point"),
        ((op, options, [more[0], ints(np.array([[1, 0], [0, 0]]))], out), "crops more than was padded"),
        ((op, options, [more[0], ints(np.array([[-1, 0], [0, 0]]))], out), "blocks of"),
    ):
        chain.steps[2] = wrong
        with pytest.raises(OperatorFault, match=why):
            chain.imported()
    with pytest.raises(OperatorFault, match="cannot be divided"):
        import_case("SPACE_TO_BATCH_ND", {}, [int8((1, 5, 4, 3)), block, crops], [int8((4, 2, 2, 3))])
