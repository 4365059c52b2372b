"""What a kernel room offers: one way of computing one or several operators in C on some cores.

A kernel is a file here, a template of the same name in templates/kernels/, and a test of the same name. Its C
function takes a `const` descriptor of type `<kernel>_t`, then its inputs, then its output, then, where it
computes rows, the range of output rows:

    static void conv2d_portable(const conv2d_portable_t *d, const int8_t *x, int8_t *y,
                                int32_t row_begin, int32_t row_end);

x and y point to row 0 of the tensors. Inputs and outputs may overlap as `access` declares: no `restrict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from mcugen.access import Access, Direction
from mcugen.boards import Board
from mcugen.ir import Array, DType, Graph, Node
from mcugen.kernels.code_bytes import code_bytes

C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "float32": "float",
}


@dataclass(frozen=True)
class TableRef:
    """A constant array of the generated library, by its C name without the library's prefix."""

    name: str


Value = (
    int | float | TableRef | tuple["Value", ...]
)  # a tuple initialises an array or a struct; floats are float32


@dataclass
class Tables:
    """Constant arrays of one library; equal arrays of one type are stored once."""

    arrays: dict[str, Array] = field(default_factory=dict)
    _known: dict[tuple[str, bytes], str] = field(default_factory=dict)

    def add(self, name: str, array: Array) -> TableRef:
        """Store a one-dimensional view of `array` (dtype one of C_TYPES, or float16, whose bits are stored) under
        `name`, or find its equal."""
        flat = np.ascontiguousarray(array).reshape(-1)
        flat = flat.view(np.uint16) if flat.dtype == np.float16 else flat
        assert flat.dtype.name in C_TYPES, flat.dtype
        key = (flat.dtype.name, flat.tobytes())
        if key not in self._known:
            unique = name
            while unique in self.arrays:
                unique += "_"
            self._known[key] = unique
            self.arrays[unique] = flat
        return TableRef(self._known[key])

    @property
    def bytes(self) -> int:
        """Of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())


@dataclass(frozen=True)
class Call:
    """One call of the kernel's function: descriptor fields, operands by tensor name, number of output rows."""

    fields: Mapping[str, Value]
    inputs: tuple[str, ...]
    output: str
    rows: int | None = None


class Kernel:
    """Base class of all kernels."""

    name: ClassVar[str]
    ops: ClassVar[tuple[str, ...]]
    types: ClassVar[tuple[tuple[DType, DType], ...]] = ((DType.INT8, DType.INT8),)  # see element_types
    headers: ClassVar[tuple[str, ...]] = ()  # of runtime_c, beside mcugen_fixed.h
    template: ClassVar[str] = (
        ""  # of several kernels that differ by `context` alone; by default the kernel's name
    )
    context: ClassVar[Mapping[str, str]] = {}  # what the template is printed with, beside `kernel`, the name
    row_block: ClassVar[int] = 1  # output rows are computed in multiples of this
    limits: ClassVar[tuple[str, ...]] = ()  # what `reject` asks for, as docs/operators.md says it

    def serves(self, board: Board) -> bool:
        """Whether it is for the board's core. Portable kernels are for every core."""
        return True

    def reject(self, node: Node, graph: Graph, board: Board) -> str | None:
        """Why this kernel cannot run the node on the board; None if it can."""
        return None

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        """Estimated cycles of one inference, for the choice between kernels."""
        raise NotImplementedError(self.name)

    def scratch(self, node: Node, graph: Graph) -> int:
        """Bytes of arena that live during this layer only."""
        return 0

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        """For each of node.inputs how it is read while the output is written; None: must not overlap."""
        return (None,) * len(node.inputs)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        """The layer's calls. `layer` prefixes the names of its tables. Operands that are constants of the graph are
        named in Call.inputs too: they are stored by the renderer."""
        raise NotImplementedError(self.name)

    def variant(self, node: Node, graph: Graph) -> tuple[str, Mapping[str, Any]]:
        """The C function that does the node: its name, and what the template is printed with beside it.

        Nodes with equal names share one function. Default: one for all nodes, named after the kernel.
        """
        return self.name, self.context

    def constants(self, node: Node, graph: Graph) -> int:
        """Bytes of the constant arrays that the node needs with this kernel, as the renderer stores them."""
        tables = Tables()
        for call in self.calls(node, graph, tables, ""):
            for name in filter(graph.is_constant, call.inputs):
                tables.add(name, graph.constant(name))
        return tables.bytes

    def code(self, node: Node, graph: Graph) -> int:
        """Bytes of the C function that does the node (see `variant`), as measured; an estimate elsewhere."""
        return code_bytes(self.variant(node, graph)[0], self.name)

    def bounds(self, node: Node, graph: Graph) -> tuple[str, ...]:
        """Lines for the layer's comment: proved bounds and what the kernel's arithmetic relies on."""
        return ()


def element_types(node: Node, graph: Graph) -> tuple[DType, DType]:
    """Element types of a node's first activation (or first input) and of its first output: what kernels differ by."""
    activations = [i for i in node.inputs if not graph.is_constant(i)] or list(node.inputs)
    return graph.type(activations[0]).dtype, graph.type(node.outputs[0]).dtype


def row_access(in_rows: int, in_row: int, out_rows: int, out_row: int, lo: Array, hi: Array) -> Access:
    """Access of a kernel that computes output row r from input rows lo[r] <= i < hi[r], in any order inside a row.

    in_row and out_row are bytes per row; lo and hi may reach beyond the input and are clipped to it.
    """
    r = np.arange(out_rows, dtype=np.int64)
    begin = np.clip(lo, 0, in_rows) * in_row
    end = np.maximum(np.clip(hi, 0, in_rows) * in_row, begin)
    both = (Direction.ASCENDING, Direction.DESCENDING)
    return Access(begin, end, r * out_row, (r + 1) * out_row, atomic=False, directions=both)


def window_row_access(node: Node, graph: Graph, kernel_rows: int) -> Access:
    """Row access of a sliding-window operator on NHWC tensors with strides, dilations and pads attributes."""
    x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
    _, h, w, c = x.shape
    _, ho, wo, co = y.shape
    lo = np.arange(ho, dtype=np.int64) * node.attrs["strides"][0] - node.attrs["pads"][0]
    dilation = node.attrs.get("dilations", (1, 1))[0]
    return row_access(
        h, w * c * x.dtype.size, ho, wo * co * y.dtype.size, lo, lo + (kernel_rows - 1) * dilation + 1
    )


def elementwise_access(elements: int, read: int = 1, written: int = 1) -> Access:
    """Access of a kernel that reads element i and then writes element i, ascending; `read` and `written` are bytes
    per element. Works in place where they are equal."""
    i = np.arange(elements, dtype=np.int64)
    return Access(i * read, (i + 1) * read, i * written, (i + 1) * written, atomic=True)


def read_first_access(node: Node, graph: Graph) -> Access:
    """Access of a kernel that has read all of its first input before it writes: the output may lie anywhere over it."""
    x, y = graph.type(node.inputs[0]).bytes, graph.type(node.outputs[0]).bytes
    none = np.zeros(2, np.int64)
    return Access(none, np.array([x, 0]), none, np.array([0, y]), atomic=True)
