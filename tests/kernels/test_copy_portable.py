"""copy_portable equals the reference for concat, slice, transpose, pad and mirror_pad; what it merges and refuses."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import numpy as np
import pytest
from graphs import as_float, int8_constant, int8_type, one_node_graph
from harness import check_kernel, corners_for
from native import SANITIZERS

from mcugen.access import Direction
from mcugen.boards import load_board
from mcugen.ir import Attr, Graph, Tensor, TensorType
from mcugen.kernels import KERNELS
from mcugen.kernels.copy_portable import copies
from mcugen.ops import OPS
from mcugen.resources import data_dir

KERNEL = KERNELS["copy_portable"]


def graph_of(op: str, inputs: list[TensorType | Tensor], attrs: dict[str, Attr]) -> Graph:
    probe = one_node_graph(op, inputs, attrs, int8_type((1,)))
    (y,) = OPS[op].infer(probe.nodes[0], [probe.type(i) for i in probe.nodes[0].inputs])
    return one_node_graph(op, inputs, attrs, int8_type(y.shape, 0.1, -9))


def x_type(*shape: int) -> TensorType:
    return int8_type(shape, 0.1, -9)


def test_transposes() -> None:
    perms = [p for p in itertools.permutations(range(4)) if p != (0, 1, 2, 3)]
    graphs = [graph_of("transpose", [x_type(2, 3, 4, 5)], {"perm": p}) for p in perms]
    six = graph_of("transpose", [x_type(2, 3, 2, 3, 2, 3)], {"perm": (5, 3, 1, 4, 2, 0)})
    check_kernel(
        [*graphs, six, graph_of("transpose", [x_type(1, 1)], {"perm": (1, 0)})], kernel="copy_portable"
    )


def random_slice(rng: np.random.Generator) -> Graph:
    shape = tuple(int(v) for v in rng.integers(1, 7, 4))
    begin, step, size = [], [], []
    for dim in shape:
        t = int(rng.choice([1, 1, 2, -1, -2]))
        b = int(rng.integers(dim))
        room = (dim - 1 - b) // t + 1 if t > 0 else b // -t + 1
        begin.append(b)
        step.append(t)
        size.append(int(rng.integers(1, room + 1)))
    return graph_of(
        "slice", [x_type(*shape)], {"begin": tuple(begin), "step": tuple(step), "size": tuple(size)}
    )


def test_slices() -> None:
    rng = np.random.default_rng(8)
    check_kernel([random_slice(rng) for _ in range(40)], kernel="copy_portable")


def test_pads() -> None:
    rng = np.random.default_rng(9)
    graphs = []
    for value in (0.0, 0.5, 99.0, -99.0):
        for shape in ((1, 4, 5, 3), (1, 6), (2, 3, 4)):
            pads = tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (len(shape), 2)))
            graphs.append(graph_of("pad", [x_type(*shape)], {"pads": pads, "value": value}))
    check_kernel(graphs, kernel="copy_portable")


def test_mirror_pads() -> None:
    graphs = []
    for mode in ("reflect", "symmetric", "edge"):
        for shape, pads in (
            ((1, 4, 5, 3), ((0, 0), (1, 2), (3, 1), (0, 0))),
            ((1, 4, 5, 3), ((0, 0), (3, 3), (4, 4), (2, 2))),
            ((1, 7), ((0, 0), (0, 6))),
            ((2, 3, 2), ((1, 0), (0, 0), (0, 1))),
        ):
            graphs.append(graph_of("mirror_pad", [x_type(*shape)], {"pads": pads, "mode": mode}))
    check_kernel(graphs, kernel="copy_portable")


def test_mirror_pads_may_begin_where_their_input_lies() -> None:
    graph = graph_of("mirror_pad", [x_type(1, 4, 6)], {"pads": ((0, 0), (2, 1), (0, 0)), "mode": "reflect"})
    (access,) = KERNEL.access(graph.nodes[0], graph)
    assert access is not None and access.distance(Direction.ASCENDING) == 12


def test_concats() -> None:
    rng = np.random.default_rng(10)
    graphs = []
    for axis in range(4):
        for count in (2, 3):
            shapes = [
                tuple(int(rng.integers(1, 5)) if i == axis else 2 for i in range(4)) for _ in range(count)
            ]
            graphs.append(graph_of("concat", [x_type(*s) for s in shapes], {"axis": axis}))
            constant = int8_constant(rng.integers(-128, 128, shapes[0]).astype(np.int8), 0.1, -9)
            graphs.append(graph_of("concat", [x_type(*shapes[1]), constant], {"axis": axis}))
    check_kernel(graphs, kernel="copy_portable")


def test_real_numbers() -> None:
    """All operators again, in float32; constants are stored as what they are."""
    x, rng = x_type(1, 4, 5, 3), np.random.default_rng(11)
    constant = int8_constant(rng.integers(-128, 128, (1, 2, 5, 3)).astype(np.int8), 0.1, -9)
    pads = ((0, 0), (1, 2), (3, 1), (0, 0))
    graphs = [
        graph_of("concat", [x, x_type(1, 2, 5, 3), constant], {"axis": 1}),
        graph_of("concat", [constant, x], {"axis": 1}),
        graph_of("transpose", [x], {"perm": (0, 3, 1, 2)}),
        graph_of("slice", [x], {"begin": (0, 3, 0, 0), "step": (1, -1, 2, 1), "size": (1, 3, 2, 3)}),
        *(graph_of("pad", [x], {"pads": pads, "value": value}) for value in (0.0, -0.3, 1e30)),
        *(graph_of("mirror_pad", [x], {"pads": pads, "mode": m}) for m in ("reflect", "symmetric", "edge")),
    ]
    floats = [as_float(graph) for graph in graphs]
    check_kernel(floats, corners_for(floats), kernel="copy_portable")


def test_neighbouring_axes_are_merged() -> None:
    for op, attrs, axes in (
        ("transpose", {"perm": (0, 3, 1, 2)}, 2),
        ("slice", {"begin": (0, 1, 0, 0), "step": (1, 1, 1, 1), "size": (1, 2, 4, 5)}, 1),
        ("pad", {"pads": ((0, 0), (1, 0), (1, 1), (0, 0)), "value": 0.0}, 2),
    ):
        graph = graph_of(op, [x_type(1, 3, 4, 5)], attrs)
        (copy,) = copies(graph.nodes[0], graph)
        assert len(copy.size) == axes


def test_too_many_axes_are_refused() -> None:
    shape, perm = (2,) * 8, (7, 5, 3, 1, 6, 4, 2, 0)
    graph = graph_of("transpose", [x_type(*shape)], {"perm": perm})
    assert (
        KERNEL.reject(graph.nodes[0], graph, load_board("host"))
        == "8 axes remain to be copied, at most 6 can be"
    )
    shape, perm = (2,) * 6, (5, 3, 1, 4, 2, 0)
    graph = graph_of("transpose", [x_type(*shape)], {"perm": perm})
    assert KERNEL.reject(graph.nodes[0], graph, load_board("host")) is None


def test_concat_of_whole_parts_costs_nothing_in_place() -> None:
    graph = graph_of("concat", [x_type(1, 2, 3), x_type(1, 4, 3)], {"axis": 1})
    distances = [a.distance(Direction.ASCENDING) for a in KERNEL.access(graph.nodes[0], graph) if a]
    assert distances == [0, 6]


@pytest.mark.parametrize(("step", "expected"), [(1, 0), (2, -1), (-1, 10)])
def test_slices_in_place(step: int, expected: int) -> None:
    """Ascending slices write behind what they read; a reversed one needs nearly all of the input."""
    begin, size = (0, 5) if step > 0 else (10, 11)
    attrs = {"begin": (0, begin), "step": (1, step), "size": (1, size)}
    graph = graph_of("slice", [x_type(1, 11)], attrs)
    (access,) = KERNEL.access(graph.nodes[0], graph)
    assert access is not None and access.distance(Direction.ASCENDING) == expected


@pytest.mark.parametrize("words", ["0", "1"])
def test_overlapping_copies_are_as_if_byte_by_byte(tmp_path: Path, words: str) -> None:
    """All sizes and distances up to a few words, alignments included; fills likewise."""
    program, source = tmp_path / "copies", tmp_path / "copies.c"
    source.write_text(COPIES)
    flags = ["-std=c99", f"-DMCUGEN_WORDS={words}", f"-I{data_dir('runtime_c')}", *SANITIZERS]
    subprocess.run(["gcc", *flags, str(source), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "0 wrong\n"


COPIES = """
#include <stdio.h>
#include "mcugen_words.h"
static void begin(int8_t *bytes)
{
    for (int i = 0; i < 64; ++i) {
        bytes[i] = (int8_t)(i * 37 + 11);
    }
}
int main(void)
{
    static const int8_t four[4] = { 1, -2, 3, -4 };
    int wrong = 0;
    for (int size = 0; size < 20; ++size) {
        for (int x = 0; x < 30; ++x) {
            for (int y = 0; y < 30; ++y) {
                int8_t got[64], wanted[64];
                begin(got);
                begin(wanted);
                mcugen_copy_ascending(got + x, got + y, size);
                mcugen_fill_four(got + 60 - size - x, four, size % 3 ? 0 : size);
                for (int i = 0; i < size; ++i) {
                    wanted[y + i] = wanted[x + i];
                }
                for (int i = 0; i < (size % 3 ? 0 : size); ++i) {
                    wanted[60 - size - x + i] = four[i % 4];
                }
                for (int i = 0; i < 64; ++i) {
                    wrong += got[i] != wanted[i];
                }
            }
        }
    }
    printf("%d wrong\\n", wrong);
    return 0;
}
"""
