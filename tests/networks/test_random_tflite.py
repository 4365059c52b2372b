"""Random int8 .tflite networks through the whole pipeline: the C equals TensorFlow Lite Micro in every layer."""

from __future__ import annotations

from pathlib import Path

from random_tflite import random_tflite
from tflite_layers import check_layers
from tflm import TflmError

COUNT = 20


def test_random_networks(tmp_path: Path) -> None:
    refused = compared = layers = 0
    for seed in range(COUNT):
        try:
            found = check_layers(random_tflite(seed), tmp_path, seed=seed)
        except TflmError:
            refused += 1
            continue
        compared, layers = compared + found[0], layers + found[1]
    assert refused <= COUNT // 10
    assert compared > 0.85 * layers > 6 * COUNT


def test_the_generator_repeats_itself() -> None:
    assert random_tflite(7) == random_tflite(7)
    assert len({random_tflite(seed) for seed in range(10)}) == 10
