"""The same work on many tasks in other processes: a pool of our own, or any executor that the caller has."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

from mcugen.errors import Fault, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def processors() -> int:
    """How many this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run_all(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    executor: Executor | None = None,
    jobs: int | None = None,
) -> Iterator[tuple[int, Result]]:
    """(number of the task, result), in the order in which they are ready.

    function and tasks can be pickled. Without an executor: `jobs` new processes (by default one for each
    processor), or this process where one is enough. What `function` raises is raised here, and what has not begun
    by then is cancelled. Raises UsageError if processes die.
    """
    workers = min(jobs or processors(), len(tasks))
    if executor is None and workers <= 1:
        yield from ((i, function(task)) for i, task in enumerate(tasks))
        return
    try:
        if executor is not None:
            yield from _through(executor, function, tasks)
            return
        # Spawned, not forked: this process may have threads (a progress bar, onnxruntime's).
        with (
            _one_thread_each(),
            ProcessPoolExecutor(
                workers,
                mp_context=get_context("spawn"),
                initializer=signal.signal,  # Ctrl-C is for this process to handle
                initargs=(signal.SIGINT, signal.SIG_IGN),
            ) as pool,
        ):
            yield from _through(pool, function, tasks)
    except BrokenExecutor as error:
        why = f"a worker process ended before its work was done: {error}"
        fix = (
            "if memory was short, use fewer (--jobs); in a script of yours, call mcugen below"
            ' `if __name__ == "__main__":`, because worker processes import it; or work in one process: jobs=1'
        )
        raise UsageError("the work in parallel has failed", [Fault("jobs", why, fix)]) from None


def _through(
    executor: Executor, function: Callable[[Task], Result], tasks: Sequence[Task]
) -> Iterator[tuple[int, Result]]:
    futures = {executor.submit(function, task): i for i, task in enumerate(tasks)}
    try:
        for future in as_completed(list(futures)):
            yield futures.pop(future), future.result()
    finally:
        for future in futures:
            future.cancel()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """New processes calculate in one thread each, unless the user wants otherwise."""
    added = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
