"""The code of every kernel's C function, measured, for the choice between kernels: mcugen/kernels/code_bytes.json.
Run as a program it writes that file.

A function is compiled alone, with what it uses of the runtime headers, by arm-none-eabi-gcc at -O2 for the Cortex-M4,
or for the first core that its kernel serves. Which functions: those of all kernels that can run a layer of the
example models or of the networks below.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import zoo

from benchmarks.ranges import MODELS, model_path, ranges_path
from mcugen.bench.firmware import DEFAULT_OPT, elf_sizes
from mcugen.boards import Board, load_board
from mcugen.kernels.code_bytes import FILE
from mcugen.library import Library
from mcugen.pipeline import compile_model
from mcugen.quantize.recipes import Recipe
from mcugen.render import RUNTIME_HEADER, environment, function_text
from mcugen.resources import data_dir
from mcugen.select import option
from mcugen.settings import Settings
from mcugen.tools import compiler, compiler_version, run_tool

CORES = (
    "cortex-m4",
    "cortex-m55",
    "cortex-m0",
    "rv32imc",
)  # where a kernel is measured: the first that it serves


def libraries(folder: Path, core: str) -> Iterator[Library]:
    """What is compiled to find functions; `folder`: for model files."""
    board = load_board(core)
    for model in MODELS:
        settings = Settings(calib=ranges_path(model), refine=False)
        yield compile_model(model_path(model), board, settings).library
    for recipe in Recipe:
        for network in (zoo.every_kernel, zoo.small):
            settings = Settings(calib="random", refine=False, recipe=recipe)
            yield compile_model(network(folder), board, settings).library


def functions(folder: Path) -> dict[str, tuple[Board, str]]:
    """By name: the core that the function is measured for, and its text with what it includes."""
    found: dict[str, tuple[Board, str]] = {}
    env = environment()
    for core in CORES:
        board = load_board(core)
        for library in libraries(folder, core):
            for layer in library.layers:
                for kernel in option(layer.node, library.graph, board).able:
                    name, context = kernel.variant(layer.node, library.graph)
                    if name not in found:
                        headers = (RUNTIME_HEADER, *kernel.headers)
                        includes = "".join(f'#include "{header}"\n' for header in headers)
                        text = function_text(kernel, name, context, env)
                        kept = f"extern __typeof__({name}) *const kept;\n__typeof__({name}) *const kept = {name};\n"
                        found[name] = (board, f"{includes}{text}\n{kept}")
    return found


def measure(board: Board, text: str, folder: Path) -> int:
    """Bytes of code and of constants beside it, without the pointer that keeps it."""
    source, compiled = folder / "function.c", folder / "function.o"
    source.write_text(text, encoding="utf-8")
    headers = f"-I{data_dir('runtime_c')}"
    command = [compiler(board.toolchain), *board.flags, "-std=gnu99", DEFAULT_OPT, headers]
    done = run_tool([*command, "-c", source, "-o", compiled], timeout=60)
    assert done.returncode == 0, done.stderr
    return sum(elf_sizes(compiled)) - 4


def measure_all() -> dict[str, int]:
    """Bytes by the function's name, sorted."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = functions(folder)
        return {name: measure(*found[name], folder) for name in sorted(found)}


def main() -> None:
    """Write the file."""
    version = compiler_version(load_board(CORES[0]).toolchain)
    FILE.write_text(
        json.dumps({"compiler": version, "functions": measure_all()}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
