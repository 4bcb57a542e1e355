"""What a scenario is given and what it gives back."""

from __future__ import annotations

import contextlib
import random
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.endurance.checker import examine
from benchmarks.endurance.service import ROOT, NotInTimeError, Service, User, until
from benchmarks.endurance.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from benchmarks.endurance.checker import Dropped

__all__ = ["Bench", "Result", "Scenario", "SkippedError", "drained", "finish", "run_tool"]


class SkippedError(Exception):
    """Not possible on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What every scenario is given: the command under test, room to work in, how long it may take, photographs."""

    command: tuple[str, ...]
    work: Path
    short: bool
    photos: tuple[Path, ...] = ()
    seed: int = 1

    def many(self, long: int, *, short: int) -> int:
        """How many of something, in this kind of run."""
        return short if self.short else long

    def random(self) -> random.Random:
        """The same numbers in every run."""
        return random.Random(self.seed)

    def site(self, name: str, **settings: Any) -> Site:
        """A new site, configured."""
        root = self.work / name
        root.mkdir(parents=True)
        root.chmod(0o755)
        site = Site(root, **settings)
        site.write_config()
        return site

    @contextlib.contextmanager
    def service(self, site: Site, *, user: User = ROOT) -> Iterator[Service]:
        """A service for ``site`` of which nothing is left at the end of the block."""
        service = Service(self.command, site, user=user)
        try:
            yield service
        finally:
            service.close()


@dataclass(slots=True)
class Result:
    """What came of a scenario. It has passed when there are no problems."""

    figures: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def figure(self, name: str, value: object) -> None:
        """Keep a figure for the report."""
        self.figures[name] = str(value)

    def expect(self, truth: object, otherwise: str) -> None:
        """Note a problem unless ``truth``."""
        if not truth:
            self.problems.append(otherwise)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named scenario: what it promises, and how it is seen."""

    name: str
    promise: str
    run: Callable[[Bench, Result], None]


def drained(service: Service, seconds: float) -> float:
    """Wait until no source is left in the inbox or claimed; the seconds that it took.

    Raises NotInTimeError, also when the daemon ends meanwhile.
    """
    site = service.site
    waited = until(
        lambda: site.waiting() == 0 or not service.running, seconds, f"drained ({site.root.name})", pause=0.2
    )
    if not service.running:
        raise NotInTimeError(f"the daemon ended by itself: {service.last_words()}")
    return waited


def finish(service: Service, dropped: Iterable[Dropped], result: Result, *, seconds: float = 120.0) -> None:
    """Stop the daemon, and examine what it has left; ``seconds`` are for the sources that still wait."""
    wanted = list(dropped)
    kept = sum(each.fate.value == "kept" for each in wanted)
    try:
        until(lambda: service.site.waiting() <= kept or not service.running, seconds, "everything in its place")
        time.sleep(0.3)
    except NotInTimeError as error:
        result.problems.append(f"{error}; status: {service.status().get('folders')}")
    if service.running:
        status, took = service.stop()
        result.expect(status == 0, f"SIGTERM: ended with {status} after {took:.1f} s: {service.last_words()}")
    else:
        result.problems.append(f"the daemon ended by itself: {service.last_words()}")
    findings = examine(service.site, wanted, service)
    result.problems += findings.problems
    for name, number in findings.counts.items():
        if number:
            result.figure(name, int(result.figures.get(name, 0)) + number)


def run_tool(*words: str | Path, user: User = ROOT) -> None:
    """Run a tool of the system, with a umask that leaves things to the group; raises CalledProcessError."""
    command = [*user.prefix(), *(str(word) for word in words)]
    subprocess.run(command, check=True, capture_output=True, text=True, umask=0o002)
