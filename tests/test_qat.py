"""mcugen.qat with PyTorch and torchao: what is annotated, what training leaves alone, files that build as they are."""

from __future__ import annotations

import copy
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import mcugen
from mcugen.errors import UnsupportedError, UsageError
from mcugen.quantize.annotated import FIXED, NEIGHBOUR
from mcugen.verify import Report, verify


def test_without_torch_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mcugen.qat", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="pip install torch torchao onnxscript"):
        importlib.import_module("mcugen.qat")


try:
    import torch
    from torch import nn
    from torch.nn import functional as F

    from mcugen import qat
except ImportError as error:
    MISSING = f"{error}: `make guides` installs it"

    class nn:  # stands for torch.nn in class statements
        Module: Any = object
else:
    MISSING = ""


class Residual(nn.Module):
    """BatchNormalization (one with another eps and momentum), depthwise, addition, ReLU6, concatenation, softmax."""

    shape = (3, 12, 12)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8, eps=1e-2, momentum=0.03)
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.pointwise, self.side = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.drop, self.dense = nn.Dropout(0.1), nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.first(x))
        x = torch.relu(x + self.pointwise(self.depthwise(x)))
        x = F.max_pool2d(x, 2)
        x = torch.cat([x, F.relu6(self.side(x))], 1)
        x = self.drop(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return torch.softmax(self.dense(x), -1)


class Signal(nn.Module):
    """1-D, the old way of pooling before a ReLU, a gate, average pooling, BatchNormalization behind a dense layer."""

    shape = (4, 32)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(4, 12, 5, padding=2), nn.BatchNorm1d(12))
        self.second, self.gate = nn.Conv1d(12, 12, 3, padding=1, stride=2), nn.Conv1d(12, 12, 1)
        self.dense, self.norm, self.last = nn.Linear(48, 24, bias=False), nn.BatchNorm1d(24), nn.Linear(24, 5)

    def forward(self, x: Any) -> Any:
        x = F.relu(F.max_pool1d(self.first(x), 2))
        x = F.leaky_relu(self.second(x), 0.1)
        x = F.avg_pool1d(x * torch.sigmoid(self.gate(x)), 2)
        return self.last(F.relu(self.norm(self.dense(x.reshape(x.shape[0], -1)))))


