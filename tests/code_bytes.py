"""The code of every kernel's C function, measured, for the choice between kernels: mcugen/kernels/code_bytes.json.
Run as a program it writes that file.

A function is compiled alone, with what it uses of the runtime headers, by arm-none-eabi-gcc at -O2 for the Cortex-M4,
or for the first core that its kernel serves. Which functions: those of all kernels that can run a layer of the
example models or of the networks below.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import zoo
from elftools.elf.elffile import ELFFile

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

POINTER = 4  # bytes of what keeps the function
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
        for network in (zoo.every_kernel, zoo.small, zoo.upsampling):
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


def measure(name: str, board: Board, text: str, folder: Path) -> dict[str, int]:
    """Bytes by part: functions of the runtime headers that stay functions, and `name`, all that is left."""
    source, compiled = folder / "function.c", folder / "function.o"
    source.write_text(text, encoding="utf-8")
    headers = f"-I{data_dir('runtime_c')}"
    command = [compiler(board.toolchain), *board.flags, "-std=gnu99", DEFAULT_OPT, headers]
    done = run_tool([*command, "-c", source, "-o", compiled], timeout=60)
    assert done.returncode == 0, done.stderr
    with compiled.open("rb") as file:
        symbols = list(ELFFile(file).get_section_by_name(".symtab").iter_symbols())
    sizes = {s.name.split(".")[0]: s["st_size"] for s in symbols if s["st_info"]["type"] == "STT_FUNC"}
    parts = {part: size for part, size in sorted(sizes.items()) if part.startswith("mcugen_")}
    return {name: sum(elf_sizes(compiled)) - POINTER - sum(parts.values()), **parts}


def measure_all() -> dict[str, Any]:
    """The file's contents: of every function its bytes and the names of what it shares, whose bytes are the most
    that any function needs."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        found = functions(folder)
        measured = {name: measure(name, *found[name], folder) for name in sorted(found)}
    shared: dict[str, int] = {}
    for name, parts in measured.items():
        shared |= {part: max(size, shared.get(part, 0)) for part, size in parts.items() if part != name}
    lines = {name: [parts[name], *(p for p in parts if p != name)] for name, parts in measured.items()}
    return {"functions": lines, "shared": dict(sorted(shared.items()))}


def file_text(compiler: str, measured: Mapping[str, Any]) -> str:
    """One line for each function."""

    def block(key: str) -> str:
        rows = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in measured[key].items())
        return f' "{key}": {{\n' + ",\n".join(rows) + "\n }"

    return f'{{\n "compiler": {json.dumps(compiler)},\n{block("functions")},\n{block("shared")}\n}}\n'


def main() -> None:
    """Write the file; what stands in it, or was torn by a merge, has no influence."""
    FILE.write_text(file_text("", {"functions": {}, "shared": {}}), encoding="utf-8")
    version = compiler_version(load_board(CORES[0]).toolchain)
    FILE.write_text(file_text(version, measure_all()), encoding="utf-8")


if __name__ == "__main__":
    main()
