"""One-operator .tflite models for the import functions: our integer graph against TensorFlow Lite Micro."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from graphs import random_int8, random_int16
from tflm import TensorSpec, build, run_sequence

from mcugen.check import check_graph
from mcugen.execute import rest, run
from mcugen.ir import DType, Graph, Quant, Tensor, TensorType
from mcugen.ops import TFLITE_IMPORTS
from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def int8(shape: Sequence[int], scale: float = 0.1, zero_point: int = -9) -> TensorSpec:
    """An int8 activation."""
    return TensorSpec(tuple(shape), "int8", scale, zero_point)


def int16(shape: Sequence[int], scale: float = 0.001) -> TensorSpec:
    """An int16 activation."""
    return TensorSpec(tuple(shape), "int16", scale)


def ints(*values: Any) -> TensorSpec:
    """A constant int32 vector, or the array that is given."""
    data = np.asarray(values[0] if len(values) == 1 else values, np.int32)
    return TensorSpec(data.shape, "int32", data=data)


def _tensor(name: str, spec: TensorSpec) -> Tensor:
    quant = None
    if spec.scale is not None:
        scales = tuple(float(s) for s in np.atleast_1d(np.asarray(spec.scale, np.float32)))
        zeros = tuple(int(z) for z in np.broadcast_to(np.asarray(spec.zero_point), len(scales)))
        quant = Quant(scales, zeros, spec.axis if len(scales) > 1 else None)
    ttype = TensorType(tuple(spec.shape), DType(spec.dtype), quant)
    data = None if spec.data is None else np.asarray(spec.data, ttype.dtype.numpy).reshape(spec.shape)
    return Tensor(name, ttype, data, name)


def add_operator(
    ctx: TfliteImporter,
    op: str,
    options: Mapping[str, Any],
    inputs: Sequence[TensorSpec | None],
    outputs: Sequence[TensorSpec],
    index: int = 0,
    known: Mapping[int, str] | None = None,
) -> Sequence[str]:
    """Let an import function add to a graph: tensors x0, x1, ..., y0, ... with a prefix from the second operator on.
    `known`: inputs that exist already. Raises its OperatorFault."""
    prefix = f"{index}/" if index else ""
    names = tuple("" if s is None else (known or {}).get(i, f"{prefix}x{i}") for i, s in enumerate(inputs))
    results = tuple(f"{prefix}y{i}" for i in range(len(outputs)))
    for name, spec in zip((*names, *results), (*inputs, *outputs), strict=True):
        if spec is not None and name not in ctx.tensors:
            ctx.tensors[name] = _tensor(name, spec)
    made = TFLITE_IMPORTS[op](ctx, TfliteNode(op, index, names, results, dict(options)))
    ctx.names.update({out: name for out, name in zip(results, made, strict=True) if out != name})
    return made


def import_case(
    op: str, options: Mapping[str, Any], inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Graph:
    """What the import function of one operator makes, checked. Raises its OperatorFault."""
    variables = frozenset(f"x{i}" for i, s in enumerate(inputs) if s is not None and s.variable)
    ctx = TfliteImporter(variables=variables)
    made = add_operator(ctx, op, options, inputs, outputs)
    fed = tuple(f"x{i}" for i, s in enumerate(inputs) if s is not None and s.data is None and not s.variable)
    states = tuple(ctx.states.values())
    return check_graph(Graph("case", fed, tuple(made), tuple(ctx.nodes), ctx.tensors, states), "import")


def check_case(
    op: str,
    options: Mapping[str, Any],
    inputs: Sequence[TensorSpec | None],
    outputs: Sequence[TensorSpec],
    seed: int = 20,
    runs: int = 1,
) -> Graph:
    """Import, run the integer references `runs` times, states persisting, compare every byte with TFLM; gives our
    graph."""
    graph = import_case(op, options, inputs, outputs)
    rng = np.random.default_rng(seed)
    memory = rest(graph)
    draw = {DType.INT8: random_int8, DType.INT16: random_int16}
    types = {name: graph.type(name) for name in graph.inputs}
    samples = [{name: draw[t.dtype](rng, t.shape) for name, t in types.items()} for _ in range(runs)]
    model = build(op, options, inputs, outputs)
    for feeds, expected in zip(
        samples, run_sequence(model, [list(feeds.values()) for feeds in samples]), strict=True
    ):
        values = run(graph, feeds, memory)
        for name, want in zip(graph.outputs, expected, strict=True):
            assert values[name].dtype == want.dtype, name
            np.testing.assert_array_equal(values[name], want)
    return graph


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]
