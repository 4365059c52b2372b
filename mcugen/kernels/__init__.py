"""Kernel rooms: how operators are computed in C. `KERNELS` is collected from the files."""

from __future__ import annotations

import importlib
import pkgutil

from mcugen.kernels.kernel import Kernel


def _collect() -> dict[str, Kernel]:
    rooms: dict[str, Kernel] = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            local = isinstance(value, type) and value.__module__ == module.__name__
            if local and issubclass(value, Kernel) and value is not Kernel:
                rooms[value.name] = value()
    return rooms


KERNELS: dict[str, Kernel] = _collect()
