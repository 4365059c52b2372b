"""Firmware on every emulated core: every wrong byte and layer is seen, every instruction counted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mcugen.bench import emulator, firmware
from mcugen.bench.emulator import run_firmware
from mcugen.bench.firmware import Vectors, build_firmware, measure_sizes
from mcugen.boards import Board, load_board
from mcugen.errors import FitError, InternalError, ToolError, UsageError, VerifyError
from mcugen.resources import data_dir

MACHINES = {
    "cortex-m0": "microbit",
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m33": "mps2-an505",
    "cortex-m55": "mps3-an547",
    "rv32imc": "riscv-virt",
}
Int8 = NDArray[np.int8]
Write = Callable[..., Path]


@pytest.fixture(params=MACHINES)
def board(request: pytest.FixtureRequest, needs_emulator: Callable[[str], None]) -> Board:
    needs_emulator(request.param)
    return load_board(request.param)


@pytest.fixture
def arm(needs_emulator: Callable[[str], None]) -> Board:
    needs_emulator("cortex-m3")
    return load_board("cortex-m3")


def doubled(n: int) -> tuple[Int8, Int8, Int8]:
    """Input, output of layer 0, output of the library two_layers: int8 [n, 64] each."""
    x = np.random.default_rng(3).integers(-128, 128, (n, 64)).astype(np.int8)
    inner = x.copy()
    inner[:, :4] += np.array([1, 2, 3, 4], np.int8)
    return x, inner, (2 * inner).astype(np.int8)


def test_right_bytes_on_every_core(board: Board, two_layers: Path, tmp_path: Path) -> None:
    x, inner, y = doubled(3)
    image = build_firmware(two_layers, board, Vectors.from_arrays([x], [y], [inner, y]), tmp_path / "fw")
    result = run_firmware(image, board, layers=True)
    assert result.ok
    assert result.machine == MACHINES[board.name]
    assert len(set(result.instructions)) == 1 and len(result.instructions) == 3
    # What is left is the function's end, and what the hook changed in its registers.
    assert len(result.layer_instructions) == 2
    assert abs(result.instructions[0] - sum(result.layer_instructions)) < 30
    assert 0 < result.stack_bytes < firmware.STACK_BYTES
    assert 20 < image.code_bytes < 400 and image.const_bytes == 64
    assert run_firmware(image, board, layers=True) == result


def test_every_wrong_byte_and_layer_is_seen(board: Board, two_layers: Path, tmp_path: Path) -> None:
    x, inner, y = doubled(3)
    y_expected, inner_expected = y.copy(), inner.copy()
    y_expected[2, [0, 63]] ^= 1
    inner_expected[0, 17] ^= -128
    vectors = Vectors.from_arrays([x], [y_expected], [inner_expected, y])
    image = build_firmware(two_layers, board, vectors, tmp_path / "fw")
    result = run_firmware(image, board)
    assert (result.wrong_bytes, result.wrong_layers) == (2, ((0, 0),))
    assert not result.ok


def test_exit_code_is_the_count_of_wrong_bytes(arm: Board, two_layers: Path, tmp_path: Path) -> None:
    x, inner, y = doubled(2)
    for wrong, code in ((0, 0), (1, 1), (64, 64), (128, 99)):
        expected = y.copy()
        expected.reshape(-1)[:wrong] ^= 1
        vectors = Vectors.from_arrays([x], [expected], [inner, y])
        image = build_firmware(two_layers, arm, vectors, tmp_path / f"fw{wrong}")
        command = emulator.qemu_command(image.machine, image.counting, count=False)
        assert emulator.run_tool(command, timeout=20).returncode == code
        assert run_firmware(image, arm).wrong_bytes == wrong


def test_only_an_inner_layer_wrong_is_no_success(arm: Board, two_layers: Path, tmp_path: Path) -> None:
    x, inner, y = doubled(1)
    image = build_firmware(two_layers, arm, Vectors.from_arrays([x], [y], [~inner, y]), tmp_path / "fw")
    command = emulator.qemu_command(image.machine, image.checking, count=False)
    assert emulator.run_tool(command, timeout=20).returncode == 100
    assert run_firmware(image, arm).wrong_layers == ((0, 0),)


def test_a_masked_layer_is_not_compared(arm: Board, two_layers: Path, tmp_path: Path) -> None:
    x, _, y = doubled(2)
    image = build_firmware(two_layers, arm, Vectors.from_arrays([x], [y], [None, y]), tmp_path / "fw")
    assert run_firmware(image, arm).ok


def test_counts_are_exact_over_eight_decades(board: Board, busy: Path, tmp_path: Path) -> None:
    """2 n + 2 instructions; SysTick wraps every 2.1 to 4.1 million: about 100 times in the last."""
    n = np.array([1, 2, 1000, 123_457, 1_048_576, 1_048_577, 20_000_000, 150_000_000], np.int32)[:, None]
    image = build_firmware(busy, board, Vectors.from_arrays([n], [n], [None]), tmp_path / "fw")
    result = run_firmware(image, board)
    assert result.ok
    assert list(result.instructions) == [2 * int(count) + 2 for count in n[:, 0]]


def test_counts_around_one_wrap(arm: Board, busy: Path, tmp_path: Path) -> None:
    """Every phase of a loop's end against the moment of the wrap."""
    wrap = 2**24 * 1000 // (25 * 256)  # instructions until SysTick's first wrap
    n = (wrap // 2 + np.arange(-30, 31, dtype=np.int32))[:, None]
    image = build_firmware(busy, arm, Vectors.from_arrays([n], [n], [None]), tmp_path / "fw")
    assert list(run_firmware(image, arm).instructions) == [2 * int(count) + 2 for count in n[:, 0]]


def test_the_systick_handler_is_as_long_as_we_subtract() -> None:
    source = (data_dir("templates") / "firmware/counter_arm.c").read_text()
    body = source[source.index("void SysTick_Handler") : source.index(".ltorg")]
    lines = [line for line in re.findall(r'"([^"]+)\\n"', body) if not line.startswith(".")]
    assert len(lines) == emulator.SYSTICK_HANDLER_INSTRUCTIONS


def test_the_arena_is_poisoned_first(arm: Board, write_library: Write, tmp_path: Path) -> None:
    source = """\
int8_t *net_input(net_t *net) { return net->arena; }
const int8_t *net_output(const net_t *net) { return net->arena + 1; }
void net_run(net_t *net) { LAYER_DONE(net, 0); net->arena[0] = 7; }
"""
    library = write_library(tmp_path / "net", source, arena=3, inputs=[1], outputs=[2], layers=[(0, 3)])
    poison = np.full((1, 2), 0xA5, np.uint8)
    one = np.array([[1]], np.int8)
    layer = np.array([[1, 0xA5, 0xA5]], np.uint8)
    image = build_firmware(library, arm, Vectors.from_arrays([one], [poison], [layer]), tmp_path / "fw")
    assert run_firmware(image, arm).ok


def test_several_inputs_and_outputs(board: Board, write_library: Write, tmp_path: Path) -> None:
    functions = """\
int8_t *net_input(net_t *net, int index);
void net_run(net_t *net);
const int8_t *net_output(const net_t *net, int index);
"""
    source = """\
int8_t *net_input(net_t *net, int index) { return net->arena + 2 * index; }
const int8_t *net_output(const net_t *net, int index) { return net->arena + (index == 0 ? 8 : 5); }
void net_run(net_t *net)
{
    for (int i = 0; i < 3; i++) {
        net->arena[5 + i] = net->arena[2 + i];
    }
    LAYER_DONE(net, 0);
    net->arena[8] = net->arena[0];
    net->arena[9] = net->arena[1];
    LAYER_DONE(net, 1);
}
"""
    library = write_library(
        tmp_path / "net",
        source,
        arena=16,
        inputs=[2, 3],
        outputs=[2, 3],
        layers=[(5, 3), None],
        functions=functions,
    )
    a = np.arange(8, dtype=np.int8).reshape(4, 2)
    b = -np.arange(12, dtype=np.int8).reshape(4, 3)
    vectors = Vectors.from_arrays([a, b], [a, b], [b, None])
    image = build_firmware(library, board, vectors, tmp_path / "fw")
    assert run_firmware(image, board).ok
    wrong = Vectors.from_arrays([a, b], [a, b[::-1]], [b, None])
    image = build_firmware(library, board, wrong, tmp_path / "wrong")
    assert run_firmware(image, board).wrong_bytes == int((b != b[::-1]).sum())


def copy_library(write_library: Write, folder: Path, size: int, arena: int) -> Path:
    """Copies `size` bytes through a pointer that the compiler cannot see through."""
    source = f"""\
int8_t *net_input(net_t *net) {{ return net->arena; }}
const int8_t *net_output(const net_t *net) {{ return net->arena; }}
void net_run(net_t *net) {{ net->arena[{arena - 1}] = 1; LAYER_DONE(net, 0); }}
"""
    return write_library(folder, source, arena=arena, inputs=[size], outputs=[size], layers=[(0, size)])


def test_large_vectors_fit_every_core(board: Board, write_library: Write, tmp_path: Path) -> None:
    """An image of 96 x 96 x 3, eight times, in and out; on the M0 a sibling machine runs."""
    x = np.random.default_rng(4).integers(-128, 128, (8, 27648)).astype(np.int8)
    library = copy_library(write_library, tmp_path / "net", 27648, 40000)
    image = build_firmware(library, board, Vectors.from_arrays([x], [x], [x]), tmp_path / "fw")
    result = run_firmware(image, board)
    assert result.ok
    assert result.machine == ("mps2-an385" if board.name == "cortex-m0" else MACHINES[board.name])


def test_too_large_for_every_machine(write_library: Write, tmp_path: Path, arm: Board) -> None:
    x = np.zeros((2, 16), np.int8)
    library = copy_library(write_library, tmp_path / "net", 16, 5_000_000)
    with pytest.raises(FitError) as caught:
        build_firmware(library, load_board("cortex-m0"), Vectors.from_arrays([x], [x], [x]), tmp_path / "fw")
    assert [fault.where for fault in caught.value.faults] == ["microbit", "mps2-an385"]
    assert "16K of ram" in str(caught.value) and "bytes short" in str(caught.value)


@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m3", "cortex-m33", "rv32imc"])
def test_faults_are_reported(
    name: str, write_library: Write, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    needs_emulator(name)
    source = """\
int8_t *net_input(net_t *net) { return net->arena; }
const int8_t *net_output(const net_t *net) { return net->arena; }
void net_run(net_t *net) { net->arena[0] = *(volatile int8_t *)0x9F000000u; }
"""
    library = write_library(tmp_path / "net", source, arena=1, inputs=[1], outputs=[1], layers=[])
    one = np.array([[1]], np.int8)
    board = load_board(name)
    image = build_firmware(library, board, Vectors.from_arrays([one], [one]), tmp_path / "fw")
    with pytest.raises(VerifyError, match="faulted") as caught:
        run_firmware(image, board)
    if name in ("cortex-m3", "cortex-m33"):
        assert "PRECISERR" in str(caught.value) and "bfar 0x9f000000" in str(caught.value)


@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m4", "rv32imc"])
def test_an_overflowing_stack_is_reported(
    name: str, write_library: Write, needs_emulator: Callable[[str], None], tmp_path: Path
) -> None:
    needs_emulator(name)
    source = """\
int8_t *net_input(net_t *net) { return net->arena; }
const int8_t *net_output(const net_t *net) { return net->arena; }
void net_run(net_t *net)
{
    volatile int8_t large[6000];
    for (int i = 0; i < 6000; i++) {
        large[i] = net->arena[0];
    }
    net->arena[0] = large[77];
}
"""
    library = write_library(tmp_path / "net", source, arena=1, inputs=[1], outputs=[1], layers=[])
    one = np.array([[1]], np.int8)
    board = load_board(name)
    image = build_firmware(library, board, Vectors.from_arrays([one], [one]), tmp_path / "fw")
    with pytest.raises(VerifyError, match="stack"):
        run_firmware(image, board)


def test_an_endless_loop_is_stopped(arm: Board, busy: Path, tmp_path: Path) -> None:
    n = np.array([[0]], np.int32)  # counts down through 2**32
    image = build_firmware(busy, arm, Vectors.from_arrays([n], [n], [None]), tmp_path / "fw")
    with pytest.raises(ToolError, match="did not end"):
        run_firmware(image, arm, timeout=0.3)


def test_a_library_that_does_not_compile_is_our_fault(
    arm: Board, write_library: Write, tmp_path: Path
) -> None:
    library = write_library(tmp_path / "net", "int x = ;", arena=1, inputs=[1], outputs=[1], layers=[])
    one = np.array([[1]], np.int8)
    with pytest.raises(InternalError, match="arm-none-eabi-gcc cannot compile"):
        build_firmware(library, arm, Vectors.from_arrays([one], [one]), tmp_path / "fw")


def test_sizes_count_what_the_library_pulls_in(arm: Board, write_library: Write, tmp_path: Path) -> None:
    """A 64-bit division comes from libgcc; a table that nobody reads does not count."""
    source = """\
const int32_t unused[1000] = {1};
static const int16_t used[50] = {1, 2};
int8_t *net_input(net_t *net) { return net->arena; }
const int8_t *net_output(const net_t *net) { return net->arena; }
void net_run(net_t *net) { net->arena[0] = (int8_t)used[net->arena[0] & 31]; }
"""
    places = {"arena": 1, "inputs": [1], "outputs": [1], "layers": []}
    plain = measure_sizes(write_library(tmp_path / "plain", source, **places), arm)
    assert plain[1] == 100
    divided = source.replace(
        "= (int8_t)used", "= (int8_t)(INT64_C(0x7654321076543) / net->arena[0]) + (int8_t)used"
    )
    code, const = measure_sizes(write_library(tmp_path / "divided", divided, **places), arm)
    assert code > plain[0] + 300 and const == 100


def test_the_host_has_no_emulator(two_layers: Path, tmp_path: Path) -> None:
    x, inner, y = doubled(1)
    vectors = Vectors.from_arrays([x], [y], [inner, y])
    with pytest.raises(UsageError, match="no emulated machine"):
        build_firmware(two_layers, load_board("host"), vectors, tmp_path / "fw")
    with pytest.raises(UsageError, match="cross compiler"):
        measure_sizes(two_layers, load_board("host"))


def test_vectors_must_fit_the_manifest(arm: Board, two_layers: Path, tmp_path: Path) -> None:
    x, inner, y = doubled(2)
    for vectors in (
        Vectors.from_arrays([x[:, :60]], [y], [inner, y]),
        Vectors.from_arrays([x], [y], [inner]),
        Vectors.from_arrays([x], [y, y], [inner, y]),
    ):
        with pytest.raises(InternalError, match="the vectors"):
            build_firmware(two_layers, arm, vectors, tmp_path / "fw")


def test_our_firmware_compiles_without_warnings(
    board: Board, two_layers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firmware, "_FIRMWARE_FLAGS", (*firmware._FIRMWARE_FLAGS, "-Werror", "-Wshadow"))
    x, inner, y = doubled(1)
    image = build_firmware(two_layers, board, Vectors.from_arrays([x], [y], [inner, y]), tmp_path / "fw")
    assert image.counting.exists()
