"""read_variable and assign_variable: the value of a state, int8 [...], before and after it is overwritten.

read_variable: state [...] -> [...]. assign_variable: x [...], state [...] -> [...], the state with its new value.
TFLite's variables are handles (VAR_HANDLE); those of one container and name are one state. TFLM fills a variable
with its zero point (LiteRT micro/micro_resource_variable.cc).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode


def import_handle(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite VAR_HANDLE: computes nothing, names a variable."""
    ctx.handles[n.outputs[0]] = tuple(n.options.get(k) or "" for k in ("container", "shared_name"))
    return []


def import_read(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite READ_VARIABLE."""
    ctx.require_int8(n, n.outputs[0])
    state = ctx.handled_state(n, n.inputs[0], ctx.type(n.outputs[0]))
    return [ctx.emit(n, "read_variable", [state])]


def import_assign(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite ASSIGN_VARIABLE, which has no output in the file."""
    handle, value = n.inputs
    ctx.require_int8(n, value)
    state = ctx.handled_state(n, handle, ctx.type(value))
    ctx.emit_typed(n, "assign_variable", [value, state], None, ctx.type(value))
    return []


class ReadVariable(Op):
    name = "read_variable"
    tflite = {"VAR_HANDLE": import_handle, "READ_VARIABLE": import_read}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (TensorType(inputs[0].shape),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return (xs[0],)


class AssignVariable(Op):
    name = "assign_variable"
    tflite = {"ASSIGN_VARIABLE": import_assign}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        x, state = inputs
        if x.shape != state.shape:
            raise ValueError(f"a value of the shape {list(x.shape)} for a variable {list(state.shape)}")
        return (TensorType(x.shape),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        return xs[0], xs[0]

    def updates(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[1],)
