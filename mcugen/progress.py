"""How long work tells how far it is: iterables that pass through a callback, with a title."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[Iterable[Any], str], Iterable[Any]]


class Samples:
    """Chunks of samples of which the total is known: `len()` counts samples, not chunks."""

    def __init__(self, chunks: Iterable[Any], count: int) -> None:
        self._chunks = chunks
        self._count = count

    def __iter__(self) -> Iterator[Any]:
        return iter(self._chunks)

    def __len__(self) -> int:
        return self._count


def silent(chunks: Iterable[Any], title: str) -> Iterable[Any]:
    """A Progress that shows nothing."""
    del title
    return chunks


@contextmanager
def stage(progress: Progress, title: str) -> Iterator[None]:
    """A piece of work without parts: its title stands as long as the block runs."""
    steps = iter(progress((None,), title))
    next(steps, None)
    yield
    next(steps, None)
