"""The durable records of claims: a file a job, a line for every state, of which the last whole one counts.

A line more is one write and one fdatasync; to replace the file would take a rename and make the folder durable as well.

=================================  ====================================================================
crash or failure                   what is found
=================================  ====================================================================
while the first line is written    no file, or one without a whole line: no record
while another line is written      the lines before, perhaps a part of the new one: the state before it
after a failed write               likewise; the next save replaces the file as a whole
=================================  ====================================================================
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Final

from srwatchd.intake.look import NotAPlainFileError, open_plain
from srwatchd.job import Record
from srwatchd.storage import sync_directory, write_durably

__all__ = ["Records", "record_name"]

_FLAGS: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_JOB: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class Records:
    """The records in the private folder open as ``private_fd``. Not for two threads at the same job. Raises OSError."""

    def __init__(self, private_fd: int) -> None:
        self._private = private_fd
        self._whole: set[str] = set()
        """Jobs whose file was written here and ends with a whole line."""

    def save(self, record: Record) -> None:
        """Make ``record`` the one that counts, durably; ValueError for a job that cannot be part of a file name."""
        if _JOB.fullmatch(record.job) is None:
            raise ValueError(f"{record.job!r} cannot be part of a file name")
        name, line = record_name(record.job), json.dumps(record.to_dict(), ensure_ascii=True).encode("ascii") + b"\n"
        write = self._add if record.job in self._whole else self._make
        self._whole.discard(record.job)
        try:
            write(name, line)
        except (FileNotFoundError, FileExistsError):  # somebody took it away, or it was not written here
            write_durably(name, line, dir_fd=self._private)
        self._whole.add(record.job)

    def read(self, job: str) -> Record | None:
        """The record of ``job``; None when it is damaged, of another version, or of another job."""
        try:
            with open(open_plain(self._private, record_name(job)), "rb") as file:
                lines = file.read().split(b"\n")[:-1]
        except NotAPlainFileError:
            return None
        found = next((record for line in reversed(lines) if (record := _parsed(line)) is not None), None)
        return found if found is not None and found.job == job and _is_relative(found.name) else None

    def remove(self, job: str) -> None:
        """Forget ``job``; durable when the private folder is fsynced."""
        self._whole.discard(job)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(record_name(job), dir_fd=self._private)

    def _make(self, name: str, line: bytes) -> None:
        descriptor = os.open(name, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._private)
        try:
            _write(descriptor, line)
            sync_directory(self._private)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._private)
            raise

    def _add(self, name: str, line: bytes) -> None:
        _write(os.open(name, _FLAGS | os.O_APPEND, dir_fd=self._private), line)


def record_name(job: str) -> str:
    """What the record of ``job`` is called."""
    return f"{job}.json"


def _write(descriptor: int, line: bytes) -> None:
    """Write all of it, make it durable, close."""
    try:
        while line:
            line = line[os.write(descriptor, line) :]
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _parsed(line: bytes) -> Record | None:
    try:
        return Record.from_dict(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _is_relative(name: str) -> bool:
    return all(part not in ("", ".", "..") for part in name.split("/"))
