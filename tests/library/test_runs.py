"""Generated C under every optimizer and sanitizer: the reference's bytes, whatever lay in the arena before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from native import SANITIZERS, STRICT, compile_native, run_native

from mcugen.execute import run_samples
from mcugen.graph_file import load_graph
from mcugen.ir import Array
from mcugen.manifest import load_manifest
from mcugen.simulate import HostLibrary
from mcugen.tools import find_tool, how_to_install
from mcugen.verify import random_vectors

BUILDS = {
    "gcc -O0": ("gcc", ("-O0",)),
    "gcc -Os": ("gcc", ("-Os",)),
    "gcc -O3": ("gcc", ("-O3",)),
    "gcc -O2 -flto": ("gcc", ("-O2", "-flto")),
    "gcc sanitizers": ("gcc", SANITIZERS),
    "clang -O0": ("clang", ("-O0",)),
    "clang -Os": ("clang", ("-Os",)),
    "clang -O3": ("clang", ("-O3", "-march=native")),
    "clang sanitizers": ("clang", SANITIZERS),
}


def reference(folder: Path, inputs: list[Array]) -> tuple[list[Array], list[Array]]:
    """Outputs and layers' outputs [N, bytes] by the integer reference."""
    manifest = load_manifest(folder)
    graph = load_graph(folder / f"{manifest['name']}.graph.npz")
    chunks = list(run_samples(graph, dict(zip(graph.inputs, inputs, strict=True))))
    values = {n: np.concatenate([c[n].reshape(len(c[n]), -1) for c in chunks]) for n in chunks[0]}
    return [values[n] for n in graph.outputs], [values[e["output"]["tensor"]] for e in manifest["layers"]]


@pytest.fixture(scope="module")
def vectors(libraries: dict[str, Path]) -> dict[str, tuple[list[Array], list[Array], list[Array]]]:
    """Per library: inputs (4 random, all-min, all-max), outputs, layers."""
    made = {}
    for name, folder in libraries.items():
        inputs = random_vectors(load_manifest(folder)["inputs"], 4)
        made[name] = (inputs, *reference(folder, inputs))
    return made


@pytest.mark.parametrize("build", BUILDS)
def test_every_build_gives_the_same_bytes(
    build: str,
    libraries: dict[str, Path],
    vectors: dict[str, tuple[list[Array], list[Array], list[Array]]],
    tmp_path: Path,
) -> None:
    """One arena, one sample after the other: every layer and every output as the reference has it."""
    compiler, flags = BUILDS[build]
    if find_tool(compiler) is None:
        pytest.skip(f"{compiler} is missing: {how_to_install(compiler)}")
    for name, folder in libraries.items():
        inputs, outputs, layers = vectors[name]
        got_outputs, got_layers = run_native(
            compile_native(folder, tmp_path, compiler, flags), folder, inputs
        )
        entries = load_manifest(folder)["layers"]
        for entry, got, wanted in zip(entries, got_layers, layers, strict=True):
            wrong = int((got != wanted).sum())
            assert not wrong, (
                f"{name} layer {entry['index']} ({entry['kernel']}): {wrong} of {wanted.size} bytes"
            )
        for got, wanted in zip(got_outputs, outputs, strict=True):
            assert np.array_equal(got, wanted), name


def test_what_lay_in_the_arena_does_not_matter(libraries: dict[str, Path]) -> None:
    rng = np.random.default_rng(11)
    for name, folder in libraries.items():
        library = HostLibrary(folder)
        inputs = random_vectors(library.inputs, 2)
        results = []
        for garbage in (0x00, 0xA5, 0xFF, 0x80, None):
            library._memory[:] = rng.integers(0, 256, library._memory.size) if garbage is None else garbage
            results.append([a.tobytes() for a in library.run_layers(inputs)[1]])
        assert all(result == results[0] for result in results), name


def test_samples_do_not_influence_each_other(libraries: dict[str, Path]) -> None:
    for name, folder in libraries.items():
        library = HostLibrary(folder)
        inputs = random_vectors(library.inputs, 4)
        order = np.array([5, 2, 0, 2, 4, 1, 3])
        outputs, _ = library.run_layers(inputs)
        again, _ = library.run_layers([a[order] for a in inputs])
        for one, other in zip(outputs, again, strict=True):
            assert np.array_equal(one[order], other), name


TWO_MODELS = """
#include <pthread.h>
#include <stdio.h>
#include <string.h>
{includes}
#define THREADS 4
#define RUNS 40
static uint32_t next(uint32_t *state) {{ return *state = *state * 1664525u + 1013904223u; }}
{models}
typedef struct {{ uint32_t seed; uint32_t sum; }} job_t;
static void *work(void *argument)
{{
    job_t *job = (job_t *)argument;
    uint32_t state = job->seed;
    for (int run = 0; run < RUNS; ++run) {{
{calls}
    }}
    return NULL;
}}
int main(void)
{{
    job_t alone[THREADS], together[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; ++i) {{
        alone[i].seed = together[i].seed = 7u + (uint32_t)i;
        alone[i].sum = together[i].sum = 0u;
        work(&alone[i]);
    }}
    for (int i = 0; i < THREADS; ++i) {{
        if (pthread_create(&threads[i], NULL, work, &together[i]) != 0) return 2;
    }}
    for (int i = 0; i < THREADS; ++i) {{
        pthread_join(threads[i], NULL);
        if (alone[i].sum != together[i].sum) return 3;
        printf("%u\\n", (unsigned)alone[i].sum);
    }}
    return alone[0].sum == alone[1].sum ? 4 : 0;
}}
"""
MODEL = """
static uint32_t use_{name}(uint32_t *state)
{{
    {name}_t net, other; /* two instances take turns */
    uint32_t sum = 0u;
    memset(&net, (int)(next(state) >> 24), sizeof net);
    memset(&other, (int)(next(state) >> 24), sizeof other);
{fill}
    {name}_run(&other);
    {name}_run(&net);
{read}
    return sum;
}}
"""


