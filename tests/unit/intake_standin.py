"""What the unit tests of intake share: a folder without a configuration file, snapshots and looks from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from srwatchd.intake.observation import Lease, Look
from srwatchd.job import Snapshot


@dataclass(frozen=True)
class Folder:
    watch_mode: str = "auto"
    rescan_interval: float = 60.0
    settle: float | None = None
    grace: float | None = None
    max_hold: float = 900.0
    ready: str = "settled"
    recursive: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    min_size: int = 1
    max_size: int = 1000
    order: str = "oldest"


def snapshot(name: str = "a.jpg", **changes: Any) -> Snapshot:
    fields = {"device": 1, "inode": 2, "size": 10, "mtime_ns": 3, "ctime_ns": 4, "owner": 0} | changes
    return Snapshot(name=name, **fields)


def look(name: str = "a.jpg", lease: Lease = Lease.FREE, **changes: Any) -> Look:
    seen = {key: changes.pop(key) for key in ("hole_at_end", "readable", "marker", "problem") if key in changes}
    return Look(snapshot(name, **changes), lease, **seen)
