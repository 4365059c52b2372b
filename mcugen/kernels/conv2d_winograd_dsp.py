"""conv2d of three taps along one or both axes by Winograd's minimal filtering, exactly in integers: stride 1, on cores
with the DSP extension.

F(m, 3) computes m outputs of a 3-tap filter by m + 2 products instead of 3 m: y = A^T ((G g) * (B^T d)), the products
element by element; in two dimensions the transforms apply to rows and columns (Lavin and Gray, 2016). G has fractions.
Here its rows are scaled to integers, which makes the sums `factor` times the accumulator: 2 for F(2, 3), 24 for
F(4, 3), and their product in two dimensions. All sums are taken modulo 2^32: the odd part of the factor is divided
out by multiplying with its inverse modulo 2^32, the power of two by a shift, which is exact as long as the accumulator
times that power fits int32. Nothing else has to be proved: transformed inputs and weights always fit int16.

The kernels differ by their tiles: the larger, the faster, the more constants and scratch. Per output and input channel
they multiply 4 (2x2), 3 (2x4) or 2.25 (4x4) times instead of 9, with 32, 48 or 72 bytes of weights in place of 9; 1.5
times (1x4) instead of 3, with 12 bytes in place of 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mcugen.access import Access, Direction
from mcugen.boards import Board
from mcugen.fixed import INT32_MAX
from mcugen.ir import Array, Graph, Node
from mcugen.kernels.conv2d_portable import (
    Geometry,
    accumulator_bound,
    geometry,
    reject_overflow,
)
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.output_dsp import Form, folded_bias, rescaling, wrapped
from mcugen.kernels.winograd import BLOCK, F1, F2, F4, TILES, Tile, half_turn, layout, places
from mcugen.ops.conv2d import channels_first, output_range

TURN = 16  # at most so many pairs of input channels per turn of the inner loop


@dataclass(frozen=True)
class Costs:
    """Measured cycles on a Cortex-M4."""

    products: float  # of two tiles and four output channels, without the products themselves
    column: float  # of four input channels
    columns: float  # beside that, for all of its channels
    row: float  # of two tiles and two input channels
    tile: float  # of one output channel


EDGE = 85.0  # cycles of a column of four channels that reaches beyond the rows
PART = 42.0  # cycles per output of a tile that reaches beyond the output
SLOWER = {Form.SHORT: 0.0, Form.CLAMPED: 22.0, Form.SHIFTED: 29.0, Form.WIDE: 51.0}  # cycles more per output


def flat_geometry(node: Node, graph: Graph) -> Geometry:
    """The geometry; where x and y are one column wide, as if it were a row: the bytes are the same."""
    g = geometry(node, graph)
    if (g.x[1], g.y[1], g.kernel[1], g.pads[1]) != (1, 1, 1, 0):
        return g
    x, y, kernel, strides, dilations, pads = (
        (w, h) for h, w in (g.x, g.y, g.kernel, g.strides, g.dilations, g.pads)
    )
    return replace(g, x=x, y=y, kernel=kernel, strides=strides, dilations=dilations, pads=pads)


class _Winograd(Kernel):
    """One size of tiles."""

    ops = ("conv2d",)
    limits = (
        "3x3, 1x3, or 3x1 of one column, stride 1, no dilation, no groups, at least 4 input channels",
        "accumulators that leave room for the transform's factor, proved from the weights",
    )
    headers = ("mcugen_dsp.h", "mcugen_output_dsp.h", "mcugen_winograd.h")
    template = "conv2d_winograd_dsp"
    costs: ClassVar[Costs]
    tile: ClassVar[Tile]

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        g, taps = flat_geometry(node, graph), self.tile.taps
        if node.op != "conv2d" or g.kernel != taps or g.strides != (1, 1) or g.dilations != (1, 1):
            return f"not {taps[0]}x{taps[1]} with stride 1"
        if channels_first(node) or g.groups > 1 or g.x_channels < BLOCK:
            return f"less than {BLOCK} input channels side by side"
        if overflow := reject_overflow(node, graph):
            return overflow
        bound, room = accumulator_bound(node, graph), INT32_MAX >> self.tile.power
        return f"its accumulator can reach {bound:,}, beyond {room:,}" if bound > room else None

    def _sizes(self, node: Node, graph: Graph) -> tuple[int, int, int]:
        """Blocks of four input channels, pairs of input channels per turn of the inner loop, and turns."""
        blocks = -(-flat_geometry(node, graph).x_channels // BLOCK)
        pairs = blocks * BLOCK // 2
        turn = next(n for n in range(TURN, 0, -1) if pairs % n == 0)
        return blocks, turn, pairs // turn

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """Model cycles of a Cortex-M4 from the code's structure and measured constants, to a few percent."""
        g, cost = flat_geometry(node, graph), self.costs
        blocks, turn, turns = self._sizes(node, graph)
        out_h, out_w, in_h = (
            self.tile.vertical.outputs,
            self.tile.horizontal.outputs,
            self.tile.vertical.inputs,
        )
        columns, pairs = self.tile.horizontal.inputs + out_w, turn * turns
        strips, groups = -(-g.y[0] // out_h), -(-g.y[1] // (out_w * TILES))
        turning = turns * (half_turn(self.tile, turn) < turn) + (12 * turns - 5) * (turns > 1)
        products = self.tile.positions * (16 * pairs + turning) + cost.products
        inputs = (
            columns * (cost.column * blocks + cost.columns * (1 + (g.x_channels % BLOCK > 0)))
            + cost.row * in_h * pairs
        )
        tops = np.arange(strips) * out_h - g.pads[0]
        edges = int(((tops < 0) | (tops + in_h > g.x[0])).sum())
        whole = (g.y[0] // out_h) * (g.y[1] // out_w)
        rest = g.y[0] * g.y[1] - whole * out_h * out_w
        slower = SLOWER[rescaling(node, graph).form]
        outputs = whole * (cost.tile + slower * out_h * out_w) + rest * (PART + slower)
        transforms = strips * groups * (products * -(-g.y_channels // BLOCK) + inputs)
        return float(transforms + edges * groups * columns * blocks * EDGE + outputs * g.y_channels)

    def scratch(self, node: Node, graph: Graph) -> int:
        blocks, _, _ = self._sizes(node, graph)
        inputs = blocks * BLOCK // 2 * self.tile.positions * TILES * 4
        columns = (self.tile.horizontal.inputs - 1) * self.tile.vertical.outputs + self.tile.vertical.inputs
        return inputs + columns * BLOCK * TILES * 4

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (self._access(flat_geometry(node, graph)), None, None)

    def _access(self, g: Geometry) -> Access:
        """Tiles from left to right in one row of tiles after the other. Where rows of the output are longer than the
        input's, it is better to go from the last row to the first: rows of tiles, then, in any order inside."""
        rows, columns = self.tile.vertical.outputs, self.tile.horizontal.outputs * TILES
        by_rows = g.y[1] * g.y_channels > g.x[1] * g.x_channels and g.y[0] % rows == 0 and g.y[0] > 1
        if by_rows:
            columns = g.y[1]
        top, left = (
            a.reshape(-1)
            for a in np.meshgrid(
                np.arange(0, g.y[0], rows, dtype=np.int64),
                np.arange(0, g.y[1], columns, dtype=np.int64),
                indexing="ij",
            )
        )

        def hull(
            size: tuple[int, int], channels: int, offset: tuple[int, int], halo: tuple[int, int]
        ) -> tuple[Array, Array]:
            """From the first byte of a rectangle to its last one."""
            (first, end), (begin, stop) = (
                (np.clip(at - pad, 0, extent), np.clip(at - pad + length + more, 0, extent))
                for at, pad, length, extent, more in zip(
                    (top, left), offset, (rows, columns), size, halo, strict=True
                )
            )
            low, high = first * size[1] + begin, (end - 1) * size[1] + stop
            empty = (first >= end) | (begin >= stop)
            return np.where(empty, 0, low) * channels, np.where(empty, 0, high) * channels

        reads = hull(g.x, g.x_channels, g.pads, (self.tile.taps[0] - 1, self.tile.taps[1] - 1))
        writes = hull(g.y, g.y_channels, (0, 0), (0, 0))
        if by_rows:
            return Access(
                *reads, *writes, atomic=False, directions=(Direction.ASCENDING, Direction.DESCENDING)
            )
        return Access(*reads, *writes, atomic=True)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        _, turn, turns = self._sizes(node, graph)
        power, inverse = self.tile.power, self.tile.inverse
        form = rescaling(node, graph).form.value
        context = {
            "taps": "x".join(map(str, self.tile.taps)),
            "out_h": self.tile.vertical.outputs,
            "out_w": self.tile.horizontal.outputs,
            "in_h": self.tile.vertical.inputs,
            "in_w": self.tile.horizontal.inputs,
            "rows_in": range(self.tile.vertical.inputs),
            "positions": self.tile.positions,
            "turn": turn,
            "single": turns == 1,
            "factor": self.tile.factor,
            "power": power,
            "half_power": power - 1,
            "inverse": f" * UINT32_C({inverse})" if inverse > 1 else "",
            "form": form,
            "layout": layout(self.tile, turn),
            "asm": places(self.tile, turn),
        }
        return f"{self.name}_{turn}{'' if turns == 1 else 'n'}_{form}", context

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        room = INT32_MAX >> self.tile.power
        return (
            f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights; at most {room:,}",
        )

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        g = flat_geometry(node, graph)
        blocks, _, turns = self._sizes(node, graph)
        weights = (
            graph.constant(node.inputs[1]).astype(np.int64).reshape(g.y_channels, *g.kernel, g.x_channels)
        )
        zero, zero_point = graph.type(node.inputs[0]).zero_point, graph.type(node.outputs[0]).zero_point
        bias = wrapped((folded_bias(node, graph) - 128 * weights.sum(axis=(1, 2, 3))) * self.tile.factor)
        scaling = rescaling(node, graph)
        shift, rounding = scaling.shift, np.full_like(scaling.shift, 2 * zero_point + 1)
        if scaling.form in (Form.SHORT, Form.CLAMPED):
            shift, rounding = -shift, rounding << -shift >> 1
        constants = np.stack([bias, scaling.multiplier, rounding, shift], axis=1)
        lo, hi = output_range(node, graph)
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", self.transformed(weights, blocks)),
            "channels": tables.add(f"{layer}_channels", constants.astype(np.int32)),
            "lo": lo,
            "hi": hi,
            "x_height": g.x[0],
            "x_width": g.x[1],
            "x_channels": g.x_channels,
            "y_width": g.y[1],
            "y_channels": g.y_channels,
            "pad_top": g.pads[0],
            "pad_left": g.pads[1],
            "padding": zero & 255,
            "blocks": blocks,
            "turns": turns,
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=g.y[0])]

    def transformed(self, weights: Array, blocks: int) -> Array:
        """G g G^T, pairs of int16 in words [O/4][column][row][C/2][4]: the channels of a pair are 2 apart in the input;
        where the last four channels overlap those before, the repeated ones have weights 0."""
        o, _, _, c = weights.shape
        rows, columns = (
            np.array(self.tile.vertical.weights_matrix),
            np.array(self.tile.horizontal.weights_matrix),
        )
        u = np.einsum("ia,oabc,jb->ojic", rows, weights, columns)
        padded = np.zeros((-(-o // BLOCK) * BLOCK, *u.shape[1:3], blocks * BLOCK), np.int64)
        whole = c // BLOCK * BLOCK
        padded[:o, ..., :whole] = u[..., :whole]
        padded[:o, ..., blocks * BLOCK - (c - whole) :] = u[..., whole:]
        split = padded.reshape(-1, BLOCK, *u.shape[1:3], blocks, 2, 2)  # [.., block, half, odd]
        return split.transpose(0, 2, 3, 4, 6, 1, 5).astype("<i2", order="C").view("<u4")


class Conv2DWinograd(_Winograd):
    name = "conv2d_winograd_dsp"
    tile = Tile(F2, F2)
    costs = Costs(771, 36, 40, 46.5, 79)
    row_block = 2


class Conv2DWinograd2x4(_Winograd):
    name = "conv2d_winograd_dsp_2x4"
    tile = Tile(F2, F4)
    costs = Costs(1143, 36, 40, 72.5, 129.5)
    row_block = 2


class Conv2DWinograd4x4(_Winograd):
    name = "conv2d_winograd_dsp_4x4"
    tile = Tile(F4, F4)
    costs = Costs(1839, 69, 60, 72.5, 224.5)
    row_block = 4


class Conv2DWinograd1x4(_Winograd):
    name = "conv2d_winograd_dsp_1x4"
    tile = Tile(F1, F4)
    costs = Costs(138, 12, 51, 77, 75)
