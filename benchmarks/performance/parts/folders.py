"""Growth with hot folders: a daemon that serves so many of them, at rest and with the same small pictures in all."""

from __future__ import annotations

import os
import random
import shutil
import time
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.pictures import made
from benchmarks.endurance.service import Service, until
from benchmarks.endurance.site import Site
from benchmarks.performance.processes import taken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.performance.bench import Bench, Row

__all__ = ["measure"]

_MODEL: Final = "fsrcnn_x2"
_SCALE: Final = 2
_EDGE: Final = 128
_COUNTS: Final = (1, 10, 50, 200)
_QUICK: Final = (3,)
_DRAIN_SECONDS: Final = 300.0


def measure(bench: Bench) -> Iterator[Row]:
    """One row for each number of folders."""
    for count in _QUICK if bench.quick else _COUNTS:
        key = f"folders {count}"
        if bench.wants(key):
            yield {"key": key, "folders": count, **_served(bench, count)}


def _served(bench: Bench, count: int) -> Row:
    root = bench.work / f"folders-{count}"
    root.mkdir()
    pictures, rest = bench.many(200, quick=6), bench.many(15, quick=1)
    site = Site(
        root,
        model=_MODEL,
        scale=_SCALE,
        engine="opencv" if bench.quick else "auto",
        extra={"folders": [_folder(n) for n in range(count)]},
    )
    site.write_config()
    service = Service(bench.command, site)
    try:
        if not bench.quick:
            service.start().stop()  # it has made the folders
        begin = time.perf_counter()
        service.start()
        serving = time.perf_counter() - begin
        data = made(random.Random(1), width=_EDGE, height=_EDGE, extension="jpg").data
        _dropped(root, service, data, count, name="warm", pictures=count)
        time.sleep(bench.many(3, quick=0))
        before = taken([service.pid])
        time.sleep(rest)
        after = taken([service.pid])
        seconds, spent = _dropped(root, service, data, count, name="p", pictures=pictures)
    finally:
        service.close()
        shutil.rmtree(root)
    return {
        "serving": serving,
        "memory": after.memory,
        "threads": after.threads,
        "idle": (after.processor - before.processor) / rest,
        "pictures": pictures,
        "seconds": seconds,
        "processor": spent,
    }


def _folder(number: int) -> dict[str, object]:
    places = {place: f"f{number}/{place}" for place in ("done", "error", "archive")}
    return {"id": f"f{number}", "inbox": f"f{number}/in", "model": _MODEL, "min_free": 0, **places}


def _dropped(root: Path, service: Service, data: bytes, count: int, *, name: str, pictures: int) -> tuple[float, float]:
    """Give the folders pictures by turns; seconds until all are in their archives, and the supervisor's processor."""
    outside = root / "outside"
    outside.mkdir(exist_ok=True)
    for number in range(pictures):
        (outside / f"{name}{number}.jpg").write_bytes(data)
    os.sync()
    begin, before = time.perf_counter(), taken([service.pid])
    for number in range(pictures):
        (outside / f"{name}{number}.jpg").rename(root / f"f{number % count}" / "in" / f"{name}{number}.jpg")
    waiting = {root / f"f{number % count}" / "archive" / f"{name}{number}.jpg" for number in range(pictures)}

    def over() -> bool:
        if not service.running:
            raise RuntimeError(f"the daemon ended by itself: {service.last_words()}")
        waiting.difference_update([path for path in waiting if path.exists()])
        return not waiting

    until(over, _DRAIN_SECONDS, "everything archived", pause=0.02)
    return time.perf_counter() - begin, taken([service.pid]).processor - before.processor
