"""The reason beside a quarantined source: ``<final name>.error.json``, one JSON object in plain ASCII.

It is written before the source comes, so that a source in the error folder always has its reason. A crash in
between leaves the sidecar alone; it carries the job's id, by which the repetition knows its own.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from srwatchd.delivery.names import sidecar_name, split
from srwatchd.delivery.refusals import refused_names
from srwatchd.errors import HINTS
from srwatchd.storage import host_errors, sync_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from srwatchd.delivery.staging import Destination
    from srwatchd.job import Record

__all__ = ["remove_sidecar", "sidecar_data", "write_sidecar"]

_LARGEST: Final = 1 << 20


def sidecar_data(record: Record, *, now: str) -> dict[str, Any]:
    """What a sidecar tells: code, message, hint, attempts, times (RFC 3339, UTC), job id, original path and sha256."""
    failure = record.failure
    code = failure.code if failure else "internal_error"
    return {
        "version": 1,
        "code": code,
        "message": failure.message if failure else "no reason was recorded",
        "hint": failure.hint if failure else HINTS[code],
        "attempts": [asdict(attempt) for attempt in record.attempts],
        "claimed_at": record.claimed_at,
        "quarantined_at": now,
        "job": record.job,
        "folder": record.folder,
        "path": record.name,
        "size": record.snapshot.size,
        "sha256": record.source_sha256,
    }


def write_sidecar(destination: Destination, name: str, data: Mapping[str, Any]) -> None:
    """Write the sidecar of the quarantined file ``name`` (root-relative), durably and exclusively.

    ``data["job"]`` names the job. Done before, by the same job, it is left as it is. Raises FileExistsError when
    another sidecar or anything at ``name`` itself is there, PermanentError ``name_refused``; HostError otherwise.

    Crash before the rename: a hidden staged file, replaced by a repetition. After it: the sidecar, recognised by a
    repetition.
    """
    job = str(data["job"])
    folder, base = split(name)
    place = sidecar_name(name)
    with destination.directory(folder, make=True) as here:
        with host_errors(destination.root / place, "looking for"), refused_names(destination.root / place):
            if _written_by(split(place)[1], here) == job:
                sync_directory(here)
                return
            taken = _exists(base, here)
        if taken:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(destination.root / name))
        with destination.stage(folder, job, purpose="sidecar") as staged:
            text = json.dumps(dict(data), ensure_ascii=True, indent=2) + "\n"
            with host_errors(destination.root / place, "writing"), os.fdopen(os.dup(staged.fd), "wb") as file:
                file.write(text.encode("ascii"))
            staged.seal()
            destination.place(staged, place)


def remove_sidecar(destination: Destination, name: str, job: str) -> None:
    """Take back the sidecar of ``name`` if ``job`` wrote it, because the source gets another name. May be repeated."""
    folder, base = split(sidecar_name(name))
    with destination.directory(folder) as here, host_errors(destination.root / name, "removing the sidecar of"):
        if _written_by(base, here) == job:
            os.unlink(base, dir_fd=here)
            sync_directory(here)


def _exists(base: str, dir_fd: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        os.stat(base, dir_fd=dir_fd, follow_symlinks=False)
        return True
    return False


def _written_by(base: str, dir_fd: int) -> str | None:
    """The job that wrote the sidecar ``base``; None when there is none that can be read as one."""
    try:
        descriptor = os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.EACCES, errno.ENXIO):
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = json.loads(os.pread(descriptor, _LARGEST, 0))
    except ValueError:
        return None
    finally:
        os.close(descriptor)
    return str(data.get("job")) if isinstance(data, dict) else None
