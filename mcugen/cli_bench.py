"""The command `mcugen bench`: arguments in, figures out. No logic: see bench/measure.py, bench/compare.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mcugen.cli_options import FolderArgument, JsonOption
from mcugen.report.bar import progress_bar

BENCH_EXAMPLES = """\b
Examples:
  mcugen bench out/kws
  mcugen bench out/kws --board nucleo-f446re --wait-states 5
  mcugen bench out/kws --json > old.json      # and after a change
  mcugen bench out/kws --compare old.json"""

BoardsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--board",
        "-b",
        metavar="BOARD",
        help="A board or core that has the library's instruction set; may be repeated. By default the one it was "
        "built for.",
    ),
]
WaitStatesOption = Annotated[
    int,
    typer.Option(
        "--wait-states",
        metavar="N",
        help="Of the flash: added to cycles for each taken branch and each read of constants.",
    ),
]
CompareOption = Annotated[
    Path | None,
    typer.Option(metavar="OLD", help="The JSON of an earlier bench: prints new / old for every figure."),
]


def bench(
    folder: FolderArgument,
    board: BoardsOption = None,
    wait_states: WaitStatesOption = 0,
    compare: CompareOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count what the library in FOLDER costs on an emulated core: instructions, model cycles, bytes, worst-case stack.

    No hardware is needed, and two runs give the same figures. Cycles are modelled for Cortex-M0, M0+, M3, M4 and M33:
    docs/bench.md.
    """
    from mcugen.bench.compare import ratios, read_old
    from mcugen.bench.measure import bench as run
    from mcugen.report.bench import as_plain, print_bench

    old = read_old(compare) if compare else None
    bar, track = progress_bar()
    with bar:
        found = run(folder, boards=board or (), wait_states=wait_states, progress=track)
    compared = ratios(old, found) if old is not None else None
    if as_json:
        print(json.dumps(as_plain(found, compared), indent=1))
    else:
        print_bench(found, compared)
