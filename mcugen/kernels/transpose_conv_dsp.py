"""transpose_conv for the DSP extension: each phase of the output as a convolution with stride 1 of the inputs.

The taps that reach an output are those of its *phase*, (row + pad) mod stride and the same of its column. `stride`
neighbouring pixels of a row, one of each phase, are a *group*; their inputs lie in one window, whose columns
overlap those of the next group's window. So columns of int16 inputs are gathered once for all phases of a row, input
column by input column, counted from the zero point, and each phase is a product with a part of them: see conv2d_dsp
for sums and blocks of channels. Neighbouring phases are computed as one product, whose channels are those of all of
them, where taps that some do not have cost less than a product more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from mcugen.access import Access, Direction
from mcugen.boards import Board
from mcugen.ir import Array, DType, Graph, Node
from mcugen.kernels.conv2d_dsp import (
    BATCH,
    EXACT,
    STORED_AS,
    SUMS,
    Conv2DDsp,
    affine_channels,
    block_channels,
    fit_halves,
    interleave,
    merged_groups,
    packed,
    raw_channels,
    side_by_side,
)
from mcugen.kernels.conv2d_portable import accumulator_bound, reject_overflow
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.output_affine import affine
from mcugen.kernels.output_dsp import Form, channel_bounds, output_dsp, rescaling
from mcugen.kernels.transpose_conv_portable import transpose_conv_access
from mcugen.ops.conv2d import output_range
from mcugen.ops.op import limits

BATCH_BYTES = 512  # at most, for columns of more than two groups
BATCH_SHARE = 16  # and this part of the layer's inputs and outputs
RECORD = 8  # words of four channels


@dataclass(frozen=True)
class Part:
    """Pixels first..end-1 of a group, computed together from input columns begin..begin + taps - 1 (those of the
    group at column 0)."""

    first: int
    end: int
    begin: int
    taps: int


def join(pixels: Sequence[Part]) -> Part:
    """Neighbouring pixels as one part."""
    some = [p for p in pixels if p.taps] or [pixels[0]]
    begin, end = min(p.begin for p in some), max(p.begin + p.taps for p in some)
    return Part(pixels[0].first, pixels[-1].end, begin, end - begin)


@dataclass(frozen=True)
class Layout:
    """A layer as the kernel walks over it; extents are (height, width), pads (top, left). One-dimensional layers lie
    in a row."""

    x: tuple[int, int]
    y: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int]
    x_channels: int
    y_channels: int
    groups: int
    row_pixels: int  # of a row of the tensor
    turned: bool = False  # rows of the tensor are pixels here

    @property
    def run(self) -> int:
        """Input channels of a group."""
        return self.x_channels // self.groups

    @property
    def run_pairs(self) -> int:
        return (self.run + 1) // 2

    def taps(self, axis: int, phase: int) -> int:
        """How many taps of the kernel have that phase."""
        return len(range(phase, self.kernel[axis], self.strides[axis]))

    @property
    def row_taps(self) -> tuple[int, ...]:
        """Of each phase of rows."""
        return tuple(self.taps(0, phase) for phase in range(self.strides[0]))

    def pixel(self, place: int) -> Part:
        """One pixel of a group as a part of its own."""
        column, phase = divmod(place + self.pads[1], self.strides[1])
        taps = self.taps(1, phase)
        return Part(place, place + 1, column - taps + 1, taps)

    def pairs(self, rows: int, part: Part) -> int:
        """Pairs of inputs of a product, at least one; it has `rows` rows of taps."""
        return max(rows * part.taps * self.run_pairs, 1)

    @property
    def parts(self) -> tuple[Part, ...]:
        """A group's pixels in parts, the cheapest way."""
        count = min(self.strides[1], self.y[1])
        pixels = [self.pixel(place) for place in range(count)]
        if self.groups > 1 or self.turned:  # else a group's pixels are neighbours, and all of them computed
            return tuple(pixels)
        best: list[tuple[float, tuple[Part, ...]]] = [(0.0, ())]
        for end in range(1, count + 1):
            last = self.y[1] % self.strides[1]  # pixels of the row's last group
            firsts = [f for f in range(end) if not f < last < end]
            joins = [(best[f], join(pixels[f:end])) for f in firsts]
            ways = [(cost + self.cost(part), (*done, part)) for (cost, done), part in joins]
            best.append(min(ways, key=lambda way: way[0]))
        return best[count][1]

    def cost(self, part: Part) -> float:
        """Cycles of a part's products of one batch in a row of each phase."""
        rows = self.row_taps
        return sum(part_cycles(self, "affine", 0, self.pairs(r, part), part, 2 * self.batch) for r in rows)

    @property
    def begin(self) -> int:
        """The leftmost input column of the group at column 0."""
        return min((part.begin for part in self.parts if part.taps), default=0)

    @property
    def window(self) -> int:
        """Input columns of a group, at least one."""
        return max((part.begin + part.taps - self.begin for part in self.parts if part.taps), default=1)

    @property
    def column_words(self) -> int:
        """Of one input column of two groups, at most."""
        return 2 * self.run_pairs * max(self.row_taps)

    @property
    def batch(self) -> int:
        """Twos of groups whose columns are gathered before any of them is computed."""
        size = self.x[0] * self.x[1] * self.x_channels + self.y[0] * self.y[1] * self.y_channels
        more = min(BATCH_BYTES, size // BATCH_SHARE) // (8 * self.column_words)
        groups = -(-self.y[1] // self.strides[1])
        return min(1 + more, BATCH, (groups + 1) // 2)


def layout(node: Node, graph: Graph) -> Layout:
    """How the kernel walks over a layer."""
    _, h, w, c = graph.type(node.inputs[0]).shape
    _, ho, wo, o = graph.type(node.outputs[0]).shape
    _, kh, kw, _ = graph.type(node.inputs[1]).shape
    strides, pads, groups = node.attrs["strides"], node.attrs["pads"][:2], node.attrs["groups"]
    groups //= merged_groups(groups, o // groups)
    found = Layout((h, w), (ho, wo), (kh, kw), strides, pads, c, o, groups, wo)
    if w == wo == kw == 1 and pads[1] == 0 and h > 1:
        turn = {name: getattr(found, name)[::-1] for name in ("x", "y", "kernel", "strides", "pads")}
        found = replace(found, turned=True, **turn)
    return found


def part_weights(node: Node, graph: Graph, to: Layout) -> list[list[Array]]:
    """For each phase of rows, for each part: int64 [groups, blocks, 4, 2 * pairs] in the order of columns, taps column
    by column; 0 where a pixel has no tap, one pair of 0 where none has any."""
    weights, groups = graph.constant(node.inputs[1]).astype(np.int64), node.attrs["groups"]
    if groups != to.groups:
        weights = side_by_side(weights, groups, groups // to.groups)
    if to.turned:
        weights = weights.swapaxes(1, 2)
    weights = np.pad(weights, [(0, 0), (0, 1), (0, 1), (0, 0)])  # tap -1 is 0

    def columns(phase: int, part: Part) -> Array:
        rows = np.arange(to.row_taps[phase])[::-1] * to.strides[0] + phase
        if len(rows) == 0 or part.taps == 0:
            count = (part.end - part.first) * to.y_channels // to.groups
            return packed(np.zeros((to.groups, count, 1, 2), np.int64))
        inputs = np.arange(part.begin, part.begin + part.taps) * to.strides[1]
        pixels = []
        for place in range(part.first, part.end):
            taps = place + to.pads[1] - inputs
            taps = np.where((taps >= 0) & (taps < to.kernel[1]), taps, -1)
            pixels.append(weights[:, rows][:, :, taps].swapaxes(1, 2))
        runs = np.concatenate(pixels)
        return packed(runs.reshape(to.groups, runs.shape[0] // to.groups, -1, to.run))

    return [[columns(phase, part) for part in to.parts] for phase in range(to.strides[0])]


def sums(node: Node, graph: Graph, weights: list[list[Array]]) -> str:
    """How the kernel computes, as conv2d_dsp: `affine`, `raw` or `plain`. Inputs outside count 0, so that what is
    proved of all taps holds for a phase's."""
    if rescaling(node, graph).form not in (Form.SHORT, Form.CLAMPED):
        return "plain"
    bias = graph.constant(node.inputs[2]).astype(np.int64)
    small = (np.abs(bias) < EXACT).all() and (channel_bounds(node, graph) < EXACT).all()
    if not small or not all(fit_halves(columns) for parts in weights for columns in parts):
        return "plain"
    return "raw" if affine(node, graph) is None else "affine"


class TransposeConvDsp(Kernel):
    name = "transpose_conv_dsp"
    ops = ("transpose_conv",)
    limits = ("sums that fit 32 bits, proved from the weights",)
    headers = Conv2DDsp.headers

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, within some percent."""
        to = layout(node, graph)
        way = sums(node, graph, part_weights(node, graph, to))
        clamp = 2.0 * to.y_channels * (output_range(node, graph) != limits(DType.INT8))
        rows = np.arange(to.y[0]) + to.pads[0]
        total = 200.0 + (clamp * to.y[0] * to.y[1] if way == "raw" else 0.0)
        for phase, taps in enumerate(to.row_taps):
            tops = rows[rows % to.strides[0] == phase] // to.strides[0] - taps + 1
            inside = np.add.outer(tops, np.arange(taps))
            share = float(((inside >= 0) & (inside < to.x[0])).mean()) if inside.size else 0.0
            total += len(tops) * row_cycles(to, way, STORED_AS[rescaling(node, graph).form], taps, share)
        return total

    def scratch(self, node: Node, graph: Graph) -> int:
        to = layout(node, graph)
        return 4 * to.column_words * (2 * to.batch - 2 + to.window)

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        rows, *others = transpose_conv_access(node, graph)
        to = layout(node, graph)
        if rows is not None and to.turned:  # rows are pixels: all inputs of some of them before their outputs
            forward = replace(rows, atomic=True, directions=(Direction.ASCENDING,))
            rows = forward if to.groups == 1 else None
        return (rows, *others)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        to = layout(node, graph)
        way = sums(node, graph, part_weights(node, graph, to))
        kinds = ["grouped" if to.groups > 1 else "", "" if way == "raw" else way]
        context = {"sums": way, "grouped": to.groups > 1}
        return "_".join([self.name, *filter(None, kinds)]), context

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        bound = f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights"
        way = sums(node, graph, part_weights(node, graph, layout(node, graph)))
        return bound, f"sums: {SUMS[way]}"

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        to = layout(node, graph)
        weights = part_weights(node, graph, to)
        way = sums(node, graph, weights)
        words = [interleave(columns, way != "plain") for parts in weights for columns in parts]
        begins = np.cumsum([0, *(w.size for w in words)]).reshape(-1)
        fields: dict[str, Value] = {
            "weights": tables.add(f"{layer}_weights", np.concatenate([w.reshape(-1) for w in words])),
            **output_fields(node, graph, to, way, tables, layer),
            "phases": tables.add(f"{layer}_phases", phase_table(to, begins)),
            "parts": len(to.parts),
            **place_fields(to, graph.type(node.inputs[0]).zero_point),
        }
        if to.groups > 1:
            fields |= {"groups": to.groups, "group_out": to.y_channels // to.groups}
            if way != "plain":
                fields["group_blocks"] = words[0].shape[1]
        rows = graph.type(node.outputs[0]).shape[1]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]


def times_of(to: Layout) -> list[int]:
    """How many pixels parts have, each number once."""
    return sorted({part.end - part.first for part in to.parts})


def output_fields(
    node: Node, graph: Graph, to: Layout, way: str, tables: Tables, layer: str
) -> dict[str, Value]:
    """Descriptor fields: bias and requantization of each channel, and as often as parts have pixels."""
    bias = graph.constant(node.inputs[2]).astype(np.int64)
    lo, hi = output_range(node, graph)
    if way == "plain":
        return {
            "output": output_dsp(node, graph, tables, layer, bias, max(times_of(to))),
            "form": STORED_AS[rescaling(node, graph).form],
        }
    make = affine_channels if way == "affine" else raw_channels
    records = [make(node, graph, to.groups, bias=bias, times=n).reshape(-1) for n in times_of(to)]
    fields: dict[str, Value] = {"channels": tables.add(f"{layer}_channels", np.concatenate(records))}
    if way == "raw":
        zero_point = graph.type(node.outputs[0]).zero_point
        fields |= {"rounding": 2 * zero_point + 1, "lo": lo, "hi": hi}
    return fields


def phase_table(to: Layout, begins: Array) -> Array:
    """int32 [row phases, 1 + parts * 7]: a phase's rows of taps; of each part its weights and its records of channels
    (as words before them), its columns (as words behind those of the window), pairs, channels, first pixel and end."""
    blocks = {n: to.groups * len(block_channels(n * to.y_channels // to.groups)) for n in times_of(to)}
    ends = dict(zip(blocks, np.cumsum(list(blocks.values())).tolist(), strict=True))
    table = []
    for phase, rows in enumerate(to.row_taps):
        table.append([rows])
        for i, part in enumerate(to.parts):
            times = part.end - part.first
            column = (part.begin - to.begin) * rows * 2 * to.run_pairs if part.taps else 0
            table[-1] += [
                int(begins[phase * len(to.parts) + i]),
                (ends[times] - blocks[times]) * RECORD,
                column,
                to.pairs(rows, part),
                times * to.y_channels // to.groups,
                part.first,
                part.end,
            ]
    return np.array(table, np.int32)


def place_fields(to: Layout, zero_point: int) -> dict[str, Value]:
    """Descriptor fields: where inputs and outputs lie."""
    return {
        "batch": to.batch,
        "window": to.window,
        "run": to.run,
        "x_height": to.x[0],
        "x_width": to.x[1],
        "x_channels": to.x_channels,
        "y_width": to.y[1],
        "y_channels": to.y_channels,
        "row_pixels": to.row_pixels,
        "stride_h": to.strides[0],
        "stride_w": to.strides[1],
        "pad_top": to.pads[0],
        "begin": to.begin,
        "x_zero_point": zero_point,
    }


def row_cycles(to: Layout, way: str, form: int, rows: int, share: float) -> float:
    """Cycles of an output row that has `rows` rows of taps, a `share` of which lies in the input."""
    groups = -(-to.y[1] // to.strides[1])
    batches = [0, *range(2 * to.batch, groups, 2 * to.batch), groups]
    total = 120.0
    for begin, end in pairwise(batches):
        count = end - begin
        columns = 2 * ((count + 1) // 2) - 1 + to.window
        at = np.arange(columns) + begin + to.begin
        inside = rows * share * float(((at >= 0) & (at < to.x[1])).sum())
        gather = 40.0 + 32 * columns + inside * run_cycles(to.run)
        gather += (rows * columns - inside) * (20 + 5 * to.run_pairs)
        total += 70.0 + to.groups * (gather if rows else 0.0)
        for part in to.parts:
            last = (groups - 1) * to.strides[1] + part.end <= to.y[1]
            pixels = count if end < groups or last else count - 1
            total += to.groups * part_cycles(to, way, form, to.pairs(rows, part), part, pixels)
    return total


def run_cycles(run: int) -> float:
    """Cycles of gathering one tap's input channels."""
    return 26.0 + 23 * (run // 8) + 14 * (run % 8 // 4) + 22 * (run % 4 > 0)


def part_cycles(to: Layout, way: str, form: int, pairs: int, part: Part, pixels: int) -> float:
    """Cycles of a part's products for some groups of pixels."""
    count = (part.end - part.first) * to.y_channels // to.groups
    blocks, twos, calls = len(block_channels(count)), (pixels + 1) // 2, (pixels > 1) + pixels % 2
    if way == "plain":
        block = (450.0 if form == 0 else 560.0) + 18 * pairs + 6 * -(-pairs // 4)
        return 60.0 + twos * (blocks * block + 60)
    block = (74.0 if way == "affine" else 106.0) + 15 * pairs + 6 * -(-pairs // 16)
    if count < 4:
        return 60.0 + twos * (block + 180 + 14 * count)
    return 60.0 + twos * (blocks * block + 30) + 80.0 * calls * (1 + (count % 4 > 0))
