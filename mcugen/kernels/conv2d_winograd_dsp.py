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
from functools import cached_property
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
from mcugen.ops.conv2d import channels_first, output_range

TILES = 2  # computed together: each pair of weights that is loaded serves both
BLOCK = 4  # output channels computed together, and input channels loaded together
TURN = 16  # at most so many pairs of input channels per turn of the inner loop
REACH = 4095  # bytes from a pointer that a load can reach


@dataclass(frozen=True)
class Filter:
    """F(outputs, taps): B^T [inputs, inputs], the scaled G [inputs, taps] and A^T [outputs, inputs], integers.

    A^T ((G g) * (B^T d)) == factor * (g correlated with d).
    """

    inputs_matrix: tuple[tuple[int, ...], ...]
    weights_matrix: tuple[tuple[int, ...], ...]
    outputs_matrix: tuple[tuple[int, ...], ...]
    factor: int

    @property
    def taps(self) -> int:
        return len(self.weights_matrix[0])

    @property
    def outputs(self) -> int:
        return len(self.outputs_matrix)

    @property
    def inputs(self) -> int:
        return len(self.inputs_matrix)


F1 = Filter(((1,),), ((1,),), ((1,),), 1)  # of an axis along which there is nothing to sum
F2 = Filter(
    ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    ((2, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 2)),
    ((1, 1, 1, 0), (0, 1, -1, -1)),
    2,
)
F4 = Filter(
    (
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 3)),
    ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 8)),
    24,
)


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
    """F(vertical.outputs x horizontal.outputs, vertical.taps x horizontal.taps)."""

    ops = ("conv2d",)
    limits = (
        "3x3, 1x3, or 3x1 of one column, stride 1, no dilation, no groups, at least 4 input channels",
        "accumulators that leave room for the transform's factor, proved from the weights",
    )
    headers = ("mcugen_dsp.h", "mcugen_output_dsp.h", "mcugen_winograd.h")
    template = "conv2d_winograd_dsp"
    costs: ClassVar[Costs]
    vertical: ClassVar[Filter]
    horizontal: ClassVar[Filter]

    @property
    def positions(self) -> int:
        """Products per tile and pair of channels."""
        return self.vertical.inputs * self.horizontal.inputs

    @cached_property
    def factor(self) -> tuple[int, int, int]:
        """What sums are multiplied with: it, its power of two, and the inverse of the rest modulo 2^32."""
        factor = self.vertical.factor * self.horizontal.factor
        power = (factor & -factor).bit_length() - 1
        return factor, power, pow(factor >> power, -1, 1 << 32)

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        g, taps = flat_geometry(node, graph), (self.vertical.taps, self.horizontal.taps)
        if node.op != "conv2d" or g.kernel != taps or g.strides != (1, 1) or g.dilations != (1, 1):
            return f"not {taps[0]}x{taps[1]} with stride 1"
        if channels_first(node) or g.groups > 1 or g.x_channels < BLOCK:
            return f"less than {BLOCK} input channels side by side"
        if overflow := reject_overflow(node, graph):
            return overflow
        bound, room = accumulator_bound(node, graph), INT32_MAX >> self.factor[1]
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
        out_h, out_w, in_h = self.vertical.outputs, self.horizontal.outputs, self.vertical.inputs
        columns, pairs = self.horizontal.inputs + out_w, turn * turns
        strips, groups = -(-g.y[0] // out_h), -(-g.y[1] // (out_w * TILES))
        turning = turns * (self._half(turn) < turn) + (12 * turns - 5) * (turns > 1)
        products = self.positions * (16 * pairs + turning) + cost.products
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
        inputs = blocks * BLOCK // 2 * self.positions * TILES * 4
        columns = (self.horizontal.inputs - 1) * self.vertical.outputs + self.vertical.inputs
        return inputs + columns * BLOCK * TILES * 4

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        return (self._access(flat_geometry(node, graph)), None, None)

    def _access(self, g: Geometry) -> Access:
        """Tiles from left to right in one row of tiles after the other. Where rows of the output are longer than the
        input's, it is better to go from the last row to the first: rows of tiles, then, in any order inside."""
        rows, columns = self.vertical.outputs, self.horizontal.outputs * TILES
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

        reads = hull(g.x, g.x_channels, g.pads, (self.vertical.taps - 1, self.horizontal.taps - 1))
        writes = hull(g.y, g.y_channels, (0, 0), (0, 0))
        if by_rows:
            return Access(
                *reads, *writes, atomic=False, directions=(Direction.ASCENDING, Direction.DESCENDING)
            )
        return Access(*reads, *writes, atomic=True)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        _, turn, turns = self._sizes(node, graph)
        factor, power, inverse = self.factor
        form = rescaling(node, graph).form.value
        context = {
            "taps": f"{self.vertical.taps}x{self.horizontal.taps}",
            "out_h": self.vertical.outputs,
            "out_w": self.horizontal.outputs,
            "in_h": self.vertical.inputs,
            "in_w": self.horizontal.inputs,
            "rows_in": range(self.vertical.inputs),
            "positions": self.positions,
            "turn": turn,
            "single": turns == 1,
            "factor": factor,
            "power": power,
            "half_power": power - 1,
            "inverse": f" * UINT32_C({inverse})" if inverse > 1 else "",
            "form": form,
            "layout": self._layout(turn),
            "asm": self._places(turn),
        }
        return f"{self.name}_{turn}{'' if turns == 1 else 'n'}_{form}", context

    def _half(self, turn: int) -> int:
        """After how many pairs of a turn the pointer to the inputs moves, as loads reach no farther; `turn`: never."""
        return turn if turn * self.positions * TILES * 4 <= REACH else -(-turn // 2)

    def _layout(self, turn: int) -> dict[str, Any]:
        """Numbers of words: of inputs [pair][column][row][tile], sums [column][row][channel][tile], weights."""
        (out_h, in_h), (out_w, in_w) = ((f.outputs, f.inputs) for f in (self.vertical, self.horizontal))
        column, pair = in_h * TILES, self.positions * TILES
        shared = in_w - out_w  # columns of the second tile that are the first one's too
        return {
            "column": column,
            "pair": pair,
            "pair_rest": pair - column,
            "block": pair * BLOCK // 2,
            "columns": in_w + out_w,
            "second_tile": shared * column + 1,
            "first_columns": [j * column for j in range(in_w)],
            "second_columns": [(out_w + j) * column if j < shared else j * column + 1 for j in range(in_w)],
            "m_columns": [j * out_h * BLOCK * TILES for j in range(in_w)],
            "tiles": out_w * TILES,
            "weights": self.positions * turn * BLOCK,
        }

    def _places(self, turn: int) -> dict[str, Any]:
        """Numbers of bytes for the assembly."""
        pair, sums = self.positions * TILES * 4, BLOCK * TILES * 4
        v_column, shared = self.vertical.inputs * TILES * 4, self.horizontal.inputs - self.horizontal.outputs
        in_w, out_w = self.horizontal.inputs, self.horizontal.outputs
        half = self._half(turn)
        moved = half * pair if half < turn else 0
        out_column = self.vertical.outputs * sums
        in_column = (self.vertical.inputs if self.vertical.taps > 1 else in_w) * sums
        return {
            "pairs": [
                {
                    "weights": [p * BLOCK * 4 + 4 * k for k in range(BLOCK)],
                    "inputs": [p % half * pair, p % half * pair + 4],
                    "move": moved if p == half else 0,
                }
                for p in range(turn)
            ],
            "moved": moved,
            "moved_back": moved - TILES * 4,
            "turn_bytes": turn * pair,
            "turn_move": turn * pair - moved,
            "weight_bytes": turn * BLOCK * 4,
            "column_bytes": in_column,
            "next_column": out_column - sums,
            "m_places": [
                [j * out_column + i * sums for j in range(in_w)] for i in range(self.vertical.outputs)
            ],
            "sums": ["lr", "r11", "r9", "r10"][:out_w],
            "tile_shift": out_w.bit_length() - 1,
            "inverse_low": self.factor[2] & 0xFFFF if self.factor[2] > 1 else 0,
            "inverse_high": self.factor[2] >> 16,
            "v_column": v_column,
            "even": [8 * i for i in range(self.vertical.inputs)],
            "odd": [pair + 8 * i for i in range(self.vertical.inputs)],
            "block_bytes": pair * BLOCK // 2,
            "pair_rest": pair - v_column,
            "first_columns": [j * v_column for j in range(in_w)],
            "second_columns": [
                (out_w + j) * v_column if j < shared else j * v_column + 4 for j in range(in_w)
            ],
            "second_rows": [j * v_column + 4 for j in range(in_w)],
            "columns_bytes": self.horizontal.inputs * out_column,
        }

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        room = INT32_MAX >> self.factor[1]
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
        bias = wrapped((folded_bias(node, graph) - 128 * weights.sum(axis=(1, 2, 3))) * self.factor[0])
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
        rows, columns = np.array(self.vertical.weights_matrix), np.array(self.horizontal.weights_matrix)
        u = np.einsum("ia,oabc,jb->ojic", rows, weights, columns)
        padded = np.zeros((-(-o // BLOCK) * BLOCK, *u.shape[1:3], blocks * BLOCK), np.int64)
        whole = c // BLOCK * BLOCK
        padded[:o, ..., :whole] = u[..., :whole]
        padded[:o, ..., blocks * BLOCK - (c - whole) :] = u[..., whole:]
        split = padded.reshape(-1, BLOCK, *u.shape[1:3], blocks, 2, 2)  # [.., block, half, odd]
        return split.transpose(0, 2, 3, 4, 6, 1, 5).astype("<i2", order="C").view("<u4")


class Conv2DWinograd(_Winograd):
    name = "conv2d_winograd_dsp"
    vertical, horizontal = F2, F2
    costs = Costs(771, 36, 40, 46.5, 79)
    row_block = 2


class Conv2DWinograd2x4(_Winograd):
    name = "conv2d_winograd_dsp_2x4"
    vertical, horizontal = F2, F4
    costs = Costs(1143, 36, 40, 72.5, 129.5)
    row_block = 2


class Conv2DWinograd4x4(_Winograd):
    name = "conv2d_winograd_dsp_4x4"
    vertical, horizontal = F4, F4
    costs = Costs(1839, 69, 60, 72.5, 224.5)
    row_block = 4


class Conv2DWinograd1x4(_Winograd):
    name = "conv2d_winograd_dsp_1x4"
    vertical, horizontal = F1, F4
    costs = Costs(138, 12, 51, 77, 75)
