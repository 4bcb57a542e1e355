"""Examination of how drops are noticed: leases and file events, by a probe in the private folder; inotify's limits."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from srwatchd.daemon.finding import Finding, ok, warning
from srwatchd.errors import HostError
from srwatchd.intake.look import look_at
from srwatchd.intake.mounts import mount_of, timing_of
from srwatchd.intake.names import PRIVATE
from srwatchd.intake.observation import Lease
from srwatchd.intake.watch import Watcher
from srwatchd.storage import open_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from srwatchd.config import Folder

__all__ = ["examine_intake", "examine_watches"]

_EVENT_SECONDS: Final = 3.0
_MOST_FOLDERS: Final = 100_000
_CAP_LEASE: Final = 28
_INOTIFY: Final = Path("/proc/sys/fs/inotify")


def examine_intake(folder: Folder) -> Iterator[Finding]:
    """Leases and events in the inbox of ``folder``, tried with a file in its private folder that is removed again.

    ``prepare_leases`` must have been called. Without access to the private folder it only says so.
    """
    private = folder.inbox / PRIVATE
    try:
        mount = mount_of(folder.inbox)
        timing = timing_of(mount, folder)
        descriptor = open_directory(private)
    except OSError:
        if folder.inbox.is_dir():
            yield ok("lease", folder.id, "not tried: the private folder is not there or not ours")
        return
    try:
        if mount.remote:
            yield ok("lease", folder.id, f"not used on {mount.fs_type}, where it says nothing")
        else:
            yield _lease(folder, descriptor)
        if timing.poll:
            yield ok("events", folder.id, f"not used; scanned every {folder.rescan_interval:g} s")
        else:
            yield _events(folder, private, descriptor)
    except OSError as error:
        yield warning(
            "lease", folder.id, f"no probe file could be made: {error.strerror}", "Run it as the daemon's user."
        )
    finally:
        os.close(descriptor)


def examine_watches(folders: Sequence[Folder]) -> Iterator[Finding]:
    """Whether the kernel's inotify limits suffice for all inboxes and what is in them now."""
    watched = [folder.inbox for folder in folders if folder.watch_mode != "poll" and folder.inbox.is_dir()]
    needed = sum(
        _count_folders(folder.inbox) if folder.recursive else 1 for folder in folders if folder.inbox in watched
    )
    for name, wanted, of in (
        ("max_user_watches", needed, "folders"),
        ("max_user_instances", 2 * len(watched), "instances"),
        ("max_queued_events", 0, "events"),
    ):
        try:
            limit = int((_INOTIFY / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        found = f"{limit}, of which these inboxes need {wanted} {of}" if wanted else str(limit)
        if wanted * 2 > limit:
            remedy = f"Raise it: sysctl fs.inotify.{name}={max(2 * limit, 4 * wanted)}; or set watch_mode: poll."
            yield warning("inotify", name, found, remedy)
        else:
            yield ok("inotify", name, found)


def _lease(folder: Folder, private_fd: int) -> Finding:
    """Whether a lease tells a file that is being written from one that is not."""
    with _probe(private_fd) as (name, writer):
        during = look_at(private_fd, name, name=name, lease=True).lease
        os.close(writer)
        after = look_at(private_fd, name, name=name, lease=True).lease
    if (during, after) == (Lease.BUSY, Lease.FREE):
        others = "" if _has_capability(_CAP_LEASE) else "; without CAP_LEASE for own files only, others wait to settle"
        return ok("lease", folder.id, f"tells a file in use from a complete one{others}")
    found = f"a file in use looks {during.value}, a closed one {after.value}"
    remedy = "Without leases a file is complete when it was quiet for the settle time; raise settle for slow writers."
    return warning("lease", folder.id, found, remedy)


def _events(folder: Folder, private: Path, private_fd: int) -> Finding:
    """Whether the kernel tells of a file that is made and closed."""
    hints: queue.SimpleQueue[str] = queue.SimpleQueue()
    begin = time.monotonic()
    remedy = (
        f"Scans find what arrives, every {folder.rescan_interval:g} s; lower rescan_interval, or look at the mount."
    )
    try:
        watcher = Watcher(private, recursive=False, on_hint=lambda hint: hints.put(hint.name))
    except HostError as error:
        return warning("events", folder.id, error.message, error.hint)
    try:
        with _probe(private_fd) as (name, writer):
            os.close(writer)
            while (left := begin + _EVENT_SECONDS - time.monotonic()) > 0:
                with contextlib.suppress(queue.Empty):
                    if hints.get(timeout=left) == name:
                        return ok("events", folder.id, "arrive")
        return warning("events", folder.id, f"none came within {_EVENT_SECONDS:g} s", remedy)
    finally:
        watcher.stop()


@contextlib.contextmanager
def _probe(private_fd: int) -> Iterator[tuple[str, int]]:
    """A new file and its writing descriptor, which the block closes; the file is gone afterwards."""
    name = f"probe-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    writer = os.open(name, flags, 0o600, dir_fd=private_fd)
    try:
        os.write(writer, b"srwatchd doctor\n")
        yield name, writer
    finally:
        os.unlink(name, dir_fd=private_fd)


def _has_capability(number: int) -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        mask = next((int(line.split()[1], 16) for line in status if line.startswith("CapEff:")), 0)
    return bool(mask >> number & 1)


def _count_folders(inbox: Path) -> int:
    """The folders in an inbox and itself, as far as a hundred thousand."""
    number = 0
    for _, folders, _ in os.walk(inbox):
        folders[:] = [name for name in folders if name != PRIVATE]
        number += 1
        if number >= _MOST_FOLDERS:
            break
    return number
