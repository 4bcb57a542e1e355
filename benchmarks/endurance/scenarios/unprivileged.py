"""Everything again as a user without privileges, with four mounts and other people's files."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

from benchmarks.endurance.dropping import Dropper
from benchmarks.endurance.mounts import mounted, tmpfs
from benchmarks.endurance.pictures import made
from benchmarks.endurance.scenario import SkippedError, drained, finish
from benchmarks.endurance.scenarios.kills import kills_on
from benchmarks.endurance.scenarios.photographs import drop_photographs
from benchmarks.endurance.service import User, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.endurance.scenario import Bench, Result
    from benchmarks.endurance.service import Service

__all__ = ["foreign_files", "unprivileged_kills", "unprivileged_photographs"]

_COMMON: Final = 61010
"""The group that both are in."""
_DAEMON: Final = User(61001, 61001, (_COMMON,))
_OTHER: Final = User(61002, _COMMON)
_NEEDS_PERSON: Final = 7


def unprivileged_photographs(bench: Bench, result: Result) -> None:
    """Photographs of another user, 0640 with a common group, across four mounts."""
    with _prepared(bench, "user-photographs", size="256m") as service:
        dropper = _dropper(service)
        service.start()
        most = bench.many(400, short=120)
        drop_photographs(bench, service, dropper, count=bench.many(120, short=24), most=most, result=result)


def unprivileged_kills(bench: Bench, result: Result) -> None:
    """Random kills, with files of another user across four mounts."""
    with _prepared(bench, "user-kills", size="64m") as service:
        service.start()
        kills_on(service, _dropper(service), bench.random(), number=bench.many(60, short=6), result=result)


def foreign_files(bench: Bench, result: Result) -> None:
    """0600: held, named in the status with owner and remedy, processed after a chmod. 0640: processed."""
    rng = bench.random()
    with _prepared(bench, "user-foreign", size="16m", rescan_interval="3 s") as service:
        site = service.site
        service.start()
        readable, closed = _dropper(service), _dropper(service, mode=0o600)
        readable.drop(made(rng, width=40, height=30), way="mv", stem="readable")
        shut = closed.drop(made(rng, width=40, height=30), way="mv", stem="closed", folder="sub")
        until(lambda: site.waiting() == 1, 60.0, "the readable one is done")
        until(lambda: _named(service, shut.name), 60.0, "the closed one is named in the status", pause=0.5)
        file = _named(service, shut.name)
        result.figure("in the status", f"{file['reason']}: {file['detail']}")
        result.expect(str(_OTHER.uid) in file["detail"], f"the owner is not named: {file}")
        result.expect("read permission" in file["detail"], f"no remedy is named: {file}")
        answer = service.ask("status")
        result.expect(answer.returncode == _NEEDS_PERSON, f"status ended with {answer.returncode}")
        result.expect(not os.listdir(site.error), "something is in the error folder")
        (site.inbox / shut.name).chmod(0o640)
        took = drained(service, 120.0)
        result.figure("seconds from the chmod to the result", f"{took:.1f}")
        finish(service, [*readable.dropped, *closed.dropped], result)


def _named(service: Service, name: str) -> dict[str, Any]:
    """What the status says of one file."""
    folders = service.status().get("folders") or [{"files": []}]
    return next((file for file in folders[0]["files"] if file["name"] == name), {})


def _dropper(service: Service, *, mode: int = 0o640) -> Dropper:
    root = service.site.root
    return Dropper(service.site.inbox, root.parent / f"{root.name} outside", user=_OTHER, mode=mode)


@contextlib.contextmanager
def _prepared(bench: Bench, name: str, *, size: str, **folder: str) -> Iterator[Service]:
    """A site of the daemon's user, each place on a mount of its own. Raises SkippedError where that cannot be."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        raise SkippedError("only root, with setpriv, can act as somebody else")
    site = bench.site(name, options=folder)
    os.chown(site.root, _DAEMON.uid, _DAEMON.gid)
    places = (site.inbox, site.done, site.error, site.archive)
    with mounted(*places), bench.service(site, user=_DAEMON) as service:
        _see_that_it_runs(service)
        for place in places:
            tmpfs(place, f"size={size},mode=2775,uid={_DAEMON.uid},gid={_COMMON}")
        yield service


def _see_that_it_runs(service: Service) -> None:
    """By a shell without privileges: setpriv itself still has those of root when it starts a program."""
    command = service.command("--version", config=False)
    words = [*_DAEMON.prefix(), "sh", "-c", 'exec "$0" "$@"', *command[len(_DAEMON.prefix()) :]]
    answer = subprocess.run(words, check=False, capture_output=True, text=True)
    if answer.returncode:
        raise SkippedError(f"the command cannot be run by another user: {answer.stderr.strip()[-200:]}")
