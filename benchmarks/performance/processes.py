"""What processes take, as the kernel tells it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Taken", "taken"]

_TICK: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Taken:
    """By some processes together: resident bytes, their proportional share of them, processor seconds, threads."""

    memory: int = 0
    share: int = 0
    processor: float = 0.0
    threads: int = 0


def taken(processes: Iterable[int]) -> Taken:
    """What they take now; one that has ended takes nothing."""
    memory = share = threads = 0
    processor = 0.0
    for pid in processes:
        with contextlib.suppress(OSError, IndexError, KeyError):
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as file:
                found = {line.split()[0]: int(line.split()[1]) * 1024 for line in file if line.endswith("kB\n")}
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
            memory, share = memory + found["Rss:"], share + found["Pss:"]
            processor += (int(fields[11]) + int(fields[12])) / _TICK
            threads += int(fields[17])
    return Taken(memory, share, processor, threads)
