"""A memory control group around a command, version 1 or 2 of the interface."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Group", "Peaks", "hierarchy"]

_EVERY_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Interface:
    """The names of one version."""

    root: Path
    limit: str
    peak: str
    kills: str
    private: str
    waiting: tuple[str, ...]
    mapped: str


_FIRST: Final = _Interface(
    root=Path("/sys/fs/cgroup/memory"),
    limit="memory.limit_in_bytes",
    peak="memory.max_usage_in_bytes",
    kills="memory.oom_control",
    private="total_rss",
    waiting=("total_dirty", "total_writeback"),
    mapped="total_mapped_file",
)
_SECOND: Final = _Interface(
    root=Path("/sys/fs/cgroup"),
    limit="memory.max",
    peak="memory.peak",
    kills="memory.events",
    private="anon",
    waiting=("file_dirty", "file_writeback"),
    mapped="file_mapped",
)


def hierarchy() -> _Interface | None:
    """The interface with which this process can make groups that limit memory, or None."""
    for each in (_FIRST, _SECOND):
        probe = each.root / f"srwatchd-probe-{os.getpid()}"
        with contextlib.suppress(OSError):
            probe.mkdir()
            try:
                if (probe / each.limit).exists() and os.access(probe / each.limit, os.W_OK):
                    return each
            finally:
                probe.rmdir()
    return None


@dataclass(slots=True)
class Peaks:
    """The most that was seen, in bytes.

    ``private`` and ``waiting`` (pages that are not on the disk yet) cannot be taken back by the kernel, ``mapped`` can;
    ``both`` is the most of the first two at one time. ``charged`` is the group's own maximum, with the cache of files
    that it fills up with; ``kills`` processes were ended for want of memory.
    """

    private: int = 0
    waiting: int = 0
    both: int = 0
    mapped: int = 0
    charged: int = 0
    kills: int = 0


@dataclass(slots=True)
class Group:
    """A group of ``limit`` bytes inside a ``with`` block; it is watched meanwhile."""

    interface: _Interface
    limit: int
    peaks: Peaks = field(default_factory=Peaks)
    _ended: threading.Event = field(default_factory=threading.Event)
    _watch: threading.Thread | None = None

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.interface.root / f"srwatchd-large-{os.getpid()}"

    def __enter__(self) -> Self:
        self.path.mkdir()
        (self.path / self.interface.limit).write_text(str(self.limit))
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._watch is not None:
            self._watch.join()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                self.path.rmdir()
            except OSError:  # a process that has ended lingers for a moment
                if time.monotonic() > deadline:
                    raise
                time.sleep(_EVERY_SECONDS)
            else:
                return

    def command(self, words: Sequence[str]) -> list[str]:
        """``words``, run inside the group with all that they start."""
        return ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self.path / "cgroup.procs"), *words]

    def _look(self) -> None:
        while True:
            ended = self._ended.wait(_EVERY_SECONDS)
            self._sample()
            if ended:
                return

    def _sample(self) -> None:
        names, peaks = self.interface, self.peaks
        counts = _counts(self.path / "memory.stat")
        private, waiting = counts.get(names.private, 0), sum(counts.get(name, 0) for name in names.waiting)
        peaks.private = max(peaks.private, private)
        peaks.waiting = max(peaks.waiting, waiting)
        peaks.both = max(peaks.both, private + waiting)
        peaks.mapped = max(peaks.mapped, counts.get(names.mapped, 0))
        peaks.charged = int((self.path / names.peak).read_text())
        peaks.kills = _counts(self.path / names.kills).get("oom_kill", 0)


def _counts(path: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}
