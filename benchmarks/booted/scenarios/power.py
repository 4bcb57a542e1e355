"""A power cut: what a disk holds at a random moment is all that is left.

Folders and state are on an ext4 in a file (inner disk). That file lies on an XFS (outer disk), where a copy by reflink
is made in one moment: it holds exactly what had reached the inner disk until then, and nothing of the page cache above
it. Each copy is booted from, recovers, and is examined.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Final

from benchmarks.booted.bench import Scenario
from benchmarks.booted.box import Box, Layout
from benchmarks.booted.machine import Machine, booted
from benchmarks.endurance.scenario import SkippedError, run_tool

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.booted.bench import Bench
    from benchmarks.endurance.scenario import Result

__all__ = ["SCENARIOS"]

_LAYOUT: Final = Layout("/mnt/disk/pictures", "/mnt/disk/state")
_CUTS: Final = 10
_PICTURES: Final = 16
_SPREAD: Final = 2
_INNER: Final = 400 << 20


def _power(bench: Bench, result: Result) -> None:
    for tool in ("mkfs.xfs", "mkfs.ext4"):
        if shutil.which(tool) is None:
            raise SkippedError(f"{tool} is not installed")
    rng = bench.random()
    place = bench.work / "power"
    place.mkdir()
    outer = place / "outer.img"
    _file(outer, 3 << 30)
    run_tool("mkfs.xfs", "-q", "-m", "reflink=1", outer)
    inner = _mounts(place, "inner.img", make=True)
    with bench.box(layout=_LAYOUT, before=inner) as box:
        box.configure(_LAYOUT.config())
        box.systemctl("restart")
        box.until_active()
        box.systemctl("stop")
        box.drop(_PICTURES, width=320, durable=True)
        box.machine.run("sync")
        seen = f"/proc/{box.machine.keeper}/root{place}"
        box.systemctl("start")
        taken = 0
        while taken < _CUTS and box.delivered() < _PICTURES:
            time.sleep(rng.uniform(0.1, 3.0))
            run_tool("cp", "--reflink=always", f"{seen}/outer/inner.img", f"{seen}/outer/cut-{taken}.img")
            taken += 1
        upper, dropped = box.machine.upper, box.dropped
        box.finish(result)
        below = bench.installed().above(upper)
        box.machine.shutdown()
        results = [_recovered(bench, result, below, place, number, dropped) for number in range(taken)]
    result.figure("power cuts", taken)
    result.figure("results there at the cut", " ".join(str(before) for before in results))
    result.expect(len(set(results)) > _SPREAD, "the cuts were not spread over the work")


def _recovered(bench: Bench, result: Result, below, place: Path, number: int, dropped) -> int:
    machine = Machine(below, before=_mounts(place, f"cut-{number}.img", make=False))
    box = Box(machine, bench.random(), _LAYOUT, list(dropped))
    with booted(machine):
        before = sum(entry["event.action"] == "job.completed" for entry in box.site.entries())
        box.until_active()
        own = type(result)()
        box.finish(own)
        result.problems += [f"cut {number}: {problem}" for problem in own.problems]
        return before


def _mounts(place: Path, disk: str, *, make: bool) -> str:
    """Mount the outer and an inner disk in the machine's own mount namespace, before it boots."""
    lines = [f"mkdir -p {place}/outer", f"mount -o loop {place}/outer.img {place}/outer"]
    if make:
        lines += [f"truncate -s {_INNER} {place}/outer/{disk}", f"mkfs.ext4 -q {place}/outer/{disk}"]
    lines += ['mkdir -p "$TREE/mnt/disk"', f'mount -o loop {place}/outer/{disk} "$TREE/mnt/disk"']
    if make:  # as the daemon's own, for it waits for a state directory that it may use
        owner = """$(awk -F: '/^srwatchd:/ { print $3 ":" $4 }' "$TREE/etc/passwd")"""
        lines.append(f'chown "{owner}" "$TREE/mnt/disk"')
    return "; ".join(lines)


def _file(path: Path, size: int) -> None:
    with open(path, "wb") as file:
        file.truncate(size)


SCENARIOS: Final = (
    Scenario("power", "The power fails at random moments: recovered from what the disk held, nothing lost.", _power),
)
