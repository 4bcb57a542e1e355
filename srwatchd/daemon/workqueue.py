"""What a folder has to do next: candidates, retries that are due, and jobs that the supervisor's death interrupted."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srwatchd.intake.settle import Doomed, Ready
    from srwatchd.job import Record

__all__ = ["Work", "WorkQueue"]


@dataclass(frozen=True, slots=True)
class Work:
    """What a run begins with: a candidate in the inbox, or a record of a claimed source."""

    candidate: Ready | Doomed | None = None
    record: Record | None = None


class WorkQueue:
    """Retries that are due come before candidates; interrupted jobs are asked for separately. Times are monotonic."""

    def __init__(self) -> None:
        self._candidates: deque[Ready | Doomed] = deque()
        self._retries: list[tuple[float, int, Record]] = []
        self._interrupted: deque[Record] = deque()
        self._serial = itertools.count()

    def __len__(self) -> int:
        return len(self._candidates) + self.claimed

    @property
    def claimed(self) -> int:
        """How many claimed sources wait."""
        return len(self._retries) + len(self._interrupted)

    @property
    def candidates(self) -> int:
        """How many candidates are reserved."""
        return len(self._candidates)

    def add_candidate(self, candidate: Ready | Doomed) -> None:
        """Queue a candidate that intake has reserved."""
        self._candidates.append(candidate)

    def add_retry(self, record: Record, due: float) -> None:
        """Queue a claimed source for ``due``."""
        heapq.heappush(self._retries, (due, next(self._serial), record))

    def add_interrupted(self, record: Record) -> None:
        """Queue a claimed source that is to run last and alone."""
        self._interrupted.append(record)

    def clear_claimed(self) -> None:
        """Forget the claimed ones: they are about to be read from the disk again."""
        self._retries.clear()
        self._interrupted.clear()

    def clear_candidates(self) -> None:
        """Forget the candidates: they are about to be seen again."""
        self._candidates.clear()

    def ready(self, now: float) -> bool:
        """Whether :meth:`take` has something."""
        return bool(self._candidates) or self._due(now)

    def take(self, now: float) -> Work:
        """Take out what is to be run next. Raises IndexError when nothing is ready."""
        if self._due(now):
            return Work(record=heapq.heappop(self._retries)[2])
        return Work(candidate=self._candidates.popleft())

    def take_interrupted(self) -> Work | None:
        """Take out the next interrupted job."""
        return Work(record=self._interrupted.popleft()) if self._interrupted else None

    def _due(self, now: float) -> bool:
        return bool(self._retries) and self._retries[0][0] <= now
