"""A priority queue of names that can be moved and removed in logarithmic time."""

from __future__ import annotations

import heapq
from typing import Any, Final

__all__ = ["NameQueue"]

_SLACK: Final = 64


class NameQueue:
    """Names by key, smallest first; each name at most once.

    A changed or removed name leaves a dead entry in the heap that is skipped later; the heap is rebuilt when the dead
    outnumber the living, so memory stays proportional to the names. Keys must be comparable with each other.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[Any, int, str]] = []
        self._living: dict[str, tuple[Any, int]] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._living)

    def __contains__(self, name: str) -> bool:
        return name in self._living

    def put(self, name: str, key: Any) -> None:
        """Add ``name``, or move it to ``key``."""
        self._serial += 1
        self._living[name] = (key, self._serial)
        heapq.heappush(self._heap, (key, self._serial, name))
        if len(self._heap) > 2 * len(self._living) + _SLACK:
            self._heap = [(key, serial, name) for name, (key, serial) in self._living.items()]
            heapq.heapify(self._heap)

    def key(self, name: str) -> Any | None:
        """The key of ``name``, or None when it is not there."""
        found = self._living.get(name)
        return None if found is None else found[0]

    def remove(self, name: str) -> None:
        """Take ``name`` out, if it is there."""
        self._living.pop(name, None)

    def first(self) -> tuple[Any, str] | None:
        """The smallest key and its name, or None when the queue is empty."""
        while self._heap:
            key, serial, name = self._heap[0]
            if self._living.get(name, (None, -1))[1] == serial:
                return key, name
            heapq.heappop(self._heap)
        return None

    def pop(self) -> tuple[Any, str]:
        """Take out the first. Raises IndexError when the queue is empty."""
        if self.first() is None:
            raise IndexError("the queue is empty")
        key, _, name = heapq.heappop(self._heap)
        del self._living[name]
        return key, name

    def names(self, limit: int | None = None) -> list[str]:
        """The first ``limit`` names in order, which stay; logarithmic per name when there is a limit."""
        if limit is None:
            return sorted(self._living, key=self._living.__getitem__)
        taken = [self.pop() for _ in range(min(limit, len(self)))]
        for key, name in taken:
            self.put(name, key)
        return [name for _, name in taken]