def program_of(folders: list[Path]) -> str:
    """A C program that runs several libraries in several threads and sums up their outputs."""
    models, calls, includes = "", "", ""
    for folder in folders:
        manifest = load_manifest(folder)
        name = manifest["name"]
        fill, read = "", ""
        for what, ports in (("input", manifest["inputs"]), ("output", manifest["outputs"])):
            for i, port in enumerate(ports):
                index = f", {i}" if len(ports) > 1 else ""
                place = f"{name}_{what}(&net{index})"
                if what == "input":
                    byte = "(int8_t)((int)(next(state) >> 24) - 128)"
                    fill += f"    for (int i = 0; i < {port['bytes']}; ++i) {place}[i] = {byte};\n"
                    fill += f"    memset({name}_{what}(&other{index}), 3, {port['bytes']});\n"
                else:
                    read += f"    for (int i = 0; i < {port['bytes']}; ++i) "
                    read += f"sum = sum * 31u + (uint8_t){place}[i];\n"
        models += MODEL.format(name=name, fill=fill, read=read)
        includes += f'#include "{name}.h"\n'
        calls += f"        job->sum = job->sum * 33u + use_{name}(&state);\n"
    return TWO_MODELS.format(includes=includes, models=models, calls=calls)


@pytest.mark.parametrize("flags", [("-O2",), ("-O1", "-g", "-fsanitize=thread")])
def test_several_models_in_one_program_and_many_threads(
    flags: tuple[str, ...], libraries: dict[str, Path], tmp_path: Path
) -> None:
    """Libraries link together, and instances do not know of each other."""
    folders = list(libraries.values())
    if "-fsanitize=thread" in flags:  # slow: small ones only
        folders = [libraries[name] for name in ("every_kernel", "small", "no_constants", "no_layers")]
    main = tmp_path / "main.c"
    main.write_text(program_of(folders))
    sources = [str(s) for f in folders for s in sorted((f / "src").glob("*.c"))]
    paths = [f"-I{f / 'src'}" for f in folders]
    strict = [flag for flag in STRICT if flag != "-std=c99"]
    command = [
        "gcc",
        "-std=gnu99",
        *strict,
        *flags,
        *paths,
        *sources,
        str(main),
        "-pthread",
        "-o",
        str(tmp_path / "main"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    ran = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, f"exit code {ran.returncode}: {ran.stderr[:3000]}"
    assert len(set(ran.stdout.split())) == 4


def test_indices_out_of_range_are_clamped(every_kernel: Path, tmp_path: Path) -> None:
    main = tmp_path / "main.c"
    main.write_text(
        '#include <limits.h>\n#include "every_kernel.h"\nstatic every_kernel_t net;\nint main(void)\n{\n'
        "    const int8_t *first = every_kernel_input(&net, 0), *last = every_kernel_input(&net, 1);\n"
        "    if (every_kernel_input(&net, -1) != first || every_kernel_input(&net, INT_MIN) != first) return 1;\n"
        "    if (every_kernel_input(&net, 2) != last || every_kernel_input(&net, INT_MAX) != last) return 2;\n"
        "    if (every_kernel_output(&net, -1) != every_kernel_output(&net, 0)) return 3;\n"
        "    return every_kernel_output(&net, 3) != every_kernel_output(&net, 2) ? 4 : first == last;\n}\n"
    )
    sources = sorted((every_kernel / "src").glob("*.c"))
    program = tmp_path / "main"
    subprocess.run(["cc", *STRICT, f"-I{every_kernel / 'src'}", main, *sources, "-o", program], check=True)
    assert subprocess.run([program], check=False).returncode == 0


def test_the_arena_is_exactly_as_large_as_it_says(libraries: dict[str, Path], tmp_path: Path) -> None:
    """The type's size and alignment are what the header's macros and the manifest promise."""
    for folder in libraries.values():
        manifest = load_manifest(folder)
        name, arena = manifest["name"], manifest["memory"]["arena"]
        main = tmp_path / "size.c"
        main.write_text(
            f'#include <stddef.h>\n#include "{name}.h"\nstruct probe {{ char c; {name}_t net; }};\n'
            f"typedef char size[sizeof({name}_t) >= {arena} && sizeof({name}_t) < {arena} + 16 ? 1 : -1];\n"
            f"typedef char macro[{name.upper()}_ARENA_SIZE == {arena} ? 1 : -1];\n"
            f"typedef char align[offsetof(struct probe, net) % 8 == 0 ? 1 : -1];\n"
        )
        subprocess.run(
            ["cc", *STRICT, f"-I{folder / 'src'}", "-c", main, "-o", tmp_path / "size.o"], check=True
        )
