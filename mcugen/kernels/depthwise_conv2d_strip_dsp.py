"""depthwise_conv2d for cores with the DSP extension, by strips: what one output row needs of four input channels is copied
to scratch as int16, where a multiplication does two taps and every word serves several outputs.

A word holds two taps of one channel: of two neighbouring rows of the filter, or, if it has one row, of two neighbouring
columns. Rows of words that belong to two rows of x are planes. A strip is int16 [column][plane][channel 0..3][2];
x around its borders is its zero point, which is in the bias. The C function walks a row four outputs at a time; the
taps are unrolled, and `schedule` says which words are in registers when. One column of x is done as if it were a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import Array, Graph, Node
from mcugen.kernels.conv2d_portable import accumulator_bound, reject_overflow
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, window_row_access
from mcugen.kernels.output_affine import SCALE, affine
from mcugen.kernels.output_dsp import Form, folded_bias, rescaling, wrapped
from mcugen.ops.conv2d import output_range

OUTPUTS = 4  # at a time: their sums stay in registers
CHANNELS = 4  # of x in a strip
WORD = 4 * CHANNELS  # bytes from a word to the next one of its channel
REGISTERS = ("r2", "r3", "r4", "r5", "r6", "r7", "lr")  # for words of x and weights
UNROLLED, MOST_UNROLLED = 9, 16  # taps, in pairs: as many as are worth their code, and what one row may need
REACH = 4095  # bytes that an instruction adds to an address
FAST = ("affine", "short")  # forms that the instructions compute


@dataclass(frozen=True)
class Batch:
    """Words to load, then products of words in registers: (register, base, bytes), (output, weights, x)."""

    loads: tuple[tuple[str, str, int], ...]
    products: tuple[tuple[int, str, str], ...]


@lru_cache(maxsize=256)
def schedule(taps: tuple[int, ...], step: int) -> tuple[Batch, ...]:
    """Loads and products of four outputs whose first words lie `step` words apart; taps: words from there. As many taps
    at once as there are registers for, and what a later one needs stays in them."""

    def operands(t: int) -> list[tuple[str, int]]:
        return [("w", t), *(("x", taps[t] + k * step) for k in range(OUTPUTS))]

    def next_use(operand: tuple[str, int], t: int) -> int:
        return next((u for u in range(t, len(taps)) if operand in operands(u)), len(taps))

    held: dict[tuple[str, int], str] = {}
    batches, t = [], 0
    while t < len(taps):
        end, needed = t + 1, dict.fromkeys(operands(t))
        while end < len(taps) and len(needed | dict.fromkeys(operands(end))) <= len(REGISTERS):
            needed |= dict.fromkeys(operands(end))
            end += 1
        loads = [operand for operand in needed if operand not in held]
        spare = sorted((o for o in held if o not in needed), key=lambda o: next_use(o, end))
        while len(held) + len(loads) > len(REGISTERS):
            del held[spare.pop()]
        free = [r for r in REGISTERS if r not in held.values()]
        held |= {operand: free.pop(0 if operand[0] == "w" else -1) for operand in loads}
        batches.append(
            Batch(
                tuple((held[o], *(("r1", 4 * o[1]) if o[0] == "w" else ("r0", WORD * o[1]))) for o in loads),
                tuple(
                    (k, held["w", u], held["x", taps[u] + k * step])
                    for u in range(t, end)
                    for k in range(OUTPUTS)
                ),
            )
        )
        t = end
    return tuple(batches)


@dataclass(frozen=True)
class Layout:
    """How a layer is done by strips. Extents as (height, width)."""

    x: tuple[int, int]
    y: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int]
    channels: int
    each: int  # output channels of an input channel
    flat: bool  # columns of the tensors are rows here
    rows: int  # of the filter
    planes: int  # of the strip
    every: int  # columns of x per column of the strip
    outer: int  # turns of the unrolled taps
    outer_step: int  # words from one turn to the next
    step: int  # words from one output to the next
    apart: int  # columns of the strip from one tap to the next
    taps: tuple[int, ...]  # unrolled: words from the output's first one
    sources: tuple[tuple[int, int], ...]  # [outer * taps]: bottom and top half's place in the filter, or -1
    columns: int  # of the strip

    @property
    def groups(self) -> int:
        """Of four outputs in a row."""
        return -(-self.y[1] // OUTPUTS)

    @property
    def weights(self) -> int:
        """Words of weights per output channel, a multiple of four."""
        return -(-len(self.sources) // 4) * 4


def layout(node: Node, graph: Graph) -> Layout:
    (_, h, w, c), (_, ho, wo, o) = (graph.type(t).shape for t in (node.inputs[0], node.outputs[0]))
    _, kh, kw, _ = graph.type(node.inputs[1]).shape
    strides, dilations, pads = node.attrs["strides"], node.attrs["dilations"], node.attrs["pads"][:2]
    flat = (w, wo, kw, pads[1]) == (1, 1, 1, 0) and ho > 1
    if flat:
        (h, w), (ho, wo), (kh, kw) = (w, h), (wo, ho), (kw, kh)
        strides, dilations, pads = strides[::-1], dilations[::-1], pads[::-1]
    pairs = -(-kh // 2)  # of rows
    along, apart = (kw, dilations[1]) if kh > 1 else (-(-kw // 2), 2 * dilations[1])
    every = gcd(strides[1], apart) if along > 1 else strides[1]
    apart, stride = apart // every if along > 1 else 0, strides[1] // every
    if pairs == 1:  # turns go along the row
        outer = -(-along // UNROLLED)
        inner, planes = -(-along // outer), 1
        outer_step, part = inner * apart, 1
    else:
        part = max(min(UNROLLED // along, pairs), 1)
        outer = -(-pairs // part)
        part = -(-pairs // outer)
        inner, planes, outer_step = along, outer * part, part
    order = sorted(
        ((j * apart * planes + p, p, j) for p in range(part) for j in range(inner)),
        key=lambda tap: (tap[0] % (stride * planes), tap[0]),
    )

    def place(i: int, j: int) -> int:
        return i * kw + j if i < kh and j < kw else -1

    def source(turn: int, p: int, j: int) -> tuple[int, int]:
        if pairs == 1:
            j += turn * inner
        row = 2 * (turn * part + p) if pairs > 1 else 0
        return (place(row, j), place(row + 1, j)) if kh > 1 else (place(0, 2 * j), place(0, 2 * j + 1))

    last = (inner * (outer if pairs == 1 else 1) - 1) * apart
    return Layout(
        (h, w),
        (ho, wo),
        strides,
        dilations,
        pads,
        c,
        o // c,
        flat,
        kh,
        planes,
        every,
        outer,
        outer_step,
        stride * planes,
        apart,
        tuple(at for at, _, _ in order),
        tuple(source(turn, p, j) for turn in range(outer) for _, p, j in order),
        (OUTPUTS * -(-wo // OUTPUTS) - 1) * stride + last + 1,
    )


@dataclass(frozen=True)
class Part:
    """Columns of the strip that are copied alike: the first, how many, and the columns of x of both halves, or None."""

    first: int
    count: int
    x: tuple[int | None, int | None]


def parts(at: Layout) -> list[Part]:
    """All columns that lie inside of x by one of their halves."""
    shifts = (0, 0 if at.rows > 1 else at.dilations[1])
    inside = []
    for shift in shifts:
        first = -((shift - at.pads[1]) // at.every)
        end = -((shift - at.pads[1] - at.x[1]) // at.every)
        inside.append((min(max(first, 0), at.columns), min(max(end, 0), at.columns)))
    edges = sorted({edge for both in inside for edge in both})
    found = []
    for first, end in zip(edges, edges[1:], strict=False):
        x = tuple(
            first * at.every - at.pads[1] + shift if low <= first < high else None
            for shift, (low, high) in zip(shifts, inside, strict=True)
        )
        if x != (None, None):
            found.append(Part(first, end - first, (x[0], x[1])))
    return found


def channel_records(at: Layout, weights: Array, heads: Array) -> Array:
    """The kernel's table int32 [O, n]: heads [O, k], then bytes of the weights, two taps per word: their bottom
    halves, bytes 0 and 1, top halves, bytes 2 and 3. weights: int8 [taps, O]."""
    taps = np.full((at.weights, 2), -1)
    taps[: len(at.sources)] = at.sources
    padded = np.concatenate([weights, np.zeros((1, weights.shape[1]), np.int8)])
    halves = padded[taps].reshape(-1, 2, 2, weights.shape[1])  # word, tap, half, channel
    packed = halves.transpose(3, 0, 2, 1).reshape(weights.shape[1], -1).view("<i4")
    return np.concatenate([wrapped(heads), packed.astype(np.int32)], axis=1)


class DepthwiseConv2DStripDsp(Kernel):
    name = "depthwise_conv2d_strip_dsp"
    ops = ("depthwise_conv2d",)
    limits = (
        f"filters of at most {MOST_UNROLLED} columns, or of one row",
        "strides and filters that keep four outputs within 4 kB of int16",
        "sums that fit 32 bits, proved from the weights",
    )
    headers = ("mcugen_dsp.h", "mcugen_output_dsp.h", "mcugen_output_affine.h")

    def serves(self, board: Board) -> bool:
        return board.isa.dsp

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        at = layout(node, graph)
        if len(at.taps) > MOST_UNROLLED:
            return f"filters of more than {MOST_UNROLLED} columns"
        reach = max(at.taps) + (OUTPUTS - 1) * at.step
        if WORD * max(reach, OUTPUTS * at.step + at.outer * at.outer_step) > REACH:
            return "outputs whose inputs lie too far apart"
        return reject_overflow(node, graph)

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """Model cycles of a Cortex-M4, from the code's structure."""
        at, form = layout(node, graph), self.form(node, graph)
        batches = schedule(at.taps, at.step)
        turn = sum(len(b.loads) + 1 + len(b.products) for b in batches) + (6 if at.outer > 1 else 0)
        group = at.outer * turn + {"affine": 34, "short": 44}.get(form, 18)
        channel = 30 + at.weights // 4 * (16 if form == "affine" else 22) + at.groups * group
        if form not in FAST:
            channel += 100 + (25 if form == Form.CLAMPED else 50) * at.y[1]
        copy = sum(70 + 16.5 * part.count for part in parts(at)) * -(-at.rows // 2)
        blocks = -(-at.channels // CHANNELS)
        calls = blocks if at.each == 1 else at.channels
        row = 60 + blocks * (60 + copy) + calls * 110 + at.channels * at.each * channel
        return at.y[0] * row + 100 + 9.0 * at.columns * at.planes

    def scratch(self, node: Node, graph: Graph) -> int:
        at = layout(node, graph)
        sums = 0 if self.form(node, graph) in FAST else 4 * OUTPUTS * at.groups
        return 4 * at.weights + WORD * at.columns * at.planes + sums

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        if layout(node, graph).flat:
            return (None, None, None)
        return (window_row_access(node, graph, graph.type(node.inputs[1]).shape[1]), None, None)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        return (f"|accumulator| <= {accumulator_bound(node, graph):,}, proved from the weights",)

    def form(self, node: Node, graph: Graph) -> str:
        """How outputs are made of sums: `affine`, or a form of mcugen_output_dsp.h."""
        return "affine" if affine(node, graph) is not None else rescaling(node, graph).form.value

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        at, form = layout(node, graph), self.form(node, graph)
        few = at.channels < CHANNELS
        turn = f"{len(at.taps)}x{at.outer}"
        name = f"{self.name}_{turn}_p{at.planes}_s{at.step}_d{at.apart}_{form}{'_few' if few else ''}"
        context = {
            "form": form,
            "fast": form in FAST,
            "few": few,
            "heads": 2 if form == "affine" else 3,
            "batches": schedule(at.taps, at.step),
            "outer": at.outer,
            "outer_step": WORD * at.outer_step,
            "turn": 4 * len(at.taps),
            "back": WORD * at.outer * at.outer_step if at.outer > 1 else 0,
            "group": WORD * OUTPUTS * at.step,
            "taps": at.taps,
            "step": at.step,
            "words": at.weights,
            "planes": at.planes,
        }
        return name, context

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        at, found = layout(node, graph), affine(node, graph)
        bias, y = folded_bias(node, graph), graph.type(node.outputs[0])
        more: dict[str, Value] = {}
        if found is not None:
            heads = np.stack([SCALE * bias + found.offset, found.multiplier.astype(np.int64)], axis=1)
        else:
            scaling = rescaling(node, graph)
            short = scaling.form is Form.SHORT
            shift = -scaling.shift if short else scaling.shift
            heads = np.stack([2 * bias if short else bias, scaling.multiplier, shift], axis=1)
            more["rounding"] = 2 * y.zero_point + 1
            if not short:
                more["lo"], more["hi"] = output_range(node, graph)
        weights = graph.constant(node.inputs[1])
        records = channel_records(at, weights.reshape(-1, weights.shape[3]), heads)
        copied = [
            (p.first, p.count, *(-1 if x is None else x * at.channels for x in p.x)) for p in parts(at)
        ]
        nothing = (0, 0, -1, -1)
        fields: dict[str, Value] = {
            "channels": tables.add(f"{layer}_channels", records),
            **more,
            "x_zero_point": graph.type(node.inputs[0]).zero_point,
            "x_height": at.x[0],
            "x_row": at.x[1] * at.channels,
            "x_channels": at.channels,
            "x_step": at.every * at.channels,
            "y_width": at.y[1],
            "depth_multiplier": at.each,
            "kernel_height": at.rows,
            "stride_h": at.strides[0],
            "dilation_h": at.dilations[0],
            "pad_top": at.pads[0],
            "columns": at.columns,
            "part": tuple((copied + [nothing] * 3)[:3]),
        }
        return [Call(fields, (node.inputs[0],), node.outputs[0], rows=at.y[0])]
