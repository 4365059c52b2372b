"""What quantization-aware training wins back where quantization after training loses: docs/quantization.md's table.

    python -m benchmarks.qat            train with three seeds, score the C, write benchmarks/qat.json and the table

Needs torch and torchao (`make qat`). The network is depthwise, without bounds in its activations, and starts with
channels whose scales differ a hundred times, as the folded weights of MobileNetV2's first depthwise layer do (Nagel et
al., Data-Free Quantization Through Weight Equalization and Bias Correction, arXiv:1906.04721, figure 2). Its data are
the digits of examples/digits. Float and quantized training get equal epochs and learning rates.
"""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.ranges import EXAMPLES, HERE
from mcugen import qat
from mcugen.evaluation import evaluate
from mcugen.pipeline import build

RESULTS = HERE / "qat.json"
PAGE = HERE.parent / "docs" / "quantization.md"
MARKS = ("<!-- `make qat` writes this -->", "<!-- /qat -->")
SEEDS = (0, 1, 2)
SPREAD = (0.03, 3.0)  # of the channels' first scales
CALIBRATION = 200  # samples
WAYS: dict[str, dict[str, Any]] = {
    "int8, `--no-refine`": {"refine": False},
    "int8": {},
    "int8, `--calibration mse`": {"calibration": "mse"},
    "int16x8": {"quantize": "int16x8"},
}


def layer(inputs: int, outputs: int, kernel: int, **options: Any) -> list[nn.Module]:
    """Convolution, BatchNormalization, hard swish."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **options)
    return [convolution, nn.BatchNorm2d(outputs), nn.Hardswish()]


class WideRanges(nn.Module):
    """A small MobileNet for digits [N, 1, 14, 14]."""

    def __init__(self) -> None:
        super().__init__()
        layers = [*layer(1, 8, 3), *layer(8, 8, 3, stride=2, groups=8), *layer(8, 16, 1)]
        for _ in range(2):
            layers += [*layer(16, 16, 3, groups=16), *layer(16, 16, 1)]
        self.layers, self.dense = nn.Sequential(*layers), nn.Linear(16, 10)
        for module in self.layers:
            if isinstance(module, nn.BatchNorm2d):
                module.weight.data.uniform_(*(math.log(s) for s in SPREAD)).exp_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.layers(x).mean((2, 3)))  # type: ignore[no-any-return]


def load(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    data = np.load(EXAMPLES / "digits" / f"digits_{part}.npz")
    x = torch.from_numpy(data["x"].astype(np.float32) / 255)[:, None]
    return x, torch.from_numpy(data["y"].astype(np.int64))


def train(model: nn.Module, data: tuple[torch.Tensor, torch.Tensor], epochs: int, rate: float) -> None:
    x, y = data
    optimizer = torch.optim.Adam(model.parameters(), rate)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(100):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def refine(model: nn.Module, data: tuple[torch.Tensor, torch.Tensor]) -> None:
    """The second part of the training, of float and quantized model alike; its end with ranges that stay."""
    train(model.train(), data, 3, 5e-3)
    train(model.train(), data, 1, 1e-3)
    train(model.eval(), data, 1, 5e-4)


def score(path: Path, test: Path, **options: Any) -> float:
    """Top-1 in percent of the C on the test digits."""
    with tempfile.TemporaryDirectory(prefix="mcugen-qat-") as name:
        folder = build(path, board="host", out=name, **options).path
        found = evaluate(folder, data=test, reference=0, jobs=1)
    return 100 * float(found.columns["C"].metrics["top-1"])


def measure(seed: int, folder: Path) -> dict[str, float]:
    """Top-1 in percent by way for a network of one seed."""
    torch.manual_seed(seed)
    data, (x, y) = load("train"), load("test")
    test, calib = folder / "test.npz", data[0][:CALIBRATION].numpy()
    np.savez(test, x=x.numpy(), y=y.numpy())
    model = WideRanges()
    train(model, data, 4, 5e-3)
    prepared = qat.prepare(model, (x[:2],))
    refine(model, data)
    with torch.no_grad():
        found = {"float": 100 * float((model(x).argmax(1) == y).double().mean())}
    path = folder / "plain.onnx"
    torch.onnx.export(model, (x[:1],), path, dynamo=True, external_data=False, verbose=False)
    found |= {way: score(path, test, calib=calib, **options) for way, options in WAYS.items()}
    refine(prepared, data)
    path = folder / "qat.onnx"
    qat.export(qat.convert(prepared), path, (x[:1],))
    found["int8, mcugen.qat"] = score(path, test)
    return {way: round(share, 2) for way, share in found.items()}


def table(figures: dict[str, dict[str, float]]) -> str:
    """A row for each way, a column for each seed and one for their mean; what training won back of int8's loss."""
    rows = ["| | " + " | ".join(f"seed {seed}" for seed in figures) + " | mean |"]
    rows.append("|---|" + "---:|" * (len(figures) + 1))
    means = {way: float(np.mean([of[way] for of in figures.values()])) for way in figures[str(SEEDS[0])]}
    for way, mean in means.items():
        shown = [f"{of[way]:.2f} %" for of in figures.values()]
        rows.append(f"| {way} | {' | '.join(shown)} | {mean:.2f} % |")
    parts = []
    for of in (means, *figures.values()):
        loss, back = of["float"] - of["int8"], of["int8, mcugen.qat"] - of["int8"]
        parts.append(f"{back:.2f} of {loss:.2f} points")
    mean, *seeds = parts
    return "\n".join([*rows, "", f"`mcugen.qat` wins back {mean} on average; by seed {', '.join(seeds)}."])


def main() -> None:
    torch.set_num_threads(1)  # the layers are too small for more, and sums the same anywhere
    figures = {}
    for seed in SEEDS:
        with tempfile.TemporaryDirectory(prefix="mcugen-qat-") as name:
            figures[str(seed)] = measure(seed, Path(name))
        print(seed, figures[str(seed)], flush=True)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text("utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n{table(figures)}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
