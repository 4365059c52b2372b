"""Compile a generated folder as a program with any compiler and flags: sanitizers need one of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mcugen.ir import Array
from mcugen.manifest import load_manifest
from mcugen.simulate import as_bytes

SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined,alignment", "-fno-sanitize-recover=all")
STRICT = [
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wshadow",
    "-Wcast-qual",
    "-Wundef",
    "-Wpedantic",
    "-Werror",
]

MAIN = """
#include <stdio.h>
#include <string.h>
#include "{name}.h"
static {name}_t net;
void test_layer(const int8_t *arena, int32_t layer);
static const size_t offsets[] = {{ {offsets} }};
static const size_t sizes[] = {{ {sizes} }};
void test_layer(const int8_t *arena, int32_t layer)
{{
    fwrite(arena + offsets[layer], 1, sizes[layer], stdout);
}}
int main(void)
{{
    memset(&net, 0xA5, sizeof net);
    {reset}
    for (;;) {{
{reads}
        {name}_run(&net);
{writes}
    }}
}}
"""


def compile_native(folder: Path, work: Path, compiler: str, flags: Sequence[str]) -> Path:
    """A program that reads samples from stdin and writes, per sample, every layer's output and then the outputs."""
    manifest = load_manifest(folder)
    name, layers = manifest["name"], manifest["layers"]

    def argument(ports: list[dict[str, object]], i: int) -> str:
        return f", {i}" if len(ports) > 1 else ""

    reads = "\n".join(
        f"        if (fread({name}_input(&net{argument(manifest['inputs'], i)}), 1, {p['bytes']}, stdin) "
        f"!= {p['bytes']}) return 0;"
        for i, p in enumerate(manifest["inputs"])
    )
    writes = "\n".join(
        f"        fwrite({name}_output(&net{argument(manifest['outputs'], i)}), 1, {p['bytes']}, stdout);"
        for i, p in enumerate(manifest["outputs"])
    )
    main = work / "native.c"
    main.write_text(
        MAIN.format(
            name=name,
            reset=f"{name}_reset(&net);" if manifest["memory"]["state"] else "",
            offsets=", ".join(str(e["output"]["offset"]) for e in layers) or "0",
            sizes=", ".join(str(e["output"]["bytes"]) for e in layers) or "0",
            reads=reads,
            writes=writes,
        )
    )
    program = work / f"native-{compiler}-{abs(hash(tuple(flags))) % 10**6}"
    sources = [str(p) for p in sorted((folder / "src").glob("*.c"))]
    command = [compiler, *STRICT, *flags, "-DMCUGEN_LAYER_HOOK=test_layer", f"-I{folder / 'src'}", *sources]
    done = subprocess.run(
        [*command, str(main), "-o", str(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:4000]
    return program


def run_native(program: Path, folder: Path, inputs: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """Outputs and every layer's output, int8 [N, bytes] each."""
    manifest = load_manifest(folder)
    count = len(inputs[0])
    data = np.concatenate([as_bytes(a) for a in inputs], axis=1)
    done = subprocess.run([str(program)], input=data.tobytes(), capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:4000]
    sizes = [e["output"]["bytes"] for e in manifest["layers"]] + [p["bytes"] for p in manifest["outputs"]]
    flat = np.frombuffer(done.stdout, np.int8).reshape(count, sum(sizes))
    parts = np.split(flat, np.cumsum(sizes)[:-1], axis=1)
    split = len(manifest["layers"])
    return parts[split:], parts[:split]
