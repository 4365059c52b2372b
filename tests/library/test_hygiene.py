"""Generated C as a firmware engineer's tools see it: warnings, C++, symbols, sections, no float."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from native import STRICT

import mcugen
from mcugen.boards import load_board
from mcugen.kernels import KERNELS
from mcugen.manifest import load_manifest
from mcugen.tools import compiler, find_tool, how_to_install

BOARDS = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")
CXX = [
    "-std=c++17",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Wold-style-cast",
    "-Werror",
]

# What a library may need from outside, and why. All else is a mistake.
LIBC = {"memcpy", "memset", "memmove"}  # gcc and clang make these from plain loops, even with -ffreestanding
INTEGER_HELPERS = {
    # Armv6-M has no long multiply, no 64-bit shift by register and no division; nor has it jump tables.
    "cortex-m0": LIBC
    | {"__aeabi_lmul", "__aeabi_llsl", "__aeabi_llsr", "__aeabi_lasr", "__aeabi_idiv", "__aeabi_idivmod"}
    | {"__aeabi_uidiv", "__aeabi_uidivmod", "__gnu_thumb1_case_sqi", "__gnu_thumb1_case_uqi"},
    "cortex-m4": LIBC,
    "cortex-m55": LIBC,
    "rv32imc": LIBC,
    "host": LIBC,
}
# Arithmetic and conversions of the floating-point unit, scalar; loads and moves of its registers may carry integers.
FLOAT_INSTRUCTION = re.compile(
    r"\tv(add|sub|mul|div|mla|mls|nmul|nmla|nmls|fma|fms|fnma|fnms|sqrt|cvt\w?|cmp|cmpe|neg|abs)\.f\w+|"
    r"\tvcvt\w?\.|\tf(add|sub|mul|div|madd|cvt|sqrt)\."
)


# As objdump writes ADR.
ADDRESS_OF_CODE = re.compile(r"\t(adr|adr\.w)\t|\t(add|addw|add\.w|sub|subw|sub\.w)\t\w+, pc, #")
SHF_WRITE = 1  # ELF: a section's flag


def need(*tools: str) -> None:
    for tool in tools:
        if find_tool(tool) is None:
            pytest.skip(f"{tool} is missing: {how_to_install(tool)}")


def run(command: Sequence[str | Path]) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[:4000]}"
    return done.stdout


def cross(board: str) -> list[str]:
    """A board's compiler with its flags."""
    target = load_board(board)
    need(compiler(target.toolchain))
    picolibc = ["--specs=picolibc.specs"] if target.toolchain.startswith("riscv") else []
    # Without -fno-pie the host puts constant pointers where the loader may write.
    return [compiler(target.toolchain), *target.flags, *picolibc, *(["-fno-pie"] if target.is_host else [])]


def sources(folder: Path) -> list[Path]:
    return sorted((folder / "src").glob("*.c"))


def objects(folder: Path, work: Path, command: Sequence[str], *flags: str) -> list[Path]:
    """Compiled strictly, one object per source."""
    made = []
    for source in sources(folder):
        made.append(work / f"{source.stem}.o")
        run([*command, *STRICT, *flags, "-c", source, "-o", made[-1]])
    return made


def test_every_kernel_is_tested(every_kernel: Path, repository: Path) -> None:
    """In the library that most tests of this folder use, or by a test of its own, which compiles as strictly."""
    used = {layer["kernel"] for layer in load_manifest(every_kernel)["layers"]}
    own = {path.stem.removeprefix("test_") for path in (repository / "tests/kernels").glob("test_*.py")}
    assert len(used) >= 10
    templates = {kernel.template or name for name, kernel in KERNELS.items() if name not in used}
    assert templates <= own, "add it to every_kernel in tests/zoo.py, or write its test"


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_no_warning_on_the_host(cc: str, libraries: dict[str, Path], tmp_path: Path) -> None:
    need(cc)
    for folder in libraries.values():
        for level in ("-O0", "-O2"):  # some warnings come from the optimizer
            objects(folder, tmp_path, [cc], level)
        run([cc, *STRICT, "-O2", f"-I{folder / 'src'}", "-c", folder / "main.c", "-o", tmp_path / "main.o"])


@pytest.mark.parametrize("board", BOARDS)
def test_no_warning_on_target(
    board: str, libraries: dict[str, Path], portable_libraries: dict[str, Path], tmp_path: Path
) -> None:
    command = cross(board)
    for folder in (libraries if load_board(board).isa.dsp else portable_libraries).values():
        for level in ("-O0", "-O2"):  # without optimization few registers are left for assembly
            objects(folder, tmp_path, command, level)


