"""Files of other frameworks without those frameworks: what is recognised, refused, advised, and what a worker's answer
becomes. With them: test_frameworks.py."""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_net import Net, loaded, normalised

import mcugen
from mcugen.convert.recognise import KERAS, PT2, PYTHON_VARIABLE, SAVED_MODEL, recognise
from mcugen.convert.run import Converted, check_conversion
from mcugen.errors import ModelError, ToolError, UnsupportedError, UsageError
from mcugen.evaluation import evaluate
from mcugen.model_file import read_model
from mcugen.read.onnx_run import OnnxRunner
from mcugen.verify import verify

HERE = Path(mcugen.__file__).parent / "convert"


def _zip(path: Path, **entries: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(
                name.replace("__", "/").replace("_json", ".json").replace("_pkl", ".pkl"), content
            )
    return path


def _keras(path: Path, config: Any, version: str = "3.15.1") -> Path:
    metadata = json.dumps({"keras_version": version})
    return _zip(path, config_json=json.dumps(config), metadata_json=metadata)


def _pt2(path: Path, model: Any) -> Path:
    return _zip(path, **{"net/archive_format": "pt2", "net__models__model_json": json.dumps(model)})


def _worker(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module(name)


@pytest.fixture
def no_frameworks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python without packages, as the only one in PATH and as the one that mcugen runs in."""
    python = tmp_path / "bare" / "python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{python.parent}")
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    return python


def _python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A Python that says that it has all packages, and as a worker does this: $4 takes the file, $5 the answer."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exit 0\n{script}\n')
    python.chmod(0o755)
    monkeypatch.setenv(PYTHON_VARIABLE, str(python))


# --- what a file is ---


def test_files_are_recognised_by_content(tmp_path: Path) -> None:
    keras = _keras(tmp_path / "any.bin", {})
    hdf5 = tmp_path / "model.onnx"
    hdf5.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    folder = tmp_path / "saved"
    folder.mkdir()
    assert recognise(folder) is None
    (folder / "saved_model.pb").write_bytes(b"")
    assert [recognise(p) for p in (keras, hdf5, folder)] == [KERAS, KERAS, SAVED_MODEL]
    assert recognise(_pt2(tmp_path / "x", {})) is PT2
    assert recognise(_zip(tmp_path / "pickled.pt2", net__data_pkl="")) is None
    for name in ("missing.keras", "model.onnx.txt", "a\0b"):
        assert recognise(tmp_path / name) is None


@pytest.mark.parametrize(
    ("name", "source"), [("a.keras", KERAS), ("a.h5", KERAS), ("a.pt2", PT2), ("a.pt", None)]
)
def test_damaged_files_are_recognised_by_name(name: str, source: Any, tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04 cut short", bytes(range(256))):
        (tmp_path / name).write_bytes(content)
        assert recognise(tmp_path / name) is source


def test_pickled_modules_are_refused_with_the_export(tmp_path: Path) -> None:
    for name in ("net.pt", "net.pth", "net.pt2"):
        path = _zip(tmp_path / name, net__data_pkl="")
        with pytest.raises(ModelError, match="pickled PyTorch file") as caught:
            read_model(path)
        assert "torch.export.save" in str(caught.value) and "torch.onnx.export" in str(caught.value)


# --- which Python ---


def test_what_is_missing_comes_with_three_ways_out(tmp_path: Path, no_frameworks: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"")
    for path, package, lines in (
        (
            _keras(tmp_path / "net.keras", {}),
            "tensorflow",
            "from_keras_model(keras.models.load_model('net.keras'))",
        ),
        (folder, "tensorflow", "from_saved_model('saved')"),
        (_pt2(tmp_path / "net.pt2", {}), "torch", "torch.onnx.export(program, (), dynamo=True)"),
    ):
        with pytest.raises(ToolError) as caught:
            mcugen.build(path, calib="random", out=tmp_path / "out")
        text = str(caught.value)
        assert caught.value.exit_code == 7 and f"needs {package}" in text
        for words in (
            f"{no_frameworks} -m pip install {package}",
            "--converter-python",
            PYTHON_VARIABLE,
            lines,
        ):
            assert words in text
    assert not (tmp_path / "out").exists()


def test_a_python_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _keras(tmp_path / "net.keras", {})
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="--converter-python: [^ ]*nowhere cannot be run"):
        read_model(path)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setenv(PYTHON_VARIABLE, str(python))
    with pytest.raises(ToolError, match="does not run"):
        read_model(path)


def test_signatures_are_of_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only .tflite files and SavedModels have signatures"):
        read_model(_keras(tmp_path / "net.keras", {}), "serve")


# --- what a worker answers ---


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo out of memory >&2; kill -9 $$", "ended with signal 9: out of memory"),
        ("exit 3", "ended with exit code 3: without a word"),
        ("echo '{' > $5", "ended with exit code 0"),
    ],
)
def test_a_worker_that_dies(script: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _python(tmp_path, monkeypatch, script)
    with pytest.raises(ModelError, match=words) as caught:
        read_model(_keras(tmp_path / "net.keras", {}))
    assert "try it yourself" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "error"), [("missing", ToolError), ("model", ModelError), ("unsupported", UnsupportedError)]
)
def test_refusals_keep_all_faults(
    kind: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = json.dumps({"refused": kind, "faults": [["a", "is odd", "mend it"], ["b", "is even", ""]]})
    _python(tmp_path, monkeypatch, f"cat > $5 <<'END'\n{answer}\nEND")
    with pytest.raises(error) as caught:
        read_model(_keras(tmp_path / "net.keras", {}))
    assert "net.keras, a Keras file, cannot be converted" in str(caught.value)
    assert "a: is odd\n    fix: mend it" in str(caught.value) and "b: is even" in str(caught.value)


def _network() -> onnx.ModelProto:
    net = Net()
    return net.model(net.add("Relu", net.dense(net.input(1, 8, name="x"), 8, 4), name="y"))


def test_names_and_hashes_are_those_of_the_users_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(_network(), tmp_path / "made.onnx")
    copy = f'cp {tmp_path}/made.onnx $4; echo \'{{"notes": ["converted by no one"]}}\' > $5'
    _python(tmp_path, monkeypatch, copy)
    path = _pt2(tmp_path / "net.pt2", {})
    build = mcugen.build(path, calib="random", board="host", out=tmp_path / "out")
    model = build.manifest["model"]
    assert (model["file"], model["format"], build.manifest["name"]) == ("net.pt2", "pt2", "net")
    assert "converted by no one" in build.manifest["notes"]
    assert verify(build.path, model=path).ok
    np.savez(tmp_path / "data.npz", x=np.zeros((20, 8), np.float32), y=np.zeros(20, np.int64))
    assert evaluate(build.path, data=str(tmp_path / "data.npz"), model=path, jobs=1).ok
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/more", "")
    with pytest.raises(UsageError, match="SHA-256 is not that of the net.pt2"):
        verify(build.path, model=path)
    onnx.save(onnx.ModelProto(), tmp_path / "made.onnx")
    with pytest.raises(ModelError, match=r"net\.pt2: 1 fault in the model file"):
        read_model(path)


def test_a_folders_hash_is_of_names_and_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(_network(), tmp_path / "made.onnx")
    _python(tmp_path, monkeypatch, f"cp {tmp_path}/made.onnx $4; echo '{{\"notes\": []}}' > $5")
    hashes = set()
    for name in ("one", "two", "three"):
        folder = tmp_path / name
        (folder / "variables").mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"")
        (folder / "variables" / ("a" if name != "three" else "b")).write_bytes(b"1")
        hashes.add(read_model(folder).sha256)
    assert len(hashes) == 2


def test_a_conversion_is_compared_with_the_framework() -> None:
    model = _network()
    content = io.BytesIO()
    onnx.save(model, content)

    graph = normalised(model)
    x = np.random.default_rng(0).standard_normal((3, 1, 8)).astype(np.float32)
    (y,) = OnnxRunner(loaded(model)).run([{"x": sample} for sample in x])
    right = Converted(content.getvalue(), "pt2", "", (), {"in:x": x, "out:y": y})
    check_conversion(right, graph, "net.pt2")
    wrong = Converted(content.getvalue(), "pt2", "", (), {"in:x": x, "out:y": y + 1})
    with pytest.raises(ModelError, match='output "y": differs by 1 from'):
        check_conversion(wrong, graph, "net.pt2")


# --- no code of a file is run ---


def test_keras_files_that_hold_code_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, refusal = _worker("from_tensorflow", monkeypatch), _worker("refusal", monkeypatch)

    def layer(name: str, kind: str, **more: Any) -> dict[str, Any]:
        return {"module": "keras.layers", "class_name": kind, "config": {"name": name}, **more}

    good = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer("a", "Dense")]}}
    assert module._check_config(good) == {"Sequential", "Dense"}
    bad = [
        layer("b", "Lambda"),
        layer("c", "Dense", module="os"),
        layer("d", "Mine", registered_name="mine>Mine"),
        layer("e", "Dense")
        | {"config": {"name": "e", "activation": {"class_name": "__lambda__", "config": {}}}},
        layer("f", "Dense", module=["keras"]),
    ]
    path = _keras(tmp_path / "x.keras", {"class_name": "Sequential", "config": {"layers": bad}})
    with pytest.raises(refusal.Refusal) as caught:
        module._check_config(module._read_config(str(path))[0])
    assert caught.value.kind == "unsupported"
    text = str(caught.value.faults)
    for words in ('layer "b"', "class Dense of os", "class Mine of mine", "lambda", 'layer "f"'):
        assert words in text
    for content in ("", "[", "\0"):
        with pytest.raises(refusal.Refusal) as caught:
            module._read_config(str(_zip(tmp_path / "y.keras", config_json=content, metadata_json=content)))
        assert caught.value.kind == "model"


def test_programs_that_hold_code_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, refusal = _worker("from_torch", monkeypatch), _worker("refusal", monkeypatch)

    def node(target: str) -> dict[str, Any]:
        return {"target": target, "inputs": [], "name": target}

    sizes = ["s77", "Symbol('s77', positive=True, integer=True)", "2*s0 + 1", "Max(1, s3)", "FloorDiv(s1, 2)"]
    good = {
        "nodes": [node(t) for t in ("torch.ops.aten.conv2d.default", "_operator.add", "torch.sym_sum")],
        "sizes": [{"expr_str": text, "hint": None} for text in sizes],
    }
    module._check_archive(str(_pt2(tmp_path / "good.pt2", good)))
    targets = ["torch.os.system", "os.system", "torch.ops.aten.conv2d.default.__call__", "builtins.exec"]
    evil = [
        "exec('1')",
        "().__class__",
        "__import__('os')",
        "s1.x",
        "exec(chr(49))",
        "A" * 5000 + "!",
        "[s1]",
    ]
    bad = {
        "nodes": [node(target) for target in targets],
        "sizes": [{"expr_str": text, "hint": None} for text in evil],
    }
    with pytest.raises(refusal.Refusal) as caught:
        module._check_archive(str(_pt2(tmp_path / "bad.pt2", bad)))
    assert caught.value.kind == "unsupported" and len(caught.value.faults) == len(targets) + len(evil)
    compiled = _zip(tmp_path / "so.pt2", **{"net__models__model_json": "{}", "net__aotinductor__a.so": ""})
    with zipfile.ZipFile(compiled, "a") as archive:
        archive.writestr("net/data/aotinductor/model/a.so", "")
    for path in (compiled, _zip(tmp_path / "none.pt2", a="b")):
        with pytest.raises(refusal.Refusal):
            module._check_archive(str(path))
    damaged = tmp_path / "damaged.pt2"
    damaged.write_bytes(b"PK\x03\x04")
    with pytest.raises(refusal.Refusal, match="model"):
        module._check_archive(str(damaged))


def test_a_worker_finds_nothing_of_ours_under_the_frameworks_names(tmp_path: Path) -> None:
    """A module called as one of ours in the user's environment is the user's."""
    assert not {p.stem for p in HERE.glob("*.py")} & {"tensorflow", "torch", "keras", "onnx", "numpy", "h5py"}
    assert os.access(HERE / "worker.py", os.R_OK)
