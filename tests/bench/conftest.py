"""Small hand-written libraries that keep the contract of generated ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from emulated import need

from mcugen.manifest import SCHEMA

HEADER = """\
#ifndef NET_H
#define NET_H
#include <stdint.h>
typedef struct {{ {align} int8_t arena[{arena}]; }} net_t;
{functions}
#endif
"""
ALIGN = "__attribute__((aligned(16)))"
HOOK = """\
#ifdef MCUGEN_LAYER_HOOK
extern void MCUGEN_LAYER_HOOK(const int8_t *arena, int32_t layer);
#define LAYER_DONE(net, index) MCUGEN_LAYER_HOOK((net)->arena, index)
#else
#define LAYER_DONE(net, index) ((void)0)
#endif
"""
ONE_INPUT = """\
int8_t *net_input(net_t *net);
void net_run(net_t *net);
const int8_t *net_output(const net_t *net);
"""


@pytest.fixture
def needs_emulator() -> Callable[[str], None]:
    """See `emulated.need`."""
    return need


def _write_library(
    folder: Path,
    source: str,
    *,
    arena: int,
    inputs: Sequence[int],
    outputs: Sequence[int],
    layers: Sequence[tuple[int, int] | None],
    functions: str = ONE_INPUT,
) -> Path:
    """A library named `net`: `source` is net.c without its head, `layers` (offset, bytes) of outputs."""
    (folder / "src").mkdir(parents=True)
    (folder / "src/net.h").write_text(HEADER.format(align=ALIGN, arena=arena, functions=functions))
    (folder / "src/net.c").write_text(f'#include "net.h"\n{HOOK}\n{source}')
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "mcugen": "0",
        "name": "net",
        "inputs": [{"name": f"x{i}", "bytes": size} for i, size in enumerate(inputs)],
        "outputs": [{"name": f"y{i}", "bytes": size} for i, size in enumerate(outputs)],
        "layers": [
            {
                "index": i,
                "name": f"layer{i}",
                "output": place and {"buffer": "b", "offset": place[0], "bytes": place[1]},
            }
            for i, place in enumerate(layers)
        ],
    }
    (folder / "net.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def write_library() -> Callable[..., Path]:
    return _write_library


@pytest.fixture
def two_layers(tmp_path: Path) -> Path:
    """y = 2 * (x + table) on 64 bytes: layer 0 in place at 0, layer 1 to 64."""
    source = """\
static const int8_t table[64] = {1, 2, 3, 4};
int8_t *net_input(net_t *net) { return net->arena; }
const int8_t *net_output(const net_t *net) { return net->arena + 64; }
void net_run(net_t *net)
{
    for (int i = 0; i < 64; i++) {
        net->arena[i] = (int8_t)(net->arena[i] + table[i]);
    }
    LAYER_DONE(net, 0);
    for (int i = 0; i < 64; i++) {
        net->arena[64 + i] = (int8_t)(2 * net->arena[i]);
    }
    LAYER_DONE(net, 1);
}
"""
    places = [(0, 64), (64, 64)]
    return _write_library(tmp_path / "net", source, arena=128, inputs=[64], outputs=[64], layers=places)


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    """Executes exactly 2 * n + 2 instructions, n being its input of 4 bytes, which is its output too."""
    source = """\
int8_t *net_input(net_t *net) { return net->arena; }
const int8_t *net_output(const net_t *net) { return net->arena; }
#ifdef __arm__
__asm__(".syntax unified\\n.text\\n.thumb\\n.thumb_func\\n.global net_run\\n.type net_run, %function\\n"
        "net_run:\\nldr r0, [r0]\\n1: subs r0, #1\\nbne 1b\\nbx lr\\n.size net_run, .-net_run\\n");
#else
__asm__(".text\\n.global net_run\\n.type net_run, %function\\n"
        "net_run:\\nlw a0, 0(a0)\\n1: addi a0, a0, -1\\nbnez a0, 1b\\nret\\n.size net_run, .-net_run\\n");
#endif
"""
    return _write_library(tmp_path / "net", source, arena=16, inputs=[4], outputs=[4], layers=[None])
