"""Winograd's filters on integers, and where conv2d_winograd_dsp keeps what it computes with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

TILES = 2  # computed together: each pair of weights that is loaded serves both
BLOCK = 4  # output channels computed together, and input channels loaded together
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
class Tile:
    """F(vertical.outputs x horizontal.outputs, vertical.taps x horizontal.taps)."""

    vertical: Filter
    horizontal: Filter

    @property
    def taps(self) -> tuple[int, int]:
        return self.vertical.taps, self.horizontal.taps

    @property
    def positions(self) -> int:
        """Products per tile and pair of channels."""
        return self.vertical.inputs * self.horizontal.inputs

    @property
    def factor(self) -> int:
        """What sums are multiplied with."""
        return self.vertical.factor * self.horizontal.factor

    @property
    def power(self) -> int:
        """The exponent of the factor's power of two."""
        return (self.factor & -self.factor).bit_length() - 1

    @cached_property
    def inverse(self) -> int:
        """Of the factor's odd part, modulo 2^32."""
        return pow(self.factor >> self.power, -1, 1 << 32)


def half_turn(tile: Tile, turn: int) -> int:
    """After how many pairs of a turn the pointer to the inputs moves, as loads reach no farther; `turn`: never."""
    return turn if turn * tile.positions * TILES * 4 <= REACH else -(-turn // 2)


def layout(tile: Tile, turn: int) -> dict[str, Any]:
    """Numbers of words: of inputs [pair][column][row][tile], sums [column][row][channel][tile], weights."""
    (out_h, in_h), (out_w, in_w) = ((f.outputs, f.inputs) for f in (tile.vertical, tile.horizontal))
    column, pair = in_h * TILES, tile.positions * TILES
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
        "weights": tile.positions * turn * BLOCK,
    }


def places(tile: Tile, turn: int) -> dict[str, Any]:
    """Numbers of bytes for the assembly."""
    pair, sums = tile.positions * TILES * 4, BLOCK * TILES * 4
    v_column, shared = tile.vertical.inputs * TILES * 4, tile.horizontal.inputs - tile.horizontal.outputs
    in_w, out_w = tile.horizontal.inputs, tile.horizontal.outputs
    half = half_turn(tile, turn)
    moved = half * pair if half < turn else 0
    out_column = tile.vertical.outputs * sums
    in_column = (tile.vertical.inputs if tile.vertical.taps > 1 else in_w) * sums
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
        "m_places": [[j * out_column + i * sums for j in range(in_w)] for i in range(tile.vertical.outputs)],
        "sums": ["lr", "r11", "r9", "r10"][:out_w],
        "tile_shift": out_w.bit_length() - 1,
        "inverse_low": tile.inverse & 0xFFFF if tile.inverse > 1 else 0,
        "inverse_high": tile.inverse >> 16,
        "v_column": v_column,
        "even": [8 * i for i in range(tile.vertical.inputs)],
        "odd": [pair + 8 * i for i in range(tile.vertical.inputs)],
        "block_bytes": pair * BLOCK // 2,
        "pair_rest": pair - v_column,
        "first_columns": [j * v_column for j in range(in_w)],
        "second_columns": [(out_w + j) * v_column if j < shared else j * v_column + 4 for j in range(in_w)],
        "second_rows": [j * v_column + 4 for j in range(in_w)],
        "columns_bytes": tile.horizontal.inputs * out_column,
    }
