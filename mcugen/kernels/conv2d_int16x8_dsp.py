"""conv2d and fully_connected of int16 by int8 for the DSP extension: inputs of two pixels as columns, then one product
of matrices, 2 pixels by 4 output channels at a time, as conv2d_dsp does it for int8.

Inputs are int16 already: columns are copies, run by run. Where output_int16_dsp finds a short rescaling, sums and
outputs are made by one function; otherwise sums of 32 bits, added up to 64 where they need it, are rescaled as in
conv2d_int16x8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Array, DType, Graph, Node
from mcugen.kernels.conv2d_dsp import (
    Window,
    block_channels,
    by_block,
    column_weights,
    gather_cycles,
    interleave,
    pair_access,
    pixel_access,
    place_fields,
    run_fields,
    window,
)
from mcugen.kernels.conv2d_int16x8 import int16_output, reject_int16, variant_int16
from mcugen.kernels.conv2d_portable import accumulator_bound, geometry
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.output_int16_dsp import ShortForm, ShortRescaling, short_rescaling

RESCALED = {
    ShortForm.ONE: "one multiplication",
    ShortForm.SHIFTED: "one multiplication and a shift",
}
# Cycles of a block's eight outputs, by the suffix of variant_int16.
PLAIN_STORES = {"": 690.0, "_twice": 560.0, "_wide": 820.0}
# Fields of conv2d_dsp's places.
UNUSED = ("planes", "plane_step", "x_zero_point")


def in_bytes(w: Window) -> Window:
    """The same walk with channels of two bytes."""
    return replace(w, g=replace(w.g, x_channels=2 * w.g.x_channels, y_channels=2 * w.g.y_channels))


def channel_records(short: ShortRescaling, bias: Array, groups: int = 1, block: int = 4) -> Array:
    """int32 [groups, blocks, words]: the records of mcugen_scale_int16, biases, multipliers and bytes of shifts less
    one."""
    each = [by_block(values, groups, 0, block) for values in (bias, short.multiplier)]
    if short.form is ShortForm.SHIFTED:
        shifts = by_block(short.shift - 1, groups, 0, block).astype(np.uint8)
        each.append(np.ascontiguousarray(shifts).view("<i4"))
    return np.concatenate(each, axis=-1).astype(np.int32)


class Conv2DInt16x8Dsp(Kernel):
    name = "conv2d_int16x8_dsp"
    ops = ("conv2d", "fully_connected")
    types = ((DType.INT16, DType.INT16),)
    limits = ("sums that fit 48 bits, proved from the weights; 32 where the bias is int32",)
    headers = (
        "mcugen_int16.h",
        "mcugen_wide.h",
        "mcugen_window.h",
        "mcugen_output_int16.h",
        "mcugen_dsp.h",
        "mcugen_output_dsp.h",
        "mcugen_output_affine.h",
        "mcugen_gemm_dsp.h",
        "mcugen_output_int16_dsp.h",
        "mcugen_gemm_int16_dsp.h",
    )

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_int16(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, within some percent."""
        w, short = window(node, graph), short_rescaling(node, graph)
        g, group_out = w.g, w.g.y_channels // w.g.groups
        twos, blocks = (g.y[0] * g.y[1] + 1) // 2, len(block_channels(group_out))
        if short is not None:
            block = (69.0 if short.form is ShortForm.ONE else 98.0) + 18 * w.pairs + 6 * -(-w.pairs // 16)
            calls = 110.0 * (1 + (group_out > 4 and group_out % 4 > 0)) / w.batch + 30
        else:
            store = PLAIN_STORES[variant_int16("", node, graph)[0]]
            block, calls = store + 18 * w.pairs + 6 * -(-w.pairs // 4), 60.0
        return 200.0 + twos * g.groups * (blocks * block + calls + gather_cycles(w))

    def scratch(self, node: Node, graph: Graph) -> int:
        w = window(node, graph)
        return 8 * w.pairs * w.batch

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        w = in_bytes(window(node, graph))
        return ((pixel_access if w.g.groups == 1 else pair_access)(node, graph, w), None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        short = short_rescaling(node, graph)
        bound = f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights"
        return (bound,) if short is None else (bound, f"rescaled by {RESCALED[short.form]}")

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        w, short = window(node, graph), short_rescaling(node, graph)
        walk = "pointwise" if w.pointwise else "grouped" if w.g.groups > 1 else ""
        name = "_".join(filter(None, [self.name, walk]))
        context = {"pointwise": w.pointwise, "grouped": w.g.groups > 1}
        if short is not None:
            return name, {**context, "plain": False}
        name, more = variant_int16(f"{name}_plain", node, graph)
        return name, {**context, **more, "plain": True}

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        w, short = window(node, graph), short_rescaling(node, graph)
        g, group_out, bias = w.g, w.g.y_channels // w.g.groups, graph.constant(node.inputs[2])
        words = interleave(column_weights(node, graph, w, np.arange), raw=False)
        fields: dict[str, Value] = {"weights": tables.add(f"{layer}_weights", words)}
        if short is None:
            fields["output"] = int16_output(node, graph, tables, layer, bias)
        else:
            records = channel_records(short, bias, g.groups)
            fields |= {"channels": tables.add(f"{layer}_channels", records), "flags": short.flags}
        fields |= {
            "pairs": w.pairs,
            "batch": w.batch,
            "row_pixels": w.row_pixels,
            "y_channels": g.y_channels,
            "group_out": group_out,
            "run": 2 * w.run,
        }
        if g.groups > 1:
            fields |= {
                "groups": g.groups,
                "group_weights": words[0].size,
                "group_blocks": len(block_channels(group_out)),
            }
        if not w.pointwise:
            fields |= window_bytes(w)
        rows = geometry(node, graph).y[0]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]


def window_bytes(w: Window) -> dict[str, Value]:
    """Descriptor fields: where windows lie in the input, which has no planes and the zero point 0."""
    bytewise = in_bytes(w)
    fields = {**place_fields(bytewise, 0), **run_fields(bytewise)}
    return {name: value for name, value in fields.items() if name not in UNUSED}