class Upward(nn.Module):
    """Transposed convolutions, SiLU, hard swish, resizing, padding, slices, a maximum, two outputs."""

    shape = (2, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(2, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.SiLU())
        self.up = nn.Sequential(nn.ConvTranspose2d(8, 6, 2, stride=2, bias=False), nn.BatchNorm2d(6))
        self.last = nn.ConvTranspose2d(6, 3, 3, padding=1)
        self.linear, self.nearest = nn.Upsample(scale_factor=2, mode="bilinear"), nn.Upsample(scale_factor=2)

    def forward(self, x: Any) -> Any:
        x = self.down(x)
        resized = self.linear(x)[:, :3]
        padded = self.nearest(F.pad(x, (1, 0, 0, 1)))[:, 2:5, :8, :8]
        return torch.sigmoid(self.last(F.hardswish(self.up(x))) + resized), torch.maximum(padded, resized)


class Dense(nn.Module):
    """GELU, constants, chunks that change places, a product of matrices."""

    shape = (40,)

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(40, 32), nn.Linear(32, 32), nn.Linear(32, 8)
        self.shift, self.weight = nn.Parameter(torch.randn(32)), nn.Parameter(torch.randn(32, 32) / 5)

    def forward(self, x: Any) -> Any:
        x = F.gelu(self.a(x))
        left, right = (x + F.relu(self.b(x)) * 0.5 + self.shift).chunk(2, 1)
        return self.c(F.relu(torch.cat([right, left], 1) @ self.weight) - 1.0)


class Alone(nn.Module):
    """BatchNormalization and ReLU that belong to no layer, PReLU, groups, ELU, log_softmax."""

    shape = (3, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.input, self.output = nn.BatchNorm2d(3), nn.BatchNorm2d(6)
        self.a, self.b = nn.Conv2d(3, 6, 3, padding="same"), nn.Conv2d(6, 6, 3, padding=1, groups=3)
        self.act, self.dense = nn.PReLU(6), nn.Linear(6, 4)

    def forward(self, x: Any) -> Any:
        x = self.act(self.a(self.input(x)))
        x = F.elu(self.output(F.relu(self.b(F.relu(x)))) + x)
        return F.log_softmax(self.dense(x.mean((2, 3))), 1)


def _network(kind: Any) -> Any:
    torch.manual_seed(0)
    model = kind().eval()
    for name, value in model.named_buffers():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        if name.endswith("running_mean"):
            value.uniform_(-0.1, 0.1)
    return model


def _first(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, tuple) else outputs


def _train(prepared: Any, kind: Any, steps: int = 12) -> Any:
    optimizer = torch.optim.SGD(prepared.parameters(), 1e-3)
    for _ in range(steps):
        loss = _first(prepared(torch.randn(17, *kind.shape))).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return prepared.eval()


def _built(path: Path, shape: tuple[int, ...], **options: Any) -> tuple[dict[str, Any], Report]:
    build = mcugen.build(path, board="host", out=path.parent / "out", **options)
    data = path.parent / "data.npy"
    np.save(data, np.random.default_rng(0).normal(size=(64, *shape)).astype(np.float32))
    return build.manifest, verify(build.path, data=data, model=path)


def _origins(manifest: dict[str, Any]) -> set[str]:
    return {entry["origin"] for entry in manifest["calibration"]["tensors"].values()}


@pytest.mark.heavy
class TestQat:
    """All that needs torch."""

    @pytest.fixture(autouse=True)
    def _packages(self) -> None:
        if MISSING:
            (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(MISSING)

    @pytest.mark.parametrize("name", ["Residual", "Signal", "Upward", "Dense", "Alone"])
    def test_a_whole_model_builds_without_samples(self, name: str, tmp_path: Path) -> None:
        kind = globals()[name]
        prepared = _train(qat.prepare(_network(kind), (torch.randn(1, *kind.shape),)), kind)
        x = torch.randn(5, *kind.shape)
        trained = _first(prepared(x))
        converted = qat.convert(prepared)
        assert torch.allclose(_first(converted(x)), trained, atol=1e-6)
        path = tmp_path / "net.onnx"
        assert qat.export(converted, path, (x,)) == ()
        manifest, report = _built(path, kind.shape)
        assert report.ok and report.float_report is not None
        assert report.float_report.sqnr is not None and report.float_report.sqnr > 25.0
        (note,) = (n for n in manifest["notes"] if n.startswith("quantized model"))
        assert "calibrated" not in note
        assert not any("rescaling" in n for n in manifest["notes"]), manifest["notes"]
        shown = onnx.load(path)
        assert not any(n.metadata_props for n in shown.graph.node)
        assert str(Path(__file__).parent).encode() not in path.read_bytes()

    def test_two_inputs(self, tmp_path: Path) -> None:
        class Pair(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(3, 4, 1)
                self.drop, self.c, self.dense = nn.Dropout2d(0.2), nn.Conv2d(8, 6, 3), nn.Linear(54, 5)

            def forward(self, x: Any, y: Any) -> Any:
                x = torch.cat([F.relu(self.a(x)), F.relu(self.b(y)).clamp(max=3.0)], 1)
                left, right = torch.split(self.c(F.max_pool2d(self.drop(x), 2)), [2, 4], 1)
                x = F.interpolate(torch.cat([right, left.flip(2)], 1), scale_factor=3)
                x = self.dense(F.avg_pool2d(x, 2).view(x.size(0), -1))
                return x - x.amax(1, keepdim=True)

        inputs = torch.randn(30, 2, 8, 8), torch.randn(30, 3, 8, 8)
        torch.manual_seed(0)
        prepared = qat.prepare(Pair(), inputs)
        prepared(*inputs)
        converted = qat.convert(prepared)
        assert qat.export(converted, tmp_path / "net.onnx", inputs) == ()
        build = mcugen.build(tmp_path / "net.onnx", board="host", out=tmp_path / "out")
        assert not any("rescaling" in note for note in build.manifest["notes"])
        feeds = {name: value.numpy() for name, value in zip("xy", inputs, strict=True)}
        ours, theirs = mcugen.HostLibrary(build.path).run_float(feeds), converted(*inputs).detach().numpy()
        assert 10 * np.log10(np.square(theirs).sum() / np.square(ours - theirs).sum()) > 30.0

    def test_training_keeps_what_the_model_says(self) -> None:
        model = _network(Residual)
        before = copy.deepcopy(model.state_dict())
        x = torch.randn(9, *Residual.shape)
        prepared = qat.prepare(model, (x[:1],))
        for module in prepared.modules():
            if hasattr(module, "disable_fake_quant"):
                module.disable_fake_quant()
        assert torch.allclose(prepared.eval()(x), model(x), atol=1e-6)
        prepared.train().eval().train()
        calls = {str(n.target): n.args for n in prepared.graph.nodes}
        momenta = [n.args[6] for n in prepared.graph.nodes if str(n.target).startswith("aten.batch_norm")]
        assert momenta == [0.03, 0.1]
        assert calls["aten.dropout.default"][1:] == (0.1, True)
        _train(prepared, Residual, 3)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def test_ranges_follow_the_data_in_training_alone(self) -> None:
        prepared = qat.prepare(nn.Sequential(nn.Linear(4, 4)), (torch.randn(2, 4),))
        (observer, *_) = (m for m in prepared.modules() if isinstance(m, qat.Reach))
        x = torch.linspace(-1, 2, 8).reshape(2, 4)
        prepared(x)
        prepared.eval()(100 * x)
        assert (observer.min_val, observer.max_val) == (-1, 2)
        prepared.train()(x / 2)
        assert observer.max_val.item() == pytest.approx(1.99)
        prepared(3 * x)
        assert (observer.min_val, observer.max_val) == (-3, 6)

    def test_what_a_concatenation_joins_has_the_scale_of_the_largest(self) -> None:
        class Join(nn.Module):
            def forward(self, x: Any) -> Any:
                return torch.cat([F.relu(x), F.relu(-x) * 50.0, torch.sigmoid(x)], 1)

        x = torch.linspace(-1, 1, 40).reshape(4, 10)
        prepared = qat.prepare(Join(), (x,))
        for _ in range(50):
            prepared(x)
        converted = qat.convert(prepared)
        scales = {
            n.args[1]
            for n in converted.graph.nodes
            if str(n.target).startswith("quantized_decomposed.quantize")
        }
        assert len(scales) == 5  # x; -x; relu(-x); sigmoid; relu(x), product and concatenation
        assert max(scales) == pytest.approx(50 / 255, rel=0.01) and 1 / 256 in scales

    def test_chosen_layers(self, tmp_path: Path) -> None:
        model = _network(Residual)
        prepared = qat.prepare(model, (torch.randn(1, *Residual.shape),), ["depthwise", "point*", "dense"])
        converted = qat.convert(_train(prepared, Residual))
        path = tmp_path / "net.onnx"
        missing = qat.export(converted, path, (torch.randn(1, *Residual.shape),))
        assert "x" in missing and len(missing) == len(set(missing))
        with pytest.raises(UsageError, match='tensor "x"'):
            mcugen.build(path, board="host", out=tmp_path / "out")
        samples = np.random.default_rng(1).normal(size=(64, *Residual.shape)).astype(np.float32)
        manifest, report = _built(path, Residual.shape, calib=samples)
        assert report.ok and report.float_report is not None
        assert report.float_report.sqnr is not None and report.float_report.sqnr > 25.0
        assert {"file", "calibrated"} <= _origins(manifest) <= {"file", "calibrated", FIXED, NEIGHBOUR}
        real = _built(
            path, Residual.shape, calib=samples, quantize="int8-float-fallback", in_float=["*conv2d_3*"]
        )
        assert real[1].ok

    def test_mistakes_are_named(self, tmp_path: Path) -> None:
        model, x = _network(Dense), torch.randn(1, *Dense.shape)
        with pytest.raises(ValueError, match="'d', 'e\\*': no such submodule; there are a, b, c"):
            qat.prepare(model, (x,), ["a", "d", "e*"])
        prepared = qat.prepare(model, (x,))
        with pytest.raises(ValueError, match="ranges are unknown: run batches"):
            qat.convert(prepared)
        with pytest.raises(ValueError, match="export takes what convert gives"):
            qat.export(prepared, tmp_path / "net.onnx", (x,))

    def test_an_operator_that_does_not_compile_leaves_no_file(self, tmp_path: Path) -> None:
        class Sorted(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.dense = nn.Linear(8, 8)

            def forward(self, x: Any) -> Any:
                return torch.cumsum(self.dense(x), 1)

        prepared = qat.prepare(Sorted(), (torch.randn(2, 8),))
        prepared(torch.randn(4, 8))
        with pytest.raises(UnsupportedError, match="CumSum"):
            qat.export(qat.convert(prepared), tmp_path / "net.onnx", (torch.randn(1, 8),))
        assert not list(tmp_path.iterdir())
