"""The ledger's one writer: append with one write and one fdatasync, mend at start, rotate, retire."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from srwatchd.audit.chain import GENESIS, MAX_LINE, Seal, seal_of
from srwatchd.audit.origin import Origin
from srwatchd.audit.own_entries import head_entry, mended_entry, tombstone_entry
from srwatchd.audit.segments import (
    begin_segment,
    closed_name,
    closed_segments,
    first_sequence,
    open_segment,
    write_whole,
)
from srwatchd.audit.survey import Jobs, Opened, Survey, survey
from srwatchd.errors import HostError
from srwatchd.storage import open_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from srwatchd.audit.events import Entry

__all__ = ["Ledger"]

_ALTERED: Final = "the file was replaced, cut or written to by something else while the daemon ran"


@dataclass(slots=True)
class _End:
    """The end of the chain in memory: what the next line continues, and the segment as we left it."""

    sequence: int = 0
    hash: str = GENESIS
    first: int = 1
    size: int = 0
    identity: tuple[int, int] = (0, 0)
    only_head: bool = True


class Ledger:
    """The append-only record at ``path``.

    There must be one writer at a time; the caller's instance lock sees to that. Methods may be called from any
    thread. Every failure of the file system is ``HostError("ledger_unwritable")``, and whatever failed can simply be
    called again. ``segment_size`` is in bytes; a batch is never split, so a segment may be longer by one batch.
    """

    def __init__(
        self,
        path: Path,
        *,
        segment_size: int = 64 << 20,
        key: bytes | None = None,
        clock: Callable[[], int] = time.time_ns,
        origin: Origin | None = None,
    ) -> None:
        self._path = Path(path)
        self._segment_size = segment_size
        self._seal = Seal(key)
        self._clock = clock
        self._origin = origin or Origin.here()
        self._lock = threading.Lock()
        self._directory = -1
        self._descriptor = -1
        self._end = _End()
        self._jobs = Jobs()
        self._owed: list[Entry] = []
        self._retired: list[str] = []
        self._dirty = False
        self._seen_mended = self._seen_broken = False

    def open(self) -> Opened:
        """Take up the ledger, or begin it; its folder is made when missing (its parent is not).

        A torn last line is cut off and recorded. A chain that is really broken does not stop an unattended daemon: a
        new segment begins with ``ledger.break_found``, and ``verify`` reports it from then on.
        """
        with self._lock, self._unwritable("open"):
            self._release()
            self._seen_mended = self._seen_broken = False
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._path.parent, 0o750)
            self._directory = open_directory(self._path.parent)
            self._take_up()
            return Opened(
                mended=self._seen_mended,
                broken=self._seen_broken,
                last_sequence=self._end.sequence,
                unfinished=frozenset(self._jobs.unfinished),
                finished=dict(self._jobs.finished),
            )

    def append(self, entries: Sequence[Entry]) -> list[int]:
        """Record ``entries`` in order and give their sequence numbers; durable when this returns.

        All of them with one write and one fdatasync, or none: what a failed write left is cut off again.
        """
        if not entries:
            return []
        with self._lock, self._unwritable("append to"):
            self._ready()
            numbers = self._write([*self._owed, *entries])
            del numbers[: len(self._owed)]
            self._owed.clear()
            return numbers

    @property
    def sequence(self) -> int:
        """The sequence number of the last line; 0 before the first."""
        return self._end.sequence

    def retire(self, segment: str | Path) -> int:
        """Remove the oldest closed segment, after its tombstone is durable; gives the tombstone's sequence.

        A crash in between leaves both; opening the ledger then completes the removal. Raises :class:`ValueError` for
        any other segment than the oldest closed one.
        """
        name = Path(segment).name
        with self._unwritable("retire a segment of"):
            closed = closed_segments(self._path)
            if not closed or closed[0].name != name:
                raise ValueError(f"{name!r} is not the oldest closed segment")
            found = self._survey(name)  # outside the lock: a closed segment does not change, and it may be large
            with self._lock:
                self._ready()
                number = self._write([*self._owed, tombstone_entry(name, found)])[-1]
                self._owed.clear()
                os.unlink(name, dir_fd=self._directory)
                os.fsync(self._directory)
                return number

    def close(self) -> None:
        """Give the descriptors back. Everything appended is durable already."""
        with self._lock:
            self._release()

    def _take_up(self) -> None:
        try:
            self._descriptor = open_segment(self._path.name, dir_fd=self._directory, write=True)
        except FileNotFoundError:
            self._continue_closed()
        else:
            self._continue_active(survey(self._descriptor, self._seal.key))
        self._complete_removals()
        if self._owed:
            self._write(self._owed)
            self._owed.clear()

    def _continue_active(self, found: Survey) -> None:
        if found.broken:
            self._record_break(found, self._path.name)
            return
        if found.torn or found.lines == 0:
            self._seen_mended = True
            self._owed.append(mended_entry(self._path.name, found))
        if found.lines == 0:
            self._close_active()
            os.unlink(self._path.name, dir_fd=self._directory)
            os.fsync(self._directory)
            self._continue_closed()
            return
        if found.torn:
            os.ftruncate(self._descriptor, found.size)
            os.fsync(self._descriptor)
        self._adopt(found)
        if found.head is not None and seal_of(found.head, self._seal.key) != self._seal:
            self._rotate()

    def _continue_closed(self) -> None:
        """Begin a new segment behind the newest closed one, or the very first one."""
        closed = closed_segments(self._path)
        self._jobs = Jobs()
        if not closed:
            self._end = _End()
            self._begin("ledger.started", previous="", closing=None)
            return
        name = closed[-1].name
        found = self._survey(name)
        if found.fault or found.last is None:
            self._record_break(found, name)
            return
        self._adopt(found)
        self._begin("ledger.segment_started", previous=name, closing=None)

    def _record_break(self, found: Survey, name: str) -> None:
        """Begin a new segment that says that the one before, ``name``, is broken and where."""
        self._seen_broken = True
        first = found.head.sequence if found.head is not None else 1
        if found.last is None:
            others = [segment.name for segment in closed_segments(self._path) if segment.name != name]
            earlier = self._survey(others[-1]) if others else Survey()
            found.last, found.jobs = earlier.last, earlier.jobs
            first = earlier.last.sequence + 1 if earlier.last is not None else 1
        self._adopt(found)
        self._end.first = first
        closing = self._free_name() if name == self._path.name else None
        fields = {
            "srwatchd.break.line": found.line,
            "srwatchd.break.what": found.fault or "the segment is empty",
            "file.size": found.total,
            "file.hash.sha256": found.sha256,
        }
        self._begin("ledger.break_found", previous=closing or name, closing=closing, fields=fields)

    def _adopt(self, found: Survey) -> None:
        last = found.last
        self._jobs = found.jobs
        self._end = _End(
            sequence=last.sequence if last is not None else 0,
            hash=last.hash if last is not None else GENESIS,
            first=found.head.sequence if found.head is not None else 1,
            size=found.size,
            only_head=found.lines <= 1,
        )
        if self._descriptor >= 0:
            self._end.identity = _identity(os.fstat(self._descriptor))
        self._retired = found.retired

    def _complete_removals(self) -> None:
        """Remove the segments whose tombstone a crash left without its deed."""
        for name in self._retired:
            if first_sequence(self._path, name) is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._directory)

    def _ready(self) -> None:
        """Make sure that the file is as we left it; if not, say so in a new segment."""
        if self._directory < 0:
            raise RuntimeError("the ledger is not open")
        if self._descriptor < 0:
            self._take_up()
        if self._dirty:
            self._restore()
        identity = self._found_identity()
        if identity == self._end.identity and os.fstat(self._descriptor).st_size == self._end.size:
            return
        fields = {"srwatchd.break.what": _ALTERED}
        closing = None if identity is None else self._free_name()
        previous = closing or closed_name(self._path, self._end.first)
        self._begin("ledger.break_found", previous=previous, closing=closing, fields=fields)

    def _write(self, entries: Sequence[Entry]) -> list[int]:
        data, digest = self._render(entries)
        if self._end.size + len(data) > self._segment_size and not self._end.only_head:
            self._rotate()
            data, digest = self._render(entries)
        try:
            write_whole(self._descriptor, data)
            os.fdatasync(self._descriptor)
        except OSError:
            self._dirty = True
            with contextlib.suppress(OSError):
                self._restore()
            raise
        end = self._end
        numbers = list(range(end.sequence + 1, end.sequence + 1 + len(entries)))
        end.sequence, end.hash, end.size, end.only_head = numbers[-1], digest, end.size + len(data), False
        for entry in entries:
            self._jobs.note(entry.action, entry.job)
        return numbers

    def _restore(self) -> None:
        """Cut off what a failed write left."""
        os.ftruncate(self._descriptor, self._end.size)
        os.fdatasync(self._descriptor)
        self._dirty = False

    def _render(self, entries: Sequence[Entry]) -> tuple[bytes, str]:
        lines, digest = [], self._end.hash
        for sequence, entry in enumerate(entries, start=self._end.sequence + 1):
            line, digest = self._seal.line(self._origin.fields(entry, sequence, digest, now_ns=self._clock()))
            if len(line) > MAX_LINE:
                raise ValueError(f"an entry {entry.action} is too long for one line")
            lines.append(line)
        return b"".join(lines), digest

    def _rotate(self) -> None:
        closing = self._free_name()
        self._begin("ledger.segment_started", previous=closing, closing=closing)

    def _begin(
        self, action: str, *, previous: str, closing: str | None, fields: Mapping[str, Any] | None = None
    ) -> None:
        given = {"file.name": self._path.name, **self._jobs.head_fields(), **(fields or {})}
        head = head_entry(action, seal=self._seal, previous=previous, fields=given)
        line, digest = self._render([head])
        try:
            descriptor = begin_segment(self._path, line, dir_fd=self._directory, closing=closing)
        except OSError:
            if self._descriptor >= 0 and self._found_identity() != self._end.identity:
                self._close_active()  # it failed between the renames: the next call takes the ledger up afresh
            raise
        self._close_active()
        self._descriptor = descriptor
        number = self._end.sequence + 1
        self._end = _End(number, digest, number, len(line), _identity(os.fstat(descriptor)))

    def _found_identity(self) -> tuple[int, int] | None:
        """Device and inode of what now bears the ledger's name."""
        try:
            return _identity(os.stat(self._path.name, dir_fd=self._directory, follow_symlinks=False))
        except FileNotFoundError:
            return None

    def _free_name(self) -> str:
        names = (closed_name(self._path, self._end.first, attempt=attempt) for attempt in range(1000))
        return next(name for name in names if not os.path.lexists(self._path.parent / name))

    def _survey(self, name: str) -> Survey:
        descriptor = open_segment(name, dir_fd=self._directory)
        try:
            return survey(descriptor, self._seal.key)
        finally:
            os.close(descriptor)

    def _close_active(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._dirty = -1, False

    def _release(self) -> None:
        self._close_active()
        if self._directory >= 0:
            os.close(self._directory)
        self._directory = -1

    @contextlib.contextmanager
    def _unwritable(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = os.strerror(error.errno or errno.EIO)
            message = f"cannot {doing} the ledger {os.fspath(self._path)!r}: {why}"
            raise HostError("ledger_unwritable", message, path=os.fspath(self._path)) from error


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino
