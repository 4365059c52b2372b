"""conv2d and fully_connected for the DSP extension: inputs of two pixels as int16 columns, then one product of
matrices, 2 pixels by 4 output channels at a time.

Columns hold the window's bytes run by run (neighbouring bytes of one row of the input, or of one tap where taps are
not neighbours), in the order in which SXTB16 takes a word apart; weights are packed in the same order.

Three ways of computing sums. *Raw*: two weights in one half, H = w0 + 256 * w1, with the requantization in the same
function; for every channel the generator proves that H fits, |acc| < 2^23, and the conditions of Form.SHORT. *Affine*:
the same where output_affine.py finds the shortest requantization. *Plain*: any weights, shifts and sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mcugen.access import Access, Direction
from mcugen.boards import Board
from mcugen.ir import Array, DType, Graph, Node
from mcugen.kernels.conv2d_portable import Geometry, accumulator_bound, geometry, reject_overflow
from mcugen.kernels.kernel import Call, Kernel, Tables, Value
from mcugen.kernels.output_affine import SCALE, affine
from mcugen.kernels.output_dsp import (
    Form,
    channel_bounds,
    folded_bias,
    output_dsp,
    rescaling,
    wrapped,
)
from mcugen.ops.conv2d import output_range
from mcugen.ops.op import limits

BATCH = 8  # twos of pixels at most, if their columns take no more than
BATCH_BYTES = 256
BATCH_SHARE = 64  # and this part of the layer's inputs and outputs
# Of each way to compute sums, what the layer's comment says.
SUMS = {
    "affine": "two in a word, requantized by one multiplication, proved equal at every step of the output",
    "raw": "two in a word",
    "plain": "plain",
}
EXACT = 1 << 23  # |acc| below: a sum times 256 wraps without loss


STORED_AS = {Form.SHORT: 0, Form.CLAMPED: 0, Form.SHIFTED: 1, Form.WIDE: 2}  # MCUGEN_OUTPUT_...


@dataclass(frozen=True)
class Window:
    """A layer as the kernel walks over it: rows of the input are made longer where they follow each other."""

    g: Geometry
    row_pixels: int  # output pixels of one output row of the tensor
    span: int  # columns of one run
    runs: int  # runs of one row of the window

    @property
    def run(self) -> int:
        """Bytes of a run."""
        return self.span * self.g.x_channels // self.g.groups

    @property
    def pairs(self) -> int:
        """Pairs of inputs in a column, a run of odd length, or an odd number of planes, filled up."""
        taps = self.g.kernel[0] * self.runs
        if self.across:
            return taps * ((self.g.planes + 1) // 2)
        return self.g.planes * taps * ((self.run + 1) // 2)

    @property
    def across(self) -> bool:
        """Whether inputs of several planes are paired, rather than neighbours in one."""
        return self.g.planes > 1 and self.run == 1

    @property
    def batch(self) -> int:
        """Twos of pixels whose columns are gathered before any of them is computed."""
        g = self.g
        size = g.x[0] * g.x[1] * g.x_channels * g.planes + g.y[0] * g.y[1] * g.y_channels
        most = min(BATCH_BYTES, size // BATCH_SHARE) // (8 * self.pairs)
        return min(max(most, 1), BATCH) if g.groups == 1 else 1

    @property
    def constant_run(self) -> int:
        """Bytes of a run where the C function is to know it: of first layers, whose inputs have few channels."""
        g = self.g
        short = self.run < 16 and g.kernel[0] > 1
        return self.run if short and self.runs == g.groups == 1 and not self.across else 0

    @property
    def inside(self) -> tuple[int, int]:
        """How many rows and columns of the input a window can begin at without reaching out of it."""
        g = self.g
        extents = [(k - 1) * d + 1 for k, d in zip(g.kernel, g.dilations, strict=True)]
        return max(g.x[0] - extents[0] + 1, 0), max(g.x[1] - extents[1] + 1, 0)

    @property
    def inside_shares(self) -> tuple[float, float]:
        """Which share of the output's rows and columns have windows that do not reach out of the input."""
        g = self.g
        axes = [np.arange(y) * s - p for y, s, p in zip(g.y, g.strides, g.pads, strict=True)]
        rows, columns = (
            float(((at >= 0) & (at < end)).mean()) for at, end in zip(axes, self.inside, strict=True)
        )
        return rows, columns

    @property
    def padded(self) -> bool:
        """Whether some window reaches out of the input."""
        g = self.g
        last = [(y - 1) * s - p for y, s, p in zip(g.y, g.strides, g.pads, strict=True)]
        return any(g.pads) or last[0] >= self.inside[0] or last[1] >= self.inside[1]

    @property
    def pointwise(self) -> bool:
        """Whether output pixel t is of input pixel t alone."""
        g = self.g
        return (
            g.kernel == g.strides == (1, 1) and g.groups == g.planes == 1 and g.x == g.y and not self.padded
        )


