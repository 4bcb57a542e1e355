"""An opened hot folder: inbox, claims, observer, destinations. Everything here blocks and runs in the folder's lane."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from srwatchd.daemon.errands import finish_cut_off
from srwatchd.daemon.jobrun import INTERRUPTIONS
from srwatchd.errors import HostError, SrwatchdError, TransientError
from srwatchd.intake.attribution import Attribution
from srwatchd.intake.claims import Claims
from srwatchd.intake.hints import HintKind
from srwatchd.intake.inbox import Inbox
from srwatchd.intake.look import NotAPlainFileError, look, open_source, snapshot_of
from srwatchd.intake.mounts import mount_of, timing_of
from srwatchd.intake.names import PRIVATE
from srwatchd.intake.order import select
from srwatchd.intake.scan import scan
from srwatchd.intake.watch import Watcher
from srwatchd.job import Failure, State
from srwatchd.pipeline.custody import Custody
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path
    from typing import Self

    from srwatchd.config import Folder
    from srwatchd.daemon.services import Services
    from srwatchd.intake.claims import Orphan
    from srwatchd.intake.hints import Hint
    from srwatchd.intake.look import Look
    from srwatchd.intake.mounts import Timing
    from srwatchd.intake.order import Selection
    from srwatchd.job import Record, Snapshot

__all__ = ["Premises", "lacking", "make_destinations", "reserve"]

_WHO_MEANWHILE: Final = "Until then the ledger names the owner of each file instead."
_LARGEST_RESERVE: Final = 20
"""``min_free`` never asks for more than this part of a file system: a small one can be used, too."""


class Premises:
    """The disk side of a served folder. Made by :meth:`open`."""

    def __init__(
        self,
        config: Folder,
        services: Services,
        inbox: Inbox,
        *,
        timing: Timing,
        local: bool,
        hinted: Callable[[Hint], None],
    ) -> None:
        self.timing = timing
        self._config = config
        self._inbox = inbox
        self._real = os.path.realpath(config.inbox)
        self._local = local
        self._places = services.places
        self._hinted = hinted
        self._claims = Claims(inbox, markers=config.ready == "done_file")
        self._watcher: Watcher | None = None
        self.blind: HostError | None = None
        """Why the kernel refuses to give hints here; scans alone must do."""
        self.problems: tuple[HostError, ...] = ()
        """What the last whole scan could not look at."""
        self._told: frozenset[str] = frozenset()
        self.space: dict[str, tuple[int, int]] = {}
        """Free and whole bytes where each destination lies, as checked last."""
        self._attribution = Attribution(config.inbox, services.origins, log=config.source.samba_audit_log)
        self.custody = Custody(
            config,
            inbox,
            self._claims,
            attribution=self._attribution,
            ledger=services.ledger,
            clock=services.clock,
            lease=local,
            finished=services.finished,
        )

    @classmethod
    def open(
        cls,
        config: Folder,
        services: Services,
        hinted: Callable[[Hint], None],
        *,
        create: bool,
        settle: float | None = None,
    ) -> Self:
        """Open (and with ``create`` make and mark) the folders. ``settle`` seconds replace the configured ones.

        Raises HostError, and InstanceError when another daemon has the inbox.
        """
        if create:
            make_destinations(config)
        inbox = Inbox.open(config.inbox, state_id=services.state_id, create=create)
        try:
            with host_errors(config.inbox, "looking at the mount of"):
                mount = mount_of(config.inbox)
            timing = timing_of(mount, config, shared=config.source.samba_audit_log is not None)
            if settle is not None:
                timing = replace(timing, settle=settle, grace=settle)
            premises = cls(config, services, inbox, timing=timing, local=not mount.remote, hinted=hinted)
            premises.check()
            finish_cut_off(config, services.ledger)
            premises.watch_again()
        except BaseException:
            inbox.close()
            raise
        return premises

    def check(self) -> None:
        """Raise HostError unless inbox and destinations are there, the latter writable and with room."""
        self._inbox.check()
        for place in self._destinations():
            self._places.check(place)
            with host_errors(place, "looking at"):
                space = os.statvfs(place)
            if space.f_flag & os.ST_RDONLY:
                raise HostError("read_only", f"{str(place)!r} is on a read-only file system", path=str(place))
            if not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
                raise HostError("not_writable", f"the folder {str(place)!r} cannot be written to", path=str(place))
            free = space.f_bavail * space.f_frsize
            self.space[str(place)] = (free, space.f_blocks * space.f_frsize)
            needed = reserve(self._config.min_free, space)
            if free < needed:
                message = (
                    f"{free >> 20} MiB are free on the file system of {str(place)!r}, {needed >> 20} are kept free"
                )
                raise HostError("disk_full", message, path=str(place))

    def _destinations(self) -> set[Path]:
        places = {self._config.done, self._config.error}
        return places | {self._config.archive} if self._config.on_success == "archive" else places

    def watching(self) -> bool:
        """Whether hints come, are not wanted here, or cannot be had."""
        return self.timing.poll or self.blind is not None or (self._watcher is not None and self._watcher.alive())

    def watch_again(self) -> None:
        """Begin to watch, anew if need be; where the kernel refuses, scans alone must do."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None
        self.blind = None
        if not self.timing.poll:
            try:
                self._watcher = Watcher(self._config.inbox, recursive=self._config.recursive, on_hint=self._hinted)
            except HostError as error:
                self.blind = error

    def follow(self) -> None:
        """Read on in Samba's log, if there is one."""
        self._attribution.follow()

    @property
    def warnings(self) -> list[str]:
        """What makes the work poorer and holds nothing up."""
        return [self._attribution.problem] if self._attribution.problem else []

    def calls_for_scan(self, hint: Hint) -> bool:
        """Whether only a whole scan tells what happened."""
        return hint.kind is HintKind.OVERFLOW

    def calls_for_partial_scan(self, hint: Hint) -> bool:
        """Whether a folder appeared, of whose content the kernel may say nothing."""
        return hint.kind is HintKind.DIRECTORY

    def scan(self, below: str = "", *, limit: int, apart: AbstractSet[str] = frozenset()) -> Selection:
        """The wanted files of the whole inbox or of one sub folder: those ``apart``, and ``limit`` of the others."""
        scanning = scan(self._inbox, self._config, below=below)
        found = select(scanning, order=self._config.order, limit=limit, apart=apart)
        if not below:
            self.problems = tuple(scanning.problems)
        return found

    def news(self) -> list[HostError]:
        """What can be neither looked at nor watched since the last whole scan, and was not so at the one before."""
        known = self._told
        present = [*self.problems, *([] if self.blind is None else [self.blind])]
        present += [HostError("io_error", text, hint=_WHO_MEANWHILE) for text in self.warnings]
        self._told = frozenset(each.message for each in present)
        return [each for each in present if each.message not in known]

    def look_all(self, names: Sequence[str]) -> list[tuple[str, Look | HostError | None]]:
        """A look at each name; None where it is gone or no plain file any more, an error that is about it alone.

        Raises HostError when the whole folder has gone.
        """
        looks: list[tuple[str, Look | HostError | None]] = []
        for name in names:
            try:
                looks.append((name, look(self._inbox, name, lease=self._local)))
            except (FileNotFoundError, NotAPlainFileError):
                looks.append((name, None))
            except HostError as error:
                if error.code.startswith("folder_"):
                    raise
                looks.append((name, error))
        return looks

    def open_candidate(self, snapshot: Snapshot) -> int:
        """A descriptor of exactly the file that ``snapshot`` saw; TransientError when it is another one now."""
        try:
            descriptor = open_source(self._inbox, snapshot.name)
        except (FileNotFoundError, NotAPlainFileError):
            raise TransientError("source_vanished", f"{snapshot.name!r} is gone from the inbox") from None
        if not snapshot.same_content(snapshot_of(snapshot.name, os.fstat(descriptor))):
            os.close(descriptor)
            raise TransientError("source_changed", f"{snapshot.name!r} was written to meanwhile")
        return descriptor

    def paths_of(self, name: str, job: str) -> tuple[str, ...]:
        """Every path by which an error can call the source ``name`` of ``job`` ("" before it is claimed)."""
        found = (str(self._config.inbox / name), f"{self._real}/{name}")
        return (*found, f"{self._real}/{PRIVATE}/{job}.src") if job else found

    def orphans(self, working: AbstractSet[str]) -> list[Orphan]:
        """Claims on the disk that no run of ours works on."""
        return [orphan for orphan in self._claims.orphans() if orphan.record.job not in working]

    def recover(self, orphan: Orphan) -> Record:
        """Go on with a claim that nobody works on; ``claimed`` when it is to be run again, else it is over.

        A picture during which the daemon died again and again is quarantined.
        """
        record = self.custody.recover(orphan.record, present=orphan.source_present)
        if record.state is not State.CLAIMED or orphan.interruptions < INTERRUPTIONS:
            return record
        error = f"the daemon ended {orphan.interruptions} times while it worked on this picture"
        failure = Failure("interrupted_too_often", error, "Drop a smaller picture, or check the machine's memory.")
        return self.custody.quarantine(record, failure)

    def close(self, *, for_good: bool = False) -> None:
        """Stop watching and give the inbox back; ``for_good`` with the claimed sources that wait in it."""
        if self._watcher is not None:
            self._watcher.stop()
        if for_good:
            with contextlib.suppress(SrwatchdError):  # what cannot be done now is found when the folder is served again
                for orphan in self._claims.orphans():
                    record = self.recover(orphan)
                    if record.state is State.CLAIMED:
                        self.custody.release(record, "no_longer_served")
        with contextlib.suppress(OSError):
            self._inbox.close()


def reserve(min_free: int, space: os.statvfs_result) -> int:
    """The bytes that are kept free there."""
    return min(min_free, space.f_blocks * space.f_frsize // _LARGEST_RESERVE)


def lacking(place: Path, min_free: int) -> int:
    """How many bytes have to be freed at ``place`` until a tenth more than the reserve is free; 0 for none."""
    with host_errors(place, "looking at"):
        space = os.statvfs(place)
    return max(0, reserve(min_free, space) * 11 // 10 - space.f_bavail * space.f_frsize)


def make_destinations(config: Folder) -> None:
    """Make the done, error and archive folders that are missing."""
    for place in {config.done, config.error, config.archive}:
        with host_errors(place, "making the folder"):
            if not place.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                place.chmod(config.output.dir_mode)
