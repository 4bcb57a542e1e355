"""An index over the ledger's files, so that a page of the history is not a walk through all of them.

A cache in SQLite, never a truth: it is brought up to date from where it ended, and made anew when the ledger is another
one than it was made from, when it is of another version or of an earlier boot, damaged, or gone. Where the state cannot
be written it lies in a nameless file. One thread at a time.

The ledger is only read. A segment is known by its first sequence and the hash of its first line, whatever its name;
before going on in one the hash of the last line that was read is looked at again. What a segment held that retention
has removed is forgotten.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from srwatchd.console.account import Account, told
from srwatchd.console.ledgerfiles import Line, Looks, Segment, lines_from, same_end
from srwatchd.intake.names import display

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Index", "searchable"]

_VERSION: Final = 5
_MARK_EVERY: Final = 256
_MOST: Final = (1 << 63) - 1
_MEMORY_KIB: Final = 8192
_SCHEMA: Final = """
CREATE TABLE segments (first INTEGER PRIMARY KEY, head TEXT NOT NULL, done INTEGER NOT NULL, last INTEGER NOT NULL,
                       hash TEXT NOT NULL, size INTEGER NOT NULL);
CREATE TABLE marks (sequence INTEGER PRIMARY KEY, segment INTEGER NOT NULL, offset INTEGER NOT NULL);
CREATE TABLE jobs (opened INTEGER PRIMARY KEY, job TEXT NOT NULL UNIQUE, closed INTEGER, folder TEXT,
                   search TEXT NOT NULL, outcome TEXT NOT NULL, code TEXT, user TEXT, claimed_at TEXT, ended_at TEXT,
                   pixels INTEGER, account TEXT NOT NULL);
CREATE TABLE lines (opened INTEGER NOT NULL, sequence INTEGER NOT NULL, segment INTEGER NOT NULL,
                    offset INTEGER NOT NULL, length INTEGER NOT NULL, PRIMARY KEY (opened, sequence)) WITHOUT ROWID;
