"""The stored sizes of kernels' functions: complete, and what the compiler makes."""

from __future__ import annotations

import json
from pathlib import Path

import code_bytes as made
import pytest
from emulated import need

from benchmarks.run import RESULTS
from mcugen.boards import Board, load_board
from mcugen.fit import code_bytes as code_at_most
from mcugen.kernels.code_bytes import FILE, UNKNOWN, code_bytes, measured
from mcugen.pipeline import Settings, compile_model
from mcugen.tools import compiler_version


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Board, str]]:
    return made.functions(tmp_path_factory.mktemp("functions"))


def test_all_functions_are_known(functions: dict[str, tuple[Board, str]]) -> None:
    assert sorted(functions) == list(measured()), "`make code-bytes` measures them"


def test_sizes_are_the_compilers(functions: dict[str, tuple[Board, str]], tmp_path: Path) -> None:
    need(made.CORES[0])
    same = json.loads(FILE.read_text())["compiler"] == compiler_version(load_board(made.CORES[0]).toolchain)
    for name, (board, text) in functions.items():
        if board.name == made.CORES[0]:
            size = made.measure(board, text, tmp_path)
            assert size == pytest.approx(measured()[name], rel=0.1 if same else 0.4, abs=32), name


def test_functions_that_were_not_measured() -> None:
    assert code_bytes("no_such_kernel", "no_such_kernel") == UNKNOWN
    known = [size for name, size in measured().items() if name.startswith("unary_float")]
    assert code_bytes("unary_float_new", "unary_float") == max(known)


@pytest.mark.parametrize("model", ["ad", "ic", "kws", "sww", "vww"])
def test_libraries_have_no_more_code_than_said(models: dict[str, Path], repository: Path, model: str) -> None:
    figures = json.loads(RESULTS.read_text())
    found = {
        core: by_model[model]["code_bytes"] for cores in figures.values() for core, by_model in cores.items()
    }
    settings = Settings(calib=repository / f"benchmarks/ranges/{model}.json", refine=False)
    for core in ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc"):
        library = compile_model(models[model], load_board(core), settings).library
        assert found[core] <= code_at_most(library) <= 2 * found[core] + 4096, core
