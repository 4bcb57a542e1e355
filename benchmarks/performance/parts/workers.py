"""Growth with workers: daemons of one to four, the same photographs by turns."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.pictures import photographs
from benchmarks.performance.parts.way import Daemon, stored
from benchmarks.performance.processes import taken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.performance.bench import Bench, Row

__all__ = ["measure"]

_MODEL: Final = "fsrcnn_x3"
_SCALE: Final = 3
_COUNTS: Final = (1, 2, 3, 4)
_MOST: Final = 768
_PICTURES: Final = 120
_BATCHES: Final = 3
_LIMIT: Final = 2 << 30


def measure(bench: Bench) -> Iterator[Row]:
    """One row for each number of workers; none in a quick run, in which the part ``way`` has daemons of one and two."""
    counts = [count for count in _COUNTS if bench.wants(f"workers {count}") and not bench.quick]
    if not counts:
        return
    root = bench.work / "workers"
    root.mkdir()
    pictures = list(photographs(bench.photos, random.Random(2), count=_PICTURES, most=_MOST, formats=("jpg",)))
    warm, *parts = stored(root / "sources", pictures, _BATCHES)
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    with contextlib.ExitStack() as held:
        daemons = {}
        for count in counts:
            extra = {"workers": count, "memory_limit": _LIMIT}
            daemons[count] = Daemon(bench, root / f"daemon-{count}", model=_MODEL, scale=_SCALE, **extra)
            held.callback(daemons[count].close)
            daemons[count].run(warm)
        for part in parts:
            for count, daemon in daemons.items():
                os.sync()
                seconds[count].append(daemon.run(part))
        memory = {count: taken([daemon.service.pid, *daemon.service.workers()]) for count, daemon in daemons.items()}
    for count in counts:
        yield {
            "key": f"workers {count}",
            "workers": count,
            "batches": [len(part) for part in parts],
            "seconds": seconds[count],
            "share": memory[count].share,
        }
    shutil.rmtree(root)
