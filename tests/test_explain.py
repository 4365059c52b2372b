"""What --explain says of every kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zoo
from fake_kernels import Cost, Kernels, chain

from mcugen.boards import Board, load_board
from mcugen.choice import Optimize, decide
from mcugen.ir import Graph
from mcugen.report import analysis
from mcugen.report.explain import explained, print_explained

M4 = load_board("cortex-m4")


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Kernels:
    return Kernels(monkeypatch)


def explain(graph: Graph, aim: str, on: Board = M4) -> dict[str, Any]:
    layers = [{"index": i} for i in range(len(graph.nodes))]
    return explained(decide(graph, on, Optimize(aim)), layers)


def why(result: dict[str, Any], layer: int = 0) -> dict[str, str]:
    return {c["kernel"]: c["why"] for c in result["layers"][layer]["candidates"]}


def test_figures_and_reasons_of_each_kernel(kernels: Kernels) -> None:
    kernels.add("fast", Cost(1_000, flash=7, scratch=96), size=300)
    kernels.add("plain", Cost(90_000, flash=5), size=200)
    kernels.add("picky", None)
    result = explain(chain(40, 40), "ram")
    assert result["choice"] == {
        "optimize": "ram", "cycles": 90_000, "flash": 205, "arena": 40, "arena_limit": 40, "flash_limit": None,
        "cycles_per_byte": 0.0,
    }  # fmt: skip
    plain, fast, picky = result["layers"][0]["candidates"]
    assert plain == {
        "kernel": "plain", "chosen": True, "why": "fewest cycles in the arena", "function": "plain",
        "cycles": 90_000, "constants": 5, "code": 200, "scratch": 0, "arena": 40,
    }  # fmt: skip
    assert not fast["chosen"] and fast["why"] == "needs 136 bytes of arena, 40 are allowed"
    assert picky == {"kernel": "picky", "chosen": False, "why": "no cost"}


def test_reasons_by_aim(kernels: Kernels) -> None:
    kernels.add("fast", Cost(1_000, flash=40), Cost(1_000), size=300)
    kernels.add("plain", Cost(3_000), size=200)
    graph = chain(40, 40, 40)
    assert why(explain(graph, "speed")) == {
        "fast": "fewest cycles",
        "plain": "+2,000 cycles, +160 bytes of flash",
    }
    assert why(explain(graph, "speed"), 1) == {"fast": "the only one", "plain": "no cost"}
    assert why(explain(chain(40, 40), "size")) == {
        "plain": "least flash", "fast": "-2,000 cycles, +140 bytes of flash",
    }  # fmt: skip


def test_reasons_of_the_exchange(kernels: Kernels) -> None:
    kernels.add("fast", Cost(2_000), size=16_384)
    kernels.add("plain", Cost(2_100))
    result = explain(chain(40, 40), "balanced")
    assert result["choice"]["cycles_per_byte"] == 2 * 2_000 / 32_768
    assert why(result) == {
        "plain": "a byte of flash must save 0.12 cycles",
        "fast": "-100 cycles, +16,384 bytes of flash (0.0061 cycles a byte)",
    }


def test_reasons_of_a_full_flash_and_of_a_plan(kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Board.model_validate(
        {
            "name": "b", "description": "", "cpu": "c", "toolchain": "",
            "memories": [
                {"name": "ram", "kind": "ram", "base": 0x2000_0000, "size": 1024 + 60},
                {"name": "flash", "kind": "flash", "base": 0, "size": 4096 + 30},
            ],
        }
    )  # fmt: skip
    kernels.add("fast", Cost(10, flash=31))
    kernels.add("plain", Cost(90))
    assert why(explain(chain(40, 40), "speed", small)) == {
        "plain": "fewest cycles in the flash", "fast": "31 bytes of flash, 30 are allowed",
    }  # fmt: skip
    kernels.add("fast", Cost(10, scratch=64))
    monkeypatch.setattr("mcugen.choice.layer_bounds", lambda _, layers: [[2, 1] for _ in layers])
    assert why(explain(chain(40, 40), "speed", small)) == {
        "plain": "fewest cycles in the arena",
        "fast": "with it the arena came to 104 bytes, 60 are allowed",
    }


def test_equal_kernels(kernels: Kernels) -> None:
    kernels.add("a", Cost())
    kernels.add("b", Cost())
    assert why(explain(chain(8, 8), "size")) == {"a": "fewest cycles", "b": "equal, but later by name"}


def test_analyze_explains_real_kernels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = zoo.every_kernel(tmp_path)
    found = analysis.analyze(model, "nucleo-f446re", optimize="speed", explain=True)
    json.dumps(found, allow_nan=False)
    assert all(sum(c["chosen"] for c in layer["candidates"]) == 1 for layer in found["layers"])
    assert found["optimize"] == "speed" and found["choice"]["flash_limit"] == 512 * 1024 - 4096
    constants = sum(c["constants"] for layer in found["layers"] for c in layer["candidates"] if c["chosen"])
    assert (
        found["memory"]["weights"] <= constants <= found["memory"]["weights"] + 200
    )  # equal arrays are stored once
    print_explained(found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layer", "kernel", "cycles", "constants", "code", "scratch", "arena", "why"]
    assert sum(" * " in line for line in lines) == len(found["layers"])
    assert lines[-1].startswith("choice  speed: about ") and "flash at most 520,192" in lines[-1]
    assert "choice" not in analysis.analyze(model, "cortex-m4")
