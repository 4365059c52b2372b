"""lstm: x [1, T, I], weights [4, U, I], recurrent weights [4, U, U], bias [4, U], states h and c -> [1, T, U], all h.
Only from int8 .tflite files: nothing in a float file says how the insides are to be quantized. As in TFLM the states
persist from run to run; what begins a new sequence is a reset.

The gates are i, f, g, o (input, forget, cell, output). h is int8 and has the output's type, c is int16
with a power of 2 as scale. Attribute: cell_range (lo, hi), the integers to which c is clipped. Per step, as TFLM does
(LiteRT micro/kernels/lstm_eval.{h,cc}, lstm_eval_common.cc; int16 LOGISTIC and TANH of reference/integer_ops):

gate_k = sat(sat(MBQM(sum (x - z_x) w_k + b_k, s_x s_wk 2^12)) + sat(MBQM(sum (h - z_h) r_k, s_h s_rk 2^12)))
c = clip(sat(sat(MBQM(sigmoid(f) c, 2^-15)) + sat(MBQM(sigmoid(i) tanh(g), 2^-30 / s_c))))
h = clamp(MBQM(tanh(c) sigmoid(o), 2^-30 / s_h) + z_h)

where sat is int16's range, gates are Q3.12 and sigmoid and tanh give Q0.15. Multipliers are computed in double. Sums
whose shift to the left leaves int32 saturate; TFLM's are undefined there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mcugen.fixed import Ints, quantize_multiplier, saturating_mbqm
from mcugen.fixed16 import INT16_MAX, INT16_MIN, sigmoid_int16, tanh_int16
from mcugen.ir import Array, DType, Graph, Node, Quant, TensorType
from mcugen.ops.conv2d import RATIO_LIMIT
from mcugen.ops.op import Op

if TYPE_CHECKING:
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

GATE_SCALE = 2.0**-12
GATE_OUTPUT_SCALE = 2.0**-15
CELL_POWERS = range(-30, 0)  # of 2: the cell's scale; beyond it 32-bit products and shifts would overflow
VARIANTS = (  # optional inputs that TFLM does not take either
    ((9, 10, 11), "peephole connections"),
    ((16, 17), "a projection"),
    ((20, 21, 22, 23), "layer normalization"),
)
HIDDEN, CELL = 18, 19


def import_lstm(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite UNIDIRECTIONAL_SEQUENCE_LSTM; time_major has the batch, 1, behind the time."""
    x, y = n.inputs[0], n.outputs[0]
    _check_variant(ctx, n)
    ctx.require_int8(n, x, y)
    major = bool(n.options.get("time_major", False))
    shape = ctx.shape(x)
    if len(shape) != 3:
        ctx.invalid(n, f"an input of the shape {list(shape)}, not [batch, time, inputs]")
    batch, steps, inputs = (shape[1], shape[0], shape[2]) if major else shape
    if batch != 1:
        ctx.unsupported(n, f"a batch of {batch} is not supported", "convert with a batch of 1")
    hidden, cell = _states(ctx, n)
    units = ctx.type(hidden).elements
    w = _stacked(ctx, n, 1, "input weights", DType.INT8, (units, inputs))
    r = _stacked(ctx, n, 5, "recurrent weights", DType.INT8, (units, units))
    b = _stacked(ctx, n, 12, "bias", DType.INT32, (units,))
    attrs = {"cell_range": _cell_range(float(n.options.get("cell_clip", 0.0)), ctx.type(cell).scale)}
    operands = [ctx.reshape(n, x, (1, steps, inputs)), w, r, b, hidden, cell]
    if not major:
        return [ctx.emit(n, "lstm", operands, attrs)]
    made = ctx.emit_typed(n, "lstm", operands, attrs, replace(ctx.type(y), shape=(1, steps, units)))
    return [ctx.emit(n, "reshape", [made], {"shape": (steps, 1, units)})]


