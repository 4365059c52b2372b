"""Links a generated library, test vectors and our own start-up code into firmware for an emulated board.

Two programs are made. `checking` is compiled with a hook that the library calls after every layer, and
compares each layer's output; `counting` has no hook, so that its counts are those of the library alone.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray

from mcugen.boards import Board, Machine, format_size, load_machine, machine_names
from mcugen.errors import Fault, FitError, InternalError, ToolError, UsageError
from mcugen.manifest import load_manifest
from mcugen.resources import data_dir
from mcugen.tools import compiler, how_to_install, run_tool

# -O2: within 3 % of -O3 on the peer's kernels at far less code; benchmarks compare like with like.
DEFAULT_OPT = "-O2"
STACK_BYTES = 4096
COMPILE_SECONDS = 300.0
HOOK = "firmware_layer"

# Small C libraries for memcpy and memset; a toolchain that is not listed brings its own default.
_LIBC = {"arm-none-eabi-": "--specs=nano.specs", "riscv64-unknown-elf-": "--specs=picolibc.specs"}
# gcc may turn our copying loops into calls of memcpy, which start-up code must not rely on.
_FIRMWARE_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-fno-tree-loop-distribute-patterns")
# Debug information tells program.py whose the code is, .su files tell stack.py of frames; both leave the code as it is.
_LIBRARY_FLAGS = ("-std=c99", "-g", "-fstack-usage")
_SECTIONS = ("-ffunction-sections", "-fdata-sections")

Bytes = NDArray[np.uint8]
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Test vectors as bytes: what goes in and what must come out, of the whole network and of every layer.

    inputs, outputs: one uint8 array [N, bytes] per network input and output, in the manifest's order.
    layer_crcs: uint32 [N, layers], zlib's CRC-32 of each layer's output; layer_mask: bool [layers], False
    for a layer that is not compared.
    """

    inputs: tuple[Bytes, ...]
    outputs: tuple[Bytes, ...]
    layer_crcs: NDArray[np.uint32]
    layer_mask: NDArray[np.bool_]

    @classmethod
    def from_arrays(
        cls, inputs: Sequence[Array], outputs: Sequence[Array], layers: Sequence[Array | None] = ()
    ) -> Vectors:
        """From arrays [N, ...] of any integer type, little endian; a layer that is None is not compared."""
        n = len(inputs[0])
        crcs = np.zeros((n, len(layers)), np.uint32)
        for index, layer in enumerate(layers):
            if layer is not None:
                crcs[:, index] = [zlib.crc32(row.tobytes()) for row in _as_bytes(layer)]
        mask = np.array([layer is not None for layer in layers], np.bool_)
        return cls(tuple(map(_as_bytes, inputs)), tuple(map(_as_bytes, outputs)), crcs, mask)

    def __len__(self) -> int:
        return len(self.layer_crcs)


def _as_bytes(array: Array) -> Bytes:
    rows = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(len(array), -1)
    return rows.view(np.uint8)


@dataclass(frozen=True)
class FirmwareImage:
    """Both programs, the machine they are linked for, and the library alone: linked from its public functions, its
    sizes (see measure_sizes), and what the compiler says of its frames."""

    checking: Path
    counting: Path
    machine: Machine
    alone: Path
    code_bytes: int
    const_bytes: int
    stack_usage: tuple[Path, ...]


def build_firmware(
    library: Path,
    board: Board,
    vectors: Vectors,
    out: Path,
    *,
    opt: str = DEFAULT_OPT,
    layers: bool = True,
) -> FirmwareImage:
    """Compiles a generated library with `vectors` for the first of the board's machines that has room.

    library: the folder that holds `src/` and `<name>.json`. out: a folder for objects and programs, made if
    missing. layers: without them the checking program is not made, the counting one stands in its place.
    Raises UsageError if the board has no emulator, ToolError if the compiler is missing, FitError if
    no machine has room for the library with these vectors.
    """
    machines = [load_machine(name) for name in board.machines]
    if not machines:
        fix = f"add machines = [...] to its .toml; there are {', '.join(machine_names())}"
        raise UsageError("no emulator", [Fault(board.name, "the board has no emulated machine", fix)])
    manifest = load_manifest(library)
    out.mkdir(parents=True, exist_ok=True)
    _write_firmware(manifest, vectors, out)
    plain = _compile_library(library, board, out / "plain", opt)
    alone = _link_alone(manifest["name"], plain, board, out)
    objects = {"counting": [*plain.values(), *_compile_main(library, board, machines[0], out, "plain")]}
    if layers:  # objects of files without the hook serve both programs
        hooked = _compile_library(library, board, out / "hooked", opt, f"-DMCUGEN_LAYER_HOOK={HOOK}")
        main = _compile_main(library, board, machines[0], out, "hooked")
        objects["checking"] = [*(plain | hooked).values(), *main]
    faults = []
    for machine in machines:
        elfs = {program: out / f"{program}.elf" for program in objects}
        problems = [_link(board, machine, objects[program], elf) for program, elf in elfs.items()]
        overflow = next((problem for problem in problems if problem), None)
        if overflow is None:
            usage = tuple(sorted((out / "plain" / "library").glob("*.su")))
            checking = elfs.get("checking", elfs["counting"])
            return FirmwareImage(checking, elfs["counting"], machine, alone, *elf_sizes(alone), usage)
        faults.append(Fault(machine.name, overflow))
    carried = f"{sum(array.nbytes for array in (*vectors.inputs, *vectors.outputs)):,} bytes"
    raise FitError(
        f"{manifest['name']} with {len(vectors)} test vectors ({carried}) fits no emulated machine of "
        f"{board.name}; take fewer vectors",
        faults,
    )