@pytest.mark.parametrize("name", ["ic", "kws"])
def test_no_warning_where_speed_is_asked_for(name: str, models: dict[str, Path], tmp_path: Path) -> None:
    command = cross("cortex-m4")
    folder = mcugen.build(models[name], calib="random", optimize="speed", out=tmp_path / "out").path
    for level in ("-O0", "-Os", "-O3"):
        objects(folder, tmp_path, command, level)


def test_no_warning_with_32_bit_long(libraries: dict[str, Path], tmp_path: Path) -> None:
    need("clang")
    for folder in libraries.values():
        objects(folder, tmp_path, ["clang", "-m32", "-ffreestanding"])


@pytest.mark.parametrize("cxx", ["g++", "clang++"])
def test_headers_are_cxx17(cxx: str, libraries: dict[str, Path], tmp_path: Path) -> None:
    need(cxx)
    for folder in libraries.values():
        name = load_manifest(folder)["name"]
        user = tmp_path / "user.cpp"
        ports = ", 0" if len(load_manifest(folder)["inputs"]) > 1 else ""
        call = f'#include "{name}.h"\n{name}_t net;\nint8_t *in() {{ return {name}_input(&net{ports}); }}\n'
        user.write_text(call + f"int main() {{ in(); {name}_run(&net); return 0; }}\n")
        strict = [flag for flag in CXX if flag != "-Wold-style-cast"]  # the header is C too
        built = objects(folder, tmp_path, ["gcc" if cxx == "g++" else "clang"])
        run([cxx, *strict, f"-I{folder / 'src'}", user, *built, "-o", tmp_path / "user"])


def test_cppcheck(libraries: dict[str, Path]) -> None:
    need("cppcheck")
    checks = "--enable=warning,style,performance,portability"
    for folder in libraries.values():
        name = load_manifest(folder)["name"]
        # Shifting an int32_t by 31 is proved by mcugen_fixed.h's own assertion of an arithmetic shift.
        # Members that only instructions read, or only their twin: it looks at one of both.
        quiet = ("shiftTooManyBitsSigned", "missingIncludeSystem", "unusedStructMember")
        hidden = [f"--suppress={check}" for check in quiet]
        run(["cppcheck", "-q", "--std=c99", checks, *hidden, "--error-exitcode=1", folder / f"src/{name}.c"])


def writable_bytes(elf: Path) -> dict[str, int]:
    """Sections that would take RAM: .data, .bss and their like."""
    with elf.open("rb") as file:
        sections = {s.name: s["sh_size"] for s in ELFFile(file).iter_sections() if s["sh_flags"] & SHF_WRITE}
    return {name: size for name, size in sections.items() if size}


def undefined(listing: str) -> set[str]:
    return {line.split()[-1] for line in listing.splitlines() if re.match(r"\s+U ", line)}


@pytest.mark.parametrize("level", ["-Os", "-O2", "-O3"])
@pytest.mark.parametrize("board", [*BOARDS, "host"])
def test_symbols(
    board: str,
    level: str,
    libraries: dict[str, Path],
    portable_libraries: dict[str, Path],
    tmp_path: Path,
) -> None:
    """Only allowed symbols are needed; all that are offered begin with the library's name; nothing is writable."""
    command = cross(board)
    prefix = load_board(board).toolchain
    for folder in (libraries if load_board(board).isa.dsp else portable_libraries).values():
        name = load_manifest(folder)["name"]
        linked = tmp_path / "library.o"
        linker = [word for word in command if not word.startswith("--specs")]
        run([*linker, "-r", "-nostdlib", *objects(folder, tmp_path, command, level), "-o", linked])
        needed = undefined(run([f"{prefix}nm", linked]))
        assert needed <= INTEGER_HELPERS[board], f"{name}: {needed - INTEGER_HELPERS[board]}"
        assert not writable_bytes(linked), f"{name}: {writable_bytes(linked)}"
        offered = run(
            [f"{prefix}nm", "--defined-only", "--extern-only", "--format=posix", linked]
        ).splitlines()
        strangers = [line for line in offered if not line.startswith(f"{name}_")]
        assert offered and not strangers, f"{name}: {strangers}"


