"""srwatchd.delivery.expiry and srwatchd.daemon.retention: what goes, what never goes, and what the ledger says."""

from __future__ import annotations

import asyncio
import json
import os
from types import SimpleNamespace

import pytest
from daemon_standin import folder

from srwatchd.audit import Ledger, closed_segments, verify
from srwatchd.config import Config
from srwatchd.daemon.lane import Lane
from srwatchd.daemon.places import Places
from srwatchd.daemon.retention import PLACES, Retainer, RetentionMeans, due
from srwatchd.daemon.state import StateDirectory
from srwatchd.daemon.tally import Tally
from srwatchd.delivery import expiry
from srwatchd.delivery.expiry import OldFile, Survey
from srwatchd.errors import HostError

DAY = 86400.0


class AgeByName:
    """An age that is told by the time of modification, as nobody can set the other one: seconds before now."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.looks = 0

    def look(self) -> None:
        self.looks += 1

    def age(self, stamp: float) -> float:
        return self.now - stamp


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(expiry, "_stamp", lambda seen, _age: seen.st_mtime)
    return AgeByName()


def put(path, *, days, size=10, clock):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    stamp = clock.now - days * DAY
    os.utime(path, (stamp, stamp))
    return path


def surveyed(root, clock, **options):
    survey = Survey(root, age=clock.age, **options)
    while not survey.step(1.0):
        pass
    return survey


def test_a_survey_finds_the_oldest_first_and_counts_everything(tmp_path, clock):
    """Links, dot files, young files and other mounts or places are not among them."""
    put(tmp_path / "a/old", days=30, clock=clock)
    put(tmp_path / "a/b/older", days=40, clock=clock)
    put(tmp_path / "young", days=0.001, clock=clock)
    put(tmp_path / ".srwatchd-j.result", days=50, clock=clock)
    put(tmp_path / "inner/foreign", days=50, clock=clock)
    outside = put(tmp_path.parent / "outside/file", days=60, clock=clock)
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "linked").symlink_to(outside.parent)
    os.mkfifo(tmp_path / "fifo")
    seen = os.stat(tmp_path / "inner")
    survey = surveyed(tmp_path, clock, foreign={(seen.st_dev, seen.st_ino)})
    assert [file.name for file in survey.oldest] == ["a/b/older", "a/old"]
    assert survey.total == 30
    assert not survey.more
    few = surveyed(tmp_path, clock, most=1)
    assert [file.name for file in few.oldest] == ["inner/foreign"]
    assert few.more
    for each in (survey, few):
        each.close()
    assert outside.exists()


def test_a_survey_in_slices_holds_nothing_up(tmp_path, clock):
    """No slice takes longer than it was given and one entry; nothing is lost between them."""
    for number in range(500):
        put(tmp_path / f"{number % 7}/{number}", days=10, clock=clock)
    survey = Survey(tmp_path, age=clock.age)
    slices = 1
    while not survey.step(0.0):
        slices += 1
    assert slices >= 500
    assert len(survey.oldest) == 500
    survey.close()


def test_what_changed_since_it_was_seen_stays(tmp_path, clock):
    """A file written to, replaced, or turned into a link or a folder in between is not the one that was to go."""
    names = ("written", "replaced", "link", "folder", "gone", "same")
    for name in names:
        put(tmp_path / "d" / name, days=10, clock=clock)
    survey = surveyed(tmp_path, clock)
    (tmp_path / "d/written").write_bytes(b"more")
    os.replace(put(tmp_path / "other", days=10, clock=clock), tmp_path / "d/replaced")
    for name in ("link", "folder", "gone"):
        (tmp_path / "d" / name).unlink()
    (tmp_path / "d/link").symlink_to(tmp_path / "d/same")
    (tmp_path / "d/folder").mkdir()
    removed = [file.name for file in survey.oldest if survey.remove(file)]
    assert removed == ["d/same"]
    (tmp_path / "d").rename(tmp_path / "elsewhere")
    (tmp_path / "d").symlink_to(tmp_path / "elsewhere")
    put(tmp_path / "elsewhere/same", days=10, clock=clock)
    assert not survey.remove(next(file for file in survey.oldest if file.name == "d/same"))
    assert (tmp_path / "elsewhere/same").exists()
    survey.close()


OLD = [OldFile(days * DAY, f"f{days}", 10, days, 0, 0) for days in (40, 30, 20, 10)]


@pytest.mark.parametrize(
    ("max_age", "max_size", "lack", "expected"),
    [
        (None, None, 0, []),
        (25 * DAY, None, 0, [("f40", "max_age"), ("f30", "max_age")]),
        (None, 25, 0, [("f40", "max_size"), ("f30", "max_size")]),
        (35 * DAY, 25, 0, [("f40", "max_age"), ("f30", "max_size")]),
        (None, None, 15, [("f40", "min_free"), ("f30", "min_free")]),
        (35 * DAY, None, 5, [("f40", "max_age")]),
        (None, 1, 0, [("f40", "max_size"), ("f30", "max_size"), ("f20", "max_size"), ("f10", "max_size")]),
    ],
)
def test_what_is_due(max_age, max_size, lack, expected):
    """Oldest first, until nothing has to go."""
    keep = SimpleNamespace(max_age=max_age, max_size=max_size)
    assert [(file.name, rule) for file, rule in due(OLD, keep, total=40, lack=lack)] == expected


class Bench:
    """One folder with its places, its ledger and a retainer."""

    def __init__(self, root, clock, **retention):
        self.config = folder(root, retention=retention)
        for place in ("inbox", *PLACES):
            getattr(self.config, place).mkdir(parents=True, exist_ok=True)
        self.state = StateDirectory.open(root / "var")
        self.ledger = Ledger(root / "var/audit.jsonl")
        self.ledger.open()
        self.tally = Tally()
        whole = Config.model_construct(folders=(self.config,))
        self.means = RetentionMeans(whole, self.ledger, self.tally, Places(self.state), clock)
        self.hold = None
        self.root = root

    def run(self, *places):
        async def body():
            served = SimpleNamespace(config=self.config, hold=self.hold, lane=Lane("a"))
            try:
                await Retainer(served, self.means).run(places or PLACES)
            finally:
                served.lane.close()

        asyncio.run(body())

    def lines(self):
        lines = map(json.loads, (self.root / "var/audit.jsonl").read_text().splitlines())
        return [line for line in lines if line["event.action"].startswith("file.")]


def test_each_place_by_its_own_rule(tmp_path, clock):
    """Archive by age, done by size, error with its reasons; every removal has its intent and its outcome."""
    rules = {"archive": {"max_age": 30 * DAY}, "done": {"max_size": 15}, "error": {"max_age": 30 * DAY}}
    bench = Bench(tmp_path, clock, **rules)
    config = bench.config
    old = put(config.archive / "2026/old.png", days=31, clock=clock)
    kept = put(config.archive / "2026/new.png", days=29, clock=clock)
    results = [put(config.done / f"{days}.png", days=days, clock=clock) for days in (3, 2, 1)]
    bad = put(config.error / "sub/bad.png", days=31, clock=clock)
    reason = put(config.error / "sub/bad.png.error.json", days=1, clock=clock)
    reason.write_text(json.dumps({"sha256": "ab" * 32}))
    alone = put(config.error / "alone.png.error.json", days=31, clock=clock)
    bench.run()
    assert not any(path.exists() for path in (old, results[0], results[1], bad, reason, alone, bad.parent))
    assert kept.exists()
    assert results[2].exists()
    lines = bench.lines()
    intents = [line for line in lines if line["event.action"] == "file.removing"]
    outcomes = [line for line in lines if line["event.action"] == "file.removed"]
    assert [line["file.path"] for line in intents] == [line["file.path"] for line in outcomes]
    assert all(line["event.outcome"] == "success" for line in outcomes)
    told = {line["file.path"]: line for line in outcomes}
    assert told[str(bad)]["file.hash.sha256"] == "ab" * 32
    assert told[str(old)]["srwatchd.retention.rule"] == "max_age"
    assert told[str(old)]["srwatchd.retention.age"] == 31 * DAY
    assert told[str(results[0])]["srwatchd.retention.place"] == "done"
    assert bench.tally.removed_files["a", "done", "max_size"] == 2
    assert verify(tmp_path / "var/audit.jsonl").ok


def test_room_is_made_only_when_asked_for_and_needed(tmp_path, clock, monkeypatch):
    """The oldest of the places that were named go until enough is free, and no more."""
    from srwatchd.daemon import retention

    monkeypatch.setattr(retention, "lacking", lambda _place, _min_free: 15)
    for make_room, left in (((), 3), (("done",), 1)):
        root = tmp_path / f"{left}"
        bench = Bench(root, clock, make_room=make_room)
        for days in (3, 2, 1):
            put(bench.config.done / f"{days}.png", days=days, clock=clock)
            put(bench.config.archive / f"{days}.png", days=days, clock=clock)
        bench.run()
        bench.hold = SimpleNamespace(code="disk_full")
        bench.run()
        assert len(list(bench.config.done.iterdir())) == left
        assert len(list(bench.config.archive.iterdir())) == 3


def test_more_than_a_survey_remembers(tmp_path, clock, monkeypatch):
    """Another survey finds the rest."""
    monkeypatch.setattr(Survey.__init__, "__kwdefaults__", {**Survey.__init__.__kwdefaults__, "most": 10})
    bench = Bench(tmp_path, clock, archive={"max_age": DAY})
    for number in range(35):
        put(bench.config.archive / f"{number % 3}/{number}", days=2, clock=clock)
    bench.run()
    assert list(bench.config.archive.iterdir()) == []


def test_nothing_goes_without_its_record(tmp_path, clock, monkeypatch):
    """A ledger that cannot be written keeps everything; a crash between intent and outcome leaves the intent."""
    bench = Bench(tmp_path, clock, archive={"max_age": DAY})
    old = put(bench.config.archive / "old", days=2, clock=clock)
    append = bench.ledger.append

    def refuse(_entries):
        raise HostError("ledger_unwritable", "full")

    monkeypatch.setattr(bench.ledger, "append", refuse)
    bench.run()
    assert old.exists()
    monkeypatch.setattr(
        bench.ledger, "append", lambda entries: append(entries) if len(bench.lines()) < 1 else refuse(0)
    )
    bench.run()
    assert not old.exists()
    assert [line["event.action"] for line in bench.lines()] == ["file.removing"]


def test_what_cannot_be_removed_is_told_once_and_stays(tmp_path, clock, monkeypatch):
    """The outcome is a failure with its reason; the others go."""
    bench = Bench(tmp_path, clock, archive={"max_age": DAY})
    for name in ("stuck", "free"):
        put(bench.config.archive / name, days=2, clock=clock)
    remove = Survey.remove

    def refuse(self, file):
        if file.name == "stuck":
            raise PermissionError(1, "Operation not permitted")
        return remove(self, file)

    monkeypatch.setattr(Survey, "remove", refuse)
    bench.run()
    outcomes = {
        line["file.path"].rpartition("/")[2]: line for line in bench.lines() if line["event.action"] == "file.removed"
    }
    assert outcomes["stuck"]["event.outcome"] == "failure"
    assert outcomes["stuck"]["event.reason"] == "Operation not permitted"
    assert os.listdir(bench.config.archive) == ["stuck"]


def test_an_absent_share_is_not_swept(tmp_path, clock, monkeypatch):
    """What lies in the bare mount point is not the archive."""
    bench = Bench(tmp_path, clock, archive={"max_age": DAY})
    old = put(bench.config.archive / "old", days=2, clock=clock)

    def absent(_self, place):
        raise HostError("folder_missing", f"{place} is not there")

    monkeypatch.setattr(Places, "check", absent)
    bench.run()
    assert old.exists()
    assert bench.lines() == []


def test_a_ledger_is_bounded_by_age_and_size(tmp_path, clock):
    """The oldest segments go first, the one that is written to stays, and the rest verifies."""
    from srwatchd.audit import Entry
    from srwatchd.config import Audit
    from srwatchd.daemon.upkeep import retire_segments

    path = tmp_path / "audit.jsonl"
    ledger = Ledger(path, segment_size=65536)
    ledger.open()
    while len(closed_segments(path)) < 4:
        ledger.append([Entry("daemon.started", reason="x" * 4000)] * 8)
    for number, segment in enumerate(closed_segments(path)):
        stamp = clock.now - (10 - number) * DAY
        os.utime(segment, (stamp, stamp))
    audit = Audit(path=path, segment_size=65536, max_age=9.5 * DAY)
    assert len(retire_segments(ledger, audit, clock)) == 1
    assert retire_segments(ledger, audit, clock) == []
    audit = Audit(path=path, segment_size=65536, max_size=2 * 65536)
    assert retire_segments(ledger, audit, clock)
    assert sum(each.stat().st_size for each in [*closed_segments(path), path]) <= 2 * 65536
    assert retire_segments(ledger, Audit(path=path), clock) == []
    report = verify(path)
    assert report.ok, str(report)