def measure_sizes(library: Path, board: Board, *, opt: str = DEFAULT_OPT) -> tuple[int, int]:
    """(code, constants) in bytes that the library adds to firmware on this board.

    Linked from its public functions alone, unused sections dropped, helpers from libgcc and libc included;
    code is what the core executes with its literal pools, constants are weights and tables.
    """
    name = load_manifest(library)["name"]
    with tempfile.TemporaryDirectory() as work:
        objects = _compile_library(library, board, Path(work), opt)
        return elf_sizes(_link_alone(name, objects, board, Path(work)))


def _link_alone(name: str, objects: Mapping[str, Path], board: Board, work: Path) -> Path:
    """A program that holds the library's public functions and what they need."""
    roots = [f"-Wl,--undefined={name}_{function}" for function in ("input", "run", "output", "reset")]
    flags = ["-nostartfiles", "-static", "-Wl,--gc-sections", f"-Wl,--entry={name}_run", *_libc(board)]
    # A plain script: the default one of some C libraries holds limits of its own.
    script, elf = work / "alone.ld", work / "alone.elf"
    script.write_text("SECTIONS { .text : { *(.text*) } .rodata : { *(.rodata* .srodata*) } }\n")
    command = [*_cc(board), *flags, "-T", script, *roots, *objects.values(), "-o", elf]
    _check(run_tool(command, timeout=COMPILE_SECONDS), "link", board)
    return elf


def elf_sizes(elf: Path) -> tuple[int, int]:
    """(executable, constant) bytes of a linked program's loaded sections; unwinding tables are left out."""
    code = const = 0
    with elf.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            flags = section["sh_flags"]
            if not flags & 2 or section["sh_type"] == "SHT_NOBITS":  # not SHF_ALLOC
                continue
            if flags & 4:  # SHF_EXECINSTR
                code += section["sh_size"]
            elif section["sh_type"] == "SHT_PROGBITS" and not section.name.startswith(".eh_frame"):
                const += section["sh_size"]
    return code, const


def _write_firmware(manifest: dict[str, Any], vectors: Vectors, out: Path) -> None:
    """The vectors as files and the header that tells main.c about the library."""
    inputs = [int(tensor["bytes"]) for tensor in manifest["inputs"]]
    outputs = [int(tensor["bytes"]) for tensor in manifest["outputs"]]
    layers = manifest["layers"]
    for what, arrays, sizes in (("inputs", vectors.inputs, inputs), ("outputs", vectors.outputs, outputs)):
        shapes = [array.shape for array in arrays]
        if shapes != [(len(vectors), size) for size in sizes]:
            raise InternalError(f"the vectors' {what} are {shapes}, the manifest's {sizes} bytes")
    if vectors.layer_crcs.shape[1] != len(layers) or len(vectors.layer_mask) != len(layers):
        raise InternalError(
            f"the vectors have {vectors.layer_crcs.shape[1]} layers, the manifest {len(layers)}"
        )
    (out / "inputs.bin").write_bytes(np.concatenate(vectors.inputs, axis=1).tobytes())
    (out / "outputs.bin").write_bytes(np.concatenate(vectors.outputs, axis=1).tobytes())
    (out / "layer_crcs.bin").write_bytes(vectors.layer_crcs.astype("<u4").tobytes())
    places = []
    for layer, compared in zip(layers, vectors.layer_mask, strict=True):
        output = layer.get("output")
        place = output or {"offset": 0, "bytes": 0}
        places.append(
            {"offset": place["offset"], "bytes": place["bytes"], "compared": bool(compared and output)}
        )
    context = {
        "name": manifest["name"],
        "vectors": len(vectors),
        "layers": places,
        "inputs": inputs,
        "outputs": outputs,
        "has_state": bool(manifest.get("memory", {}).get("state")),
    }
    _render("firmware_config.h", out / "firmware_config.h", **context)


