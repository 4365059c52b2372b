"""conv2d and fully_connected of int16 activations by int8 weights in plain C for every core: four output channels at a
time, no scratch, row range. Sums have 32 bits where the weights prove that they fit, else 64; results are equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.fixed import INT32_MAX, reduced_multiplier
from mcugen.ir import Array, DType, Graph, Node
from mcugen.kernels.conv2d_portable import (
    accumulator_bound,
    conv_access,
    geometry,
    taps_inside,
    window_fields,
    x_fields,
)
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.ops.conv2d import output_range, requantization, rounds_once

WIDEST = (1 << 47) - 1  # of sums that are rescaled with one rounding


def reject_int16(node: Node, graph: Graph) -> str | None:
    """Why the node's sums are not safe, if they are not."""
    limit = WIDEST if rounds_once(node, graph) else INT32_MAX
    bound = accumulator_bound(node, graph)
    return f"its accumulator can reach {bound:,}, more than {limit:,}" if bound > limit else None


def variant_int16(name: str, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
    """The C function for the node's kind of sums, and what its template is printed with."""
    if not rounds_once(node, graph):
        return f"{name}_twice", {"suffix": "_twice", "bits": 32, "rounds": "twice"}
    if accumulator_bound(node, graph) > INT32_MAX:
        return f"{name}_wide", {"suffix": "_wide", "bits": 64, "rounds": "once"}
    return name, {"suffix": "", "bits": 32, "rounds": "once"}


def int16_output(node: Node, graph: Graph, tables: Tables, layer: str, bias: Array) -> Value:
    """mcugen_output_int16_t, or that of the variant; bias int64."""
    multiplier, shift = requantization(node, graph)
    wide = accumulator_bound(node, graph) > INT32_MAX
    if rounds_once(node, graph):
        multiplier, shift = reduced_multiplier(multiplier).astype(np.int16), 15 - shift
    else:
        multiplier = multiplier.astype(np.int32)
    return (
        tables.add(f"{layer}_bias", bias.astype(np.int64 if wide else np.int32)),
        tables.add(f"{layer}_multiplier", multiplier),
        tables.add(f"{layer}_shift", shift.astype(np.int8)),
        int(len(multiplier) > 1),
        *output_range(node, graph),
    )


def weighted_int16_fields(node: Node, graph: Graph, tables: Tables, layer: str) -> dict[str, Value]:
    """Descriptor fields of every int16 kernel with weights: those and the output."""
    return {
        "weights": tables.add(f"{layer}_weights", graph.constant(node.inputs[1])),
        "output": int16_output(node, graph, tables, layer, graph.constant(node.inputs[2])),
    }


class Conv2DInt16x8(Kernel):
    name = "conv2d_int16x8"
    ops: ClassVar[tuple[str, ...]] = ("conv2d", "fully_connected")
    types = ((DType.INT16, DType.INT16),)
    limits: ClassVar[tuple[str, ...]] = (
        "sums that fit 48 bits, proved from the weights; 32 where the bias is int32",
    )
    headers: ClassVar[tuple[str, ...]] = (
        "mcugen_output_int16.h",
        "mcugen_int16.h",
        "mcugen_wide.h",
        "mcugen_window.h",
    )

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_int16(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4 (per pixel, block of four channels, run of products, product)."""
        g = geometry(node, graph)
        axes = zip(g.x, g.kernel, g.y, g.strides, g.dilations, g.pads, strict=True)
        rows, columns = (taps_inside(*axis) for axis in axes)
        pixels, blocks = g.y[0] * g.y[1] * g.groups, -(-g.y_channels // g.groups // 4)
        joined = g.dilations[1] == g.groups == 1
        runs = rows * blocks * (g.y[1] if joined else columns * g.groups)
        products = rows * columns * blocks * g.x_channels
        return 150.0 * pixels + 360.0 * pixels * blocks + 90.0 * runs + 17.0 * products

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (conv_access(node, graph), None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        return variant_int16(self.name, node, graph)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        g = geometry(node, graph)
        fields = {**weighted_int16_fields(node, graph, tables, layer), **x_fields(g), **window_fields(g)}
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=g.y[0])]