CREATE INDEX lines_segment ON lines (segment);
CREATE INDEX jobs_closed ON jobs (closed);
CREATE INDEX jobs_ended ON jobs (ended_at);
CREATE INDEX jobs_outcome ON jobs (outcome);
CREATE TABLE alarms (sequence INTEGER PRIMARY KEY, segment INTEGER NOT NULL, at TEXT, what TEXT);
"""


def searchable(text: str) -> str:
    """What a search compares: shown as pages show it, without regard to case."""
    return display(text).casefold()


class Index:
    """The index of the ledger at ``ledger``, kept in ``place``; ``inboxes`` are the folders' by their ids."""

    def __init__(self, place: Path, ledger: Path, inboxes: Mapping[str, Path]) -> None:
        self._place = place
        self._ledger = ledger
        self._inboxes = {folder: f"{inbox}/" for folder, inbox in inboxes.items()}
        self._looks = Looks(ledger)
        self._private = False
        self.paths: dict[int, Path] = {}
        """Where each segment was at the last look."""
        self.complete = False
        """Whether the last look reached the end of the ledger."""
        self.db = self._opened()

    def advance(self, most: int) -> bool:
        """Take in at most ``most`` lines; whether there are more. Trouble with the index itself makes it anew."""
        try:
            with self.db:
                self.db.execute("BEGIN IMMEDIATE")
                left = self._take(most)
        except OSError:  # the ledger's disk
            self.complete = False
            return False
        except sqlite3.OperationalError:  # the disk is full, or read-only by now
            self._retreat()
            return False
        except sqlite3.DatabaseError:
            self.renew()
            return False
        self.complete = left > 0
        return left <= 0

    def close(self) -> None:
        """Let the file go."""
        self.db.close()

    # -- the file ------------------------------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        for attempt in range(2):
            if self._private:
                break
            try:
                self._place.parent.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
                self._place.parent.mkdir(mode=0o700, exist_ok=True)
                db = _connected(str(self._place))
                version = db.execute("PRAGMA user_version").fetchone()[0]
                if version == _VERSION and _about(db, self._ledger):
                    return db
                if version == 0:
                    _make(db, self._ledger)
                    return db
                db.close()
                self._remove()
            except (sqlite3.Error, OSError):
                self._remove()
                self._private = attempt > 0
        self._private = True
        db = _connected("")
        _make(db, self._ledger)
        return db

    def renew(self) -> None:
        """Begin from nothing, after the file has turned out to be damaged."""
        with contextlib.suppress(sqlite3.Error):
            self.db.close()
        self._remove()
        self.db = self._opened()

    def _retreat(self) -> None:
        """Go on in a nameless file; if that is full too, there is nothing better than an empty one."""
        with contextlib.suppress(sqlite3.Error):
            self.db.close()
        self._private = True
        self.db = self._opened()

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._place.with_name(self._place.name + suffix).unlink()

    # -- following the ledger ------------------------------------------------------------------------------------

    def _take(self, most: int) -> int:
        """Read on; how many lines less than ``most`` there were."""
        here = self._looks.present()
        self.paths = {each.first: each.path for each in here}
        known = {row[0]: row[1:] for row in self.db.execute("SELECT first, head, done, last, hash, size FROM segments")}
        if any(each.first in known and not _same(each, known[each.first]) for each in here):
            self._clear()
            known = {}
        for gone in known.keys() - self.paths.keys():
            self._forget(gone)
        left = most
        for segment in here:
            done, last, digest, size = (known.get(segment.first) or ("", 0, 0, "", -1))[1:]
            if segment.size == size and done == size:
                continue
            left -= self._read(segment, done, last, digest, left)
            if left <= 0:
                break
        return left

    def _read(self, segment: Segment, done: int, last: int, digest: str, most: int) -> int:
        """Take in ``most`` lines of a segment at the most, from ``done`` on; how many there were."""
        count, accounts = 0, _Accounts(self.db, self._inboxes)
        for line in lines_from(segment.path, done):
            if count >= most:
                break
            count += 1
            done = line.end
            if line.sequence:
                if line.sequence % _MARK_EVERY == 0 or last == 0:
                    mark = (line.sequence, segment.first, line.offset)
                    self.db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", mark)
                last, digest = line.sequence, line.hash
                self._note(segment, line, accounts)
        accounts.store()
        row = (segment.first, segment.head, done, last, digest, segment.size)
        self.db.execute("INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?)", row)
        return count

    def _note(self, segment: Segment, line: Line, accounts: _Accounts) -> None:
        about_job = b'"trace.id":"' in line.raw
        if not about_job and b'"event.action":"ledger.break_found"' not in line.raw:
            return
        try:
            fields = json.loads(line.raw)
        except (ValueError, RecursionError):
            return
        job = fields.get("trace.id")
        if isinstance(job, str) and job.isascii():
            accounts.take(job, line.sequence, fields, (segment.first, line.offset, len(line.raw)))
        elif not about_job:
            what = str(fields.get("srwatchd.break.what") or fields.get("event.reason") or "")
            alarm = (line.sequence, segment.first, fields.get("@timestamp"), display(what))
            self.db.execute("INSERT OR REPLACE INTO alarms VALUES (?, ?, ?, ?)", alarm)

    def _forget(self, first: int) -> None:
        """Drop what came from a segment that is gone, and the jobs of which nothing is left."""
        self.db.execute(
            "DELETE FROM jobs WHERE opened IN (SELECT opened FROM lines WHERE segment = ?) AND NOT EXISTS "
            "(SELECT 1 FROM lines WHERE lines.opened = jobs.opened AND segment != ?)",
            (first, first),
        )
        for table in ("lines", "marks", "alarms"):
            self.db.execute(f"DELETE FROM {table} WHERE segment = ?", (first,))  # noqa: S608 - one of three names
        self.db.execute("DELETE FROM segments WHERE first = ?", (first,))

    def _clear(self) -> None:
        for table in ("segments", "marks", "lines", "jobs", "alarms"):
            self.db.execute(f"DELETE FROM {table}")  # noqa: S608 - one of five names


