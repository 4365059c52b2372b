"""Files that TensorFlow, Keras 2 and 3, tfmot, PyTorch and torchao really write, through `build` and `verify`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mcugen
from mcugen.convert.recognise import PYTHON_VARIABLE
from mcugen.errors import McugenError, ModelError, ToolError, UnsupportedError, UsageError
from mcugen.model_file import read_model
from mcugen.verify import verify

pytestmark = pytest.mark.heavy

NETWORK = """
x = image = keras.Input((14, 14, 1), name="image")
x = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 3, padding="same", use_bias=False)(x)))
y = L.Conv2D(8, 1)(L.DepthwiseConv2D(3, padding="same")(x))
x = L.GlobalAveragePooling2D()(L.MaxPooling2D()(L.Add()([x, y])))
net = keras.Model(image, L.Dense(10, activation="softmax", name="digit")(x))
net.compile("adam", "sparse_categorical_crossentropy")
rng = np.random.default_rng(0)
data = rng.random((64, 14, 14, 1), np.float32), rng.integers(0, 10, 64)
net.fit(*data, verbose=0)
"""
KERAS_3 = f"""
import numpy as np, keras, tensorflow as tf
L = keras.layers
keras.utils.set_random_seed(0)
{NETWORK}
net.save("net.keras"); net.save("net.h5"); net.export("saved", verbose=False); net.save_weights("only.weights.h5")
left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
p, q = L.Dense(5)(left), L.Dense(5)(right)
two = keras.Model({{"right": right, "left": left}}, {{"total": L.Add()([p, q]), "less": L.Subtract()([p, q])}})
two.save("two.keras")
S = keras.Sequential
S([keras.Input((20, 3)), L.Conv1D(8, 3, dilation_rate=2, padding="causal"), L.Conv1D(8, 3, strides=2),
   L.BatchNormalization(), L.LeakyReLU(), L.Dropout(0.2), L.GlobalMaxPooling1D(), L.Dense(4)]).save("one_d.keras")
S([keras.Input((4,)), L.Lambda(lambda x: x * 2)]).save("lambda.keras")
S([keras.Input((4,)), L.Lambda(lambda x: x * 2)]).save("lambda.h5")
S([keras.Input((None, None, 3)), L.Conv2D(4, 3)]).save("any_size.keras")
S([L.Dense(4)]).save("unbuilt.keras")
@keras.saving.register_keras_serializable(package="mine")
class Mine(L.Layer):
    def call(self, x): return x + 1
S([keras.Input((4,)), Mine()]).save("mine.keras")
module = tf.Module()
module.f = tf.function(lambda x: tf.abs(tf.signal.rfft(x)), [tf.TensorSpec((None, 16), name="x")])
module.g = tf.function(lambda y: tf.nn.relu(y), [tf.TensorSpec((None, 16), name="y")])
tf.saved_model.save(module, "several", signatures={{"f": module.f, "g": module.g}})
"""
KERAS_2 = f"""
import os
os.environ["TF_USE_LEGACY_KERAS"] = "1"
import numpy as np, tf_keras as keras, tensorflow as tf, tensorflow_model_optimization as tfmot
L = keras.layers
keras.utils.set_random_seed(0)
{NETWORK}
net.save("old.keras"); net.save("old.h5")
keras.Sequential([keras.Input((4,)), L.Lambda(lambda x: x * 2)]).save("lambda_old.h5")
trained = tfmot.quantization.keras.quantize_model(net)
trained.compile("adam", "sparse_categorical_crossentropy")
trained.fit(*data, verbose=0)
trained.save("trained.keras"); trained.save("trained.h5"); trained.save("trained_saved")
"""
TORCH = """
import torch
from torch import nn
torch.manual_seed(0)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.depthwise, self.pointwise = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1)
        self.last = nn.Linear(8, 10)
    def forward(self, image):
        x = torch.relu(self.norm(self.first(image)))
        x = nn.functional.max_pool2d(x + torch.relu(self.pointwise(self.depthwise(x))), 2)
        return torch.softmax(self.last(x.mean((2, 3))), -1)
net, x = Net(), torch.randn(2, 1, 14, 14)
for _ in range(3): net(torch.randn(8, 1, 14, 14))
def save(net, name, *args, **options):
    torch.export.save(torch.export.export(net, args, **options), name)