def _render(template: str, path: Path, **context: object) -> None:
    folder = data_dir("templates") / "firmware"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    path.write_text(environment.get_template(f"{template}.j2").render(**context), encoding="utf-8")


def _compile_library(
    library: Path, board: Board, work: Path, opt: str, hook: str | None = None
) -> dict[str, Path]:
    """The objects by source; with a hook only of those files that can call it."""
    sources = sorted((library / "src").resolve().rglob("*.c"))
    flags = [*_LIBRARY_FLAGS, opt, _include(library)]
    if hook is not None:
        sources = [source for source in sources if b"MCUGEN_LAYER_HOOK" in source.read_bytes()]
        flags.append(hook)
    return _compile(board, sources, work / "library", flags)


def _compile_main(library: Path, board: Board, machine: Machine, out: Path, program: str) -> list[Path]:
    folder = data_dir("templates") / "firmware"
    core = "riscv" if machine.qemu == "riscv32" else "arm"
    names = ["main", "print", "semihosting", "startup", f"startup_{core}", f"counter_{core}"]
    sources = [*(folder / f"{name}.c" for name in names), folder / "firmware_data.S"]
    places = [f"-I{out.resolve()}", f"-I{folder}", f"-Wa,-I{out.resolve()}", _include(library)]
    hook = [f"-DMCUGEN_LAYER_HOOK={HOOK}"] if program == "hooked" else []
    return list(
        _compile(board, sources, out / program / "firmware", [*_FIRMWARE_FLAGS, *hook, *places]).values()
    )


def _include(library: Path) -> str:
    return f"-I{(library / 'src').resolve()}"


def _compile(board: Board, sources: Sequence[Path], work: Path, flags: Sequence[str]) -> dict[str, Path]:
    """All sources by one call; the objects land in `work`."""
    work.mkdir(parents=True, exist_ok=True)
    objects = {str(source): (work / f"{source.stem}.o").resolve() for source in sources}
    if len(set(objects.values())) != len(objects):
        raise InternalError(f"two sources of one name: {', '.join(objects)}")
    if sources:
        command = [*_cc(board), *_libc(board), *_SECTIONS, *flags, "-c", *sources]
        _check(run_tool(command, timeout=COMPILE_SECONDS, cwd=work), "compile", board)
    return objects


def _link(board: Board, machine: Machine, objects: Sequence[Path], elf: Path) -> str | None:
    """Links for the machine's memories; None, or in words what does not fit."""
    flash = [memory for memory in machine.memories if memory.kind == "flash"]
    ram = next(memory for memory in machine.memories if memory.kind == "ram")
    script = elf.with_suffix(".ld")
    const = flash[-1] if len(flash) > 1 else None
    _render(
        "firmware.ld", script, machine=machine, code=flash[0], const=const, ram=ram, stack_bytes=STACK_BYTES
    )
    flags = ["-nostartfiles", "-static", "-Wl,--gc-sections", *_libc(board)]
    command = [*_cc(board), *flags, "-T", script, *objects, "-o", elf]
    done = run_tool(command, timeout=COMPILE_SECONDS)
    overflows = re.findall(r"region [`'](\w+)' overflowed by (\d+) bytes", done.stderr)
    if overflows:
        memories = {"CODE": flash[0], "CONST": flash[-1], "RAM": ram}
        return "; ".join(
            f"{format_size(memories[region].size)} of {memories[region].kind} are {int(extra):,} bytes short"
            for region, extra in dict.fromkeys(overflows)
        )
    _check(done, "link", board)
    return None


def _cc(board: Board) -> list[str | Path]:
    if board.is_host:
        why = "sizes and emulation need a board with a cross compiler"
        raise UsageError("not for the host", [Fault(board.name, why, "choose another --board")])
    return [compiler(board.toolchain), *board.flags]


def _libc(board: Board) -> list[str]:
    return [_LIBC[board.toolchain]] if board.toolchain in _LIBC else []


def _check(done: subprocess.CompletedProcess[str], what: str, board: Board) -> None:
    if done.returncode == 0:
        return
    shown = "\n".join(done.stderr.strip().splitlines()[:20])
    if re.search(
        r"(nano|picolibc)\.specs|std\w+\.h: No such file|string\.h: No such file|cannot find -l", done.stderr
    ):
        fix = how_to_install(compiler(board.toolchain))
        raise ToolError("the compiler lacks its C library", [Fault(compiler(board.toolchain), shown, fix)])
    raise InternalError(f"{compiler(board.toolchain)} cannot {what} the library for {board.name}:\n{shown}")
