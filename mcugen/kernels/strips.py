"""Depthwise convolution by strips: how rows of x are laid out as words of two int16, and which are in registers when.

A word holds two taps of one channel: of two neighbouring rows of the filter or, if it has one row, of two neighbouring
columns. Words of the same two rows of x are a plane. A strip is int16 [column][plane][channel 0..3][2]. It is what one
output row needs, or two that share most of their rows: where the second begins an odd number of rows below the first,
its filter is paired from one row above. Weights lie column by column, so that these pairs follow from the others: the
filter has an odd number of rows then, whose last one is paired with nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

from mcugen.ir import Graph, Node

OUTPUTS = 4  # at a time: their sums stay in registers
CHANNELS = 4  # of x in a strip
WORD = 4 * CHANNELS  # bytes from a word to the next one of its channel
ROWS = 2  # of the output, at most, that share a strip
UNROLLED = 15  # pairs of taps: as many as are worth their code
REGISTERS = ("r2", "r3", "r4", "r5", "r6", "r7", "lr")  # for words of x and weights


@dataclass(frozen=True)
class Batch:
    """Words to load, then products of words in registers: (register, base, bytes), (output, weights, x)."""

    loads: tuple[tuple[str, str, int], ...]
    products: tuple[tuple[int, str, str], ...]


@lru_cache(maxsize=256)
def schedule(taps: tuple[tuple[int, int], ...], step: int) -> tuple[Batch, ...]:
    """Loads and products of four outputs whose first words lie `step` words apart; taps: words from there, and the word
    of their weights. As many taps at once as there are registers for, and what a later one needs stays in them."""

    def operands(t: int) -> list[tuple[str, int]]:
        at, weights = taps[t]
        return [("w", weights), *(("x", at + k * step) for k in range(OUTPUTS))]

    def next_use(operand: tuple[str, int], t: int) -> int:
        return next((u for u in range(t, len(taps)) if operand in operands(u)), len(taps))

    def load(operand: tuple[str, int]) -> tuple[str, str, int]:
        base, scale = ("r1", 4) if operand[0] == "w" else ("r0", WORD)
        return held[operand], base, scale * operand[1]

    held: dict[tuple[str, int], str] = {}
    batches, t = [], 0
    while t < len(taps):
        end, needed = t + 1, dict.fromkeys(operands(t))
        while end < len(taps) and len(needed | dict.fromkeys(operands(end))) <= len(REGISTERS):
            needed |= dict.fromkeys(operands(end))
            end += 1
        missing = [operand for operand in needed if operand not in held]
        spare = sorted((o for o in held if o not in needed), key=lambda o: next_use(o, end))
        while len(held) + len(missing) > len(REGISTERS):
            del held[spare.pop()]
        free = [r for r in REGISTERS if r not in held.values()]
        held |= {operand: free.pop(0 if operand[0] == "w" else -1) for operand in missing}
        products = (
            (k, held["w", taps[u][1]], held["x", taps[u][0] + k * step])
            for u in range(t, end)
            for k in range(OUTPUTS)
        )
        batches.append(Batch(tuple(load(operand) for operand in missing), tuple(products)))
        t = end
    return tuple(batches)


@dataclass(frozen=True)
class Layout:
    """How a layer is done by strips. Extents as (height, width); words are those of one channel."""

    x: tuple[int, int]
    y: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int]
    flat: bool  # x and y are one column wide, which is taken as a row: the bytes are the same
    together: int  # output rows that share a strip, ROWS or 1
    rows: int  # of x in the strip
    planes: int  # of the strip
    every: int  # columns of x per column of the strip
    columns: int  # of the strip
    part: int  # planes in one turn of the unrolled taps
    outer: int  # turns: from plane to plane, or along the only one
    outer_step: int  # words from one turn to the next
    weights_step: int  # the same of weights
    step: int  # words from one output to the next
    apart: int  # columns of the strip from one tap to the next
    taps: tuple[tuple[int, int], ...]  # unrolled: words from the output's first one; place of the weights
    pairs: int  # of taps

    @property
    def shape(self) -> str:
        """A name of all that the unrolled taps depend on."""
        turn = f"{self.outer}x{self.part}x{len(self.taps) // self.part}"
        return f"{turn}_p{self.planes}_s{self.step}_d{self.apart}{'_odd' if self.second[1] else ''}"

    @property
    def groups(self) -> int:
        """Of four outputs in a row."""
        return -(-self.y[1] // OUTPUTS)

    @property
    def weights(self) -> int:
        """Words of weights per output channel, a multiple of four."""
        return -(-self.pairs // 4) * 4

    @property
    def second(self) -> tuple[int, int]:
        """Of the second output row of a strip: planes and rows from the first one's to its own."""
        return divmod(self.strides[0] // self.dilations[0] if self.together > 1 else 0, 2)

    def sources(self) -> list[tuple[int, int]]:
        """Of all pairs of taps, as their weights lie: the bottom and the top half's place in the filter [kh * kw], -1
        where it has none."""
        (kh, kw), found = self.kernel, []
        planes = self.outer * self.part if kh > 2 else 1
        for pair in range(self.pairs):
            j, p = divmod(pair, planes)
            both = ((2 * p, j), (2 * p + 1, j)) if kh > 1 else ((0, 2 * j), (0, 2 * j + 1))
            first, second = (a * kw + b if a < kh and b < kw else -1 for a, b in both)
            found.append((first, second))
        return found


def layout(node: Node, graph: Graph) -> Layout:
    """Of a depthwise convolution."""
    x, w, y = (graph.type(t).shape[1:3] for t in (*node.inputs[:2], node.outputs[0]))
    seen = (x, y, w, node.attrs["strides"], node.attrs["dilations"], node.attrs["pads"][:2])
    flat = (x[1], y[1], w[1], node.attrs["pads"][1]) == (1, 1, 1, 0) and y[0] > 1
    x, y, kernel, strides, dilations, pads = ((b, a) if flat else (a, b) for a, b in seen)
    (kh, kw), pairs = kernel, -(-kernel[0] // 2)
    below, rest = divmod(strides[0], dilations[0])  # rows from an output to the next, in those of the filter
    share = 2 < kh >= below and y[0] > 1 and rest == 0 and (kh % 2 == 1 or below % 2 == 0)
    rows = kh + (below if share else 0)
    along, apart = (kw, dilations[1]) if kh > 1 else (-(-kw // 2), 2 * dilations[1])
    every = gcd(strides[1], apart) if along > 1 else strides[1]
    apart, stride = apart // every if along > 1 else 0, strides[1] // every
    if pairs == 1:
        outer = -(-along // UNROLLED)
        inner, part, planes = -(-along // outer), 1, 1
        length, outer_step = inner * outer, inner * apart
    else:
        outer = -(-pairs // max(min(UNROLLED // along, pairs), 1))
        part = outer_step = -(-pairs // outer)
        inner = length = along
        planes = max(outer * part + (rows - kh) // 2, -(-rows // 2))
    step, column = stride * planes, outer * part if pairs > 1 else 1
    taps = ((j * apart * planes + p, j * column + p) for p in range(part) for j in range(inner))
    return Layout(
        *(x, y, kernel, strides, dilations, pads, flat),
        together=ROWS if share else 1,
        rows=rows,
        planes=planes,
        every=every,
        columns=(OUTPUTS * -(-y[1] // OUTPUTS) - 1) * stride + (length - 1) * apart + 1,
        part=part,
        outer=outer,
        outer_step=outer_step,
        weights_step=part if pairs > 1 else inner,
        step=step,
        apart=apart,
        taps=tuple(sorted(taps, key=lambda tap: (tap[0] % step, tap[0]))),
        pairs=length * column,
    )


@dataclass(frozen=True)
class Part:
    """Columns of the strip that are copied alike: the first, how many, and the columns of x of both halves, or None."""

    first: int
    count: int
    x: tuple[int | None, int | None]


def parts(at: Layout) -> list[Part]:
    """All columns that lie inside of x by one of their halves."""
    shifts = (0, 0 if at.kernel[0] > 1 else at.dilations[1])
    inside = []
    for shift in shifts:
        first, end = (-((shift - at.pads[1] - size) // at.every) for size in (0, at.x[1]))
        inside.append((min(max(first, 0), at.columns), min(max(end, 0), at.columns)))
    edges = sorted({edge for both in inside for edge in both})
    found = []
    for first, end in zip(edges, edges[1:], strict=False):
        a, b = (
            first * at.every - at.pads[1] + shift if low <= first < high else None
            for shift, (low, high) in zip(shifts, inside, strict=True)
        )
        if (a, b) != (None, None):
            found.append(Part(first, end - first, (a, b)))
    return found