def _check_variant(ctx: TfliteImporter, n: TfliteNode) -> None:
    """Report what is no plain int8 LSTM."""
    if ctx.type(n.inputs[0]).dtype == DType.FLOAT32:
        why = "an LSTM on float32 activations is not supported, with int8 weights neither"
        fix = "convert with full integer quantization to int8, which gives the scales inside of the LSTM"
        ctx.unsupported(n, why, fix)
    for indices, what in VARIANTS:
        if any(n.has_input(i) for i in indices):
            ctx.unsupported(n, f"an LSTM with {what} is not supported", "use a plain LSTM, as Keras makes it")
    if not all(n.has_input(i) for i in (1, 5)):
        fix = "use a plain LSTM, as Keras makes it"
        ctx.unsupported(n, "an LSTM without an input gate (CIFG) is not supported", fix)
    if n.options.get("diagonal_recurrent_tensors", False):
        ctx.unsupported(n, "diagonal recurrent weights are not supported", "use full recurrent weights")
    activation = n.options.get("fused_activation_function", "TANH")
    if activation != "TANH":
        ctx.unsupported(n, f"the activation {activation} is not supported", "use tanh")


def _states(ctx: TfliteImporter, n: TfliteNode) -> tuple[str, str]:
    """The names of the hidden state and of the cell, checked."""
    hidden, cell = ctx.own_state(n, HIDDEN, "hidden state"), ctx.own_state(n, CELL, "cell")
    ctx.require_int8(n, hidden)
    h, c, y = ctx.type(hidden), ctx.type(cell), ctx.type(n.outputs[0])
    if c.dtype != DType.INT16:
        ctx.unsupported(n, f"the cell is {c.dtype}, not int16", "convert the model to int8")
    if h.quant != y.quant:
        ctx.invalid(n, "the output and the hidden state differ in scale or zero point")
    if c.quant is None or c.quant.axis is not None or c.zero_point or _power(c.scale) not in CELL_POWERS:
        powers = f"2^{CELL_POWERS[0]} .. 2^{CELL_POWERS[-1]}"
        ctx.invalid(n, f"the cell's scale is no power of 2 from {powers}, or its zero point is not 0")
    if h.elements != c.elements or h.shape[-1:] != (h.elements,) or not h.elements:
        ctx.invalid(n, f"states of the shapes {list(h.shape)} and {list(c.shape)}")
    return hidden, cell


def _stacked(
    ctx: TfliteImporter, n: TfliteNode, first: int, what: str, dtype: DType, shape: tuple[int, ...]
) -> str:
    """Four constants of one shape, each with one scale, as one with a scale per gate."""
    gates = range(first, first + 4)
    parts = [ctx.constant_input(n, i, what) for i in gates]
    types = [ctx.type(n.inputs[i]) for i in gates]
    for ttype in types:
        if ttype.dtype != dtype:
            ctx.unsupported(n, f"{what} of {ttype.dtype}, not {dtype}", "convert the model to int8")
        if ttype.shape != shape:
            ctx.invalid(n, f"{what} of the shape {list(ttype.shape)}, not {list(shape)}")
        if dtype == DType.INT8 and (ttype.quant is None or ttype.quant.axis is not None or ttype.zero_point):
            ctx.invalid(n, f"{what} need one scale and the zero point 0")
    made = TensorType((4, *shape), dtype)
    if dtype == DType.INT8:
        made = replace(made, quant=Quant(tuple(t.scale for t in types), (0, 0, 0, 0), 0))
    return ctx.add(n, np.stack(parts), made)


def _power(scale: float) -> int | None:
    """The exponent of a power of 2; None for other numbers."""
    mantissa, exponent = math.frexp(scale)
    return exponent - 1 if mantissa == 0.5 else None


def _cell_range(clip: float, scale: float) -> tuple[int, int]:
    """The integers between which the cell stays; a clip that is not positive stands for none."""
    if not clip > 0.0:
        return INT16_MIN, INT16_MAX
    most = int(min(clip / scale, float(INT16_MAX)))
    return -most, most


def tanh_factor(power: int) -> tuple[int, int]:
    """(multiplier, right shift): from int16 of the scale 2^power to positions in the table, 1/256 of a step."""
    shift = power + 12
    return (3 << shift, 0) if shift >= 0 else (3, -shift)


