"""Moving a claimed source to where it stays, on the same mount or across mounts.

===============================  ===============================  =====================================
crash                            what is found                    what a repetition of move_source does
===============================  ===============================  =====================================
before the rename                the claim                        moves it
after the rename                 the final name, recorded inode   nothing more; makes the entry durable
between link and unlink          both, one inode                  removes the claim
while the copy is written        the claim, a part of a copy      copies again over the part
copy recorded, not renamed       the claim, a whole staged copy   copies again over it
copy renamed, claim not removed  the claim and the recorded copy  removes the claim
claim removed                    the recorded copy                nothing more
somebody took it meanwhile       neither                          returns None
===============================  ===============================  =====================================
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.delivery.names import split
from srwatchd.delivery.refusals import refused_names
from srwatchd.errors import TransientError
from srwatchd.job import Placement
from srwatchd.storage import WriteBehind, hash_descriptor, host_errors, rename_exclusive, sync_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from srwatchd.delivery.staging import Destination, Staged

__all__ = ["Claim", "delete_source", "move_source"]

_CHUNK: Final = 1 << 20
_WRITE_BEHIND: Final = 32 << 20
"""Bytes after which a copy is written to its disk, so that making it durable in the end takes no minutes."""
_COPY_INSTEAD: Final = frozenset({errno.EXDEV, errno.ENOTSUP})


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed source: ``name`` in the private folder open as ``dir_fd``, and what is known of it.

    ``sha256`` may be "" when it was never read; it is computed where it is needed. ``place`` is only for messages.
    """

    dir_fd: int
    name: str
    job: str
    sha256: str = ""
    place: str = ""

    def open(self) -> int | None:
        """A descriptor for reading, or None when the claim is gone."""
        with host_errors(self.place or self.name, "reading the claimed source"):
            try:
                return os.open(self.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.dir_fd)
            except FileNotFoundError:
                return None

    def placement(self, name: str) -> Placement | None:
        """What a plain rename to ``name`` makes, to be recorded before; None when the claim is gone.

        Makes the content durable as well: its writer may have left it in the page cache, and a rename is no fsync.
        """
        descriptor = self.open()
        if descriptor is None:
            return None
        try:
            with host_errors(self.place or self.name, "reading the claimed source"):
                os.fsync(descriptor)
                found = os.fstat(descriptor)
                digest = self.sha256 or hash_descriptor(descriptor)
        finally:
            os.close(descriptor)
        return Placement(name=name, sha256=digest, size=found.st_size, device=found.st_dev, inode=found.st_ino)

    def remove(self) -> None:
        """Remove it durably; fine when it is gone already."""
        with host_errors(self.place or self.name, "removing the claimed source"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.name, dir_fd=self.dir_fd)
            sync_directory(self.dir_fd)


def delete_source(claim: Claim) -> None:
    """For ``on_success: delete``: remove the claim durably. May be repeated."""
    claim.remove()


def move_source(
    claim: Claim,
    destination: Destination,
    *,
    name: str,
    record: Callable[[Placement], None],
    planned: Placement | None = None,
) -> Placement | None:
    """Move the claim to ``name`` below ``destination``: renamed, or across mounts copied, compared and then removed.

    ``record`` must make the placement durable; it is called before every step that makes the name. ``planned`` is what
    was recorded before a crash. Returns the placement, or None when neither the claim nor the planned file is there.
    Raises FileExistsError when ``name`` is taken (the claim is untouched), TransientError ``source_changed`` when its
    bytes are not those of ``claim.sha256`` or change under the copy, PermanentError ``name_refused``, and HostError
    otherwise. A renamed source keeps owner,
    mode and times; a copied one keeps its modification time and gets the destination's mode and group.
    """
    if planned is not None and destination.find(planned):
        claim.remove()
        return planned
    placement = claim.placement(name)
    if placement is None:
        return None
    if placement != planned:
        record(placement)
    if _rename(claim, destination, name):
        return placement
    return _copy(claim, destination, name, record=record)


def _rename(claim: Claim, destination: Destination, name: str) -> bool:
    """Whether a rename did it; False when only a copy can."""
    folder, base = split(name)
    place = destination.root / name
    with destination.directory(folder, make=True) as here:
        taken = False
        with host_errors(place, "moving the source to"), refused_names(place):
            try:
                rename_exclusive(claim.name, base, source_fd=claim.dir_fd, target_fd=here)
            except FileExistsError:
                taken = True
            except OSError as error:
                if error.errno in _COPY_INSTEAD:
                    return False
                raise
            else:
                sync_directory(here)
                sync_directory(claim.dir_fd)
    if taken:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
    return True


def _copy(
    claim: Claim, destination: Destination, name: str, *, record: Callable[[Placement], None]
) -> Placement | None:
    """Copy, make durable, compare, record, rename, and only then remove the claim."""
    folder, _ = split(name)
    descriptor = claim.open()
    if descriptor is None:
        return None
    try:
        with destination.stage(folder, claim.job, purpose="source") as staged:
            before = os.fstat(descriptor)
            read = _fill(staged, descriptor, source=claim.place or claim.name)
            sealed = staged.seal(modified_ns=before.st_mtime_ns)
            after = os.fstat(descriptor)
            quiet = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
            if not quiet or sealed.sha256 != read or read != (claim.sha256 or read):
                message = f"{claim.place or claim.name!r} was changed while it was moved to {str(destination.root)!r}"
                raise TransientError("source_changed", message)
            placement = staged.placement(name)
            record(placement)
            destination.place(staged, name)
    finally:
        os.close(descriptor)
    claim.remove()
    return placement


def _fill(staged: Staged, descriptor: int, *, source: str) -> str:
    """Copy everything; returns the sha256 of what was read."""
    digest = hashlib.sha256()
    offset = 0
    behind = WriteBehind(staged.fd, _WRITE_BEHIND)
    while True:
        with host_errors(source, "reading the claimed source"):
            chunk = os.pread(descriptor, _CHUNK, offset)
        if not chunk:
            return digest.hexdigest()
        digest.update(chunk)
        offset += len(chunk)
        with host_errors(staged.destination.root / staged.folder, "copying the source to"):
            view = memoryview(chunk)
            while view:
                view = view[os.write(staged.fd, view) :]
            behind.wrote(len(chunk))
