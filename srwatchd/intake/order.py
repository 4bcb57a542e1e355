"""In which order the files of a folder are taken, and which of very many are worth remembering."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from srwatchd.job import Snapshot

__all__ = ["KNOWN_FILES", "Selection", "rank_of", "select"]

KNOWN_FILES: Final = 8192
"""As many files in inboxes are remembered at a time, about a kilobyte each; the others are only counted."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is remembered of a scan: ``snapshots``, how many ``more`` there are, and the latest ctime of all."""

    snapshots: list[Snapshot]
    more: int = 0
    latest_ns: int = 0


def rank_of(order: str) -> Callable[[Snapshot], tuple[Any, ...]]:
    """What sorts snapshots as the folder's ``order`` (``oldest``, ``newest``, ``name``, ``smallest``) wants it.

    Age goes by ctime, the server's own clock; mtime is the client's.
    """
    match order:
        case "name":
            return lambda snapshot: (snapshot.name,)
        case "smallest":
            return lambda snapshot: (snapshot.size, snapshot.ctime_ns, snapshot.name)
        case "newest":
            return lambda snapshot: (-snapshot.ctime_ns, snapshot.name)
        case _:
            return lambda snapshot: (snapshot.ctime_ns, snapshot.name)


def select(
    snapshots: Iterable[Snapshot], *, order: str, limit: int, apart: AbstractSet[str] = frozenset()
) -> Selection:
    """The ``limit`` snapshots whose turn comes first, and those named in ``apart``, whenever theirs is.

    Takes memory for what it returns, however many there are.
    """
    beside: list[Snapshot] = []
    count = latest_ns = 0

    def competing() -> Iterator[Snapshot]:
        """All that do not stand apart; counts every one."""
        nonlocal count, latest_ns
        for snapshot in snapshots:
            count += 1
            latest_ns = max(latest_ns, snapshot.ctime_ns)
            if snapshot.name in apart:
                beside.append(snapshot)
            else:
                yield snapshot

    first = heapq.nsmallest(limit, competing(), key=rank_of(order))
    return Selection([*beside, *first], count - len(beside) - len(first), latest_ns)
