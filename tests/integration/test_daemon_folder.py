"""srwatchd.daemon.folder on a real disk: what is wrong with one thing never stops the rest."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading

import pytest
from daemon_standin import FakeStages
from folder_bench import Served

from srwatchd.daemon import premises
from srwatchd.daemon.folderreport import folder_report
from srwatchd.daemon.jobrun import Verdict
from srwatchd.errors import HostError, PermanentError, TransientError
from srwatchd.intake import scan as scanning
from srwatchd.intake.claims import Claims
from srwatchd.pipeline import custody
from srwatchd.pipeline.custody import Custody


@pytest.fixture
def serve(tmp_path):
    """Run a scenario with a served folder."""

    def run(scenario, *, stages=None, **settings):
        async def whole():
            async with Served(tmp_path, stages, **settings) as served:
                await scenario(served)

        asyncio.run(whole())

    return run


def test_a_file_that_cannot_be_looked_at_is_named_and_stops_no_other(serve, monkeypatch):
    """A bad sector under one name: it is shown with its reason, the folder is not held."""
    real = premises.look

    def look(inbox, name, *, lease):
        if name == "bad.png":
            raise HostError("io_error", "cannot look at 'bad.png'", path=str(inbox.root / name))
        return real(inbox, name, lease=lease)

    monkeypatch.setattr(premises, "look", look)

    async def scenario(served):
        served.drop("bad.png")
        await served.until(served.folder.waiting_files)
        served.drop("good.png")
        await served.until(lambda: served.delivered() == ["good_x2.png"])
        assert served.folder.hold is None
        await served.until(served.folder.waiting_files)  # a scan that sees it anew lets it settle before the next look
        assert [(each["name"], each["reason"]) for each in served.folder.waiting_files()] == [
            ("bad.png", "source_unreadable")
        ]

    serve(scenario)


def test_a_source_that_cannot_be_read_to_its_end_waits_alone(serve, tmp_path):
    """A read error of one picture in a worker holds that picture, not its folder."""

    async def broken():
        raise HostError("io_error", "reading it failed", path=str(tmp_path / "a/in/bad.png"))

    async def scenario(served):
        served.drop("bad.png")
        await served.until(served.folder.waiting_files)
        served.drop("good.png")
        await served.until(lambda: "good_x2.png" in served.delivered())
        assert served.folder.hold is None

    serve(scenario, stages=FakeStages(decode=[broken]))


@pytest.mark.parametrize("claimed", [False, True])
def test_a_source_behind_a_link_that_cannot_be_read_waits_alone(serve, tmp_path, claimed):
    """A worker names a file by where it really is: also behind an inbox that is a link, also when it is claimed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "in").symlink_to(tmp_path / "real")

    async def broken():
        (path,) = (tmp_path / "real").glob(".srwatchd/*.src" if claimed else "bad.png")
        raise HostError("io_error", "reading it failed", path=str(path))

    async def scenario(served):
        served.drop("bad.png")
        await served.until(lambda: served.folder.counts[Verdict.HELD])
        served.drop("good.png")
        await served.until(lambda: "good_x2.png" in served.delivered())
        assert served.folder.hold is None

    stages = FakeStages(decode=[None, broken] if claimed else [broken])
    if claimed:
        stages.script["upscale"] = [TransientError("worker_died", "it died")]
    serve(scenario, stages=stages)


def test_what_is_in_work_does_not_wait(serve):
    """A picture is counted once, from the first look of a worker at it."""

    async def scenario(served):
        async def looked_at():
            served.seen = folder_report(served.folder)

        served.stages.script["decode"] = [looked_at]
        served.stages.script["upscale"] = [looked_at]
        for name in ("one.png", "two.png"):
            served.drop(name)
            await served.until(lambda name=name: len(served.delivered()) == (1 if name == "one.png" else 2))
            assert (served.seen["waiting"], served.seen["in_work"]) == (0, 1)

    serve(scenario)


def test_a_sub_folder_that_may_not_be_listed_is_named(serve, monkeypatch):
    """Nothing is stranded unseen: the status says which folder, and why."""
    real = scanning.open_beneath

    def refusing(root_fd, relative, **rest):
        if relative == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(root_fd, relative, **rest)

    monkeypatch.setattr(scanning, "open_beneath", refusing)

    async def scenario(served):
        (served.config.inbox / "closed").mkdir()
        await served.until(served.folder.waiting_files)
        (shown,) = served.folder.waiting_files()
        assert (shown["name"], shown["reason"]) == ("closed", "source_unreadable")
        assert "read and execute permission" in shown["detail"]
        served.drop("open.png")
        await served.until(lambda: served.delivered() == ["open_x2.png"])

    serve(scenario)


