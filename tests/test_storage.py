"""Lives and places of activations, on graphs as the compiler makes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import zoo

from mcugen.boards import load_board
from mcugen.library import Library
from mcugen.pipeline import Settings, compile_model


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Library:
    path = zoo.every_kernel(tmp_path_factory.mktemp("storage"))
    return compile_model(path, load_board("host"), Settings(calib="random")).library


def test_every_activation_has_a_place(every: Library) -> None:
    graph, storage = every.graph, every.storage
    for name, tensor in graph.tensors.items():
        if tensor.data is None:
            assert 0 <= storage.offset(name) <= storage.arena - tensor.type.bytes


def test_inputs_live_from_the_start_and_outputs_to_the_end(every: Library) -> None:
    lives = {b.name: (b.first, b.last) for b in every.storage.buffers}
    owner = every.storage.buffer_of
    assert all(lives[owner[name]][0] == -1 for name in every.graph.inputs)
    assert all(lives[owner[name]][1] == len(every.layers) for name in every.graph.outputs)


def test_lives_reach_from_producer_to_last_reader(every: Library) -> None:
    lives = {b.name: (b.first, b.last) for b in every.storage.buffers}
    for layer in every.layers:
        for name in layer.node.outputs:
            assert lives[every.storage.buffer_of[name]][0] <= layer.index
        for name in layer.node.inputs:
            if not every.graph.is_constant(name):
                assert lives[every.storage.buffer_of[name]][1] >= layer.index


def test_outputs_do_not_share_bytes(every: Library) -> None:
    storage, graph = every.storage, every.graph
    spans = sorted((storage.offset(n), storage.offset(n) + graph.type(n).bytes) for n in graph.outputs)
    assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))


def test_a_reshape_costs_nothing(tmp_path: Path) -> None:
    library = compile_model(zoo.no_layers(tmp_path), load_board("host"), Settings(calib="random")).library
    owners = {library.storage.buffer_of[name] for name in (*library.graph.inputs, *library.graph.outputs)}
    assert len(owners) == 1 and library.storage.arena == 6
