"""Graphs survive storing; damaged and foreign files are told from bugs."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import zoo

import mcugen
from mcugen.errors import UsageError
from mcugen.graph_file import load_graph, save_graph
from mcugen.ir import Channels, Graph


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("graph")
    return mcugen.build(zoo.every_kernel(work), calib="random", out=work).path / "every_kernel.graph.npz"


def equal(a: Graph, b: Graph) -> bool:
    """Everything: types, data and its dtype, attributes with their Python types, order."""
    same = (a.name, a.inputs, a.outputs) == (b.name, b.inputs, b.outputs)
    same &= repr([asdict(n) for n in a.nodes]) == repr([asdict(n) for n in b.nodes])
    same &= list(a.tensors) == list(b.tensors)
    for x, y in zip(a.tensors.values(), b.tensors.values(), strict=True):
        same &= (x.name, x.type, x.source, x.channels) == (y.name, y.type, y.source, y.channels)
        same &= (x.data is None) == (y.data is None)
        if x.data is not None and y.data is not None:
            same &= x.data.dtype == y.data.dtype and np.array_equal(x.data, y.data)
    return bool(same)


def test_a_graph_comes_back(stored: Path, tmp_path: Path) -> None:
    graph = load_graph(stored)
    name = graph.nodes[0].outputs[0]
    kept = tuple(range(graph.type(name).shape[-1]))
    channels = Channels(len(kept) + 2, kept, ((len(kept), -7),), (len(kept) + 1,))
    graph = replace(graph, tensors={**graph.tensors, name: replace(graph.tensors[name], channels=channels)})
    save_graph(graph, tmp_path / "again.npz")
    assert equal(load_graph(tmp_path / "again.npz"), graph)


def test_equal_graphs_give_equal_bytes(stored: Path, tmp_path: Path) -> None:
    graph = load_graph(stored)
    save_graph(graph, tmp_path / "a.npz")
    save_graph(graph, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes() == stored.read_bytes()


def test_no_time_is_stored(stored: Path) -> None:
    with zipfile.ZipFile(stored) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("data", [b"", b"PK", b"\x93NUMPY", b"{}", b"not an archive at all"])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(UsageError, match="build the library again"):
        load_graph(tmp_path / "x.npz")


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_graph(tmp_path / "missing.npz")


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", graph=np.array([{"format": 1}], dtype=object))
    with pytest.raises(UsageError, match="allow_pickle"):
        load_graph(tmp_path / "x.npz")


def test_another_format_is_named(stored: Path, tmp_path: Path) -> None:
    with np.load(stored) as archive:
        entries = dict(archive)
    document = json.loads(entries["graph"].tobytes())
    document["format"] = 99
    entries["graph"] = np.frombuffer(json.dumps(document).encode(), np.uint8)
    np.savez(tmp_path / "x.npz", **entries)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="format 99"):
        load_graph(tmp_path / "x.npz")


def test_damage_is_never_a_traceback(stored: Path, tmp_path: Path) -> None:
    """Bytes flipped or cut off at random: the same graph (what was hit does not matter) or a UsageError."""
    good, graph = stored.read_bytes(), load_graph(stored)
    rng = np.random.default_rng(9)
    refused = 0
    for _ in range(150):
        data = bytearray(good)
        for position in rng.integers(0, len(data), 3):
            data[position] ^= int(rng.integers(1, 256))
        cut = len(data) if rng.random() < 0.7 else int(rng.integers(0, len(data)))
        (tmp_path / "x.npz").write_bytes(data[:cut])
        try:
            assert equal(load_graph(tmp_path / "x.npz"), graph)
        except UsageError:
            refused += 1
    assert refused > 100


def test_a_changed_structure_is_never_a_traceback(stored: Path, tmp_path: Path) -> None:
    with np.load(stored) as archive:
        entries = dict(archive)
    text = entries["graph"].tobytes().decode()
    changes = {
        '"nodes": [': '"nodes": [3, ',
        '"inputs": ["a", "b"]': '"inputs": ["a", "gone"]',
        '"op": "conv2d"': '"op": "unheard_of"',
        '"dtype": "int8"': '"dtype": "int7"',
        '"data": "c': '"data": "d',
    }
    for old, new in changes.items():
        assert old in text, old
        entries["graph"] = np.frombuffer(text.replace(old, new, 1).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, **entries)  # type: ignore[arg-type]
        (tmp_path / "x.npz").write_bytes(buffer.getvalue())
        with pytest.raises(UsageError):
            load_graph(tmp_path / "x.npz")
