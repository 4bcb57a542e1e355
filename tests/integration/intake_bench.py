"""What the integration tests of intake share: a marked inbox, a daemon's loop in small, another user."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from srwatchd.intake.inbox import Inbox
from srwatchd.intake.look import NotAPlainFileError, look, prepare_leases
from srwatchd.intake.mounts import Timing
from srwatchd.intake.order import KNOWN_FILES, select
from srwatchd.intake.scan import scan
from srwatchd.intake.settle import Settler
from srwatchd.intake.watch import Watcher
from srwatchd.job import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from srwatchd.intake.hints import Hint
    from srwatchd.intake.settle import Doomed, Ready, WaitReason

QUICK = Timing(0.3, 1.0)
NOBODY = 65534


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
    max_size: int = 1 << 30
    order: str = "oldest"


def open_inbox(root: Path, *, create: bool = True, state_id: str = "state") -> Inbox:
    return Inbox.open(root, state_id=state_id, create=create)


def record_of(inbox: Inbox, name: str, job: str = "job1") -> Record:
    snapshot = look(inbox, name, lease=False).snapshot
    return Record(job=job, folder="f", snapshot=snapshot, claimed_at="2026-01-01T00:00:00Z")


@contextlib.contextmanager
def leases() -> Iterator[None]:
    """SIGIO ignored, as the daemon has it."""
    before = signal.getsignal(signal.SIGIO)
    prepare_leases()
    try:
        yield
    finally:
        signal.signal(signal.SIGIO, before)


@contextlib.contextmanager
def another_user(*folders: Path) -> Iterator[None]:
    """Act as a user without any privilege who owns ``folders``; does nothing where we are no privileged user."""
    if os.geteuid() != 0:
        yield
        return
    for folder in folders:
        for above in folder.parents:
            if above.stat().st_uid == 0 and above not in (Path("/"), Path("/tmp")):
                above.chmod(above.stat().st_mode | 0o011)
        os.chown(folder, NOBODY, NOBODY)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@contextlib.contextmanager
def tmpfs(point: Path) -> Iterator[None]:
    """A file system mounted on ``point``; skips where that is not allowed."""
    made = subprocess.run(["/bin/mount", "-t", "tmpfs", "srwatchd-test", str(point)], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {made.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["/bin/umount", "-l", str(point)], capture_output=True, check=False)


@dataclass
class Loop:
    """The part of the daemon's loop that drives intake, in one thread."""

    inbox: Inbox
    folder: Folder = field(default_factory=Folder)
    timing: Timing = QUICK
    scans: int = 0
    hints: list[Hint] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settler = Settler(self.timing, self.folder)
        self._queue: queue.SimpleQueue[Hint] = queue.SimpleQueue()
        self._watcher = Watcher(self.inbox.root, recursive=self.folder.recursive, on_hint=self._queue.put)

    def rescan(self) -> None:
        started = time.monotonic()
        found = select(scan(self.inbox, self.folder), order=self.folder.order, limit=KNOWN_FILES)
        self.scans += 1
        self.settler.reconcile(found, time.monotonic(), started=started)

    def step(self) -> None:
        with contextlib.suppress(queue.Empty):
            hint = self._queue.get(timeout=0.02)
            self.hints.append(hint)
            self.settler.hinted(hint, time.monotonic())
        for name in self.settler.due(time.monotonic()):
            try:
                seen = look(self.inbox, name, lease=True)
            except (FileNotFoundError, NotAPlainFileError):
                self.settler.forget(name)
            else:
                self.settler.observe(seen, time.monotonic())

    def until_ready(self, count: int = 1, patience: float = 30.0) -> list[Ready | Doomed]:
        end = time.monotonic() + patience
        while len(found := self.settler.ready(time.monotonic())) < count:
            if time.monotonic() > end:
                raise AssertionError(f"not ready: {self.settler.waiting()}, hints {self.hints}")
            self.step()
        return found

    def until(self, holds: Callable[[], bool], patience: float = 30.0) -> None:
        """Step, looking at each file at most once between two questions, until it is so; nothing is ready before."""
        end = time.monotonic() + patience
        while not holds():
            assert self.settler.ready(time.monotonic()) == []
            assert time.monotonic() < end, f"{self.settler.waiting()}, hints {self.hints}"
            self.step()

    def waits(self, name: str) -> WaitReason | None:
        """What the file waits for; None when nothing is known of it."""
        known = self.settler.waiting().get(name)
        return None if known is None else known.reason

    def during(self, seconds: float) -> list[Ready | Doomed]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()
        return self.settler.ready(time.monotonic())

    def close(self) -> None:
        self._watcher.stop()


@contextlib.contextmanager
def running(root: Path, **changes: object) -> Iterator[Loop]:
    """An open inbox with its loop."""
    with leases(), open_inbox(root) as inbox:
        loop = Loop(inbox, **changes)
        try:
            yield loop
        finally:
            loop.close()
