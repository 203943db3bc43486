"""A few measurements of one thing, and a mean that a single odd one does not spoil."""

from __future__ import annotations

import math
from collections.abc import Sequence

KEPT = 9


class Samples:
    """The last measurements, and how many there were in all. ``mean`` leaves the ends out once there are
    enough; ``spread`` is about a standard deviation, in the same unit."""

    __slots__ = ("_values", "count", "mean", "spread")

    def __init__(self, values: Sequence[float] = (), count: int = 0) -> None:
        self._values = [v for v in map(float, values) if math.isfinite(v)][-KEPT:]
        self.count = max(count, len(self._values))
        self.mean = self.spread = 0.0
        self._compute()

    def add(self, value: float) -> None:
        self._values.append(value)
        del self._values[:-KEPT]
        self.count += 1
        self._compute()

    def clear(self) -> None:
        self._values.clear()
        self.count = 0
        self._compute()

    def values(self) -> tuple[float, ...]:
        return tuple(self._values)

    def __bool__(self) -> bool:
        return bool(self._values)

    def _compute(self) -> None:
        values = sorted(self._values)
        if not values:
            self.mean = self.spread = 0.0
            return
        # What goes wrong takes longer: of few, only the longest is left out.
        low = 2 if len(values) >= 7 else 1 if len(values) >= 5 else 0
        high = 2 if len(values) >= 6 else 1 if len(values) >= 3 else 0
        inner = values[low : len(values) - high]
        self.mean = sum(inner) / len(inner)
        if len(values) < 2:
            self.spread = self.mean * 0.25
        else:
            self.spread = 0.6 * (values[-1] - values[0]) / math.sqrt(len(values)) + 0.02 * self.mean