save(net, "training.pt2", x)
net.eval()
save(net, "one.pt2", x[:1]); save(net, "many.pt2", x)
save(net, "open.pt2", x, dynamic_shapes=({0: torch.export.Dim("batch")},))
torch.save(net, "net.pt"); torch.save(net.state_dict(), "net.pth"); torch.jit.save(torch.jit.trace(net, x), "script.pt")
class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(3, 5)
    def forward(self, left, right): return {"total": self.a(left) + self.b(right), "less": self.a(left)}
save(Two().eval(), "two.pt2", torch.randn(1, 4), kwargs={"right": torch.randn(1, 3)})
import torch.ao.quantization.fx._decomposed
class Quantized(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("w", torch.randint(-127, 128, (5, 8), dtype=torch.int8))
    def rounded(self, x, scale, zero):
        ops, code = torch.ops.quantized_decomposed, (scale, zero, -128, 127, torch.int8)
        return ops.dequantize_per_tensor(ops.quantize_per_tensor(x, *code), *code)
    def forward(self, x):
        w = torch.ops.quantized_decomposed.dequantize_per_tensor(self.w, 0.01, 0, -127, 127, torch.int8)
        return self.rounded(nn.functional.linear(self.rounded(x, 0.02, 3), w), 0.06, -5)
save(Quantized(), "quantized.pt2", torch.randn(1, 8))
class Odd(nn.Module):
    def forward(self, x): return torch.special.bessel_j0(x)
save(Odd(), "odd.pt2", torch.randn(1, 4))
"""


def _make(script: str, packages: tuple[str, ...], factory: pytest.TempPathFactory) -> Path:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        why = f"needs {', '.join(missing)}: `make guides` installs them"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(why)
        pytest.skip(why)
    folder = factory.mktemp("models")
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def keras_3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make(KERAS_3, ("tensorflow", "keras"), tmp_path_factory)


@pytest.fixture(scope="module")
def keras_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make(KERAS_2, ("tensorflow", "tf_keras", "tensorflow_model_optimization"), tmp_path_factory)


@pytest.fixture(scope="module")
def torch_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make(TORCH, ("torch", "onnx", "onnxscript"), tmp_path_factory)


def _built(path: Path, folder: Path) -> dict[str, Any]:
    """The manifest of a library of real numbers: what differs from the file then is no rounding to int8."""
    build = mcugen.build(path, board="host", out=folder / "out", quantize="float32")
    report = verify(build.path, model=path)
    assert report.ok and report.float_report is not None and report.float_report.sqnr is not None
    assert report.float_report.sqnr > 90.0
    assert build.manifest["model"]["file"] == path.name
    return build.manifest


def _refused(path: Path, error: type[McugenError], *words: str) -> None:
    with pytest.raises(error) as caught:
        read_model(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind"), [("net.keras", "keras"), ("net.h5", "keras"), ("saved", "saved_model")]
)
def test_keras_3(name: str, kind: str, keras_3: Path, tmp_path: Path) -> None:
    manifest = _built(keras_3 / name, tmp_path)
    assert manifest["model"]["format"] == kind
    assert manifest["inputs"][0]["name"] == "image" and manifest["inputs"][0]["shape"] == [14, 14, 1]
    assert any(note.startswith("converted to .tflite by TensorFlow 2.") for note in manifest["notes"])


def test_several_inputs_and_outputs_keep_their_names(keras_3: Path, tmp_path: Path) -> None:
    manifest = _built(keras_3 / "two.keras", tmp_path)
    shapes = {port["name"]: port["shape"] for port in manifest["inputs"]}
    assert shapes == {"left": [4], "right": [3]}
    assert {port["name"] for port in manifest["outputs"]} == {"total", "less"}


def test_networks_of_one_dimension(keras_3: Path, tmp_path: Path) -> None:
    _built(keras_3 / "one_d.keras", tmp_path)


def test_signatures(keras_3: Path, tmp_path: Path) -> None:
    path = keras_3 / "several"
    _refused(path, ModelError, 'has no signature "serving_default"; there are: f, g', "--signature")
    with pytest.raises(UsageError, match='no signature "h"'):
        read_model(path, "h")
    build = mcugen.build(path, board="host", out=tmp_path / "out", calib="random", signature="g")
    assert verify(build.path, model=path).ok
    with pytest.raises(UnsupportedError, match="complex64"):
        read_model(path, "f")


def test_what_keras_3_files_are_refused_for(keras_3: Path) -> None:
    for name in ("lambda.keras", "lambda.h5"):
        _refused(
            keras_3 / name, UnsupportedError, 'layer "lambda', "Python code in the file", "from_keras_model"
        )
    _refused(keras_3 / "mine.keras", UnsupportedError, "class Mine of mine")
    _refused(keras_3 / "any_size.keras", ModelError, "dynamic shape ['?', '?', '?', 3]")
    _refused(keras_3 / "unbuilt.keras", ModelError, "never built")
    _refused(keras_3 / "only.weights.h5", ModelError, "weights alone")
    damaged = keras_3 / "damaged.keras"
    damaged.write_bytes((keras_3 / "net.keras").read_bytes()[:-200])
    _refused(damaged, ModelError, "damaged")
    (keras_3 / "saved" / "saved_model.pb").write_bytes(b"\x01\x02")
    _refused(keras_3 / "saved", ModelError, "TensorFlow cannot load it")


@pytest.mark.parametrize("name", ["old.keras", "old.h5"])
def test_keras_2(name: str, keras_2: Path, tmp_path: Path) -> None:
    assert _built(keras_2 / name, tmp_path)["inputs"][0]["name"] == "image"


@pytest.mark.parametrize("name", ["trained.h5", "trained_saved"])
def test_networks_trained_with_tfmot_become_int8(name: str, keras_2: Path, tmp_path: Path) -> None:
    build = mcugen.build(keras_2 / name, board="host", out=tmp_path / "out")  # no samples
    report = verify(build.path, model=keras_2 / name)
    assert report.ok and report.original is not None and report.original.different == 0
    assert build.manifest["inputs"][0]["dtype"] == "int8"


def test_what_keras_2_files_are_refused_for(keras_2: Path) -> None:
    _refused(keras_2 / "trained.keras", ModelError, "save it as model.h5")
    _refused(keras_2 / "lambda_old.h5", UnsupportedError, "Python code in the file")


@pytest.mark.parametrize("name", ["one.pt2", "many.pt2", "open.pt2"])
def test_torch(name: str, torch_files: Path, tmp_path: Path) -> None:
    manifest = _built(torch_files / name, tmp_path)
    assert manifest["model"]["format"] == "pt2"
    assert manifest["inputs"][0]["name"] == "image" and manifest["inputs"][0]["shape"] == [1, 14, 14]


def test_quantized_torch(torch_files: Path, tmp_path: Path) -> None:
    path = torch_files / "quantized.pt2"
    build = mcugen.build(path, board="host", out=tmp_path / "out")  # no samples
    report = verify(build.path, model=path)
    assert report.ok and report.float_report is not None and report.float_report.sqnr is not None
    assert report.float_report.sqnr > 35.0
    assert build.manifest["inputs"][0]["scale"] == pytest.approx(0.02)
    assert build.manifest["outputs"][0]["zero_point"] == -5


def test_torch_with_several_inputs(torch_files: Path, tmp_path: Path) -> None:
    manifest = _built(torch_files / "two.pt2", tmp_path)
    assert {port["name"]: port["shape"] for port in manifest["inputs"]} == {"left": [4], "right": [3]}
    assert {port["name"] for port in manifest["outputs"]} == {"total", "less"}


def test_what_torch_files_are_refused_for(torch_files: Path) -> None:
    _refused(torch_files / "odd.pt2", UnsupportedError, "no ONNX for torch.ops.prims.bessel_j0")
    _refused(torch_files / "training.pt2", ModelError, "training mode", "model.eval()")
    for name in ("net.pt", "net.pth", "script.pt"):
        _refused(torch_files / name, ModelError, "pickled PyTorch file", "torch.export.save")
    damaged = torch_files / "damaged.pt2"
    damaged.write_bytes((torch_files / "one.pt2").read_bytes()[:3000])
    _refused(damaged, ModelError, "damaged")


def test_the_other_python_is_used(torch_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setenv(PYTHON_VARIABLE, str(bare))
    with pytest.raises(ToolError, match="has no torch"):
        read_model(torch_files / "one.pt2")
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    samples = np.random.default_rng(0).standard_normal((8, 1, 14, 14)).astype(np.float32)
    assert mcugen.build(torch_files / "one.pt2", calib=samples, board="host", out=tmp_path / "out").arena > 0