def test_without_hints_scans_do(serve, monkeypatch):
    """Where the kernel's watches are used up, pictures are found by scans and the folder is not held."""

    def refused(*_args, **_rest):
        raise HostError("io_error", "cannot watch: no space")

    monkeypatch.setattr(premises, "Watcher", refused)

    async def scenario(served):
        served.drop("one.png")
        await served.until(lambda: served.delivered() == ["one_x2.png"])
        assert served.folder.hold is None

    serve(scenario)


def test_a_claimed_source_that_cannot_be_opened_is_tried_again(serve, monkeypatch):
    """It stays in the queue; nothing is forgotten in the private folder until a restart."""
    real = Claims.source_fd

    def once_refused(claims, record):
        monkeypatch.setattr(Claims, "source_fd", real)
        raise HostError("source_unreadable", "may not read it", path=record.name)

    monkeypatch.setattr(Claims, "source_fd", once_refused)
    monkeypatch.setattr("srwatchd.daemon.folder._CLAIMED_SECONDS", 0.1)

    async def scenario(served):
        served.drop("one.png")
        await served.until(lambda: served.delivered() == ["one_x2.png"])

    serve(scenario, stages=FakeStages(upscale=[TransientError("worker_died", "it died")]))


@pytest.mark.parametrize(
    "error",
    [PermanentError("name_taken", "taken"), TransientError("source_changed", "changed"), ValueError("a defect")],
)
def test_a_claim_that_cannot_be_taken_up_holds_its_folder_and_not_the_start(serve, monkeypatch, tmp_path, error):
    """Whatever recovery raises: the daemon starts, and goes on by itself."""
    real = Custody.recover

    def once(_custody, record, *, present):
        monkeypatch.setattr(Custody, "recover", real)
        raise error

    async def cut_off(served):
        served.drop("one.png")
        await served.until(lambda: served.folder.counts[Verdict.RETRY])

    async def scenario(served):
        await served.until(lambda: served.delivered() == ["one_x2.png"])

    serve(cut_off, stages=FakeStages(upscale=[TransientError("worker_died", "it died")]), retry={"initial_delay": 60.0})
    monkeypatch.setattr(Custody, "recover", once)
    serve(scenario)


def test_nothing_begins_while_the_folder_is_still_being_opened(serve, monkeypatch):
    """A file system that answers late delays its own folder: what was found so far is not begun upon."""
    answered = threading.Event()
    real = premises.Premises.check

    def late(self):
        answered.wait(30.0)
        real(self)

    monkeypatch.setattr(premises.Premises, "check", late)

    async def scenario(served):
        await asyncio.sleep(0.1)
        assert not served.folder.has_work()
        assert served.folder.next_interrupted() is None
        assert not served.folder.settled_everything
        answered.set()
        served.drop("one.png")
        await served.until(lambda: served.delivered() == ["one_x2.png"])

    serve(scenario)


def test_a_drain_is_not_over_before_the_first_scan(serve, monkeypatch):
    """However long a scan takes, `once` does not take an inbox for empty that nobody has looked at."""
    looked = threading.Event()
    real = premises.scan

    def slow(*args, **rest):
        looked.wait(30.0)
        return real(*args, **rest)

    monkeypatch.setattr(premises, "scan", slow)

    async def scenario(served):
        await served.until(lambda: served.folder.premises is not None)
        await asyncio.sleep(0.1)
        assert not served.folder.settled_everything
        looked.set()
        await served.until(lambda: served.folder.settled_everything)

    serve(scenario)


def test_a_hold_beside_a_long_run_costs_no_time(serve, monkeypatch):
    """A held folder waits for the end of its runs; it does not ask all the time."""
    rounds = []

    async def scenario(served):
        go = asyncio.Event()
        served.stages.script["upscale"] = [go.wait]
        served.drop("one.png")
        await served.until(lambda: served.stages.seen("upscale"))
        monkeypatch.setattr(premises.Premises, "check", lambda _self: rounds.append(1))
        await served.folder._hold(HostError("io_error", "at fault"))
        assert served.folder.hold is not None
        await served.until(lambda: served.folder._loop.time() > served.folder.hold.next_look)
        assert served.folder._seconds_to_next() > 1.0
        go.set()
        await served.until(lambda: served.delivered() == ["one_x2.png"] and served.folder.hold is None)

    serve(scenario)


def test_a_stop_gives_nothing_back_that_may_be_delivered(serve, monkeypatch, tmp_path):
    """Stopped while the disk fails between result and archive: the source stays ours, and there is one result."""
    reached, go = threading.Event(), threading.Event()
    real = custody.archive

    def full(*_args, **_rest):
        reached.set()
        go.wait(30.0)
        raise HostError("disk_full", "the archive is full", path=str(tmp_path))

    monkeypatch.setattr(custody, "archive", full)

    async def stopped(served):
        served.drop("one.png")
        await served.until(reached.is_set)
        threading.Timer(0.3, go.set).start()

    async def resumed(served):
        await served.until((served.config.archive / "one.png").exists)
        await served.until(lambda: served.folder.settled_everything)
        assert served.delivered() == ["one_x2.png"]
        assert served.actions().count("job.completed") == 1
        assert "job.released" not in served.actions()

    serve(stopped)
    monkeypatch.setattr(custody, "archive", real)
    serve(resumed)


