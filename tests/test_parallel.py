"""Work in other processes: results by task, errors as they were raised."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from mcugen.errors import Fault, UsageError
from mcugen.parallel import processors, run_all


def work(task: int) -> tuple[int, int]:
    if task == 13:
        raise UsageError("unlucky", [Fault("13", "is no number", "give another")])
    if task == 66:
        os.kill(os.getpid(), signal.SIGKILL)
    return task * task, os.getpid()


def test_one_process_is_this_one() -> None:
    found = dict(run_all(work, [1, 2, 3], jobs=1))
    assert found == {i: ((i + 1) ** 2, os.getpid()) for i in range(3)}
    assert dict(run_all(work, [5], jobs=8)) == {0: (25, os.getpid())}
    assert processors() >= 1


def test_an_executor_of_the_caller() -> None:
    with ThreadPoolExecutor(2) as pool:
        assert {i: r[0] for i, r in run_all(work, [4, 5, 6], pool)} == {0: 16, 1: 25, 2: 36}
        with pytest.raises(UsageError, match="unlucky") as raised:
            list(run_all(work, [1, 13, 2], pool))
    assert raised.value.faults == (Fault("13", "is no number", "give another"),)


def test_processes_of_our_own() -> None:
    found = dict(run_all(work, list(range(6)), jobs=2))
    assert [found[i][0] for i in range(6)] == [0, 1, 4, 9, 16, 25]
    assert os.getpid() not in {pid for _, pid in found.values()}
    with pytest.raises(UsageError) as raised:
        list(run_all(work, [1, 13], jobs=2))
    assert raised.value.faults == (Fault("13", "is no number", "give another"),)
    with pytest.raises(UsageError, match="a worker process ended"):
        list(run_all(work, [1, 66], jobs=2))


def test_new_processes_calculate_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    found = dict(run_all(os.getenv, ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], jobs=2))
    assert found == {0: "1", 1: "3"} and "OMP_NUM_THREADS" not in os.environ