def merged_groups(groups: int, group_out: int) -> int:
    """How many groups are computed as one, their weights 0 for each other's inputs: as many as have together no more
    than the four outputs that are computed at least."""
    return max(m for m in range(1, max(4 // group_out, 1) + 1) if groups % m == 0)


def window(node: Node, graph: Graph) -> Window:
    """How the kernel walks over a layer."""
    g = geometry(node, graph)
    g = replace(g, groups=g.groups // merged_groups(g.groups, g.y_channels // g.groups))
    row_pixels = g.y[1]
    whole_rows = g.kernel[1] == g.x[1] and g.y[1] == 1 and g.pads[1] == 0 and g.groups == g.planes == 1
    if g.kernel == g.strides == (1, 1) and g.pads == (0, 0) and g.x == g.y:  # pixels are one row
        pixels = (1, g.x[0] * g.x[1])
        g = replace(g, x=pixels, y=pixels)
    elif whole_rows and (g.dilations[1] == 1 or g.kernel[1] == 1):  # a row is one long pixel
        g = replace(
            g,
            x=(1, g.x[0]),
            y=(1, g.y[0]),
            kernel=(1, g.kernel[0]),
            strides=(1, g.strides[0]),
            dilations=(1, g.dilations[0]),
            pads=(0, g.pads[0]),
            x_channels=g.x_channels * g.x[1],
        )
    joined = g.groups == 1 and (g.dilations[1] == 1 or g.kernel[1] == 1)
    ways = [Window(g, row_pixels, g.kernel[1] if joined else 1, 1 if joined else g.kernel[1])]
    if g.planes > 1 and joined:
        ways.append(Window(g, row_pixels, 1, g.kernel[1]))
    blocks = -(-g.y_channels // 4)  # of like cost the first: a gather with constants in it is a little faster
    return min(ways, key=lambda w: (gather_cycles(w) + 15 * w.pairs * blocks) * (1.06 if w.across else 1))


def block_channels(channels: int, block: int = 4) -> Array:
    """int64 [blocks, block]: the channels of each block. The last block begins early rather than end late; where
    there are too few for one, -1 stands for none."""
    if channels < block:
        return np.array([[*range(channels), *[-1] * (block - channels)]])
    starts = [*range(0, channels - block + 1, block), *([channels - block] if channels % block else [])]
    return np.asarray(np.add.outer(np.array(starts), np.arange(block)))


def run_order(run: int) -> Array:
    """Indices into a run by their place in the column: fours as SXTB16 takes them, the rest as it comes."""
    fours = np.arange(run // 4 * 4).reshape(-1, 2, 2).transpose(0, 2, 1).reshape(-1)
    return np.concatenate([fours, np.arange(run // 4 * 4, run)])


def column_weights(node: Node, graph: Graph, w: Window, order: Callable[[int], Array] = run_order) -> Array:
    """int64 [groups, blocks, 4, 2 * pairs]: weights in the order of columns, 0 where nothing is."""
    weights, g = graph.constant(node.inputs[1]).astype(np.int64), w.g
    if w.across:
        return packed(weights.reshape(1, g.y_channels, -1, g.planes), np.arange)
    if g.planes > 1:
        weights = weights.transpose(0, 3, 1, 2)
    elif g.groups != (groups := geometry(node, graph).groups):
        weights = side_by_side(weights, groups, groups // g.groups)
    by_tap = weights.reshape(g.groups, g.y_channels // g.groups, g.planes, g.kernel[0], w.runs, w.run)
    return packed(by_tap.swapaxes(3, 4).reshape(*by_tap.shape[:2], -1, w.run), order)


def packed(runs: Array, order: Callable[[int], Array] = run_order) -> Array:
    """int64 [groups, blocks, 4, 2 * pairs] of weights [groups, channels, runs, run] as columns take them."""
    run = runs.shape[3]
    columns = np.pad(runs[..., order(run)], [(0, 0)] * 3 + [(0, run % 2)])
    columns = np.pad(columns.reshape(*runs.shape[:2], -1), [(0, 0), (0, 1), (0, 0)])  # channel -1 is 0
    return columns[:, block_channels(runs.shape[1])]


def side_by_side(weights: Array, groups: int, merged: int) -> Array:
    """[O, kh, kw, merged * I] of [O, kh, kw, I] in groups: those of `merged` of them beside each other, 0 elsewhere."""
    o, kh, kw, i = weights.shape
    wide = np.zeros((o, kh, kw, merged, i), weights.dtype)
    channels = np.arange(o)
    wide[channels, :, :, channels // (o // groups) % merged] = weights
    return wide.reshape(o, kh, kw, merged * i)


def by_block(values: Array, groups: int, fill: int, block: int = 4) -> Array:
    """[groups, blocks, block] of values per output channel."""
    each = np.pad(values.reshape(groups, -1), [(0, 0), (0, 1)], constant_values=fill)
    return np.asarray(each[:, block_channels(values.size // groups, block)])


def interleave(columns: Array, raw: bool) -> Array:
    """uint32 [groups, blocks, pairs, channels / 2] of [groups, blocks, channels, 2 * pairs]: bytes w0[k], w1[k],
    w0[k + 1], w1[k + 1] of two channels, or halves w0 + 256 * w1."""
    first, second = (
        columns[:, :, i::2].reshape(*columns.shape[:2], columns.shape[2] // 2, -1, 2) for i in (0, 1)
    )
    halves = (first + 256 * second if raw else (first & 255) + ((second & 255) << 8)) & 0xFFFF
    words = halves[..., 0] | halves[..., 1] << 16
    return words.swapaxes(2, 3).astype(np.uint32)


def fits_raw(node: Node, graph: Graph, columns: Array) -> bool:
    """Whether the conditions of raw sums and of the short requantization hold for every channel, whose weights are
    [groups, blocks, channels, k]."""
    if rescaling(node, graph).form not in (Form.SHORT, Form.CLAMPED) or not fit_halves(columns):
        return False
    bounds = by_block(channel_bounds(node, graph), columns.shape[0], 0, columns.shape[2])
    small = (np.abs(folded_bias(node, graph)) < EXACT).all() and (bounds[:, :, 1::2] < EXACT).all()
    return bool(small)


def fit_halves(columns: Array) -> bool:
    """Whether w0 + 256 * w1 of each two channels of [groups, blocks, channels, k] fits 16 bits."""
    halves = columns[:, :, 0::2] + 256 * columns[:, :, 1::2]
    return bool(halves.min() >= -(1 << 15) and halves.max() < 1 << 15)


def sums(node: Node, graph: Graph) -> str:
    """How conv2d_dsp computes: `affine`, `raw` or `plain`."""
    if not fits_raw(node, graph, column_weights(node, graph, window(node, graph))):
        return "plain"
    return "raw" if affine(node, graph) is None else "affine"


def pixel_access(node: Node, graph: Graph, w: Window) -> Access:
    """Pixel by pixel, a pixel's inputs before its outputs; only forward. Bytes, as elements are int8."""
    g = w.g
    t = np.arange(g.y[0] * g.y[1], dtype=np.int64)
    at = [divmod(t, g.y[1])[axis] * g.strides[axis] - g.pads[axis] for axis in (0, 1)]
    ends = [at[axis] + (g.kernel[axis] - 1) * g.dilations[axis] + 1 for axis in (0, 1)]
    inside = [(np.clip(a, 0, n), np.clip(e, 0, n)) for a, e, n in zip(at, ends, g.x, strict=True)]
    (top, bottom), (left, right) = inside
    begin = (top * g.x[1] + left) * g.x_channels
    end = ((bottom - 1) * g.x[1] + right) * g.x_channels + (g.planes - 1) * g.x[0] * g.x[1]
    empty = (top >= bottom) | (left >= right)
    begin, end = (np.where(empty, 0, side) for side in (begin, end))
    written = t * g.y_channels
    return Access(begin, end, written, written + g.y_channels, True, (Direction.ASCENDING,))


def pair_access(node: Node, graph: Graph, w: Window) -> Access:
    """Two pixels at a time, whose inputs are read until the last of the outputs of both is written."""
    one = pixel_access(node, graph, w)
    ends = np.minimum(one.write_end + w.g.y_channels, one.write_end[-1])
    return replace(one, write_end=ends, atomic=False)


def gather_cycles(w: Window) -> float:
    """Cycles of filling both columns of two pixels."""
    g, run = w.g, w.run
    row = 14.0 + 49 * (run // 16) + 27 * (run % 16 // 8) + 17 * (run % 8 // 4) + 25 * (run % 4 > 0)
    if w.pointwise:
        return row + 50 / w.batch
    if w.across:
        return 25.0 + g.kernel[0] * w.runs * (35 + 20.5 * (g.planes // 2) + 13 * (g.planes % 2))
    calls = g.planes * w.runs
    if w.constant_run:
        row *= 0.7
    inside = 110.0 + calls * (55 + g.kernel[0] * row)
    border = 110.0 + calls * g.kernel[0] * (150 + row + 2.5 * run)
    fits = w.inside_shares
    share = fits[0] * fits[1]
    return share * inside + (1 - share) * border


class Conv2DDsp(Kernel):
    name = "conv2d_dsp"
    ops = ("conv2d", "fully_connected")
    limits = ("sums that fit 32 bits, proved from the weights",)
    headers = (
        "mcugen_dsp.h",
        "mcugen_output_dsp.h",
        "mcugen_clamp_dsp.h",
        "mcugen_gemm_dsp.h",
        "mcugen_output_affine.h",
    )

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """As measured on the Cortex-M4, within some percent."""
        w = window(node, graph)
        g, pairs = w.g, w.pairs
        twos, group_out = (g.y[0] * g.y[1] + 1) // 2, g.y_channels // g.groups
        blocks = len(block_channels(group_out))
        way = sums(node, graph)
        if way != "plain":
            block = (72.0 if way == "affine" else 106.0) + 15 * pairs + 6 * -(-pairs // 16)
            calls = 110.0 * (1 + (group_out > 4 and group_out % 4 > 0)) / w.batch + 30
        else:
            block, calls = (
                (450.0 if STORED_AS[rescaling(node, graph).form] == 0 else 560.0)
                + 18 * pairs
                + 6 * -(-pairs // 4),
                60.0,
            )
        calls += 70.0 * (group_out < 4)  # outputs are copied
        clamp = 2.0 * g.y_channels * (output_range(node, graph) != limits(DType.INT8))
        return 200.0 + twos * (g.groups * (blocks * block + calls + gather_cycles(w)) + 2 * clamp)

    def scratch(self, node: Node, graph: Graph) -> int:
        w = window(node, graph)
        return 8 * w.pairs * w.batch + (2 * w.run if w.padded or w.across else 0)

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        w = window(node, graph)
        return ((pixel_access if w.g.groups == 1 else pair_access)(node, graph, w), None, None)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        w, way = window(node, graph), sums(node, graph)
        run, rows = w.constant_run, w.g.kernel[0]
        kinds = [
            "pointwise"
            if w.pointwise
            else "grouped"
            if w.g.groups > 1
            else "planes"
            if w.across
            else f"runs_{w.span}x{run // w.span}_{rows}"
            if run
            else "",
            "" if way == "raw" else way,
        ]
        context = {"sums": way, "pointwise": w.pointwise, "grouped": w.g.groups > 1, "across": w.across}
        return "_".join([self.name, *filter(None, kinds)]), {
            **context,
            "constant_run": run,
            "constant_rows": rows,
            "constant_span": w.span,
            "constant_bytes": w.run // w.span,
        }

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        bound = f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights"
        return bound, f"sums: {SUMS[sums(node, graph)]}"

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        w, way = window(node, graph), sums(node, graph)
        g = w.g
        words = interleave(column_weights(node, graph, w), way != "plain")
        zero_point, (lo, hi) = graph.type(node.outputs[0]).zero_point, output_range(node, graph)
        group_out = g.y_channels // g.groups
        fields: dict[str, Value] = {"weights": tables.add(f"{layer}_weights", words)}
        if way == "affine":
            fields["channels"] = tables.add(f"{layer}_channels", affine_channels(node, graph, g.groups))
        elif way == "raw":
            fields |= {
                "channels": tables.add(f"{layer}_channels", raw_channels(node, graph, g.groups)),
                "rounding": 2 * zero_point + 1,
                "lo": lo,
                "hi": hi,
            }
        else:
            fields |= {
                "output": output_dsp(node, graph, tables, layer),
                "form": STORED_AS[rescaling(node, graph).form],
            }
        fields |= {
            "pairs": w.pairs,
            "batch": w.batch,
            "row_pixels": w.row_pixels,
            "y_channels": g.y_channels,
            "group_out": group_out,
        }
        if not w.constant_run:
            fields["run"] = w.run
        if g.groups > 1:
            fields |= {"groups": g.groups, "group_weights": words[0].size}
        if g.groups > 1 and way != "plain":
            fields["group_blocks"] = len(block_channels(group_out))
        if not w.pointwise:
            fields |= place_fields(w, graph.type(node.inputs[0]).zero_point)
        rows = geometry(node, graph).y[0]
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=rows)]


def affine_channels(
    node: Node, graph: Graph, groups: int, bias: Array | None = None, times: int = 1
) -> Array:
    """int32 [groups, blocks, 8]: see mcugen_gemm_affine. `bias`: if not the folded one; `times`: how often the
    channels follow each other."""
    found = affine(node, graph)
    assert found is not None
    given = folded_bias(node, graph) if bias is None else bias
    values = (SCALE * given + found.offset, found.multiplier.astype(np.int64))
    first, multiplier = (by_block(np.tile(v, times), groups, 0) for v in values)
    return wrapped(np.concatenate([first, multiplier], axis=-1)[..., [0, 4, 5, 2, 6, 7, 1, 3]])


def place_fields(w: Window, zero_point: int) -> dict[str, Value]:
    """Descriptor fields: where windows lie in the input."""
    g = w.g
    fields: dict[str, Value] = {
        "planes": g.planes,
        "x_height": g.x[0],
        "x_width": g.x[1],
        "x_channels": g.x_channels,
        "y_width": g.y[1],
        "inside_rows": w.inside[0],
        "inside_columns": w.inside[1],
        "row_step": g.dilations[0] * g.x[1] * g.x_channels,
        "plane_step": g.x[0] * g.x[1],
        "stride_h": g.strides[0],
        "stride_w": g.strides[1],
        "dilation_h": g.dilations[0],
        "pad_top": g.pads[0],
        "pad_left": g.pads[1],
        "x_zero_point": zero_point,
    }
    return fields if w.constant_run else {**fields, **run_fields(w)}


def run_fields(w: Window) -> dict[str, Value]:
    """Descriptor fields: the runs of a window."""
    g = w.g
    return {
        "kernel_height": g.kernel[0],
        "runs": w.runs,
        "run_step": g.dilations[1] * g.x_channels,
        "dilation_w": g.dilations[1],
        "span": w.span,
        "span_channels": w.run // w.span,
    }


def raw_channels(
    node: Node, graph: Graph, groups: int, block: int = 4, bias: Array | None = None, times: int = 1
) -> Array:
    """int32 [groups, blocks, block, 2]: bias * 256 + right shift - 1, multiplier. `bias`, `times`: see
    affine_channels."""
    scaling = rescaling(node, graph)
    given = folded_bias(node, graph) if bias is None else bias
    values = (given, -scaling.shift - 1, scaling.multiplier)
    bias, shift, multiplier = (by_block(np.tile(v, times), groups, 0, block) for v in values)
    return wrapped(np.stack([bias * 256 + shift, multiplier], axis=-1))
