"""Replace calls of a model's own functions by their bodies, after bounding what that gives."""

from __future__ import annotations

from collections import Counter
from graphlib import CycleError, TopologicalSorter

import onnx.inliner
from onnx import FunctionProto, ModelProto, NodeProto

from mcugen.errors import Fault
from mcugen.read.onnx_check import nested_nodes

_MAX_NODES = 100_000
_MAX_NESTING = 64

_Key = tuple[str, str, str]


def inline_functions(model: ModelProto) -> tuple[ModelProto, list[Fault]]:
    """The model without its functions, or the reasons why that cannot be.

    The inliner recurses and copies without limit, so calls of itself and sizes that double with every level
    are found before it runs. Functions of another opset than the model's stay calls of unknown operators.
    """
    if not model.functions:
        return model, []
    bodies = {_key(function): function for function in model.functions}
    if len(bodies) < len(model.functions):
        return model, [Fault("", "a function is defined twice")]
    calls = {
        name: Counter(_key(node) for node in nested_nodes(function.node)) for name, function in bodies.items()
    }
    try:
        order = list(TopologicalSorter({name: list(used) for name, used in calls.items()}).static_order())
    except CycleError as error:
        names = ", ".join(dict.fromkeys(name[1] for name in error.args[1]))
        return model, [Fault(f"functions {names}", "call themselves")]
    size, depth = dict.fromkeys(order, 1), dict.fromkeys(order, 0)
    for name in order:
        if name in calls:
            size[name] = sum(size[used] * times for used, times in calls[name].items())
            depth[name] = 1 + max((depth[used] for used in calls[name]), default=0)
    total = sum(size.get(_key(node), 1) for node in nested_nodes(model.graph.node))
    if total > _MAX_NODES:
        return model, [
            Fault("", f"its functions unfold into {total:,} nodes; at most {_MAX_NODES:,} are read")
        ]
    if max(depth.values(), default=0) > _MAX_NESTING:
        return model, [Fault("", f"its functions call one another more than {_MAX_NESTING} deep")]
    try:
        return onnx.inliner.inline_local_functions(model), []
    except Exception as error:  # what the C++ side throws depends on the fault
        return model, [Fault("", f"its functions cannot be inlined: {error}")]


def _key(item: NodeProto | FunctionProto) -> _Key:
    return item.domain, item.op_type if isinstance(item, NodeProto) else item.name, item.overload
