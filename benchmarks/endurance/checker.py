"""The invariants, the same after every scenario: nothing lost, nothing twice, nothing left over, everything told."""

from __future__ import annotations

import enum
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyvips

from benchmarks.endurance.pictures import decoded, likeness, thumbnail
from benchmarks.endurance.site import PRIVATE, Site, files_below

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.endurance.pictures import Picture
    from benchmarks.endurance.service import Service

__all__ = ["Dropped", "Fate", "Findings", "examine"]

_OUTCOMES: Final = frozenset({"job.completed", "job.quarantined", "job.released"})
_OWN: Final = frozenset({"id", "lock"})
_EXTENSIONS: Final = {"bmp": "png"}
_UNLIKE: Final = 12.0
_SHOWN: Final = 12


class Fate(enum.Enum):
    """Where a source has to be in the end."""

    DELIVERED = "delivered"
    QUARANTINED = "quarantined"
    KEPT = "kept"
    """Still in the inbox, because it is held."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A source that was dropped under ``name``, relative to the inbox."""

    name: str
    picture: Picture
    fate: Fate = Fate.DELIVERED

    def result(self, scale: int) -> str:
        """The result's name, relative to done."""
        stem, _, extension = self.name.rpartition(".")
        return f"{stem}_x{scale}.{_EXTENSIONS.get(extension, extension)}"


@dataclass(slots=True)
class Findings:
    """What an examination found: the problems in words, and how many were where."""

    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, *problems: str) -> None:
        """Add problems."""
        self.problems += problems

    def compare(self, what: str, expected: Iterable[str], found: Iterable[str]) -> None:
        """Note what is missing and what should not be there."""
        wanted, there = set(expected), set(found)
        self.note(*_shown(f"{what}: missing", wanted - there), *_shown(f"{what}: unexpected", there - wanted))


def examine(site: Site, dropped: Iterable[Dropped], service: Service) -> Findings:
    """Look at everything that a stopped daemon has left behind."""
    findings = Findings()
    sources = {each.name: each for each in dropped}
    by_fate = {fate: {name: each for name, each in sources.items() if each.fate is fate} for fate in Fate}
    delivered, bad = by_fate[Fate.DELIVERED], by_fate[Fate.QUARANTINED]
    places = {site.archive: delivered, site.error: bad, site.inbox: by_fate[Fate.KEPT]}
    for root, wanted in places.items():
        _sources(root, wanted, findings)
    _results(site, delivered, findings)
    _leftovers(site, findings)
    _ledger(site, len(delivered), len(bad), findings)
    status, words = service.audit_verify()
    if status:
        findings.note(f"audit verify ended with {status}: {words}")
    if left := service.processes():
        findings.note(f"processes of the service are left: {left}")
    findings.counts.update({"dropped": len(sources), **{fate.value: len(each) for fate, each in by_fate.items()}})
    return findings


def _sources(root: Path, wanted: dict[str, Dropped], findings: Findings) -> None:
    """Exactly the wanted sources, byte for byte; in the error folder with their reasons."""
    found = [name for name in files_below(root) if PRIVATE not in name.split("/")]
    expected = set(wanted)
    if root.name == "error":
        expected |= {f"{name}.error.json" for name in wanted}
    findings.compare(root.name, expected, found)
    for name in set(wanted) & set(found):
        with open(root / name, "rb") as file:
            if hashlib.sha256(file.read()).hexdigest() != wanted[name].picture.sha256:
                findings.note(f"{root.name}/{name} has other bytes than the source")
    for name in sorted(set(found) - expected):
        if name.endswith(".error.json"):
            with open(root / name, "rb") as file:
                reason = json.load(file)
            findings.note(f"{root.name}/{name}: {reason['code']}: {reason['message'][:500]}")


def _results(site: Site, delivered: dict[str, Dropped], findings: Findings) -> None:
    """Exactly one whole result of each, of the right size, that looks like its source."""
    expected = {each.result(site.scale): each.picture for each in delivered.values()}
    findings.compare("done", expected, files_below(site.done))
    for name, picture in expected.items():
        path = site.done / name
        if not path.exists():
            continue
        try:
            pixels = decoded(path)
        except pyvips.Error as error:
            findings.note(f"done/{name} does not decode: {error}")
            continue
        if pixels.shape[:2] != (picture.height * site.scale, picture.width * site.scale):
            findings.note(f"done/{name} is {pixels.shape[1]}x{pixels.shape[0]} of {picture.width}x{picture.height}")
        elif (apart := likeness(thumbnail(pixels), picture.afar)) > _UNLIKE:
            findings.note(f"done/{name} differs from its source by {apart:.0f} grey levels")


def _leftovers(site: Site, findings: Findings) -> None:
    """No temporary file, no hidden one, no record, no scratch."""
    for root in (site.inbox, site.done, site.error, site.archive):
        hidden = [name for name in files_below(root) if any(part.startswith(".") for part in name.split("/"))]
        if root == site.inbox:
            hidden = [name for name in hidden if name not in {f"{PRIVATE}/{own}" for own in _OWN}]
        findings.note(*_shown(f"left over in {root.name}", hidden))
    findings.note(*_shown("left over in scratch", files_below(site.state / "scratch")))
    staged = [name for name in (*files_below(site.state), *files_below(site.ledger)) if "srwatchd-" in name]
    findings.note(*_shown("left over beside state or ledger", staged))


def _ledger(site: Site, delivered: int, bad: int, findings: Findings) -> None:
    """Every job has exactly one outcome, and every source exactly one job that ended as it should."""
    jobs: dict[str, Counter[str]] = {}
    ends: Counter[str] = Counter()
    recovered = 0
    for entry in site.entries():
        action = entry["event.action"]
        if job := entry.get("trace.id"):
            jobs.setdefault(job, Counter())[action] += 1
        if action in _OUTCOMES:
            ends[action] += 1
        recovered += action == "job.recovered"
    for job, actions in jobs.items():
        if actions["job.claimed"] != 1 or sum(actions[outcome] for outcome in _OUTCOMES) != 1:
            findings.note(f"ledger: job {job} has {dict(actions)}")
    if (ends["job.completed"], ends["job.quarantined"]) != (delivered, bad):
        findings.note(f"ledger: {dict(ends)} for {delivered} delivered and {bad} quarantined")
    findings.counts.update({"jobs": len(jobs), "given back": ends["job.released"], "recovered": recovered})


def _shown(what: str, names: Iterable[str]) -> list[str]:
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return [f"{what}: {', '.join(map(repr, ordered[:_SHOWN]))}{more}"] if ordered else []
