"""`mcugen bench` from Python: figures that add up, the same in every run, and clear refusals."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zoo
from elftools.elf.elffile import ELFFile

from mcugen import build
from mcugen.bench import firmware
from mcugen.bench.costs import load_costs
from mcugen.bench.measure import _check_alignment, bench
from mcugen.bench.profile import Cell
from mcugen.boards import load_board
from mcugen.errors import UsageError, VerifyError

EXAMPLES = Path(__file__).parents[2] / "examples" / "tflite"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """zoo.small built for Cortex-M4; copy it before you change it."""
    from emulated import need

    need("cortex-m4")
    folder = tmp_path_factory.mktemp("bench")
    samples = np.random.default_rng(3).standard_normal((20, 1, 4, 4)).astype(np.float32)
    return build(zoo.small(folder), calib=samples, out=folder / "out").path


def test_figures_add_up_and_two_runs_are_identical(small: Path) -> None:
    (found,) = bench(small)
    assert bench(small) == [found]
    assert found.board == found.cpu == "cortex-m4" and found.machine == "mps2-an386"
    layers = sum(layer.instructions for layer in found.layers)
    assert 0 <= found.instructions - layers < 20 + 5 * len(found.layers)
    assert found.cycles is not None and found.cycles > found.instructions
    assert sum(layer.cycles or 0 for layer in found.layers) <= found.cycles
    assert sum(function.instructions for function in found.functions) == found.instructions
    for kind, whole in (("code", found.code_bytes), ("const", found.const_bytes)):
        named = sum(symbol.bytes for symbol in found.symbols if symbol.kind == kind)
        assert 0 <= whole - named < 64, kind  # padding between them
    assert found.stack_bytes == sum(size for _, size in found.stack_path)
    assert found.macs == sum(layer.macs for layer in found.layers)
    assert found.cycles_per_mac == found.cycles / found.macs
    assert found.milliseconds is None and found.clock_hz is None
    assert found.unaligned_cycles is not None and found.unaligned_cycles >= 0


def test_a_real_board_has_a_clock_and_wait_states(small: Path) -> None:
    plain, board = bench(small, boards=["cortex-m4", "nucleo-f446re"])
    assert board.cycles == plain.cycles and board.cycles is not None
    assert board.milliseconds == pytest.approx(1e3 * board.cycles / 180e6)
    (waiting,) = bench(small, boards=["nucleo-f446re"], wait_states=5)
    assert waiting.cycles is not None and waiting.cycles > board.cycles
    assert (waiting.cycles - board.cycles) % 5 == 0 and waiting.instructions == board.instructions


def test_a_core_that_is_not_modelled_says_so(small: Path) -> None:
    (found,) = bench(small, boards=["cortex-m7"])
    assert found.cycles is None and found.milliseconds is None and found.instructions > 0
    assert all(layer.cycles is None for layer in found.layers)
    assert found.model == "cycles are not modelled for cortex-m7"


def test_boards_without_the_instruction_set_are_named_with_the_command(small: Path) -> None:
    with pytest.raises(UsageError) as raised:
        bench(small, boards=["cortex-m33", "cortex-m0", "rv32imc"])
    assert [fault.where for fault in raised.value.faults] == ["cortex-m0", "rv32imc"]
    assert "mcugen build small.onnx --board cortex-m0" in raised.value.faults[0].fix
    assert raised.value.exit_code == 2


def test_what_cannot_be_emulated_or_is_no_number_is_refused(small: Path) -> None:
    with pytest.raises(UsageError, match="less than none"):
        bench(small, wait_states=-1)
    with pytest.raises(UsageError, match="instruction set"):
        bench(small, boards=["host"])


def test_a_library_that_computes_something_else_is_refused(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small, folder)
    source = folder / "src/small.c"
    head = "void small_run(small_t *net)\n{\n"
    text = source.read_text()
    assert head in text
    source.write_text(text.replace(head, f"{head}    small_input(net)[5] ^= 0x7f;\n"))
    with pytest.raises(VerifyError, match="output bytes differ"):
        bench(folder)


def test_unaligned_accesses_fail_where_the_core_faults() -> None:
    cells = {(0, "f"): Cell(instructions=10, late=2), (1, "g"): Cell(instructions=10)}
    _check_alignment(cells, load_costs("cortex-m4"), load_board("cortex-m4"))
    with pytest.raises(VerifyError, match="f: 2 unaligned accesses, which fault on a cortex-m0"):
        _check_alignment(cells, load_costs("cortex-m0"), load_board("cortex-m0"))


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m55", "rv32imc"])
def test_debug_information_changes_no_code(
    core: str,
    needs_emulator: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    needs_emulator(core)
    board = load_board(core)
    small = build(zoo.small(tmp_path), calib="random", board=core, out=tmp_path / "out").path
    code = []
    for flags in (firmware._LIBRARY_FLAGS, ("-std=c99",)):
        monkeypatch.setattr(firmware, "_LIBRARY_FLAGS", flags)
        work = tmp_path / str(len(flags))
        (elf,) = (
            o
            for n, o in firmware._compile_library(small, board, work, "-O2").items()
            if n.endswith("small.c")
        )
        with elf.open("rb") as file:
            sections = list(ELFFile(file).iter_sections())
            code.append({s.name: s.data() for s in sections if s["sh_flags"] & 2})
    assert code[0] == code[1] and any(name.startswith(".text.small_run") for name in code[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "core"),
    [
        ("kws", "cortex-m0plus"),
        ("mnist_lstm", "cortex-m3"),
        ("kws", "cortex-m33"),
        ("mnist_lstm", "cortex-m55"),
        ("kws", "rv32imc"),
    ],
)
def test_official_models_on_every_core(
    model: str, core: str, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    needs_emulator(core)
    folder = build(EXAMPLES / f"{model}_int8.tflite", board=core, out=tmp_path).path
    (found,) = bench(folder)
    assert (found.cycles is None) == (core in ("cortex-m55", "rv32imc"))
    outside = found.instructions - sum(layer.instructions for layer in found.layers)
    assert 0 <= outside < 200
    assert dataclasses.asdict(found)["board"] == core
