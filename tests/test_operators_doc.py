"""docs/operators.md is what the code says."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from mcugen.kernels import KERNELS
from mcugen.kernels.kernel import Kernel
from mcugen.ops import OPS
from mcugen.report.operators import cores, operators_page


def test_the_page_of_operators_is_fresh(repository: Path) -> None:
    page = (repository / "docs/operators.md").read_text(encoding="utf-8")
    assert page == operators_page(), "docs/operators.md is stale: run `make docs`"


def test_who_refuses_something_says_so() -> None:
    for kernel in KERNELS.values():
        assert (type(kernel).reject is not Kernel.reject) == bool(kernel.limits), kernel.name
    modules: dict[str, list[str]] = {}
    for op in OPS.values():
        modules.setdefault(type(op).__module__, []).extend(op.restrictions)
    for module, restrictions in modules.items():
        refuses = ".unsupported(" in inspect.getsource(sys.modules[module])
        assert restrictions or not refuses, f"{module} refuses what its restrictions do not name"


def test_the_cores_of_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = KERNELS["add_portable"]
    assert cores(kernel) == "every core"
    monkeypatch.setattr(Kernel, "serves", lambda _, board: board.isa.mve)
    assert cores(kernel) == "cortex-m55, cortex-m85"
