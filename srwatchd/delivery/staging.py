"""A destination folder, and files made beside their final place before they get their final name.

A staged file is called ``.srwatchd-<job>.<purpose>`` and lies in the very directory where the file will be, so that the
last step is a rename within one directory. It is locked (flock) while anybody has it open, so that a sweep never takes
the file of another daemon that uses the same folder.

==============================  ===================================  ============================================
crash                           what is found                        what recovery does
==============================  ===================================  ============================================
in stage, while it is written   a part of a file at the hidden name  stage replaces it, sweep removes it
in or after seal                the hidden name, whole or not        reopen takes the recorded one, else as above
in place, before the rename     the hidden name, whole               reopen, and place again
in place, after the rename      the final name                       find says True and makes the entry durable
in place, link made, no unlink  both names, one inode                find as above; sweep removes the hidden name
==============================  ===================================  ============================================

Every method raises HostError for what the machine does wrong, and those that make a file or folder PermanentError
``name_refused`` when the file system does not take its name. The root is never made here: a missing one is
``folder_missing``. Descriptors of directories are opened without following links below the root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from srwatchd.delivery.groups import give_group
from srwatchd.delivery.leftovers import lock, remove_leftovers, staged_name
from srwatchd.delivery.names import NAME_LIMIT, split
from srwatchd.delivery.refusals import refused_names, takes
from srwatchd.errors import HostError, PermanentError
from srwatchd.job import Placement
from srwatchd.storage import (
    hash_descriptor,
    host_errors,
    open_beneath,
    rename_exclusive,
    set_mode,
    sync_directory,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path
    from types import TracebackType

__all__ = ["Destination", "Staged"]

_IN_THE_WAY: Final = frozenset({errno.ENOTDIR, errno.ELOOP})


class Staged:
    """A file under its hidden name; ``fd`` is open for reading and writing and belongs to this object.

    As a context manager it is discarded at the end unless it was placed or kept.
    """

    __slots__ = ("_directory_fd", "_placement", "destination", "fd", "folder", "name")

    def __init__(self, destination: Destination, folder: str, *, name: str, fd: int, directory_fd: int) -> None:
        self.destination = destination
        self.folder = folder
        self.name = name
        self.fd = fd
        self._directory_fd = directory_fd
        self._placement: Placement | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def seal(self, *, modified_ns: int | None = None) -> Placement:
        """Give the whole content its group, mode and, if asked, modification time, and make it durable.

        Returns size, sha256 and identity with an empty name; to be repeated after a change. On any error the caller
        discards.
        """
        with host_errors(self.destination.root, "finishing a file in"):
            give_group(self.fd, self.destination.group, default=os.fstat(self._directory_fd).st_gid)
            set_mode(self.fd, self.destination.file_mode)
            if modified_ns is not None:
                os.utime(self.fd, ns=(modified_ns, modified_ns))
            os.fsync(self.fd)
            found = os.fstat(self.fd)
            digest = hash_descriptor(self.fd)
        self._placement = Placement(name="", sha256=digest, size=found.st_size, device=found.st_dev, inode=found.st_ino)
        return self._placement

    def placement(self, name: str) -> Placement:
        """What to record before :meth:`Destination.place` with ``name``. Raises ValueError before :meth:`seal`."""
        if self._placement is None:
            raise ValueError("a staged file is sealed before it is placed")
        return replace(self._placement, name=name)

    def keep(self) -> None:
        """Close it and leave it at its hidden name, for :meth:`Destination.reopen`. May be repeated."""
        if self.fd >= 0:
            os.close(self.fd)
            os.close(self._directory_fd)
            self.fd = self._directory_fd = -1

    def discard(self) -> None:
        """Remove and close it; never raises for a file system that refuses. May be repeated."""
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                if self.is_linked():
                    os.unlink(self.name, dir_fd=self._directory_fd)
        with contextlib.suppress(OSError):
            self.keep()

    def is_linked(self) -> bool:
        """Whether the hidden name still leads to this very file."""
        mine = os.fstat(self.fd)
        try:
            found = os.stat(self.name, dir_fd=self._directory_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)

    def rename(self, base: str) -> None:
        """:meth:`Destination.place` without its checks; raises OSError untranslated."""
        try:
            rename_exclusive(self.name, base, source_fd=self._directory_fd, target_fd=self._directory_fd)
        except OSError as error:
            if error.errno == errno.ENOTSUP and not takes(base, dir_fd=self._directory_fd):  # vfat says both by EINVAL
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), base) from error
            raise
        sync_directory(self._directory_fd)


@dataclass(frozen=True, slots=True)
class Destination:
    """A done, error or archive folder and how files and sub folders in it are made.

    ``group`` is a group's name or number; None takes the group of the
    folder it is in, where the kernel allows it. Modes are applied
    exactly, whatever the umask is, where the file system has modes.
    """

    root: Path
    file_mode: int = 0o664
    dir_mode: int = 0o2775
    group: str | None = None

    @contextlib.contextmanager
    def directory(self, folder: str, *, make: bool = False) -> Iterator[int]:
        """A descriptor of ``folder`` below the root; with ``make`` missing ones are made, and made durable."""
        with host_errors(self.root, "opening the folder"):
            root_fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.ExitStack() as stack:
                place = self.root / folder
                with host_errors(place, "opening the folder"), _nothing_in_the_way(place), refused_names(place):
                    descriptor = stack.enter_context(
                        open_beneath(
                            root_fd,
                            folder,
                            make_mode=self.dir_mode if make else None,
                            made=self._own,
                        )
                    )
                yield descriptor
        finally:
            os.close(root_fd)

    def stage(self, folder: str, job: str, *, purpose: str = "result") -> Staged:
        """A new empty file beside its place in the sub folder ``folder`` ("" for the root), mode 0600 until sealed.

        Replaces what an earlier try of the same job and purpose has left. Missing sub folders are made.
        """
        name = staged_name(job, purpose)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with self.directory(folder, make=True) as here, host_errors(self.root / folder, "making a file in"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=here)
            descriptor = os.open(name, flags, 0o600, dir_fd=here)
            lock(descriptor)
            return Staged(self, folder, name=name, fd=descriptor, directory_fd=os.dup(here))

    def reopen(self, placement: Placement, job: str, *, purpose: str = "result") -> Staged | None:
        """The sealed staged file that ``placement`` describes, ready for :meth:`place`; None when it is not there."""
        folder, _ = split(placement.name)
        name = staged_name(job, purpose)
        try:
            with self.directory(folder) as here, host_errors(self.root / folder, "reading a staged file in"):
                descriptor = _open_recorded(name, placement, dir_fd=here, flags=os.O_RDWR)
                if descriptor is None:
                    return None
                lock(descriptor)
                staged = Staged(self, folder, name=name, fd=descriptor, directory_fd=os.dup(here))
        except PermanentError:
            return None
        except HostError as error:
            if error.code == "folder_missing" and folder and self.root.is_dir():
                return None
            raise
        try:
            staged.seal()
        except BaseException:
            staged.keep()
            raise
        return staged

    def place(self, staged: Staged, name: str) -> None:
        """Give ``staged`` its final name (root-relative, in the folder where it was staged) and close it.

        Record ``staged.placement(name)`` first. Durable on return. Raises FileExistsError, and leaves the staged file
        as it is for another name, when ``name`` is taken by anything at all.
        """
        folder, base = split(name)
        if folder != staged.folder:
            raise ValueError(f"{name!r} does not lie in the folder {staged.folder!r} where it was staged")
        staged.placement(name)
        taken = False
        with host_errors(self.root / name, "placing"), refused_names(self.root / name):
            if not staged.is_linked():
                message = f"somebody removed or replaced the unfinished file of {self.root / name}"
                raise HostError("io_error", message, path=str(self.root / name))
            try:
                staged.rename(base)
            except FileExistsError:
                taken = True
        if taken:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.root / name))
        staged.keep()

    def find(self, placement: Placement) -> bool:
        """Whether the recorded name holds the recorded file; if so its entry is durable on return.

        Inode, size and sha256 must agree. The device number is not compared: it may be another one after a reboot
        (NFS, btrfs, a second disk), and a second file with that name, that inode number and those bytes does no harm.
        """
        folder, base = split(placement.name)
        place = self.root / placement.name
        try:
            with self.directory(folder) as here, host_errors(place, "reading"), refused_names(place):
                descriptor = _open_recorded(base, placement, dir_fd=here, flags=os.O_RDONLY)
                if descriptor is None:
                    return False
                os.close(descriptor)
                sync_directory(here)
                return True
        except PermanentError:
            return False
        except HostError as error:
            if error.code == "folder_missing" and folder and self.root.is_dir():
                return False
            raise

    def name_limit(self) -> int:
        """The longest name in bytes that this file system takes."""
        with host_errors(self.root, "looking at"):
            return min(os.statvfs(self.root).f_namemax or NAME_LIMIT, NAME_LIMIT)  # vfat says 1530

    def _own(self, fresh_fd: int) -> None:
        """The group of a directory just made."""
        give_group(fresh_fd, self.group, default=os.stat("..", dir_fd=fresh_fd).st_gid)

    def sweep(self, live: Collection[str]) -> list[str]:
        """Remove the staged files of jobs that are not in ``live``; returns their root-relative names.

        Files that anybody has locked stay, and so does whatever cannot be removed. Links are not followed.
        """
        with self.directory("") as here, host_errors(self.root, "sweeping"):
            return remove_leftovers(here, live)


@contextlib.contextmanager
def _nothing_in_the_way(place: Path) -> Iterator[None]:
    """Say it when a file or a link stands where a folder has to be."""
    try:
        yield
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise
        message = f"a file or a link is in the way of the folder {str(place)!r}"
        hint = "Move it away. Work goes on by itself."
        raise HostError("folder_missing", message, hint=hint, path=str(place)) from error


def _open_recorded(name: str, placement: Placement, *, dir_fd: int, flags: int) -> int | None:
    """A descriptor of ``name`` if it is the recorded file (see :meth:`Destination.find`), else None."""
    try:
        found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or (found.st_ino, found.st_size) != (placement.inode, placement.size):
            return None
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except FileNotFoundError:
        return None
    try:
        same = os.fstat(descriptor).st_ino == placement.inode and hash_descriptor(descriptor) == placement.sha256
    except BaseException:
        os.close(descriptor)
        raise
    if not same:
        os.close(descriptor)
        return None
    return descriptor
