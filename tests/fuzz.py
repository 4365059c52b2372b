"""Damaged model files for both importers: each must be compiled or refused with a sentence, never anything else.

    python tests/fuzz.py --count 5000 --seed 1     # what `make fuzz` runs

Mutants are bit flips, truncations, blocks copied over others, and words set to extreme values, in small files of
examples/. One seed gives the same mutants everywhere. A mutant that is neither compiled nor refused is printed with
its seed, and the command ends with exit code 1.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

from mcugen.boards import load_board
from mcugen.errors import ModelError, UnsupportedError, UsageError
from mcugen.pipeline import finish_graph, lay_out, read

EXAMPLES = Path(__file__).parents[1] / "examples"
SEEDS = (
    "tflite/hello_world_int8.tflite",
    "tflite/hello_world_float.tflite",
    "tflite/micro_speech_int8.tflite",
    "tflite/mnist_lstm_int8.tflite",
    "tflite/kws_dynrange.tflite",
    "models/kws_float.onnx",
)
EXTREMES = (0, 1, 0x7F, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FC00000, 0xBF800000, 0x10000)
SECONDS = 20  # per mutant
MEMORY = 6 << 30  # bytes of address space: numpy and onnxruntime map a good part of it at start


def mutant(data: bytes, seed: int) -> bytes:
    """`data` with one to four damages, most of them where a file describes its graph: at its ends."""
    rng = np.random.default_rng(seed)
    made = np.frombuffer(data, np.uint8).copy()
    for _ in range(int(rng.integers(1, 5))):
        spread = int(rng.choice([256, 2048, made.size]))
        place = int(rng.integers(0, min(spread, made.size)))
        place = made.size - 1 - place if rng.random() < 0.5 else place
        kind = int(rng.integers(0, 10))
        if kind < 4:
            made[place] ^= 1 << int(rng.integers(0, 8))
        elif kind < 8:
            word = np.frombuffer(int(rng.choice(EXTREMES)).to_bytes(4, "little"), np.uint8)
            place -= place % 4
            made[place : place + 4] = word[: made.size - place]
        elif kind == 8:
            size = int(min(rng.integers(1, 64), made.size - place))
            start = int(rng.integers(0, made.size - size + 1))
            made[place : place + size] = made[start : start + size].copy()
        else:
            made = made[: max(16, place)]
    return made.tobytes()


def try_file(path: Path) -> str:
    """Compile as far as that goes without calibration data; how it was refused, or "compiled"."""
    try:
        model = read(path)
        if model.quantized:
            lay_out(finish_graph(model.graph), load_board("cortex-m4"), "f", path.name, model.sha256, "")
    except (ModelError, UnsupportedError, UsageError) as error:
        return type(error).__name__
    return "compiled"


def _overtime(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def run(count: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """How often each end was met, and the traceback of every mutant that met another."""
    signal.signal(signal.SIGALRM, _overtime)
    ends: dict[str, int] = {}
    crashes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            source = EXAMPLES / SEEDS[number % len(SEEDS)]
            path = Path(folder) / f"mutant{source.suffix}"
            path.write_bytes(mutant(source.read_bytes(), seed * 1_000_003 + number))
            signal.alarm(SECONDS)
            try:
                end = try_file(path)
                ends[end] = ends.get(end, 0) + 1
            except Exception:  # anything else is what this looks for
                crashes.append(f"seed {seed}, mutant {number} of {source.name}\n{traceback.format_exc()}")
            finally:
                signal.alarm(0)
    return ends, crashes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=1000, help="mutants")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    ends, crashes = run(arguments.count, arguments.seed)
    print(*crashes, sep="\n")
    print(
        f"{arguments.count} mutants, seed {arguments.seed}: {ends}, {len(crashes)} neither compiled nor refused"
    )
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
