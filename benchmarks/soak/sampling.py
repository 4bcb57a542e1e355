"""What the daemon takes and leaves about while it runs: sampled from a thread of its own."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.endurance.service import Service
    from benchmarks.endurance.site import Site

__all__ = ["Sample", "Sampler"]

_SCRATCH: Final = "/scratch/"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. ``minutes`` since the beginning; memory in MiB (resident, of workers what is their own of it)."""

    minutes: float
    life: int
    """How often the supervisor had been started."""
    supervisor_mib: float
    workers_mib: float
    descriptors: int
    threads: int
    processes: int
    scratch_mib: float
    staged: int
    claims: int
    state_files: int
    ledger_mib: float
    delivered: int


class Sampler:
    """Takes a sample every ``interval`` seconds while the daemon runs."""

    def __init__(self, service: Service, *, interval: float) -> None:
        self.samples: list[Sample] = []
        self._service = service
        self._interval = interval
        self._begin = time.monotonic()
        self._stop = threading.Event()
        self._life, self._pid = 0, 0
        self._thread = threading.Thread(target=self._run, name="sampler")

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            with contextlib.suppress(OSError, ValueError, StopIteration):  # it ended while it was looked at
                if self._service.running:
                    self.samples.append(self._look())

    def _look(self) -> Sample:
        pid, site = self._service.pid, self._service.site
        if pid != self._pid:
            self._life, self._pid = self._life + 1, pid
        children = _children(pid)
        return Sample(
            minutes=(time.monotonic() - self._begin) / 60,
            life=self._life,
            supervisor_mib=_status(pid, "VmRSS") / 1024,
            workers_mib=sum(map(_own_kib, children)) / 1024,
            descriptors=len(os.listdir(f"/proc/{pid}/fd")),
            threads=_status(pid, "Threads"),
            processes=1 + len(children),
            scratch_mib=_scratch(pid) / (1 << 20),
            staged=sum(_staged(place) for place in (site.done, site.archive, site.error)),
            claims=sum(name.endswith(".src") for name in _listed(site.private)),
            state_files=sum(len(files) for _, _, files in os.walk(site.state)),
            ledger_mib=sum(path.stat().st_size for path in site.ledger.glob("*.jsonl")) / (1 << 20),
            delivered=_count(site),
        )


def names() -> list[str]:
    """What a sample has."""
    return [each.name for each in fields(Sample)]


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def _status(pid: int, key: str) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{key}:"))


def _own_kib(pid: int) -> int:
    """The process's proportional share of what it has in memory."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
    return 0


def _scratch(pid: int) -> int:
    """Bytes in the nameless scratch files that the supervisor has open."""
    found: dict[int, int] = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if _SCRATCH in os.readlink(f"/proc/{pid}/fd/{number}"):
                seen = os.stat(f"/proc/{pid}/fd/{number}")
                found[seen.st_ino] = seen.st_blocks * 512
    return sum(found.values())


def _listed(place: object) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(str(place))
    return []


def _staged(place: object) -> int:
    return sum(name.startswith(".srwatchd-") for _, _, files in os.walk(str(place)) for name in files)


def _count(site: Site) -> int:
    return sum(len(files) for _, _, files in os.walk(site.done))
