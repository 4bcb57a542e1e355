"""Examination of the folders: mounts, owners, permissions, ids, locks, free space. Nothing is locked or changed."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.audit import read_key
from srwatchd.daemon.finding import Finding, gib, ok, problem, warning
from srwatchd.daemon.folderids import KNOWN
from srwatchd.errors import HINTS, ConfigurationError
from srwatchd.intake.mounts import mount_of, timing_of
from srwatchd.intake.names import PRIVATE
from srwatchd.intake.owners import own_name, owner_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from srwatchd.config import Config, Folder

__all__ = ["View", "examine_folder", "examine_state", "lock_holder"]

_ROOM: Final = 1 << 30
_PRIVATE_MODE: Final = 0o700
_MEMORY_FILE_SYSTEMS: Final = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True)
class View:
    """What is known before the folders are looked at. ``known`` are the folders that this state has served before."""

    config: Config
    state_id: str
    known: frozenset[str]
    daemon: int | None
    """The process of the running daemon."""

    @classmethod
    def of(cls, config: Config, daemon: int | None) -> View:
        """Read the state directory, as far as it is there, without its lock."""
        try:
            state_id = (config.state_dir / "id").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            state_id = ""
        try:
            kept = json.loads((config.state_dir / KNOWN).read_bytes())
        except (OSError, ValueError):
            kept = []
        return cls(config, state_id, frozenset(map(str, kept)) if isinstance(kept, list) else frozenset(), daemon)


def examine_folder(folder: Folder, view: View) -> Iterator[Finding]:
    """Everything about the places of one hot folder. Blocks; a hung mount makes it hang."""
    made = folder.id in view.known
    inbox = list(_place(folder, "inbox", folder.inbox, made=made, room=0))
    yield from inbox
    if folder.inbox.is_dir():
        yield _identity(folder, view, made=made)
        yield from _private(folder, view)
        timing = timing_of(mount_of(folder.inbox), folder, shared=folder.source.samba_audit_log is not None)
        how = f"scanned every {folder.rescan_interval:g} s" + ("" if timing.poll else " besides file events")
        yield ok("timing", folder.id, f"complete after {timing.settle:g} s without change; {how}")
    yield from _place(folder, "done", folder.done, made=made, room=folder.min_free)
    yield from _place(folder, "error", folder.error, made=made, room=folder.min_free)
    if folder.on_success == "archive":
        yield from _place(folder, "archive", folder.archive, made=made, room=folder.min_free)


def examine_state(view: View) -> Iterator[Finding]:
    """The state directory and the ledger."""
    config = view.config
    state = config.state_dir
    if not state.is_dir():
        yield ok("state", str(state), "not there yet; `srwatchd init` or the first run makes it")
        return
    seen, mount = os.stat(state), mount_of(state)
    found = f"{mount.fs_type} on {mount.source}, {owner_name(seen.st_uid)}, mode {stat.S_IMODE(seen.st_mode):04o}"
    if seen.st_uid != os.geteuid():
        remedy = "Run the doctor as that user, so that it sees the permissions the daemon has."
        yield warning("state", str(state), f"{found}; this is {own_name()}", remedy)
    elif not os.access(state, os.W_OK | os.X_OK, effective_ids=True):
        yield problem("state", str(state), f"{found}; not writable", HINTS["not_writable"])
    elif mount.remote or mount.fs_type in _MEMORY_FILE_SYSTEMS:
        why = "locks and the ledger" if mount.remote else "the ledger is lost at a reboot, and rasters"
        remedy = f"Put state_dir on a local disk: {why} belong there."
        yield warning("state", str(state), found, remedy)
    else:
        yield ok("state", str(state), found)
    yield _room("scratch", str(state), state, wanted=_ROOM)
    yield _ledger(config)


def lock_holder(path: Path) -> int | None:
    """The process that holds a lock (flock) on the file at ``path``, from proc_locks(5); None when none is seen."""
    try:
        inode = str(os.stat(path).st_ino)
        device = os.stat(path).st_dev
        with open("/proc/locks", encoding="ascii", errors="replace") as table:
            lines = [line.split() for line in table]
    except OSError:
        return None
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    for line in lines:
        if "FLOCK" in line and wanted in line:
            return int(line[line.index(wanted) - 1])
    return None


def _place(folder: Folder, role: str, path: Path, *, made: bool, room: int) -> Iterator[Finding]:
    """One folder: there, on which mount, whose, writable, enough room."""
    subject = f"{folder.id} {role}"
    if not path.is_dir():
        if path.exists():
            yield problem(
                "folder", subject, f"{str(path)!r} is no folder", "Move it away, or correct the configuration."
            )
        elif made:
            yield problem("folder", subject, f"{str(path)!r} is missing", HINTS["folder_missing"])
        else:
            yield ok("folder", subject, f"{path}: not there yet; `srwatchd init` or the first run makes it")
        return
    seen, mount, space = os.stat(path), mount_of(path), os.statvfs(path)
    mode = f"{stat.S_IMODE(seen.st_mode):04o}"
    found = f"{path}: {mount.fs_type} on {mount.source}, {owner_name(seen.st_uid)}, mode {mode}"
    if space.f_flag & os.ST_RDONLY:
        yield problem("folder", subject, f"{found}; mounted read-only", HINTS["read_only"])
    elif not os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        yield problem("folder", subject, f"{found}; {own_name()} may not write there", HINTS["not_writable"])
    else:
        network = " (a network mount: polled)" if mount.remote and role == "inbox" else ""
        yield ok("folder", subject, found + network)
    if room:
        yield _room("space", subject, path, wanted=room)


def _room(topic: str, subject: str, path: Path, *, wanted: int) -> Finding:
    space = os.statvfs(path)
    free = space.f_bavail * space.f_frsize
    found = f"{gib(free)} free of {gib(space.f_blocks * space.f_frsize)}"
    if space.f_files and not space.f_favail:
        return problem(topic, subject, "no file can be made: the file system is out of inodes", HINTS["disk_full"])
    if free < wanted:
        remedy = "Free space there, or lower min_free." if topic == "space" else HINTS["disk_full"]
        return problem(topic, subject, f"{found}; {gib(wanted)} are wanted", remedy)
    return ok(topic, subject, found)


def _identity(folder: Folder, view: View, *, made: bool) -> Finding:
    """Whether the inbox is the one that this state has marked."""
    path = folder.inbox / PRIVATE / "id"
    try:
        kept = json.loads(path.read_bytes())
        state = str(kept["state"])
    except FileNotFoundError:
        if made:
            return problem("id", folder.id, "the inbox does not carry its id", HINTS["folder_unmarked"])
        return ok("id", folder.id, "not marked yet; `srwatchd init` or the first run does it")
    except PermissionError:
        return warning("id", folder.id, f"{own_name()} may not read it", "Run the doctor as the daemon's user.")
    except (OSError, ValueError, KeyError, TypeError):
        return problem("id", folder.id, f"{str(path)!r} is damaged", "Remove that file and run `srwatchd init` again.")
    if state != view.state_id:
        found = f"the inbox belongs to the state {state!r}, not to this one ({view.state_id or 'not made yet'!r})"
        return problem("id", folder.id, found, HINTS["folder_foreign"])
    return ok("id", folder.id, f"belongs to this state; inbox {kept.get('inbox', '')}")


def _private(folder: Folder, view: View) -> Iterator[Finding]:
    """The private folder and who works in it."""
    path = folder.inbox / PRIVATE
    try:
        seen = os.lstat(path)
    except OSError:
        return
    mode = stat.S_IMODE(seen.st_mode)
    if not stat.S_ISDIR(seen.st_mode):
        yield problem("private", folder.id, f"{str(path)!r} is a link or a file", "Remove it; run `srwatchd init`.")
        return
    state_owner = os.stat(view.config.state_dir).st_uid if view.config.state_dir.is_dir() else os.geteuid()
    if seen.st_uid != state_owner:
        found = f"{path} belongs to {owner_name(seen.st_uid)}, the state to {owner_name(state_owner)}"
        yield problem("private", folder.id, found, "Run the daemon as one user; chown the folder to that user.")
    elif mode != _PRIVATE_MODE:
        yield warning("private", folder.id, f"{path} has mode {mode:04o}", f"chmod 0700 '{path}'")
    else:
        yield ok("private", folder.id, f"{owner_name(seen.st_uid)}, mode {mode:04o}")
    holder = lock_holder(path / "lock")
    if holder is None:
        yield ok("lock", folder.id, "nobody works on this inbox")
    elif holder == view.daemon:
        yield ok("lock", folder.id, f"held by the running daemon, process {holder}")
    else:
        yield problem(
            "lock", folder.id, f"held by process {holder}, which is not this daemon", HINTS["another_instance"]
        )


def _ledger(config: Config) -> Finding:
    path = config.audit.path
    place = next((each for each in (path, *path.parents) if each.exists()), path)
    if not os.access(place, os.W_OK, effective_ids=True):
        return problem("ledger", str(path), f"{own_name()} may not write {str(place)!r}", HINTS["ledger_unwritable"])
    if config.audit.key_file is not None:
        try:
            read_key(config.audit.key_file)
        except ConfigurationError as error:
            return problem("ledger", str(path), error.message, "Make the key readable for the daemon's user alone.")
    keyed = "keyed" if config.audit.key_file else "not keyed"
    if not path.exists():
        return ok("ledger", str(path), f"not begun yet, {keyed}")
    return ok(
        "ledger", str(path), f"{path.stat().st_size >> 10} KiB, {keyed}; `srwatchd audit verify` checks the chain"
    )
