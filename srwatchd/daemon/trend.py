"""When a disk will be full, from a trend of its free bytes. Pure."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

__all__ = ["Trend"]

_WINDOW: Final = 24 * 3600.0
"""A day: what comes and goes with working hours evens out."""
_SPACING: Final = 300.0
_LEAST: Final = 1800.0
"""A trend of less than half an hour says nothing."""


class Trend:
    """The free bytes of one file system over the last day, and the straight line through them (least squares)."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now: float, free: int) -> None:
        """Take a sample at ``now`` (monotonic seconds); one within five minutes of the last is passed over."""
        if self._samples and now - self._samples[-1][0] < _SPACING:
            return
        self._samples.append((now, free))
        while now - self._samples[0][0] > _WINDOW:
            self._samples.popleft()

    def until_full(self, free: int) -> float | None:
        """Seconds until ``free`` bytes are used up: infinite when none are, None while too little is known."""
        if not self._samples or self._samples[-1][0] - self._samples[0][0] < _LEAST:
            return None
        slope = self._slope()
        return free / -slope if slope < 0 else math.inf

    def _slope(self) -> float:
        """Bytes a second, of the regression line."""
        count = len(self._samples)
        middle = sum(when for when, _ in self._samples) / count
        level = sum(free for _, free in self._samples) / count
        spread = sum((when - middle) ** 2 for when, _ in self._samples)
        return sum((when - middle) * (free - level) for when, free in self._samples) / spread
