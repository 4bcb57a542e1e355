"""The state directory: one daemon's identity, its lock, and the few facts that outlive it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import uuid
from typing import TYPE_CHECKING, Final

from srwatchd.errors import HostError, InstanceError
from srwatchd.storage import host_errors, open_directory, write_durably

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["StateDirectory"]

_MODE: Final = 0o750
_PID_WIDTH: Final = 20


class StateDirectory:
    """An opened and locked state directory. Nobody else writes the ledger or moves files while it is held."""

    def __init__(self, path: Path, descriptor: int, lock: int, identity: str) -> None:
        self.path = path
        self.identity = identity
        self._descriptor = descriptor
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> StateDirectory:
        """Make the directory where it is missing, lock it and read (or give) its identity.

        Raises :class:`InstanceError` when another process holds the lock, :class:`HostError` when it cannot be used.
        """
        with host_errors(path, "opening the state directory"):
            path.mkdir(mode=_MODE, parents=True, exist_ok=True)
            descriptor = open_directory(path)
            try:
                lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640, dir_fd=descriptor)
            except OSError:
                os.close(descriptor)
                raise
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(lock)
            os.close(descriptor)
            raise InstanceError("another_instance", f"process {owner} already uses {str(path)!r}") from None
        try:
            with host_errors(path, "writing the identity into"):
                os.pwrite(lock, f"{os.getpid():<{_PID_WIDTH}}\n".encode(), 0)  # in place: possible on a full disk
                identity = _identity(descriptor)
        except HostError:
            os.close(lock)
            os.close(descriptor)
            raise
        return cls(path, descriptor, lock, identity)

    @property
    def socket(self) -> Path:
        """Where the control socket is."""
        return self.path / "control.sock"

    def read(self, name: str) -> object:
        """The JSON value kept under ``name``, or None when there is none or it cannot be read."""
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._descriptor)
            with os.fdopen(descriptor, "rb") as file:
                value: object = json.loads(file.read())
                return value
        except (OSError, ValueError):
            return None

    def write(self, name: str, value: object) -> None:
        """Keep a JSON value under ``name``, durably."""
        with host_errors(self.path / name, "writing"):
            write_durably(name, json.dumps(value).encode(), dir_fd=self._descriptor)

    def close(self) -> None:
        """Give the lock back."""
        for descriptor in (self._lock, self._descriptor):
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _identity(descriptor: int) -> str:
    """The identity file's content; a new one is given once and kept for ever."""
    try:
        with os.fdopen(os.open("id", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=descriptor)) as file:
            identity = file.read().strip()
        if identity:
            return identity
    except FileNotFoundError:
        pass
    identity = uuid.uuid4().hex
    write_durably("id", f"{identity}\n".encode(), dir_fd=descriptor, mode=0o640)
    return identity
