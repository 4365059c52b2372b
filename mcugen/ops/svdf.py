"""svdf: x [1, I], features [F, I], time weights [F, M], bias [U], state [1, F*M] -> [1, U], a dense layer with memory.

Attribute: rank; F = U * rank. Only from int8 .tflite files. Each filter makes one number of x, its feature, and its row
of the state holds the last M of them; a unit sums the rows of its `rank` filters, weighted in time. State and time
weights are both int8 or both int16. As TFLM does (LiteRT micro/kernels/svdf_common.cc), which ignores a fused
activation: the whole state moves down by one element, then

state[f, M - 1] = sat(MBQM(sum (x - z_x) features[f], s_x s_features / s_state)) + z_state
y = clamp(MBQM(bias + sum (state - z_state) time, s_state s_time / s_y) + z_y)

sat is the range of the state's type, in which adding z_state afterwards wraps. The sums over time wrap in int32, too:
TFLM leaves that to its compiler, which wraps. A left shift saturates, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import quantize_multiplier, saturating_mbqm
from mcugen.ir import Array, DType, Graph, Node, TensorType
from mcugen.ops.conv2d import RATIO_LIMIT
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

STATE = 4  # the input that persists
_FIX = "convert the model to int8, as the TFLite converter does"


def import_svdf(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite SVDF [x, features, time weights, bias or none, state]."""
    x, y = n.inputs[0], n.outputs[0]
    if not ctx.is_quantized(y):
        ctx.unsupported(n, f"an SVDF on {ctx.type(y).dtype} is not supported", "convert the model to int8")
    ctx.require_int8(n, x, y)
    if len(ctx.shape(x)) != 2:
        ctx.invalid(n, f"an input of the shape {list(ctx.shape(x))}, not [batch, elements]")
    if ctx.shape(x)[0] != 1:
        ctx.unsupported(n, f"a batch of {ctx.shape(x)[0]} is not supported", "convert with a batch of 1")
    features = _weights(ctx, n, 1, "feature weights", (DType.INT8,))
    time = _weights(ctx, n, 2, "time weights", (DType.INT8, DType.INT16))
    state = ctx.own_state(n, STATE, "state")
    kept, wanted = ctx.type(state), ctx.type(time).dtype
    if kept.dtype != wanted:
        ctx.unsupported(n, f"a state of {kept.dtype} with time weights of {wanted} is not supported", _FIX)
    if kept.quant is None or kept.quant.axis is not None:
        ctx.invalid(n, "the state needs one scale and zero point")
    operands = [x, features, time, _bias(ctx, n), state]
    return [ctx.emit(n, "svdf", operands, {"rank": int(n.options.get("rank", 0))})]


def _weights(ctx: TfliteImporter, n: TfliteNode, index: int, what: str, dtypes: Sequence[DType]) -> str:
    """The name of constant weights with one scale and no zero point."""
    ctx.constant_input(n, index, what)
    ttype = ctx.type(n.inputs[index])
    if ttype.dtype not in dtypes:
        ctx.unsupported(n, f"{what} of {ttype.dtype}, not {' or '.join(dtypes)}", _FIX)
    if ttype.quant is None or ttype.quant.axis is not None or ttype.zero_point:
        ctx.unsupported(n, f"{what} without one scale and the zero point 0 are not supported", _FIX)
    return n.inputs[index]


def _bias(ctx: TfliteImporter, n: TfliteNode) -> str:
    """The name of the bias, zeros where the file has none."""
    if not n.has_input(3):
        return ctx.add(n, np.zeros(ctx.shape(n.outputs[0])[-1:], np.int32))
    bias = ctx.constant_input(n, 3, "bias")
    if bias.dtype != np.int32:
        ctx.unsupported(n, f"a bias of {bias.dtype}, not int32", _FIX)
    return n.inputs[3]


def svdf_multipliers(node: Node, graph: Graph) -> tuple[tuple[int, int], tuple[int, int]]:
    """(multiplier, shift) of a filter's feature and of a unit's sum over time."""
    x, features, time, _, state = (graph.type(name) for name in node.inputs)
    y = graph.type(node.outputs[0])

    def factor(a: TensorType, b: TensorType, c: TensorType) -> tuple[int, int]:
        return quantize_multiplier(min(a.scale * b.scale / c.scale, RATIO_LIMIT))

    return factor(x, features, state), factor(state, time, y)


class Svdf(Op):
    name = "svdf"
    restrictions = ("int8 weights with one scale and zero point 0, a batch of 1",)
    tflite = {"SVDF": import_svdf}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        x, features, time, bias, state = (t.shape for t in inputs)
        rank = node.attrs["rank"]
        if len(features) != 2 or len(time) != 2 or 0 in (*features, *time) or x != (1, features[1]):
            raise ValueError(f"weights {list(features)} and {list(time)} do not fit an input {list(x)}")
        filters, memory = time
        if rank < 1 or filters != features[0] or filters % rank:
            raise ValueError(f"weights {list(features)} and {list(time)} do not fit the rank {rank}")
        if state != (1, filters * memory) or bias != (filters // rank,):
            raise ValueError(
                f"a state {list(state)} and a bias {list(bias)} do not fit {filters} filters of {memory} steps "
                f"and the rank {rank}"
            )
        return (TensorType((1, filters // rank)),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, features, time, bias, state = (a.astype(np.int64) for a in xs)
        x_type, kept, y_type = (graph.type(n) for n in (node.inputs[0], node.inputs[STATE], node.outputs[0]))
        for_features, for_time = svdf_multipliers(node, graph)
        limits = np.iinfo(kept.dtype.numpy)
        new = saturating_mbqm(features @ (x[0] - x_type.zero_point), *for_features)
        rows = np.roll(state, -1).reshape(time.shape)
        rows[:, -1] = np.clip(new, limits.min, limits.max) + kept.zero_point
        stored = rows.astype(kept.dtype.numpy)  # wraps
        products = time * (stored.astype(np.int64) - kept.zero_point)
        acc = (products.reshape(len(bias), -1).sum(axis=1) + bias).astype(np.int32).astype(np.int64)
        y = np.clip(saturating_mbqm(acc, *for_time) + y_type.zero_point, -128, 127)
        return y.astype(np.int8)[np.newaxis], stored.reshape(state.shape)

    def updates(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (node.inputs[STATE],)

    def macs(self, node: Node, graph: Graph) -> int:
        return graph.type(node.inputs[1]).elements + graph.type(node.inputs[2]).elements
