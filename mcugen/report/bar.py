"""The progress bar of the commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import Any

Track = Callable[[Iterable[Any], str], Iterator[Any]]


def progress_bar() -> tuple[AbstractContextManager[Any], Track]:
    """A progress bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        return nullcontext(), lambda chunks, title: iter(chunks)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )

    def track(chunks: Iterable[Any], title: str) -> Iterator[Any]:
        """Chunks are dicts of arrays with the sample axis first; their total is known if `chunks` has a length."""
        task = bar.add_task(title, total=len(chunks) if isinstance(chunks, Sized) else None)
        for chunk in chunks:
            yield chunk
            bar.advance(task, len(next(iter(chunk.values()))) if chunk else 1)
        bar.remove_task(task)

    return bar, track