def test_what_was_given_back_is_not_remembered(serve):
    """Months of files that change while they are read cost no memory."""

    async def scenario(served):
        place = served.drop("one.png", b"first")

        async def changed():
            (source,) = (served.config.inbox / ".srwatchd").glob("*.src")
            source.write_bytes(b"second")

        served.stages.script["verify"] = [changed]
        await served.until(lambda: served.folder.counts[Verdict.RELEASED])
        await served.until(lambda: served.delivered() == ["one_x2.png"] and served.folder.settled_everything)
        assert "job.released" in served.actions()
        assert not place.exists()
        assert not served.services.finished

    serve(scenario)


def test_a_source_that_cannot_be_moved_is_not_even_decoded(serve, monkeypatch):
    """It is named in the status, and costs neither a worker's time nor a line in the ledger at every try."""
    real = os.access

    def access(path, mode, *, dir_fd=None, **rest):
        return dir_fd is None and real(path, mode, **rest)

    monkeypatch.setattr("srwatchd.intake.movable.os.access", access)

    async def scenario(served):
        before = len(served.actions())
        served.drop("one.png")
        await served.until(served.folder.waiting_files)
        (shown,) = served.folder.waiting_files()
        assert shown["reason"] == "source_unmovable"
        assert "write permission" in shown["detail"]
        assert not served.stages.calls
        assert len(served.actions()) == before

    serve(scenario)


@pytest.mark.parametrize(
    ("stages", "verdict"),
    [(FakeStages(), Verdict.DELIVERED), (FakeStages(upscale=[PermanentError("empty", "it is")]), Verdict.QUARANTINED)],
)
def test_what_recovery_finishes_counts(serve, monkeypatch, stages, verdict):
    """A job that a hold cut off while files were moved is counted when it is over, once."""
    real = Custody._moved
    cut = []

    def failing(custody, record, move):
        if not cut:
            cut.append(record)
            raise HostError("io_error", "cut off", path="/elsewhere")
        return real(custody, record, move)

    monkeypatch.setattr(Custody, "_moved", failing)

    async def scenario(served):
        served.drop("one.png")
        await served.until(lambda: served.folder.counts[verdict])
        await served.until(lambda: served.folder.hold is None)
        assert served.folder.counts == {Verdict.HELD: 1, verdict: 1}
        assert folder_report(served.folder)[verdict.value] == 1

    serve(scenario, stages=stages)


@pytest.mark.parametrize("for_good", [False, True])
def test_what_waits_in_a_folder_that_is_not_served_any_more_is_given_back(serve, monkeypatch, tmp_path, for_good):
    """Its source is in the inbox again, and recorded; while the folder is served on it waits for its next attempt."""
    monkeypatch.setattr("srwatchd.daemon.folder._CLOSE_SECONDS", 30.0)

    async def scenario(served):
        served.drop("sub/one.png")
        await served.until(lambda: served.folder.counts[Verdict.RETRY])
        served.for_good = for_good

    slow = {"initial_delay": 600.0, "max_delay": 600.0}
    serve(scenario, stages=FakeStages(upscale=[TransientError("worker_died", "it died")]), retry=slow)
    inbox = tmp_path / "a" / "in"
    assert (inbox / "sub/one.png").exists() == for_good
    assert bool(list((inbox / ".srwatchd").glob("*.json"))) != for_good
    last = json.loads((tmp_path / "var/audit.jsonl").read_text().splitlines()[-1])
    assert (last["event.action"] == "job.released") == for_good


def test_more_files_than_are_remembered_are_all_delivered(serve, monkeypatch):
    """Some that cannot be read stand before them; how many wait is known all the while."""
    real = premises.look

    def look(inbox, name, *, lease):
        if name.startswith("a"):
            raise HostError("io_error", f"cannot look at {name!r}", path=str(inbox.root / name))
        return real(inbox, name, lease=lease)

    monkeypatch.setattr(premises, "look", look)

    async def scenario(served):
        served.folder.paused = True
        for name in ("a0", "a1", *(f"p{number:02}" for number in range(40))):
            served.drop(f"{name}.png")
        await served.until(lambda: served.folder.waiting == 42)
        assert len(served.folder.waiting_files(older_than=0.0)) <= 8
        served.folder.paused = False
        served.services.wake()
        await served.until(lambda: len(served.delivered()) == 40)
        await served.until(lambda: served.folder.settled_everything)
        assert [each["name"] for each in served.folder.waiting_files()] == ["a0.png", "a1.png"]
        assert served.folder.waiting == 2

    serve(scenario, order="name", known_files=4)
