"""What a person asks for that moves files: pictures from the error folder back into the inbox.

A line of the ledger comes before the move and one after it. What is under way is remembered in the inbox's private
folder, so that a crash in the middle of a copy across mounts neither doubles a picture nor leaves half of one:

==========================  ===================================  ===============================================
crash                       what is found                        what :func:`finish_cut_off` does
==========================  ===================================  ===============================================
before the move             the picture in the error folder      forgets it: the person asks again
in a copy                   that, and a hidden part of a copy    removes the part
copied, original not gone   both, the copy as it is remembered   removes the original, writes the line
moved                       the picture in the inbox             removes the sidecar, writes the line
==========================  ===================================  ===============================================
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Self

from srwatchd.audit import Entry
from srwatchd.delivery import Claim, Destination, archive
from srwatchd.delivery.names import SIDECAR_SUFFIX, sidecar_name, split
from srwatchd.errors import HostError, SrwatchdError
from srwatchd.intake.names import PRIVATE
from srwatchd.job import Placement
from srwatchd.storage import STAGING_PREFIX, host_errors, open_beneath, open_directory, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from srwatchd.audit import Ledger
    from srwatchd.config import Folder

__all__ = ["finish_cut_off", "put_back"]

_LARGEST: Final = 1 << 20
_JOB: Final = "retry"
_UNDER_WAY: Final = "retry.under-way"


def put_back(folder: Folder, names: set[str], ledger: Ledger, by: Mapping[str, str] | None = None) -> list[str]:
    """Move ``names`` (relative to the error folder; empty: everything) into the inbox, without their sidecars.

    Nothing in the inbox is overwritten: a taken name gets a number. What another folder that shares the error folder
    has put there is left to that one. Returns the names that were moved. Raises HostError, and moves nothing, while the
    inbox is not the marked one (a picture put into the mount point of an absent share would be out of sight) and while
    the ledger cannot be written. ``by`` is what the ledger is told of who asked for it.
    """
    if not os.path.lexists(folder.inbox / PRIVATE / "id"):
        message = f"nothing can be put back into {str(folder.inbox)!r}: it is not there, or does not carry its id"
        raise HostError("folder_unmarked", message, path=str(folder.inbox))
    finish_cut_off(folder, ledger)
    with _Errand(folder, ledger, by) as errand:
        wanted = [name for name in _quarantined(errand.errors) if not names or name in names]
        return [name for name in wanted if errand.move(name)]


def finish_cut_off(folder: Folder, ledger: Ledger) -> None:
    """Finish what a crash cut off in :func:`put_back`. To be done before the inbox is looked at. Raises HostError."""
    if os.path.lexists(folder.inbox / PRIVATE / _UNDER_WAY):
        with _Errand(folder, ledger) as errand:
            errand.finish()


class _Errand:
    """One folder's way back: its error folder and its inbox's private folder, open inside a ``with`` block."""

    def __init__(self, folder: Folder, ledger: Ledger, by: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._by = by or {}
        self._ledger = ledger
        output = folder.output
        self._inbox = Destination(folder.inbox, file_mode=output.file_mode, dir_mode=output.dir_mode)
        with host_errors(folder.error, "opening the error folder"):
            self.errors = os.open(folder.error, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with host_errors(folder.inbox, "opening the private folder of"):
                self._private = open_directory(folder.inbox / PRIVATE)
        except BaseException:
            os.close(self.errors)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._private)
        os.close(self.errors)

    def move(self, name: str) -> bool:
        """Move one picture; False when it is somebody else's, or gone."""
        parent, base = split(name)
        with host_errors(self._folder.error / name, "opening"), open_beneath(self.errors, parent) as directory:
            if _folder_of(base, directory) not in ("", self._folder.id):
                return False
            self._tell("control.retrying", self._folder.error / name)
            placed = archive(
                self._claim(base, directory), self._inbox, name, record=lambda each: self._note(name, each)
            )
            if placed is not None:
                self._end(base, directory, placed)
        self._forget()
        return placed is not None

    def finish(self) -> None:
        """Go on with what is remembered."""
        name, placement = self._remembered()
        if placement is not None and self._inbox.find(placement):
            parent, base = split(name)
            with contextlib.suppress(FileNotFoundError), open_beneath(self.errors, parent) as directory:
                self._claim(base, directory).remove()
                self._end(base, directory, placement)
        elif placement is not None:
            with contextlib.suppress(SrwatchdError):  # a part of a copy; hidden, so it harms nobody
                self._inbox.stage(split(placement.name)[0], _JOB, purpose="source").discard()
        self._forget()

    def _claim(self, base: str, directory: int) -> Claim:
        return Claim(dir_fd=directory, name=base, job=_JOB, place=str(self._folder.error / base))

    def _end(self, base: str, directory: int, placed: Placement) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(sidecar_name(base), dir_fd=directory)
        self._tell("control.retried", self._folder.inbox / placed.name)

    def _tell(self, action: str, path: os.PathLike[str]) -> None:
        fields = {"file.path": str(path), "srwatchd.folder": self._folder.id, **self._by}
        self._ledger.append([Entry(action, fields=fields)])

    def _note(self, name: str, placement: Placement) -> None:
        data = json.dumps({"name": name, "placement": asdict(placement)}).encode("ascii")
        with host_errors(self._folder.inbox, "writing to the private folder of"):
            write_durably(_UNDER_WAY, data, dir_fd=self._private)

    def _remembered(self) -> tuple[str, Placement | None]:
        try:
            with open(
                os.open(_UNDER_WAY, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._private), "rb"
            ) as file:
                told: dict[str, Any] = json.loads(file.read(_LARGEST))
            return str(told["name"]), Placement(**told["placement"])
        except (OSError, ValueError, KeyError, TypeError):
            return "", None

    def _forget(self) -> None:
        with host_errors(self._folder.inbox, "cleaning the private folder of"), contextlib.suppress(FileNotFoundError):
            os.unlink(_UNDER_WAY, dir_fd=self._private)


def _folder_of(base: str, directory: int) -> str:
    """The id of the folder that has quarantined ``base``, by its sidecar; "" when that says nothing."""
    with contextlib.suppress(OSError, ValueError):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(sidecar_name(base), flags, dir_fd=directory), "rb") as file:
            told = json.loads(file.read(_LARGEST))
            return str(told.get("folder", "")) if isinstance(told, dict) else ""
    return ""


def _quarantined(root: int) -> Iterator[str]:
    """Every quarantined file, relative; sidecars and staged files are none."""
    for path, _folders, files, _descriptor in os.fwalk(".", dir_fd=root, follow_symlinks=False):
        parent = path.removeprefix(".").removeprefix("/")
        for base in sorted(files):
            if not base.endswith(SIDECAR_SUFFIX) and not base.startswith(STAGING_PREFIX):
                yield f"{parent}/{base}" if parent else base
