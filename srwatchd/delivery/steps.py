"""The three ends of a job: its result delivered, its source archived, its source quarantined.

Each function finds a free name, lets the caller record it, and takes it without a race; when somebody is quicker it
goes on with the next name. ``record`` must be durable on return. After a crash, or a HostError, the caller repeats the
same function with ``planned``, the placement it recorded last: what was done is recognised, the rest is done.

A name is free when nothing has it, byte for byte; that is what the kernel decides when the name is taken. Before, and
only as a courtesy to clients that fold case or Unicode forms, a name is also avoided when an existing one differs only
by these. That look costs the same in a folder of any size: at most :data:`LISTED` entries are read, and a few
spellings of the name itself are tried. In a larger folder a differently spelled twin can be missed.

A result whose name the file system does not take is the picture's failure. A source has to go somewhere: it gets its
name in plain characters then.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from srwatchd.delivery.names import (
    NAME_LIMIT,
    first_free,
    key,
    numbered,
    portable,
    quarantine_name,
    sidecar_name,
    split,
)
from srwatchd.delivery.refusals import REFUSALS
from srwatchd.delivery.sidecar import remove_sidecar, write_sidecar
from srwatchd.delivery.source import move_source
from srwatchd.errors import HostError, PermanentError
from srwatchd.storage import host_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from srwatchd.delivery.source import Claim
    from srwatchd.delivery.staging import Destination, Staged
    from srwatchd.job import Placement

__all__ = ["LISTED", "archive", "deliver", "free_names", "quarantine"]

LISTED: Final = 4096
"""How many entries of a folder are compared by their folded names."""


def deliver(staged: Staged, name: str, *, record: Callable[[Placement], None], numbering: bool = True) -> Placement:
    """Give a sealed result the name ``name`` or, with ``numbering``, the next free one; returns where it is.

    Without ``numbering`` (``on_conflict: error``) FileExistsError says that the name is taken. Recovery asks
    ``destination.find(planned)`` and ``destination.reopen(planned, job)`` first, and comes here with what the latter
    gave.

    Crash before ``record``: a staged file that is swept. After it: see the table in ``staging``.
    """
    destination = staged.destination
    for free in free_names(destination, name, numbering=numbering):
        placement = staged.placement(free)
        record(placement)
        with contextlib.suppress(FileExistsError):
            destination.place(staged, free)
            return placement
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(destination.root / name))


def archive(
    claim: Claim,
    destination: Destination,
    name: str,
    *,
    record: Callable[[Placement], None],
    planned: Placement | None = None,
) -> Placement | None:
    """Move the source to ``name`` or the next free one; None when it is in neither place any more (somebody took it).

    Crash: see the table in ``source``.
    """
    if planned is not None and destination.find(planned):
        return move_source(claim, destination, name=planned.name, planned=planned, record=record)

    def move(names: Iterable[str]) -> Placement | None:
        """The source under the first of ``names`` that nobody else takes."""
        for free in names:
            with contextlib.suppress(FileExistsError):
                return move_source(claim, destination, name=free, record=record)
        raise AssertionError

    return _under_a_name_it_takes(destination, name, move)


def quarantine(
    claim: Claim,
    destination: Destination,
    name: str,
    data: Mapping[str, Any],
    *,
    record: Callable[[Placement], None],
    planned: Placement | None = None,
) -> Placement | None:
    """Write the sidecar ``data`` (with the claim's job id), then move the source beside it, both under one final name.

    None when the source is in neither place any more; its sidecar then stays as the only trace.

    ============================  =====================================  =========================================
    crash                         what is found                          what a repetition does
    ============================  =====================================  =========================================
    before the sidecar            the claim                              all of it, under the planned name
    after the sidecar             the claim, the sidecar with our job    moves the source beside it
    the name was lost to others   the claim, the sidecar beside another  takes the sidecar back, the next name
    after the source              both in the error folder               nothing more
    ============================  =====================================  =========================================
    """
    if planned is not None and destination.find(planned):
        return move_source(claim, destination, name=planned.name, planned=planned, record=record)

    def move(names: Iterable[str]) -> Placement | None:
        """Sidecar and source under the first of ``names`` that is free for both; None when the source is gone."""
        for free in names:
            placement = claim.placement(free)
            if placement is None:
                return None
            record(placement)
            with contextlib.suppress(FileExistsError):
                write_sidecar(destination, free, data)
                try:
                    return move_source(claim, destination, name=free, planned=placement, record=record)
                except (FileExistsError, PermanentError):
                    remove_sidecar(destination, free, claim.job)
                    raise
        raise AssertionError

    first = [planned.name] if planned is not None else []
    return _under_a_name_it_takes(destination, name, move, first=first, sidecar=True)


def _under_a_name_it_takes(
    destination: Destination,
    name: str,
    move: Callable[[Iterable[str]], Placement | None],
    *,
    first: Iterable[str] = (),
    sidecar: bool = False,
) -> Placement | None:
    """What ``move`` gives for free names of ``name``, or of its plain form where the file system does not take it."""
    try:
        return move(itertools.chain(first, free_names(destination, name, sidecar=sidecar)))
    except PermanentError:
        plain = portable(name, limit=destination.name_limit())
    try:
        return move(free_names(destination, plain, sidecar=sidecar))
    except PermanentError as error:  # it is in custody and has nowhere else to go
        raise HostError("io_error", error.message, path=str(destination.root)) from error


def free_names(destination: Destination, name: str, *, sidecar: bool = False, numbering: bool = True) -> Iterator[str]:
    """Names for ``name`` that look free now, the lowest number first; endless with ``numbering``, else at most one.

    With ``sidecar`` the sidecar's name is free as well, and every name leaves room for it.
    """
    folder, _ = split(name)
    limit = destination.name_limit()
    spell = quarantine_name if sidecar else numbered
    number = 0
    while True:
        with destination.directory(folder, make=True) as here, host_errors(destination.root / folder, "listing"):
            look = _Look(here)

            def taken(number: int) -> bool:
                """Whether the name of that number, or its sidecar's where there is one, exists."""
                _, base = split(spell(name, number, limit=limit))
                return look.has(base) or (sidecar and look.has(sidecar_name(base)))  # noqa: B023

            if numbering:
                number = first_free(taken, start=number)
            elif number > 0 or taken(0):
                return
        yield spell(name, number, limit=limit)
        number += 1


class _Look:
    """What one look at an open folder says about names; the listing is read once, and only when it is needed."""

    __slots__ = ("_complete", "_descriptor", "_folded")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._folded: frozenset[str] | None = None
        self._complete = False

    def has(self, base: str) -> bool:
        """Whether ``base``, or as far as it was looked a name that a client may take for it, exists."""
        if self._exists(base) or key(base) in self._listing():
            return True
        return not self._complete and any(map(self._exists, _spellings(base)))

    def _exists(self, base: str) -> bool:
        try:
            os.stat(base, dir_fd=self._descriptor, follow_symlinks=False)
        except OSError as error:
            if error.errno == errno.ENOENT or error.errno in REFUSALS:
                return False
            raise
        return True

    def _listing(self) -> frozenset[str]:
        if self._folded is None:
            with os.scandir(self._descriptor) as entries:
                names = [entry.name for entry in itertools.islice(entries, LISTED + 1)]
            self._complete = len(names) <= LISTED
            self._folded = frozenset(map(key, names))
        return self._folded


def _spellings(base: str) -> set[str]:
    """A few other spellings that clients commonly make of ``base``; those longer than a name can be are left out."""
    stem, dot, extension = base.rpartition(".")
    cases = {base.lower(), base.upper(), base.title(), stem + dot + extension.lower(), stem + dot + extension.upper()}
    made = {unicodedata.normalize(form, case) for form in ("NFC", "NFD") for case in cases | {base}}
    return {name for name in made if name != base and len(os.fsencode(name)) <= NAME_LIMIT}
