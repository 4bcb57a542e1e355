"""Examination of what people outside see of a hot folder: its group, Samba's configuration and Samba's audit log."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from srwatchd.daemon.finding import Finding, ok, warning
from srwatchd.intake.auditlog import AuditLog
from srwatchd.intake.samba import Trails

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srwatchd.config import Folder

__all__ = ["SMB_CONF", "examine_share", "shares_of"]

SMB_CONF: Final = Path("/etc/samba/smb.conf")
_LARGEST: Final = 1 << 20
_MOST_SKEW: Final = 120.0
_PREFIX: Final = "srw|%U|%u|%I|%m|%S"
_NEEDED: Final = frozenset({"create_file", "renameat", "close"})
_PAGE: Final = "docs/shares.md has the lines that belong into smb.conf."


def examine_share(folder: Folder, *, smb_conf: Path = SMB_CONF) -> Iterator[Finding]:
    """Everything about one folder as a share; nothing about one that has no ``source.samba_audit_log``. Blocks."""
    if folder.source.samba_audit_log is None:
        return
    yield _group(folder)
    yield _audit_log(folder, folder.source.samba_audit_log)
    yield from _samba(folder, smb_conf)


def shares_of(text: str) -> dict[str, dict[str, str]]:
    """The sections of an smb.conf(5), keys in small letters without spaces, `[global]` values under every share.

    Includes and substitutions are not followed.
    """
    sections: dict[str, dict[str, str]] = {"global": {}}
    present = sections["global"]
    for line in text.replace("\\\n", "").splitlines():
        line = line.strip()  # noqa: PLW2901 - what a line says
        if line.startswith("[") and line.endswith("]"):
            present = sections.setdefault(line[1:-1].strip().casefold(), {})
        elif not line.startswith(("#", ";")) and "=" in line:
            key, _, value = line.partition("=")
            present["".join(key.split()).casefold()] = value.strip()
    common = sections.pop("global")
    return {name: {**common, **own} for name, own in sections.items()}


def _group(folder: Folder) -> Finding:
    """Whether the people of the share, who are in the group of the inbox, may drop, and the group stays."""
    subject = f"{folder.id} group"
    try:
        mode = os.stat(folder.inbox).st_mode
    except OSError as error:
        return warning("share", subject, f"{folder.inbox}: {error.strerror}", "Make or mount it; see docs/shares.md.")
    found = f"{folder.inbox}: mode {stat.S_IMODE(mode):04o}"
    wanting = [] if mode & stat.S_IWGRP else ["its group may not drop files"]
    wanting += [] if mode & stat.S_ISGID else ["new files get another group than the folder's"]
    if wanting:
        remedy = f"chmod 2775 '{folder.inbox}', and the folders in it, too."
        return warning("share", subject, f"{found}; {', '.join(wanting)}", remedy)
    return ok("share", subject, f"{found}: its group may drop, and every file gets that group")


def _audit_log(folder: Folder, path: Path) -> Finding:
    """Whether Samba's log can be read, tells of this inbox, and has this machine's time."""
    subject = f"{folder.id} samba log"
    trails = Trails(sorted({os.fspath(folder.inbox), os.path.realpath(folder.inbox)}))
    log = AuditLog(path, trails)
    log.catch_up()
    if log.problem:
        return warning("share", subject, log.problem, "Until then the ledger names the owner of each file instead.")
    if log.skew is not None and abs(log.skew) > _MOST_SKEW:
        found = f"the times in {str(path)!r} are {log.skew:+.0f} s away from when they were written"
        return warning("share", subject, found, "Give smbd and srwatchd the same time zone; no file is attributed now.")
    known = f"{len(trails)} files known from it" if len(trails) else "nothing in it about this inbox yet"
    return ok("share", subject, f"{path}: {known}")


def _samba(folder: Folder, smb_conf: Path) -> Iterator[Finding]:
    """What the Samba on this machine is told about the shares that lead to the inbox, where that can be read."""
    try:
        with open(smb_conf, "rb") as file:
            shares = shares_of(file.read(_LARGEST).decode("utf-8", "replace"))
    except OSError:
        return
    inbox = os.path.realpath(folder.inbox)
    for name, keys in shares.items():
        path = os.path.realpath(keys.get("path", keys.get("directory", "")) or "/dev/null")
        if os.path.commonpath((path, inbox)) != path:
            continue
        wanting = list(_wanting(keys))
        subject = f"{folder.id} [{name}]"
        if wanting:
            yield warning("share", subject, f"{smb_conf}: {'; '.join(wanting)}", _PAGE)
        else:
            yield ok("share", subject, f"{smb_conf}: hides the private folder, and logs who drops")


def _wanting(keys: dict[str, str]) -> Iterator[str]:
    if "/.srwatchd/" not in keys.get("vetofiles", ""):
        yield "`veto files = /.srwatchd/` is missing, so clients see the private folder"
    if "full_audit" not in keys.get("vfsobjects", "").split():
        yield "`vfs objects` has no full_audit, so nothing says who drops"
        return
    if keys.get("full_audit:prefix", "") != _PREFIX:
        yield f"`full_audit:prefix` is not `{_PREFIX}`"
    logged = set(keys.get("full_audit:success", "").split())
    if not logged >= _NEEDED and "all" not in logged:
        yield f"`full_audit:success` lacks {' '.join(sorted(_NEEDED - logged))}"
    if keys.get("full_audit:syslog", "yes").casefold() not in ("no", "false", "0", "off"):
        yield "`full_audit:syslog = false` is missing, so the lines go to the system log"
