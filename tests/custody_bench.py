"""What the tests of custody share: one hot folder with everything real but workers, and file systems that fail."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
from typing import TYPE_CHECKING, Any, Self

from daemon_standin import CLOCK, folder

from srwatchd import storage
from srwatchd.audit import ACTIONS, Entry, Ledger, verify
from srwatchd.intake.attribution import Attribution
from srwatchd.intake.claims import Claims
from srwatchd.intake.inbox import Inbox
from srwatchd.intake.look import look
from srwatchd.intake.origins import Origins
from srwatchd.job import State
from srwatchd.pipeline.custody import Custody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from srwatchd.job import Record, Snapshot

STATE = "s" * 32
_PATCHED = ("rename", "unlink", "link", "fsync", "fdatasync", "mkdir")


class Crash(BaseException):
    """The machine is dead: nothing of ours runs any more, not even clean-up."""


class Faults:
    """The file system, failing at the ``at``-th step from now: dead, or full for ``lasting`` steps.

    A step is a rename, link, unlink, mkdir or fsync. ``after``: the step itself is still done.
    """

    def __init__(self, *, at: int = 0, dead: bool = True, after: bool = False, lasting: int = 1) -> None:
        self.at, self.dead, self.after, self.lasting = at, dead, after, lasting
        self.steps = 0
        self.struck = False
        self._originals: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._originals = {name: getattr(os, name) for name in _PATCHED}
        for name, original in self._originals.items():
            setattr(os, name, self._wrapped(original))
        self._renameat2 = storage._renameat2
        if self._renameat2 is not None:
            storage._renameat2 = self._wrapped(self._renameat2, native=True)
        return self

    def __exit__(self, *_: object) -> None:
        for name, original in self._originals.items():
            setattr(os, name, original)
        storage._renameat2 = self._renameat2

    def _wrapped(self, original: Any, *, native: bool = False) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.steps += 1
            if self.struck and self.dead:
                raise Crash
            if self.at and self.at <= self.steps < self.at + self.lasting:
                self.struck = True
                if self.dead:
                    if self.after:
                        original(*args, **kwargs)
                    raise Crash
                if native:
                    ctypes.set_errno(errno.ENOSPC)
                    return -1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(*args, **kwargs)

        return call


class Bench:
    """One hot folder below ``root``: claims, ledger, destinations, custody."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.config = folder(root, **settings)
        for place in (self.config.inbox, self.config.done, self.config.error, self.config.archive):
            place.mkdir(parents=True, exist_ok=True)
        self.log = root / "audit" / "audit.jsonl"
        self.samba_log: Path | None = None
        self._before = _descriptors()
        self.open(create=True)

    def open(self, *, create: bool = False) -> None:
        """Everything made anew from what lies on the disk, as a start does."""
        self.ledger = Ledger(self.log)
        opened = self.ledger.open()
        self.finished = set(opened.finished)
        self.unfinished = set(opened.unfinished)
        self.inbox = Inbox.open(self.config.inbox, state_id=STATE, create=create)
        self.claims = Claims(self.inbox, markers=self.config.ready == "done_file")
        self.custody = Custody(
            self.config,
            self.inbox,
            self.claims,
            attribution=Attribution(self.config.inbox, Origins(self.root / "origins"), log=self.samba_log),
            ledger=self.ledger,
            clock=lambda: CLOCK,
            lease=False,
            finished=self.finished,
        )

    def close(self) -> None:
        self.inbox.close()
        self.ledger.close()

    def die(self) -> None:
        """What the kernel does with a dead process: its descriptors and locks are gone."""
        for descriptor in _descriptors() - self._before:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def restart(self) -> list[Record]:
        """After a crash: the records that are to be run again."""
        self.die()
        self.open()
        return self.recover()

    def recover(self) -> list[Record]:
        """What the daemon does when it takes up a folder."""
        left = []
        for orphan in self.claims.orphans():
            self.unfinished.discard(orphan.record.job)
            record = self.custody.recover(orphan.record, present=orphan.source_present)
            if record.state is State.CLAIMED:
                left.append(record)
        for job in self.unfinished:
            self.ledger.append([Entry("job.released", "unknown", job=job)])
        self.unfinished.clear()
        self.custody.close_accounts({record.job for record in left})
        self.custody.sweep(set())
        return left

    # -- pictures ------------------------------------------------------------------------------------------------

    def drop(self, name: str, content: bytes) -> Snapshot:
        path = os.fsencode(self.config.inbox) + b"/" + os.fsencode(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return self.seen(name)

    def seen(self, name: str) -> Snapshot:
        return look(self.inbox, name, lease=False).snapshot

    def finish(self, record: Record, path: str = "", content: bytes = b"result", **facts: Any) -> Record:
        """Stage, fill and deliver a result as a run does."""
        record = self.custody.fingerprint(record)
        staged = self.custody.stage(record, path or result_of(record))
        try:
            os.write(staged.fd, content)
            return self.custody.finish(record, staged, path or result_of(record), facts)
        finally:
            self.custody.discard(staged)

    # -- what there is -------------------------------------------------------------------------------------------

    def files(self, place: Path) -> dict[str, bytes]:
        """Every file below ``place`` that is no private one, with its content."""
        return dict(_files(place))

    @property
    def claimed(self) -> dict[str, bytes]:
        private = self.config.inbox / ".srwatchd"
        return {path.name: path.read_bytes() for path in private.glob("*.src")}

    @property
    def private(self) -> set[str]:
        return {path.name for path in (self.config.inbox / ".srwatchd").iterdir()} - {"id", "lock"}

    @property
    def leftovers(self) -> list[Path]:
        return list(self.root.rglob(".srwatchd-*"))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text(encoding="ascii").splitlines()]

    def actions(self, job: str) -> list[str]:
        return [line["event.action"] for line in self.lines() if line.get("trace.id") == job]

    def outcomes(self) -> dict[str, list[str]]:
        """The outcomes of every job that the ledger has begun."""
        found: dict[str, list[str]] = {}
        for line in self.lines():
            job, action = line.get("trace.id"), line["event.action"]
            if job:
                found.setdefault(job, [])
                if ACTIONS[action].role == "outcome":
                    found[job].append(action)
        return found

    def verified(self) -> bool:
        return verify(self.log, None).ok


def result_of(record: Record) -> str:
    parent, _, base = record.name.rpartition("/")
    stem = base.rpartition(".")[0] or base
    return f"{parent}/{stem}_x2.png" if parent else f"{stem}_x2.png"


def _files(place: Path) -> Iterator[tuple[str, bytes]]:
    root = os.fsencode(place)
    for path, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != b".srwatchd"]
        for name in names:
            whole = os.path.join(path, name)
            if not name.startswith(b".srwatchd-"):
                with open(whole, "rb") as file:
                    yield os.fsdecode(os.path.relpath(whole, root)), file.read()


def _descriptors() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/fd")}
