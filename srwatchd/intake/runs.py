"""Which jobs a worker was on when the supervisor died, and how often within one boot.

``<job>.run`` is never fsynced: a power cut is not the picture's fault, so nothing of it needs to survive one, and
what a killed process wrote stays in the page cache anyway.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import Final

from srwatchd.storage import STAGING_PREFIX

__all__ = ["Runs", "read_boot_id"]

_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"


@dataclass(frozen=True, slots=True)
class _Run:
    boot: str
    interruptions: int = 0
    running: bool = False


class Runs:
    """The running marks in one private folder. Methods raise OSError."""

    def __init__(self, private_fd: int, *, boot_id: str | None = None) -> None:
        self._private = private_fd
        self._boot = read_boot_id() if boot_id is None else boot_id

    def begin(self, job: str) -> None:
        """A worker begins on it."""
        self._write(job, _Run(self._boot, self._read(job).interruptions, running=True))

    def end(self, job: str) -> None:
        """No worker is on it any more; how often it was interrupted is kept."""
        run = self._read(job)
        if run.interruptions == 0:
            self.forget(job)
        else:
            self._write(job, _Run(self._boot, run.interruptions))

    def interruptions(self, job: str) -> int:
        """Count one more if its mark is set, clear the mark, and return the count; 0 after a reboot."""
        run = self._read(job)
        if run.running:
            run = _Run(self._boot, run.interruptions + 1)
            self._write(job, run)
        return run.interruptions

    def forget(self, job: str) -> None:
        """Remove the mark and the count."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{job}.run", dir_fd=self._private)

    def _read(self, job: str) -> _Run:
        """Read the mark; a missing or damaged one and one of another boot say nothing."""
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(f"{job}.run", flags, dir_fd=self._private), "rb") as file:
                data = json.loads(file.read())
            run = _Run(str(data["boot"]), int(data["interruptions"]), running=bool(data["running"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return _Run(self._boot)
        return run if run.boot == self._boot else _Run(self._boot)

    def _write(self, job: str, run: _Run) -> None:
        data = {"boot": run.boot, "interruptions": run.interruptions, "running": run.running}
        staged = f"{STAGING_PREFIX}{job}.run.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(staged, flags, 0o600, dir_fd=self._private), "wb") as file:
            file.write(json.dumps(data).encode("ascii"))
        os.rename(staged, f"{job}.run", src_dir_fd=self._private, dst_dir_fd=self._private)


def read_boot_id() -> str:
    """What tells this boot of the machine from every other one."""
    with open(_BOOT_ID, encoding="ascii") as file:
        return file.read().strip()