def gate_multipliers(node: Node, graph: Graph) -> tuple[tuple[tuple[int, int], ...], ...]:
    """(multiplier, shift) of each gate's sum of inputs, and of its sum of hidden states."""
    x, w, r, _, h, _ = (graph.type(name) for name in node.inputs)
    assert w.quant is not None and r.quant is not None
    return tuple(
        tuple(quantize_multiplier(min(scale * s / GATE_SCALE, RATIO_LIMIT)) for s in scales)
        for scale, scales in ((x.scale, w.quant.scale), (h.scale, r.quant.scale))
    )


def cell_power(node: Node, graph: Graph) -> int:
    """The cell's scale as an exponent of 2."""
    power = _power(graph.type(node.inputs[5]).scale)
    assert power is not None
    return power


def product_multipliers(node: Node, graph: Graph) -> tuple[tuple[int, int], tuple[int, int]]:
    """(multiplier, shift) of input gate times cell gate, and of output gate times tanh of the cell."""
    scale, h = GATE_OUTPUT_SCALE * GATE_OUTPUT_SCALE, graph.type(node.inputs[4])
    to_cell = quantize_multiplier(math.ldexp(scale, -cell_power(node, graph)))
    return to_cell, quantize_multiplier(min(scale / h.scale, RATIO_LIMIT))


def _saturated(x: Ints) -> Ints:
    return np.asarray(np.clip(x, INT16_MIN, INT16_MAX))


class Lstm(Op):
    name = "lstm"
    restrictions = (
        "as Keras makes it: sigmoid and tanh, all four gates, no peephole, projection or layer norm; a batch of 1",
        "constant int8 weights, an int16 cell whose scale is a power of 2",
    )
    tflite = {"UNIDIRECTIONAL_SEQUENCE_LSTM": import_lstm}

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        x, w, r, b, h, c = (t.shape for t in inputs)
        steps, units = x[1], math.prod(h)
        wanted = (1, steps, x[-1]), (4, units, x[-1]), (4, units, units), (4, units)
        if (x, w, r, b) != wanted or math.prod(c) != units:
            raise ValueError(f"weights {list(w)}, {list(r)} and {list(b)} do not fit an input {list(x)}")
        return (TensorType((1, steps, units)),)

    def batchable(self, node: Node, graph: Graph) -> bool:
        return False

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        x, w, r, b, hidden, cell = xs
        weights, recurrent = w.astype(np.int64), r.astype(np.int64)
        x_type, h_type = graph.type(node.inputs[0]), graph.type(node.inputs[4])
        for_x, for_h = (np.array(pairs)[:, :, np.newaxis] for pairs in gate_multipliers(node, graph))
        to_cell, to_hidden = product_multipliers(node, graph)
        power, (lo, hi) = cell_power(node, graph), node.attrs["cell_range"]
        h, c = hidden.reshape(-1).astype(np.int64), cell.reshape(-1).astype(np.int64)
        rows = []
        for row in x[0].astype(np.int64) - x_type.zero_point:
            of_x = _saturated(saturating_mbqm(weights @ row + b, for_x[:, 0], for_x[:, 1]))
            of_h = recurrent @ (h - h_type.zero_point)
            gates = _saturated(of_x + _saturated(saturating_mbqm(of_h, for_h[:, 0], for_h[:, 1])))
            i, f, o = (sigmoid_int16(gates[k], 3, 0) for k in (0, 1, 3))
            kept = _saturated(saturating_mbqm(f * c, *quantize_multiplier(GATE_OUTPUT_SCALE)))
            added = _saturated(saturating_mbqm(i * tanh_int16(gates[2], 3, 0), *to_cell))
            c = np.clip(_saturated(kept + added), lo, hi)
            h = saturating_mbqm(tanh_int16(c, *tanh_factor(power)) * o, *to_hidden) + h_type.zero_point
            h = np.clip(h, -128, 127)
            rows.append(h)
        y = np.array(rows, np.int8)[np.newaxis]
        return y, y[0, -1].reshape(hidden.shape), c.astype(np.int16).reshape(cell.shape)

    def updates(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return node.inputs[4:]

    def macs(self, node: Node, graph: Graph) -> int:
        steps = graph.type(node.outputs[0]).shape[1]
        return steps * sum(graph.type(name).elements for name in node.inputs[1:3])