class _Accounts:
    """The accounts that a slice of lines changes, each read and written once."""

    def __init__(self, db: sqlite3.Connection, inboxes: Mapping[str, str]) -> None:
        self._db = db
        self._inboxes = inboxes
        self._changed: dict[str, tuple[int, int | None, Account]] = {}
        self._lines: list[tuple[int, ...]] = []

    def take(self, job: str, sequence: int, fields: dict[str, Any], place: tuple[int, int, int]) -> None:
        """One more line of a job, and where it stands: segment, offset, length."""
        opened, closed, account = self._changed.get(job) or self._known(job) or (sequence, None, {})
        self._lines.append((opened, sequence, *place))
        if str(fields.get("event.action")).startswith("job."):
            account = told(account, fields)
            if closed is None and "ended_at" in account:
                closed = sequence
        if account:
            self._changed[job] = (opened, closed, account)

    def store(self) -> None:
        """Put them into the index."""
        self._db.executemany(
            "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [self._row(job, *each) for job, each in self._changed.items()],
        )
        self._db.executemany("INSERT OR REPLACE INTO lines VALUES (?, ?, ?, ?, ?)", self._lines)
        self._changed.clear()
        self._lines.clear()

    def _known(self, job: str) -> tuple[int, int | None, Account] | None:
        row = self._db.execute("SELECT opened, closed, account FROM jobs WHERE job = ?", (job,)).fetchone()
        return None if row is None else (row[0], row[1], json.loads(row[2]))

    def _row(self, job: str, opened: int, closed: int | None, account: Account) -> tuple[object, ...]:
        if "path" in account:
            account["name"] = self._name(str(account["path"]), str(account.get("folder")))
        edges = [account.get(key) for key in ("result_width", "result_height")]
        pixels = min(math.prod(each for each in edges if isinstance(each, int)), _MOST) if all(edges) else 0
        texts = [_plain(account.get(key)) for key in ("outcome", "code", "user", "claimed_at", "ended_at")]
        search = f"{searchable(str(account.get('name', '')))}\n{job}"
        return (opened, job, closed, _plain(account.get("folder")), search, *texts, pixels, json.dumps(account))

    def _name(self, path: str, folder: str) -> str:
        """The name relative to the inbox; what lay elsewhere, or in an inbox of another time, by its last part."""
        inbox = self._inboxes.get(folder)
        if inbox is not None and path.startswith(inbox):
            return path.removeprefix(inbox)
        return path.rpartition("/")[2]


def _plain(value: object) -> str | None:
    """Text that SQLite takes: it refuses lone surrogates, which stand for undecodable bytes."""
    return None if value is None else display(str(value))


def _same(segment: Segment, known: tuple[Any, ...]) -> bool:
    """Whether a segment is the one that was read, up to where it was read."""
    head, done, _last, digest, size = known
    if segment.head != head or segment.size < done:
        return False
    return segment.size == size or same_end(segment.path, done, digest)


def _connected(place: str) -> sqlite3.Connection:
    db = sqlite3.connect(place, isolation_level=None, check_same_thread=False, timeout=10.0)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")  # no page waits for a busy disk; what a power cut leaves is not used
    db.execute(f"PRAGMA cache_size = -{_MEMORY_KIB}")
    db.execute("PRAGMA temp_store = FILE")
    return db


def _make(db: sqlite3.Connection, ledger: Path) -> None:
    db.executescript(
        f"BEGIN; {_SCHEMA} CREATE TABLE about (ledger BLOB, boot TEXT); PRAGMA user_version = {_VERSION}; COMMIT;"
    )
    db.execute("INSERT INTO about VALUES (?, ?)", (bytes(ledger), _boot()))


def _about(db: sqlite3.Connection, ledger: Path) -> bool:
    row = db.execute("SELECT ledger, boot FROM about").fetchone()
    return row is not None and row == (bytes(ledger), _boot())


def _boot() -> str:
    """The kernel's id of this boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
