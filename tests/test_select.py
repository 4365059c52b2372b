"""The choice of kernels."""

from __future__ import annotations

import pytest
from graphs import int8_type, one_node_graph

from mcugen.boards import load_board
from mcugen.errors import UnsupportedError
from mcugen.kernels import KERNELS
from mcugen.ops import OPS
from mcugen.select import ALIASES, select


def test_the_cheapest_kernel_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = one_node_graph("softmax", [int8_type((1, 8))], {"axis": 1}, int8_type((1, 8), 1 / 256, -128))
    (layer,) = select(graph, load_board("cortex-m4"))
    original = layer.kernel
    cheaper = type("Cheaper", (type(original),), {"cycles": lambda *_: -1.0})()
    cheaper.name = "cheaper"
    monkeypatch.setitem(KERNELS, "cheaper", cheaper)
    assert select(graph, load_board("cortex-m4"))[0].kernel is cheaper
    monkeypatch.setattr(type(cheaper), "reject", lambda *_: "it is raining")
    assert select(graph, load_board("cortex-m4"))[0].kernel is original
    monkeypatch.undo()
    monkeypatch.setitem(KERNELS, "cheaper", cheaper)
    monkeypatch.setattr(type(cheaper), "serves", lambda _, board: board.isa.dsp)
    chosen = [select(graph, load_board(name))[0].kernel for name in ("cortex-m4", "cortex-m0")]
    assert chosen == [cheaper, original]


def test_every_node_without_a_kernel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = one_node_graph("softmax", [int8_type((1, 8))], {"axis": 1}, int8_type((1, 8), 1 / 256, -128))
    for kernel in KERNELS.values():
        monkeypatch.setattr(type(kernel), "reject", lambda *_: "it is raining")
    with pytest.raises(UnsupportedError, match="1 operator has no kernel for host") as raised:
        select(graph, load_board("host"))
    (fault,) = raised.value.faults
    assert fault.where == 'onnx:softmax "node"' and "it is raining" in fault.why


def test_aliases_are_no_layers() -> None:
    shapes = int8_type((1, 2, 3)), int8_type((1, 6))
    graph = one_node_graph("reshape", [shapes[0]], {"shape": (1, 6)}, shapes[1])
    assert select(graph, load_board("host")) == () and "reshape" in ALIASES


def test_kernels_serve_operators_that_exist() -> None:
    assert all(op in OPS for kernel in KERNELS.values() for op in kernel.ops)
    assert all(kernel.ops for kernel in KERNELS.values())
