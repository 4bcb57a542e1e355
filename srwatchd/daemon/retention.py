"""Retention of one folder: its oldest archived, delivered or quarantined files go, each told to the ledger.

Everything on the disk is done in the folder's lane, in slices of some hundredths of a second, so that a place with a
million files keeps no picture waiting. A batch is written to the ledger as intents, removed, made durable, and written
as outcomes: after a crash an intent without its outcome says which files may or may not be there any more.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal

import structlog

from srwatchd.audit import Entry
from srwatchd.audit.origin import timestamp
from srwatchd.daemon.faults import host_error
from srwatchd.daemon.premises import lacking
from srwatchd.delivery.expiry import Survey

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from srwatchd.audit import Ledger
    from srwatchd.config import Config, Folder, Keep
    from srwatchd.daemon.clock import AgeClock
    from srwatchd.daemon.folder import ServedFolder
    from srwatchd.daemon.places import Places
    from srwatchd.daemon.tally import Tally
    from srwatchd.delivery.expiry import OldFile

__all__ = ["PLACES", "Retainer", "RetentionMeans", "due", "has_rules"]

_log = structlog.get_logger("srwatchd.retention")

Rule = Literal["max_age", "max_size", "min_free"]
PLACES: Final = ("archive", "done", "error")

_PASS_SECONDS: Final = 600.0
_ROOM_SECONDS: Final = 15.0
"""How often it is seen whether room has to be made, which also is the pause between two rounds of making room."""
_SLICE_SECONDS: Final = 0.03
_PAUSE_SECONDS: Final = 0.01
_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class RetentionMeans:
    """What the retention of every folder is given. ``config`` says which other places are not to be entered."""

    config: Config
    ledger: Ledger
    tally: Tally
    places: Places
    clock: AgeClock


def has_rules(folder: Folder) -> bool:
    """Whether anything of ``folder`` is ever removed."""
    kept = (getattr(folder.retention, place) for place in PLACES)
    limits = any(each.max_age is not None or each.max_size is not None for each in kept)
    return limits or bool(folder.retention.make_room)


def due(oldest: list[OldFile], keep: Keep, *, total: int, lack: int) -> Iterator[tuple[OldFile, Rule]]:
    """Which of ``oldest`` (oldest first) go, and by which rule, until none has to.

    ``total`` is the size of everything there, ``lack`` how many bytes have to be freed to make room.
    """
    left = total
    for file in oldest:
        rule: Rule
        if keep.max_age is not None and file.age > keep.max_age:
            rule = "max_age"
        elif keep.max_size is not None and left > keep.max_size:
            rule = "max_size"
        elif total - left < lack:
            rule = "min_free"
        else:
            return
        left -= file.size
        yield file, rule


class Retainer:
    """Keeps the places of one served folder within its rules until cancelled."""

    def __init__(self, folder: ServedFolder, means: RetentionMeans) -> None:
        self._folder = folder
        self._means = means
        self._told: dict[str, str] = {}

    async def loop(self) -> None:
        """Look through the places every ten minutes, and at once when room has to be made."""
        loop = asyncio.get_running_loop()
        next_pass = loop.time()
        while True:
            if loop.time() >= next_pass:
                next_pass = loop.time() + _PASS_SECONDS
                await self.run(PLACES)
            elif self._pressed():
                await self.run(self._folder.config.retention.make_room)
            await asyncio.sleep(_ROOM_SECONDS if self._folder.config.retention.make_room else _PASS_SECONDS)

    async def run(self, places: Collection[str]) -> None:
        """Look through ``places`` once; what cannot be done is told, and tried again the next time."""
        try:
            await self._folder.lane.run(self._means.clock.look)
        except Exception as error:  # noqa: BLE001 - without an age nothing is removed
            self._tell("clock", host_error(error).message)
            return
        for place in places:
            keep = getattr(self._folder.config.retention, place)
            room = place in self._folder.config.retention.make_room
            if keep.max_age is None and keep.max_size is None and not (room and self._pressed()):
                continue
            try:
                while await self._once(place, keep, room=room):
                    pass
                self._told.pop(place, None)
            except Exception as error:  # noqa: BLE001 - retention that fails holds nothing up
                self._tell(place, host_error(error).message)

    def _pressed(self) -> bool:
        """Whether the folder is held because a disk is full."""
        hold = self._folder.hold
        return hold is not None and hold.code == "disk_full"

    def _tell(self, place: str, reason: str) -> None:
        """Once for each reason."""
        if self._told.get(place) != reason:
            self._told[place] = reason
            _log.warning("retention failed", folder=self._folder.config.id, place=place, reason=reason)

    async def _once(self, place: str, keep: Keep, *, room: bool) -> bool:
        """One survey and what follows from it; whether another one would find more."""
        lane, config = self._folder.lane, self._folder.config
        root: Path = getattr(config, place)
        survey = await lane.run(self._open, place, root)
        try:
            while not await lane.run(survey.step, _SLICE_SECONDS):  # noqa: ASYNC110 - a pause for others, not a wait
                await asyncio.sleep(_PAUSE_SECONDS)
            lack = await lane.run(lacking, root, config.min_free) if room else 0
            files = due(survey.oldest, keep, total=survey.total, lack=lack)
            removed = 0
            while batch := list(islice(files, _BATCH)):
                removed += await lane.run(self._remove, survey, place, batch)
                await asyncio.sleep(_PAUSE_SECONDS)
            return survey.more and removed == len(survey.oldest)
        finally:
            await lane.run(survey.close)

    def _open(self, place: str, root: Path) -> Survey:
        self._means.places.check(root)  # an absent share's mount point holds nothing of ours
        foreign = _identities(self._means.config) - _identity(root)
        return Survey(root, age=self._means.clock.age, foreign=foreign, sidecars=place == "error")

    def _remove(self, survey: Survey, place: str, batch: list[tuple[OldFile, Rule]]) -> int:
        """Remove a batch with its intents and outcomes; how many are gone. Runs in the lane."""
        told = [(file, rule, self._fields(survey, place, file, rule)) for file, rule in batch]
        self._means.ledger.append([Entry("file.removing", "unknown", fields=fields) for _, _, fields in told])
        outcomes, names = [], []
        for file, rule, fields in told:
            reason = ""
            try:
                gone = survey.remove(file)
            except OSError as error:
                gone, reason = False, error.strerror or "it could not be removed"
            reason = reason if gone or reason else "it is not there any more as it was"
            outcomes.append(Entry("file.removed", "success" if gone else "failure", fields=fields, reason=reason))
            if gone:
                names.append(file.name)
                labels = (self._folder.config.id, place, rule)
                self._means.tally.removed_files[labels] += 1
                self._means.tally.removed_bytes[labels] += file.size
        survey.settle(names)
        self._means.ledger.append(outcomes)
        if names:
            _log.info("removed", folder=self._folder.config.id, place=place, files=len(names))
        return len(names)

    def _fields(self, survey: Survey, place: str, file: OldFile, rule: Rule) -> dict[str, Any]:
        return {
            "file.path": str(survey.root / file.name),
            "file.size": file.size,
            "file.inode": str(file.inode),
            "file.mtime": _told_time(file.mtime_ns),
            "file.hash.sha256": survey.sha256(file),
            "srwatchd.folder": self._folder.config.id,
            "srwatchd.retention.place": place,
            "srwatchd.retention.rule": rule,
            "srwatchd.retention.age": int(file.age),
        }


def _told_time(mtime_ns: int) -> str | None:
    """A time as the ledger writes it; clients set some that no calendar has."""
    try:
        return timestamp(mtime_ns)
    except (OverflowError, ValueError):
        return None


def _identities(config: Config) -> set[tuple[int, int]]:
    """Device and inode of every place of the configuration."""
    places = {getattr(folder, name) for folder in config.folders for name in ("inbox", *PLACES)}
    return set().union(*map(_identity, places))


def _identity(path: Path) -> set[tuple[int, int]]:
    try:
        seen = os.stat(path)
    except OSError:
        return set()
    return {(seen.st_dev, seen.st_ino)}
