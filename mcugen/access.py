"""How a kernel touches one input and its output in time, from which the planner's distances follow.

A kernel runs in steps t = 0 .. T-1 (rows, pixels, elements) in ascending address order, or, where it can,
in descending order. Bytes are counted from each buffer's start. See ARCHITECTURE.md, "Overlap".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Direction(StrEnum):
    ASCENDING = "ascending"
    DESCENDING = "descending"


@dataclass(frozen=True, eq=False)
class Access:
    """Bytes read from one input and written to the output in each step, listed in ascending order.

    read_begin, read_end, write_begin, write_end: int64 [T]; half-open ranges. A step that reads nothing has
    read_begin == read_end. `atomic`: within a step all reads come before all writes.
    """

    read_begin: Ints
    read_end: Ints
    write_begin: Ints
    write_end: Ints
    atomic: bool
    directions: tuple[Direction, ...] = (Direction.ASCENDING,)

    def distance(self, direction: Direction) -> int | None:
        """The least distance that keeps every byte until it has been read; None if the kernel cannot run so.

        Ascending: offset(input) - offset(output) >= distance. Descending: offset(output) - offset(input) >= distance.
        """
        if direction not in self.directions:
            return None
        reads = self.read_begin < self.read_end
        if direction is Direction.ASCENDING:
            far = np.iinfo(np.int64).max
            needed = np.where(reads, self.read_begin, far)
            later = np.minimum.accumulate(needed[::-1])[::-1]  # lowest byte needed at t or after
            if self.atomic:
                later = np.append(later[1:], far)
            live = later != far
            gaps = self.write_end[live] - later[live]
        else:
            needed = np.where(reads, self.read_end, -1)
            later = np.maximum.accumulate(
                needed
            )  # highest byte needed at t or in a smaller t, which runs later
            if self.atomic:
                later = np.append(np.int64(-1), later[:-1])
            live = later >= 0
            gaps = later[live] - self.write_begin[live]
        # Nothing is read after a write: any placement is safe; the farthest useful one is total overlap.
        return int(gaps.max()) if gaps.size else -int(self.write_end.max())
