"""At rest: what the daemon takes while nothing happens, with few files around it and with very many."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.service import Service, until
from benchmarks.endurance.site import Site
from benchmarks.performance.processes import Taken, taken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.performance.bench import Bench, Row

__all__ = ["SITES", "measure"]

SITES: Final = {
    "empty": "nothing",
    "full": "100,000 files in the archive, retention by age and size, 1,000 folders under the inbox",
}
_QUICK: Final = "full"
_SETTLING: Final = 15.0
_PER_FOLDER: Final = 1000
_READY_SECONDS: Final = 120.0
_RETENTION: Final = {"archive": {"max_age": "365 d", "max_size": "1 TB"}}


def measure(bench: Bench) -> Iterator[Row]:
    """One row for each site; the daemons rest at the same time, each in its own processes."""
    files, folders = bench.many(100_000, quick=2000), bench.many(1000, quick=20)
    seconds = bench.many(60, quick=3)
    with contextlib.ExitStack() as held:
        services = {}
        for name in SITES:
            if bench.wants(name) and (name == _QUICK or not bench.quick):
                services[name] = _started(bench, name, files=files, folders=folders)
                held.callback(services[name].close)
        time.sleep(bench.many(int(_SETTLING), quick=1))
        before = {name: _look(service) for name, service in services.items()}
        time.sleep(seconds)
        after = {name: _look(service) for name, service in services.items()}
    for name in services:
        row: Row = {"key": name, "seconds": seconds}
        if name != "empty":
            row |= {"files": files, "folders": folders}
        for process in ("supervisor", "workers"):
            now = after[name][process]
            spent = now.processor - before[name][process].processor
            row[process] = {"memory": now.memory, "share": now.share, "processor": spent / seconds}
        yield row


def _started(bench: Bench, name: str, *, files: int, folders: int) -> Service:
    root = bench.work / name
    root.mkdir()
    site = Site(
        root,
        options={"retention": _RETENTION} if name == "full" else {},
        engine="opencv" if bench.quick else "auto",
    )
    site.write_config()
    if name != "empty":
        _fill(site.archive, files)
        for number in range(folders):
            (site.inbox / f"set {number // 40}" / f"day {number % 40}").mkdir(parents=True)
    service = Service(bench.command, site)
    service.start()
    until(lambda: len(service.workers()) > 1, _READY_SECONDS, "workers")
    return service


def _fill(archive: Path, files: int) -> None:
    for number in range(files):
        if number % _PER_FOLDER == 0:
            folder = archive / f"{number // _PER_FOLDER:03d}"
            folder.mkdir(parents=True)
        (folder / f"picture {number:06d}.jpg").write_bytes(b"\xff\xd8 archived")


def _look(service: Service) -> dict[str, Taken]:
    own = service.pid
    return {"supervisor": taken([own]), "workers": taken(pid for pid in service.workers() if pid != own)}
