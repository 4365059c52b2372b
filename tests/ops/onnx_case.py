"""Small ONNX models for the import functions: our float graph against onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import NodeProto, TensorProto, helper, numpy_helper

from mcugen.check import check_graph
from mcugen.execute import run
from mcugen.ir import Array, Graph
from mcugen.read.onnx_file import LoadedModel
from mcugen.read.onnx_import import import_model


def onnx_model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Sequence[int]],
    constants: Mapping[str, Array],
    outputs: Sequence[str],
    opset: int,
) -> onnx.ModelProto:
    """A model with float32 inputs of the given shapes."""
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in inputs.items()]
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
    initializers = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(list(nodes), "case", values, results, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def import_case(model: onnx.ModelProto) -> Graph:
    """Our float graph of a model, checked."""
    opset = model.opset_import[0].version
    return check_graph(import_model(LoadedModel(model, Path("case.onnx"), "", opset, 0)).graph, "import")


def check_case(
    nodes: NodeProto | Sequence[NodeProto],
    inputs: Mapping[str, Sequence[int]],
    constants: Mapping[str, Array] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> Graph:
    """Import, run in float, compare with onnxruntime; gives our graph."""
    listed = [nodes] if isinstance(nodes, NodeProto) else nodes
    model = onnx_model(listed, inputs, constants or {}, outputs, opset)
    graph = import_case(model)
    rng = np.random.default_rng(20)
    feeds = {name: rng.standard_normal(tuple(shape)).astype(np.float32) for name, shape in inputs.items()}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(list(outputs), feeds)
    values = run(graph, feeds)
    for name, want in zip(graph.outputs, expected, strict=True):
        assert values[name].shape == want.shape, name
        np.testing.assert_allclose(values[name], want, rtol=1e-5, atol=1e-5)
    return graph


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]
