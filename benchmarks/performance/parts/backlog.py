"""Growth with what waits: tiny pictures that lie in the inbox when the daemon starts."""

from __future__ import annotations

import os
import random
import shutil
import time
from typing import TYPE_CHECKING, Any, Final

from benchmarks.endurance.pictures import made
from benchmarks.endurance.service import Service, until
from benchmarks.endurance.site import Site
from benchmarks.performance.processes import Taken, taken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.performance.bench import Bench, Row

__all__ = ["measure"]

_MODEL: Final = "fsrcnn_x2"
_SCALE: Final = 2
_EDGE: Final = 16
_COUNTS: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
_QUICK: Final = (20,)
_DRAINED: Final = 10_000
"""Up to this many are all enlarged; of more only the first."""
_STEADY: Final = 150
"""Deliveries over which the cost of one is taken, right after the first."""
_FIRST_SECONDS: Final = 240.0
_DRAIN_SECONDS: Final = 1200.0


def measure(bench: Bench) -> Iterator[Row]:
    """One row for each backlog."""
    data = made(random.Random(1), width=_EDGE, height=_EDGE).data
    for count in _QUICK if bench.quick else _COUNTS:
        key = f"backlog {count}"
        if bench.wants(key):
            yield {"key": key, "files": count, **_worked_off(bench, count, data)}


def _worked_off(bench: Bench, count: int, data: bytes) -> Row:
    root = bench.work / f"backlog-{count}"
    root.mkdir()
    site = Site(root, model=_MODEL, scale=_SCALE, engine="opencv" if bench.quick else "auto")
    site.write_config()
    service = Service(bench.command, site)
    site.inbox.mkdir()
    for number in range(count):
        (site.inbox / f"p{number:06d}.png").write_bytes(data)
    os.sync()
    steady = min(_STEADY, count // 3)
    begin = time.perf_counter()
    service.start(ready=False)
    try:
        until(lambda: _delivered(service), _FIRST_SECONDS, "the first result", pause=0.02)
        first, then = time.perf_counter() - begin, taken([service.pid])
        row: Row = {"first": first, "first_processor": then.processor, "memory": then.memory}
        row |= _steadily(service, steady, then)
        if count <= _DRAINED:
            until(lambda: _delivered(service) >= count, _DRAIN_SECONDS, "drained", pause=0.2)
            row["drained"] = time.perf_counter() - begin
            row["drained_processor"] = taken([service.pid]).processor
            row["whole_processor"] = taken([service.pid, *service.workers()]).processor
        row["memory"] = max(row["memory"], taken([service.pid]).memory)
    finally:
        service.close()
        shutil.rmtree(root)
    return row


def _steadily(service: Service, steady: int, before: Taken) -> dict[str, Any]:
    begin, already = time.perf_counter(), _delivered(service)
    until(lambda: _delivered(service) >= already + steady, _FIRST_SECONDS, f"{steady} more", pause=0.05)
    seconds, delivered = time.perf_counter() - begin, _delivered(service) - already
    spent = taken([service.pid]).processor - before.processor
    return {"steady": delivered, "steady_seconds": seconds, "steady_processor": spent}


def _delivered(service: Service) -> int:
    if not service.running:
        raise RuntimeError(f"the daemon ended by itself: {service.last_words()}")
    done = service.site.done
    return sum(not name.startswith(".") for name in os.listdir(done)) if done.is_dir() else 0
