"""Who dropped a file, when something other than its owner says so.

A web console, or any program that writes into an inbox for somebody else, leaves ``{device, inode, address, user}``
as a small JSON file in ``state_dir/origins/`` before it gives the upload its final name. It is believed when it
belongs to the daemon's own user or to root, and when the file has not been made or changed since: an inode that was
freed and given to another file has a later ctime. The daemon leaves such files itself for what it gives back to an
inbox, so that a stop does not make it forget. They are removed at the claim, and after a day without one.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal

from srwatchd.intake.look import NotAPlainFileError, open_plain
from srwatchd.storage import open_directory, write_durably

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from srwatchd.job import Snapshot

__all__ = ["Known", "Origin", "Origins"]

Known = Literal["samba", "console", "owner"]
"""How an origin is known: from Samba's log, from a file that was left, or only from the owner of the file."""

_KNOWN: Final[dict[str, Known]] = {"samba": "samba", "console": "console"}
_LARGEST: Final = 4096
_LONGEST: Final = 256
_MOST: Final = 4096
_SLACK_NS: Final = 10_000_000_000
"""How much later than its origin a file may have got its name."""
_STALE_SECONDS: Final = 86400.0
_MODE: Final = 0o700


@dataclass(frozen=True, slots=True)
class Origin:
    """Who dropped a file, as far as it is known; ``uid`` is the owner's number where nothing better is known."""

    known: Known
    user: str = ""
    address: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True)
class _Left:
    """One file in the folder; ``origin`` None when it says nothing. ``seen``: monotonic, when it was first found."""

    mtime_ns: int
    seen: float
    device: int = 0
    inode: int = 0
    origin: Origin | None = None


class Origins:
    """The files in ``state_dir/origins/``. For several threads; ``monotonic`` is for tests."""

    def __init__(self, folder: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._left: dict[str, _Left] = {}

    def find(self, snapshot: Snapshot) -> Origin | None:
        """What was left about exactly this file, if anything."""
        with self._lock:
            self._look()
            for left in self._about(snapshot).values():
                if snapshot.ctime_ns <= left.mtime_ns + _SLACK_NS:
                    return left.origin
        return None

    def taken(self, snapshot: Snapshot) -> None:
        """The file was claimed: what was left about it has served."""
        with self._lock:
            self._remove(list(self._about(snapshot)))

    def leave(self, device: int, inode: int, *, user: str, address: str, known: str = "console") -> None:
        """Leave who dropped the file ``inode`` on ``device``; raises OSError.

        For an upload: once its hidden file is written, and before it gets its final name.
        """
        data = {"device": device, "inode": inode, "address": address, "user": user, "known": known}
        with self._lock:
            self._folder.mkdir(mode=_MODE, exist_ok=True)
            with self._opened() as descriptor:
                write_durably(f"{device:x}-{inode:x}.json", json.dumps(data).encode("ascii"), dir_fd=descriptor)

    # -- inside -------------------------------------------------------------------------------------------------

    def _about(self, snapshot: Snapshot) -> dict[str, _Left]:
        this = (snapshot.device, snapshot.inode)
        return {name: left for name, left in self._left.items() if left.origin and (left.device, left.inode) == this}

    def _look(self) -> None:
        """Read what is new, forget what is gone; remove what has been there for a day, whatever the clock says."""
        now, known = self._monotonic(), self._left
        self._left = {}
        with contextlib.suppress(OSError), self._opened() as descriptor:
            with os.scandir(descriptor) as entries:
                present = {each.name: each.stat(follow_symlinks=False).st_mtime_ns for each in entries}
            newest = sorted(present, key=lambda name: -present[name])
            for name in newest[:_MOST]:
                before = known.get(name)
                same = before is not None and before.mtime_ns == present[name]
                self._left[name] = before if same and before else _read(descriptor, name, present[name], seen=now)
            stale = [name for name, left in self._left.items() if now - left.seen > _STALE_SECONDS]
            self._remove([*newest[_MOST:], *stale])

    def _remove(self, names: list[str]) -> None:
        if names:
            with contextlib.suppress(OSError), self._opened() as descriptor:
                for name in names:
                    self._left.pop(name, None)
                    with contextlib.suppress(OSError):  # a folder that somebody made there
                        os.unlink(name, dir_fd=descriptor)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = open_directory(self._folder)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _read(dir_fd: int, name: str, mtime_ns: int, *, seen: float) -> _Left:
    """What one file says; nothing, when it is half-written, foreign, or of another form."""
    nothing = _Left(mtime_ns, seen)
    if name.startswith("."):
        return nothing
    try:
        descriptor = open_plain(dir_fd, name)
        with open(descriptor, "rb") as file:
            if os.fstat(descriptor).st_uid not in (os.geteuid(), 0):
                return nothing
            told = json.loads(file.read(_LARGEST))
        user, address = _text(told.get("user")), _address(told.get("address"))
        origin = Origin(_KNOWN.get(told.get("known", ""), "console"), user=user, address=address)
        return _Left(mtime_ns, seen, int(told["device"]), int(told["inode"]), origin)
    except (OSError, NotAPlainFileError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return nothing


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


def _address(value: object) -> str:
    """A network address in its usual form; "" for anything else."""
    try:
        return str(ip_address(_text(value).partition("%")[0]))
    except ValueError:
        return ""
