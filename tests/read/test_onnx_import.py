"""The walk over an ONNX file: opsets, outputs and their names, batches, and all faults at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_case import check_case, import_case, onnx_model
from onnx_net import Net, loaded, normalised

from mcugen.errors import ModelError, UnsupportedError
from mcugen.execute import outputs
from mcugen.ir import Graph
from mcugen.read.onnx_import import import_model
from mcugen.read.onnx_run import OnnxRunner

OPSETS = range(7, 27)


def _ints(net: Net, since: int, attribute: str, values: list[int]) -> tuple[list[str], dict[str, Any]]:
    """Integers as an input from an opset on, as an attribute before."""
    if net.opset >= since:
        return [net.constant(np.array(values, np.int64))], {}
    return [], {attribute: values}


def _squeeze(net: Net) -> str:
    extra, attrs = _ints(net, 13, "axes", [2])
    return str(net.add("Squeeze", net.input(1, 3, 1, 4), *extra, **attrs))


def _unsqueeze(net: Net) -> str:
    extra, attrs = _ints(net, 13, "axes", [1, 3])
    return str(net.add("Unsqueeze", net.input(1, 3), *extra, **attrs))


def _clip(net: Net) -> str:
    if net.opset < 11:
        return str(net.add("Clip", net.input(1, 9), min=-0.5, max=0.25))
    return str(net.add("Clip", net.input(1, 9), net.constant(-0.5), net.constant(0.25)))


def _pad(net: Net) -> str:
    if net.opset < 11:
        return str(net.add("Pad", net.input(1, 2, 3), pads=[0, 1, 0, 0, 0, 2], value=0.5))
    return str(
        net.add("Pad", net.input(1, 2, 3), net.constant(np.array([0, 1, 0, 0, 0, 2])), net.constant(0.5))
    )


def _slice(net: Net) -> str:
    if net.opset < 10:
        return str(net.add("Slice", net.input(1, 5, 6), axes=[1, 2], starts=[1, -4], ends=[9, -1]))
    parts = [net.constant(np.array(v)) for v in ([1, -1], [9, -5], [1, 2], [2, -1])]
    return str(net.add("Slice", net.input(1, 5, 6), *parts))


def _split(net: Net) -> str:
    extra, attrs = _ints(net, 13, "split", [1, 3])
    parts = net.add("Split", net.input(1, 4, 2), *extra, outputs=2, axis=1, **attrs)
    return str(net.add("Concat", *reversed(parts), axis=1))


def _equal_split(net: Net) -> str:
    attrs = {"num_outputs": 2} if net.opset >= 18 else {}
    parts = net.add("Split", net.input(1, 4), outputs=2, axis=1, **attrs)
    return str(net.add("Sub", *parts))


def _reduce_mean(net: Net) -> str:
    return net.mean(net.input(1, 3, 4, 5), [1, -1])


def _softmax(net: Net) -> str:
    """Before opset 13 over all axes from 1 on."""
    return str(net.add("Softmax", net.input(1, 3, 4), axis=1))


def _default_softmax(net: Net) -> str:
    return str(net.add("Softmax", net.input(1, 3, 4)))


def _dropout(net: Net) -> str:
    x = net.add("Relu", net.input(1, 6))
    ratio = [net.constant(0.4)] if net.opset >= 12 else []
    return str(net.add("Neg", net.add("Dropout", x, *ratio, **({} if ratio else {"ratio": 0.4}))))


def _batch_norm(net: Net) -> str:
    return net.batch_norm(net.input(1, 3, 2, 2), 3)


def _reshape(net: Net) -> str:
    return net.reshape(net.input(1, 4, 3), 0, 2, -1)


def _average_pool(net: Net) -> str:
    attrs: dict[str, Any] = {
        "kernel_shape": [3, 2],
        "strides": [2, 1],
        "pads": [1, 0, 1, 1],
        "count_include_pad": 1,
    }
    if net.opset >= 10:
        attrs["ceil_mode"] = 1
    return str(net.add("AveragePool", net.input(1, 2, 6, 5), **attrs))


def _max_pool(net: Net) -> str:
    attrs: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}
    if net.opset >= 10:
        attrs |= {"ceil_mode": 1, "dilations": [1, 2]}
    return str(net.add("MaxPool", net.input(1, 2, 6, 5), **attrs))


def _global_pool(net: Net) -> str:
    return str(net.add("Flatten", net.add("GlobalAveragePool", net.input(1, 3, 4, 4))))


def _dense(net: Net) -> str:
    return str(
        net.add("Gemm", net.input(1, 4), net.weights(3, 4), net.vector(3), transB=1, alpha=0.5, beta=2.0)
    )


def _broadcast(net: Net) -> str:
    return str(
        net.add("Mul", net.add("Add", net.input(1, 3, 4), net.vector(4)), net.constant(np.ones((3, 1)) * 0.3))
    )


FORMS: tuple[Callable[[Net], str], ...] = (
    *(
        _squeeze,
        _unsqueeze,
        _clip,
        _pad,
        _slice,
        _split,
        _equal_split,
        _reduce_mean,
        _softmax,
        _default_softmax,
    ),
    *(_dropout, _batch_norm, _reshape, _average_pool, _max_pool, _global_pool, _dense, _broadcast),
)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__.strip("_"))
@pytest.mark.parametrize("opset", OPSETS)
def test_opsets(form: Callable[[Net], str], opset: int) -> None:
    net = Net(opset)
    graph = normalised(net.model(form(net)))
    assert len(graph.outputs) == 1


# --- outputs ---


def _values(model: onnx.ModelProto, shape: tuple[int, ...]) -> Graph:
    """The graph, all outputs of which were compared with onnxruntime's, in the file's order and under its names."""
    graph = normalised(model)
    assert [graph.tensors[o].source for o in graph.outputs] == [o.name for o in model.graph.output]
    assert len(set(graph.outputs)) == len(graph.outputs)
    assert not set(graph.outputs) & set(graph.inputs)
    samples = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    exact = OnnxRunner(loaded(model)).run([{"x": s[np.newaxis]} for s in samples])
    ours = outputs(graph, {"x": samples})
    for name, wanted in zip(graph.outputs, exact, strict=True):
        np.testing.assert_allclose(ours[name], wanted.reshape(ours[name].shape), rtol=1e-5, atol=1e-6)
    return graph


@pytest.mark.parametrize(
    ("nodes", "names"),
    [
        ([("Relu", "x", "y")], ["y", "x"]),
        ([("Identity", "x", "y")], ["y"]),
        ([("Identity", "x", "y"), ("Dropout", "x", "z")], ["z", "y"]),
        ([("Relu", "x", "y"), ("Identity", "y", "z"), ("Flatten", "y", "w")], ["w", "z", "y"]),
        ([("Relu", "x", "y"), ("Neg", "y", "z")], ["z", "y"]),
        ([("Transpose", "x", "y"), ("Transpose", "x", "z"), ("Transpose", "z", "w")], ["y", "z", "w"]),
        ([("Relu", "x", "x/transpose"), ("Transpose", "x/transpose", "y")], ["y", "x/transpose"]),
    ],
)
def test_outputs_that_are_others(nodes: list[tuple[str, str, str]], names: list[str]) -> None:
    protos = [
        helper.make_node(op, [a], [b], b, **({"perm": [0, 2, 1]} if op == "Transpose" else {}))
        for op, a, b in nodes
    ]
    _values(onnx_model(protos, {"x": (1, 3, 4)}, {}, names, 17), (3, 4))


def test_outputs_of_a_split_have_their_own_names() -> None:
    net = Net(17)
    parts = net.add("Split", net.add("Relu", net.input(1, 4, name="x")), outputs=2, axis=1)
    graph = _values(net.model(*parts), (4,))
    assert {graph.tensors[o].source for o in graph.outputs} == set(parts)


def test_constant_outputs_are_refused() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"], "r"), helper.make_node("Neg", ["c"], ["z"], "n")]
    with pytest.raises(UnsupportedError, match=r'1 output cannot be compiled\n.*output "z": is a constant'):
        import_case(onnx_model(nodes, {"x": (1, 3)}, {"c": np.ones(3, np.float32)}, ["y", "z"], 17))


# --- shapes ---


def test_a_fixed_batch_of_all_inputs_and_outputs_becomes_one() -> None:
    net = Net(17)
    x = net.input(8, 2, 3, 3, name="x")
    y = net.dense(net.reshape(net.conv(x, 2, 4, 2, 2), 8, -1), 16, 3)
    model = net.model(y)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(y, TensorProto.FLOAT, [8, 3]))
    imported = import_model(loaded(model))
    assert imported.graph.type("x").shape == (1, 2, 3, 3)
    assert imported.notes == ('input "x": the batch of 8 becomes 1',)
    _values(model, (2, 3, 3))


def test_a_first_axis_that_is_no_batch_stays() -> None:
    net = Net(17)
    y = net.add("Flatten", net.input(4, 3, name="x"), axis=0)
    model = net.model(y)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, 12]))
    assert import_model(loaded(model)).graph.type("x").shape == (4, 3)


def test_a_symbolic_batch_becomes_one() -> None:
    net = Net(17)
    imported = import_model(loaded(net.model(net.add("Relu", net.input("N", 3, name="x")))))
    assert imported.graph.type("x").shape == (1, 3)
    assert imported.notes == ('input "x": the symbolic batch becomes 1',)


@pytest.mark.parametrize("shape", [(), (3,), (1,)])
def test_inputs_without_a_batch(shape: tuple[int, ...]) -> None:
    net = Net(17)
    normalised(net.model(net.add("Neg", net.add("Relu", net.input(*shape)))))


def test_dynamic_and_foreign_inputs_are_all_told() -> None:
    net = Net(17)
    net.input("N", "T", 4, name="a")
    net.input(1, 0, name="b")
    net.input(1, 3, name="c")
    model = net.model(net.add("Sum", "a", "b", "c"))
    model.graph.input[2].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(ModelError) as caught:
        import_model(loaded(model))
    text = str(caught.value)
    assert "3 faults" in text and 'input "a": has the dynamic shape [N, T, 4]' in text
    assert 'input "b": has the impossible shape [1, 0]' in text and 'input "c": is INT64' in text


# --- faults ---


def test_unknown_operators_and_unsupported_forms_come_together_in_order() -> None:
    net = Net(17)
    x, volume = net.input(3, 1, 2), net.input(1, 2, 4, 4, 4)
    lstm = net.add(
        "LSTM", x, net.constant(np.zeros((1, 8, 2))), net.constant(np.zeros((1, 8, 2))), hidden_size=2
    )
    conv = net.add("Conv", volume, net.weights(2, 2, 3, 3, 3))
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [
            helper.make_tensor_value_info(n, t, [])
            for n, t in (("i", TensorProto.INT64), ("c", TensorProto.BOOL))
        ],
        [helper.make_tensor_value_info("d", TensorProto.BOOL, [])],
    )
    boxes = net.input(1, 5, 4)
    kept = net.add("NonMaxSuppression", boxes, net.input(1, 2, 5))
    loop = net.add("Loop", net.constant(np.array(3)), net.constant(np.array(True)), body=body)
    outputs = [net.add("Relu", lstm), net.add("Relu", conv), kept, loop]
    with pytest.raises(UnsupportedError) as caught:
        import_model(loaded(net.model(*outputs)))
    assert [f.where.split()[0] for f in caught.value.faults] == [
        *("onnx:LSTM", "onnx:Conv", "onnx:NonMaxSuppression", "onnx:Loop")
    ]
    assert all(f.fix for f in caught.value.faults)
    assert "4 operators cannot be compiled" in str(caught.value)


def test_nodes_that_no_output_needs_are_no_faults() -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["n"], "n"), helper.make_node("Relu", ["x"], ["y"], "r")]
    check_case(nodes, {"x": (1, 3)})


def test_misfits_are_told_without_a_traceback() -> None:
    """Ranks that ONNX forbids, wherever an import function stumbles over them."""
    net = Net(17)
    flat = net.input(4)
    ends = [
        net.add("Conv", flat, net.weights(2, 4, 3, 3)),
        net.add("Transpose", flat, perm=[1, 0]),
        net.add("Softmax", flat, axis=3),
        net.add("Concat", flat, net.input(1, 4), axis=0),
        net.reshape(flat, 3, -1),
    ]
    with pytest.raises(ModelError, match="5 nodes cannot be imported"):
        import_model(loaded(net.model(*ends)))


def test_constants_that_are_not_finite() -> None:
    net = Net(17)
    weights = np.full((3, 4), np.nan)
    with pytest.raises(ModelError, match=r'tensor "w": holds NaN'):
        import_model(loaded(net.model(net.add("MatMul", net.input(1, 3), net.constant(weights, "w")))))
