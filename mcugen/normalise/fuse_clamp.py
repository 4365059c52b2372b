"""Fuse Relu, ReLU6 and Clip into the operator before them, so that its output's range is the clamped one."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node
from mcugen.ops.op import NO_CLAMP, clamp_of
from mcugen.ops.unary import clip_bounds
from mcugen.rewrite import fused_origins, sole_consumer, with_nodes

CLAMPED = (
    "conv2d",
    "depthwise_conv2d",
    "transpose_conv",
    "fully_connected",
    "batch_matmul",
    "add",
    "sub",
    "mul",
    "div",
    "squared_difference",
)


def _swap_max_pool(graph: Graph) -> Graph:
    """relu(max_pool(x)) is max_pool(relu(x)): lets the clamp reach the operator before the pooling."""
    producers, consumers = graph.producers(), graph.consumers()
    for clip in graph.nodes:
        pool = producers.get(clip.inputs[0])
        if clip_bounds(clip) is None or pool is None or pool.op != "max_pool2d":
            continue
        before = producers.get(pool.inputs[0])
        fusible = before is not None and before.op in CLAMPED and clamp_of(before) == NO_CLAMP
        if not fusible or sole_consumer(graph, pool.outputs[0], consumers) is not clip:
            continue
        if sole_consumer(graph, pool.inputs[0], consumers) is not pool:
            continue
        middle = f"{pool.inputs[0]}/clamped"
        first = replace(clip, name=middle, inputs=pool.inputs, outputs=(middle,))
        second = replace(pool, name=clip.name, inputs=(middle,), outputs=clip.outputs)
        tensor = replace(
            graph.tensors[pool.inputs[0]], name=middle, source=graph.tensors[pool.inputs[0]].source
        )
        order = {pool.name: [first, second], clip.name: list[Node]()}
        nodes = [m for n in graph.nodes for m in order.get(n.name, [n])]
        return _swap_max_pool(with_nodes(graph, nodes, {middle: tensor}))
    return graph


def fuse_clamp(graph: Graph) -> Graph:
    """The graph with clip-type unary nodes fused wherever the operator before has no other reader."""
    graph = _swap_max_pool(graph)
    consumers = graph.consumers()
    nodes: list[Node] = []
    swallowed: set[str] = set()
    for node in graph.nodes:
        if node.name in swallowed:
            continue
        while node.op in CLAMPED:
            user = sole_consumer(graph, node.outputs[0], consumers)
            bounds = clip_bounds(user) if user is not None else None
            if user is None or bounds is None:
                break
            lo, hi = clamp_of(node)
            new_lo = min(max(lo, bounds[0]), bounds[1])
            new_hi = min(max(hi, bounds[0]), bounds[1])
            swallowed.add(user.name)
            node = replace(
                node.with_attrs(clamp=(new_lo, new_hi)),
                name=user.name,
                outputs=user.outputs,
                fused=fused_origins(node, user),
            )
        nodes.append(node)
    return with_nodes(graph, nodes)
