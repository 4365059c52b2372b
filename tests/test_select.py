"""Which kernels can run a node."""

from __future__ import annotations

import pytest
from graphs import int8_type, one_node_graph

from mcugen.boards import load_board
from mcugen.errors import UnsupportedError
from mcugen.kernels import KERNELS
from mcugen.ops import OPS
from mcugen.select import ALIASES, options

NORM = one_node_graph("l2_norm", [int8_type((1, 8))], {}, int8_type((1, 8), 1 / 128))  # has one kernel


def test_all_kernels_that_can_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    (only,) = options(NORM, load_board("cortex-m4"))
    (original,) = only.able
    other = type("Other", (type(original),), {})()
    other.name = "a_norm"
    monkeypatch.setitem(KERNELS, "a_norm", other)
    (both,) = options(NORM, load_board("cortex-m4"))
    assert both.able == (other, original) and not both.reasons and not both.foreign
    monkeypatch.setattr(type(other), "reject", lambda *_: "it is raining")
    (rejected,) = options(NORM, load_board("cortex-m4"))
    assert rejected.able == (original,) and rejected.reasons == {"a_norm": "it is raining"}
    monkeypatch.setattr(type(other), "serves", lambda _, board: board.isa.dsp)
    found = [options(NORM, load_board(name))[0] for name in ("cortex-m4", "cortex-m0")]
    assert [o.reasons for o in found] == [rejected.reasons, {}]
    assert [o.foreign for o in found] == [(), ("a_norm",)]


def test_every_node_without_a_kernel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for kernel in KERNELS.values():
        monkeypatch.setattr(type(kernel), "reject", lambda *_: "it is raining")
    with pytest.raises(UnsupportedError, match="1 operator has no kernel for host") as raised:
        options(NORM, load_board("host"))
    (fault,) = raised.value.faults
    assert fault.where == 'onnx:l2_norm "node"' and "it is raining" in fault.why


def test_aliases_are_no_layers() -> None:
    shapes = int8_type((1, 2, 3)), int8_type((1, 6))
    graph = one_node_graph("reshape", [shapes[0]], {"shape": (1, 6)}, shapes[1])
    assert options(graph, load_board("host")) == () and "reshape" in ALIASES


def test_kernels_serve_operators_that_exist() -> None:
    assert all(op in OPS for kernel in KERNELS.values() for op in kernel.ops)
    assert all(kernel.ops for kernel in KERNELS.values())
