"""Find the rooms of a package: every file's own subclasses of one base, by their names."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from typing import ClassVar, Protocol, TypeVar


class Named(Protocol):
    """What a room's class must have."""

    name: ClassVar[str]


T = TypeVar("T", bound=Named)


def collect(package: str, path: Iterable[str], base: type[T]) -> dict[str, T]:
    """One instance of each subclass of `base` that a module of the package defines, in the modules' order; classes
    whose names begin with `_` are only bases of others."""
    rooms: dict[str, T] = {}
    for info in sorted(pkgutil.iter_modules(path), key=lambda i: i.name):
        module = importlib.import_module(f"{package}.{info.name}")
        for value in vars(module).values():
            local = isinstance(value, type) and value.__module__ == module.__name__
            public = local and not value.__name__.startswith("_")
            if public and issubclass(value, base) and value is not base:
                rooms[value.name] = value()
    return rooms