@pytest.mark.parametrize("board", ["cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"])
def test_no_floating_point_instruction(board: str, libraries: dict[str, Path], tmp_path: Path) -> None:
    """On cores where the compiler could use them; elsewhere float would be a libgcc symbol (test_symbols)."""
    command = cross(board)
    disassembler = f"{load_board(board).toolchain}objdump"
    for folder in libraries.values():
        for made in objects(folder, tmp_path, command, "-O2"):
            found = FLOAT_INSTRUCTION.findall(run([disassembler, "-d", "--no-show-raw-insn", made]))
            assert not found, f"{folder.name}: {found[:3]}"


def test_the_search_for_float_finds_it(tmp_path: Path) -> None:
    source = tmp_path / "float.c"
    source.write_text("float f(float a, float b) { return a * b; }\nint g(float a) { return (int)a; }\n")
    for board in ("cortex-m4", "cortex-m55"):
        run([*cross(board), "-O2", "-c", source, "-o", tmp_path / "float.o"])
        text = run(["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", tmp_path / "float.o"])
        assert len(FLOAT_INSTRUCTION.findall(text)) >= 2, text
    run([*cross("cortex-m0"), "-O2", "-c", source, "-o", tmp_path / "float.o"])
    needed = undefined(run(["arm-none-eabi-nm", tmp_path / "float.o"]))
    assert needed and not needed & INTEGER_HELPERS["cortex-m0"]


def test_code_and_weights_go_where_they_are_told(every_kernel: Path, tmp_path: Path) -> None:
    """Every function that runs per layer, also those that the optimizer would inline, lands in the named section."""
    place = [
        f'-DEVERY_KERNEL_{what.upper()}_ATTR=__attribute__((section(".{what}")))'
        for what in ("code", "weights")
    ]
    code, weights = objects(every_kernel, tmp_path, cross("cortex-m4"), "-O0", *place)
    functions = {name: section for name, kind, section in symbols(code) if kind == "STT_FUNC"}
    assert {f for f in functions if functions[f] != ".code" and not f.startswith("mcugen_")} == {
        "every_kernel_input",
        "every_kernel_output",
    }
    loops = {"mcugen_gemm_raw", "mcugen_gemm_affine", "mcugen_gemm_sums", "mcugen_gather", "mcugen_store"}
    assert {functions[name] for name in loops & functions.keys()} == {".code"}  # the innermost loops
    assert {section for _, kind, section in symbols(weights) if kind == "STT_OBJECT"} == {".weights"}


def symbols(elf: Path) -> list[tuple[str, str, str]]:
    """Name, type and section of every symbol that is defined."""
    with elf.open("rb") as file:
        parsed = ELFFile(file)
        table = parsed.get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        defined = [s for s in table.iter_symbols() if isinstance(s["st_shndx"], int)]
        return [(s.name, s["st_info"]["type"], parsed.get_section(s["st_shndx"]).name) for s in defined]


def test_hostile_names_stay_comments(zoo_libraries: dict[str, Path]) -> None:
    folder = zoo_libraries["hostile"]
    for source in [*sources(folder), *(folder / "src").glob("hostile*.h"), folder / "main.c"]:
        text = source.read_bytes()
        assert text.isascii() and b"??" not in text and b"\\\n" not in text
        assert max(map(len, text.splitlines())) <= 140


@pytest.mark.parametrize("recipe", ["int8", "int16x8"])
@pytest.mark.parametrize("opt", ["-O0", "-Os"])
def test_addresses_of_code_are_counted_from_multiples_of_four(
    recipe: str, opt: str, models: dict[str, Path], tmp_path: Path
) -> None:
    """ADR rounds the place it is at down to a multiple of four: a function that uses it must begin at one, which
    compilers do not see to where they save space."""
    board = "cortex-m4"
    folder = mcugen.build(models["kws"], calib="random", board=board, out=tmp_path, quantize=recipe).path
    command = cross(board)
    used = []
    for source in sources(folder):
        compiled = tmp_path / f"{source.stem}.o"
        run([*command, opt, "-std=c99", "-ffunction-sections", "-c", source, "-o", compiled])
        code = run([command[0].removesuffix("gcc") + "objdump", "-d", compiled])
        with compiled.open("rb") as file:
            alignment = {s.name: s["sh_addralign"] for s in ELFFile(file).iter_sections()}
        for section in re.split(r"Disassembly of section ", code)[1:]:
            if ADDRESS_OF_CODE.search(section):
                used.append(alignment[section.split(":", 1)[0]])
    assert used and min(used) >= 4


def test_lines_have_a_bearable_length(libraries: dict[str, Path]) -> None:
    for folder in libraries.values():
        for source in (folder / "src").iterdir():
            longest = max(source.read_text().splitlines(), key=len)
            assert len(longest) <= 140, f"{source.name}: {longest}"
