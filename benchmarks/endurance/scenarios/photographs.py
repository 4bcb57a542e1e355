"""Photographs, in every way in which files come into a folder, and the job that started it all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.dropping import TREE_WAYS, Dropper
from benchmarks.endurance.pictures import photographs as pictures
from benchmarks.endurance.pictures import resized
from benchmarks.endurance.scenario import drained, finish

if TYPE_CHECKING:
    from benchmarks.endurance.scenario import Bench, Result
    from benchmarks.endurance.service import Service

__all__ = ["drop_photographs", "edsr", "photographs"]

_FOLDERS: Final = ("", "", "day 1", "day 1/morning", "Größe & Maß")
_TREE: Final = 8
_SECONDS_EACH: Final = 10.0


def photographs(bench: Bench, result: Result) -> None:
    """Five hundred photographs dropped one by one and as whole trees while the daemon runs."""
    site = bench.site("photographs", engine="auto")
    with bench.service(site) as service:
        dropper = Dropper(site.inbox, site.root / "outside")
        service.start()
        most = bench.many(640, short=160)
        drop_photographs(bench, service, dropper, count=bench.many(500, short=24), most=most, result=result)


def drop_photographs(
    bench: Bench, service: Service, dropper: Dropper, *, count: int, most: int, result: Result
) -> None:
    """Drop ``count`` photographs in every way, wait for the results, examine everything, tell the rate."""
    rng = bench.random()
    waiting = list(pictures(bench.photos, rng, count=count, most=most))
    pixels = sum(each.width * each.height for each in waiting) / 1e6
    result.figure("source of the pictures", "the shared collection" if bench.photos else "made ones")
    begin = time.monotonic()
    for number, way in enumerate(TREE_WAYS):
        tree, waiting = waiting[:_TREE], waiting[_TREE:]
        dropper.drop_tree(tree, name=f"tree {number}", way=way)
    for picture in waiting:
        dropper.drop(picture, folder=rng.choice(_FOLDERS))
    dropped_after = time.monotonic() - begin
    drained(service, 60.0 + count * _SECONDS_EACH)
    took = time.monotonic() - begin
    result.figure("ways", ", ".join((*dropper.ways, *(f"{way} of a tree" for way in TREE_WAYS))))
    result.figure("megapixels in", f"{pixels:.1f}")
    result.figure("seconds until all were dropped", f"{dropped_after:.0f}")
    result.figure("seconds until all were done", f"{took:.0f}")
    result.figure("pictures per minute", f"{count / took * 60:.0f}")
    finish(service, dropper.dropped, result)


def edsr(bench: Bench, result: Result) -> None:
    """480x320 to 1440x960 with ``edsr_x3`` through the daemon."""
    site = bench.site("edsr", model="edsr_x3", engine="auto")
    rng = bench.random()
    with bench.service(site) as service:
        dropper = Dropper(site.inbox, site.root / "outside")
        service.start()
        photo = next(iter(pictures(bench.photos, rng, count=1, most=640)))
        begin = time.monotonic()
        dropper.drop(resized(photo, width=480, height=320), way="write")
        drained(service, 300.0)
        result.figure("seconds from the drop to the result", f"{time.monotonic() - begin:.1f}")
        chosen = next(entry for entry in site.entries() if entry["event.action"] == "model.selected")
        result.figure("engine", chosen["srwatchd.engine.reason"])
        finish(service, dropper.dropped, result)
        completed = next(entry for entry in site.entries() if entry["event.action"] == "job.completed")
        size = (completed.get("srwatchd.result.width"), completed.get("srwatchd.result.height"))
        result.figure("result", "{} x {}".format(*size))
        result.expect(size == (1440, 960), f"the result is {size}")
