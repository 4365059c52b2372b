"""Kernel rooms: how operators are computed in C. `KERNELS` is collected from the files."""

from __future__ import annotations

from mcugen.kernels.kernel import Kernel
from mcugen.rooms import collect

KERNELS: dict[str, Kernel] = collect(__name__, __path__, Kernel)
