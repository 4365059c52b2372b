"""Run a graph in numpy: by the normative references, or float nodes by their faster float reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from mcugen.ir import Array, DType, Graph
from mcugen.ops import OPS

CHUNK_BYTES = 64 << 20  # of the widest activation as float64, im2col not counted


States = dict[str, Array]


def batchable(graph: Graph) -> bool:
    """Whether N samples can run at once along the first axis."""
    activations = (t for t in graph.tensors.values() if t.data is None)
    return (
        not graph.states
        and all(t.shape[:1] == (1,) for t in activations)
        and all(OPS[n.op].batchable(n, graph) for n in graph.nodes)
    )


def rest(graph: Graph) -> States:
    """The graph's states as a reset leaves them."""
    types = {name: graph.type(name) for name in graph.states}
    return {name: np.full(t.shape, t.rest, t.dtype.numpy) for name, t in types.items()}


def run(
    graph: Graph, feeds: Mapping[str, Array], states: States | None = None, exact: bool = True
) -> dict[str, Array]:
    """All activations by name, from inputs of exactly the graph's shapes (or N samples if batchable).

    `states` are read and overwritten; without them the run starts from a reset. `exact`: float nodes give the bits
    that the C gives; otherwise, faster, the same up to rounding.
    """
    memory = rest(graph) if states is None else states
    values: dict[str, Array] = {name: feeds[name] for name in graph.inputs}
    for node in graph.nodes:
        xs = [_operand(graph, name, values, memory) for name in node.inputs]
        room = OPS[node.op]
        is_float = graph.type(node.outputs[0]).dtype == DType.FLOAT32
        how = room.reference if not is_float else room.float_exact if exact else room.float_reference
        with np.errstate(all="ignore"):  # infinities are results like others
            results = how(node, graph, xs)
        updated = room.updates(node, graph)
        for name, result in zip((*node.outputs, *updated), results, strict=True):
            target = memory if name in updated else values
            target[name] = np.asarray(result, np.float32) if is_float else result
    return values


def _operand(graph: Graph, name: str, values: Mapping[str, Array], states: Mapping[str, Array]) -> Array:
    if graph.is_constant(name):
        return graph.constant(name)
    return states[name] if name in states else values[name]


def batches(graph: Graph, samples: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """The samples of `run_samples` as `run` takes them: as many at once as fit, or one by one."""
    count = len(next(iter(samples.values())))
    feeds = {name: samples[name].reshape(count, *graph.type(name).shape) for name in graph.inputs}
    if not batchable(graph):
        yield from ({n: f[i] for n, f in feeds.items()} for i in range(count))
        return
    widest = max(t.type.elements for t in graph.tensors.values() if t.data is None)
    step = max(1, min(256, CHUNK_BYTES // (8 * widest * 9)))
    for i in range(0, count, step):
        yield {n: f[i : i + step].reshape(-1, *f.shape[2:]) for n, f in feeds.items()}


def run_samples(
    graph: Graph, samples: Mapping[str, Array], states: States | None = None, exact: bool = True
) -> Iterator[dict[str, Array]]:
    """All activations, chunk by chunk of samples: samples are [N, *shape] where shape is the input's without its
    batch axis (or the whole shape, if it has none); each array given back is [n, *shape of the tensor's type]
    with the batch axis merged into n. `states` persist over the samples and are overwritten; without them the
    first sample starts from a reset. `exact` as in `run`."""
    if batchable(graph):
        for chunk in batches(graph, samples):
            yield {n: v.reshape(-1, *graph.type(n).shape) for n, v in run(graph, chunk, exact=exact).items()}
    else:
        memory = rest(graph) if states is None else states
        for chunk in batches(graph, samples):
            yield {n: v[np.newaxis] for n, v in run(graph, chunk, memory, exact).items()}


def outputs(graph: Graph, samples: Mapping[str, Array]) -> dict[str, Array]:
    """The graph's outputs [N, *shape of the type] over all samples."""
    chunks = [{n: c[n] for n in graph.outputs} for c in run_samples(graph, samples)]
    return {n: np.concatenate([c[n] for c in chunks]) for n in graph.outputs}
