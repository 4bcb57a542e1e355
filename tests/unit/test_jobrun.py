"""srwatchd.daemon.jobrun: what becomes of one picture, whatever the stages and the disk do."""

# ruff: noqa: ARG002 - stand-ins have the signatures of what they stand in for
from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from daemon_standin import CLOCK, FakeStages, folder, info, nothing, record, snapshot, spec

from srwatchd.daemon.jobrun import INTERRUPTIONS, JobRun, Verdict
from srwatchd.errors import HINTS, HostError, ModelError, PermanentError, TransientError
from srwatchd.intake.settle import Doomed, Ready
from srwatchd.job import Attempt, Event, Placement, State

READY = Ready(snapshot())


@dataclass
class FakeStaged:
    fd: int = field(default_factory=nothing)


class FakeCustody:
    """Keeps records in memory with the real transitions; ``script`` as in FakeStages."""

    def __init__(self, **script: list[Any]) -> None:
        self.script = script
        self.calls: list[str] = []
        self.failure = None
        self.facts: dict[str, Any] = {}

    def _step(self, name: str) -> None:
        self.calls.append(name)
        script = self.script.get(name)
        event = script.pop(0) if script else None
        if isinstance(event, BaseException):
            raise event

    def now(self):
        return CLOCK

    def claim(self, seen, *, busy=False):
        self._step("claim busy" if busy else "claim")
        return record(snapshot=seen).after(Event.CLAIM)

    def begin(self, record):
        self._step("begin")

    def end(self, record):
        self._step("end")

    def open_source(self, record):
        self._step("open_source")
        return nothing()

    def fingerprint(self, record):
        self._step("fingerprint")
        return replace(record, source_sha256="f" * 64)

    def release(self, record, reason):
        self._step("release")
        return record.after(Event.RELEASE)

    def note(self, record, attempt):
        self._step("note")
        return replace(record, attempts=(*record.attempts, attempt))

    def fail(self, record, attempt):
        return self.note(record, attempt).after(Event.FAIL)

    def stage(self, record, path):
        self._step("stage")
        return FakeStaged()

    def discard(self, staged):
        self._step("discard")
        os.close(staged.fd)

    def finish(self, record, staged, path, facts):
        self._step("finish")
        self.facts = facts
        placed = Placement(path, "r", 6, 1, 1)
        return record.after(Event.DELIVER).after(Event.ARCHIVE).after(Event.FINISH, result=placed)

    def quarantine(self, record, failure):
        self._step("quarantine")
        self.failure = failure
        return record.after(Event.QUARANTINE, failure=failure).after(Event.FINISH)


class FakeLane:
    def __init__(self):
        self.aside = []

    async def run(self, call, *args, **kwargs):
        await asyncio.sleep(0)
        return call(*args, **kwargs)

    async def run_aside(self, call, *args, **kwargs):
        self.aside.append(call.__name__)
        return await self.run(call, *args, **kwargs)


class FakeFolder:
    def __init__(self, custody=None, *, grace_over=False, **settings):
        self.config = folder(**settings)
        self.custody = custody or FakeCustody()
        self.lane = FakeLane()
        self.over = grace_over
        self.candidates = []

    def open_candidate(self, seen):
        event = self.candidates.pop(0) if self.candidates else None
        if event is not None:
            raise event
        return nothing()

    def grace_over(self, name):
        return self.over


def job(where=None, stages=None, **what):
    where, stages = where or FakeFolder(), stages or FakeStages()
    if not what:
        what = {"candidate": READY}
    return JobRun(where, stages, spec(), **what)


def outcome(run):
    before = len(os.listdir("/proc/self/fd"))
    found = asyncio.run(run.run())
    assert len(os.listdir("/proc/self/fd")) == before, "a descriptor was left open"
    return found


def test_a_picture_goes_all_the_way():
    """Probed, claimed, produced, verified and delivered, in this order; the ledger is told how."""
    where, stages = FakeFolder(), FakeStages()
    run = job(where, stages)
    found = outcome(run)
    assert found.verdict is Verdict.DELIVERED
    assert found.record.state is State.DELIVERED
    assert found.record.source_sha256 == "f" * 64
    assert [name for name, _ in stages.calls] == ["decode", "upscale", "encode", "verify"]
    assert where.custody.calls[:2] == ["claim", "begin"]
    assert sorted(where.custody.calls[2:4]) == ["fingerprint", "stage"]
    assert where.custody.calls[4:] == ["finish", "discard"]
    assert where.custody.facts["srwatchd.engine.name"] == "first"
    assert where.custody.facts["srwatchd.result.width"] == 8
    assert run.name == "a.png"
    assert (run.progress.done, run.progress.total) == (1, 1)
    assert {"decode", "claim", "upscale", "encode", "verify", "deliver"} <= set(run.progress.nanoseconds)


@pytest.mark.parametrize("size", [1 << 10, 1 << 30])
@pytest.mark.parametrize("broken", [False, True])
def test_long_steps_run_aside(size, broken):
    """Of a file of a gigabyte, what reads or copies it keeps no other picture waiting; of a small one nothing is."""
    where = FakeFolder()
    stages = FakeStages(decode=[PermanentError("cannot_encode", "x")]) if broken else FakeStages()
    outcome(job(where, stages, candidate=Ready(snapshot(size=size))))
    long = ["quarantine"] if broken else ["fingerprint", "finish"]
    assert where.lane.aside == (long if size > 1 << 20 else [])


def test_a_run_without_anything_has_no_name():
    """The name is empty rather than an error."""
    assert JobRun(FakeFolder(), FakeStages(), spec()).name == ""


@pytest.mark.parametrize("code", ["incomplete", "not_a_picture", "empty"])
def test_what_may_still_grow_stays_in_the_inbox(code):
    """Undecodable within its grace: not claimed, nothing moved."""
    where = FakeFolder()
    found = outcome(job(where, FakeStages(decode=[PermanentError(code, "no")])))
    assert found.verdict is Verdict.DECLINED
    assert found.error.code == code
    assert where.custody.calls == []


def test_after_its_grace_it_is_quarantined_with_its_reason():
    """The same file when its grace is over goes to the error folder."""
    where = FakeFolder(grace_over=True)
    found = outcome(job(where, FakeStages(decode=[PermanentError("incomplete", "half of it")])))
    assert found.verdict is Verdict.QUARANTINED
    assert (where.custody.failure.code, where.custody.failure.message) == ("incomplete", "half of it")
    assert where.custody.failure.hint == HINTS["incomplete"]


def test_what_will_never_work_waits_for_no_grace():
    """A PDF is no better in a minute."""
    found = outcome(job(stages=FakeStages(decode=[PermanentError("unsupported_format", "a PDF")])))
    assert found.verdict is Verdict.QUARANTINED


@pytest.mark.parametrize(
    ("sealed", "verdict"), [(True, Verdict.DELIVERED), (False, Verdict.DECLINED)], ids=["sealed", "unsealed"]
)
def test_a_hole_at_the_end_is_fatal_where_the_format_cannot_tell(sealed, verdict):
    """A decoded picture whose file ends in a hole is believed only if its format proves its own end."""
    stages = FakeStages()
    stages.info = info(sealed=sealed)
    assert outcome(job(stages=stages, candidate=Ready(snapshot(), hole=True))).verdict is verdict


@pytest.mark.parametrize("code", ["empty", "too_large_file", "writer_never_closed"])
def test_the_doomed_are_quarantined_unseen(code):
    """No worker sees a file that intake has given up; one that is still open for writing is taken all the same."""
    where, stages = FakeFolder(), FakeStages()
    assert outcome(job(where, stages, candidate=Doomed(snapshot(), code))).verdict is Verdict.QUARANTINED
    assert where.custody.failure.code == code
    assert stages.calls == []
    assert where.custody.calls[0] == ("claim busy" if code == "writer_never_closed" else "claim")


@pytest.mark.parametrize("code", ["source_changed", "source_busy", "source_vanished"])
def test_a_refused_claim_leaves_it_to_intake(code):
    """Changed, busy or gone at the claim: no job, no attempt."""
    where = FakeFolder(FakeCustody(claim=[TransientError(code, "no")]))
    found = outcome(job(where))
    assert (found.verdict, found.record, found.error.code) == (Verdict.DECLINED, None, code)


def test_a_source_that_changed_under_the_probe_is_given_back():
    """Changed before it could be opened, yet claimed: back to the inbox without an attempt."""
    where = FakeFolder()
    where.candidates.append(TransientError("source_changed", "grown"))
    assert outcome(job(where)).verdict is Verdict.RELEASED
    assert "release" in where.custody.calls
    assert "note" not in where.custody.calls


def test_a_source_that_changed_before_delivery_is_given_back():
    """The last look before the delivery saw new bytes: nothing is delivered."""
    where = FakeFolder(FakeCustody(finish=[TransientError("source_changed", "grown")]))
    assert outcome(job(where)).verdict is Verdict.RELEASED
    assert where.custody.calls[-3:] == ["discard", "release", "end"]


@pytest.mark.parametrize("stage", ["decode", "upscale", "encode", "verify"])
def test_a_failed_attempt_is_followed_by_one_that_may_succeed(stage):
    """A worker dies in any stage: the attempt counts, the next run of the same record delivers."""
    where = FakeFolder()
    stages = FakeStages(**{stage: [TransientError("worker_died", "gone")]})
    first = outcome(job(where, stages))
    assert first.verdict is Verdict.RETRY
    assert first.record.state is State.WAITING
    assert [attempt.code for attempt in first.record.attempts] == ["worker_died"]
    second = outcome(job(where, stages, record=first.record))
    assert second.verdict is Verdict.DELIVERED
    assert len(second.record.attempts) == 1


@pytest.mark.parametrize("error", [PermanentError("cannot_encode", "no"), ZeroDivisionError("boom")])
def test_the_next_attempt_may_end_in_quarantine(error):
    """Whatever the second attempt meets, the job ends in order."""
    waiting = record(state=State.WAITING, attempts=(Attempt(CLOCK, "worker_died", "gone"),))
    found = outcome(job(stages=FakeStages(encode=[error]), record=waiting))
    assert found.verdict is Verdict.QUARANTINED


def test_attempts_are_exhausted():
    """The last allowed attempt quarantines, and the reason names each of them."""
    where = FakeFolder(retry={"max_attempts": 2})
    stages = FakeStages(upscale=[TransientError("worker_hung", "late"), TransientError("worker_died", "gone")])
    first = outcome(job(where, stages))
    assert outcome(job(where, stages, record=first.record)).verdict is Verdict.QUARANTINED
    assert where.custody.failure.code == "attempts_exhausted"
    assert "1. worker_hung: late; 2. worker_died: gone" in where.custody.failure.message
    assert where.custody.failure.hint == HINTS["worker_died"]


def test_killed_workers_are_no_fault_of_the_picture():
    """Only after ten kills from outside is the picture suspected."""
    where = FakeFolder(retry={"max_attempts": 1})
    kills = [TransientError("worker_killed", "by somebody") for _ in range(INTERRUPTIONS)]
    stages = FakeStages(upscale=kills)
    found = outcome(job(where, stages))
    for _ in range(INTERRUPTIONS - 2):
        assert found.verdict is Verdict.RETRY
        found = outcome(job(where, stages, record=found.record))
    assert found.verdict is Verdict.RETRY
    assert outcome(job(where, stages, record=found.record)).verdict is Verdict.QUARANTINED
    assert where.custody.failure.code == "interrupted_too_often"


def test_each_shortage_of_memory_halves_the_tile():
    """256, 128, 64, 32 and never less."""
    where, stages = FakeFolder(retry={"max_attempts": 9}), FakeStages()
    stages.script["upscale"] = [TransientError("out_of_memory", "no room") for _ in range(5)]
    found = outcome(job(where, stages))
    while found.verdict is Verdict.RETRY:
        found = outcome(job(where, stages, record=found.record))
    assert found.verdict is Verdict.DELIVERED
    assert [tile for _, tile in stages.seen("upscale")] == [256, 128, 64, 32, 32, 32]


def _implausible():
    return PermanentError("result_not_plausible", "all green")


def test_an_implausible_result_is_made_again_on_another_engine():
    """The second engine's result is delivered, and the ledger says which engine it was."""
    where, stages = FakeFolder(), FakeStages(verify=[_implausible()])
    assert outcome(job(where, stages)).verdict is Verdict.DELIVERED
    assert [engine for engine, _ in stages.seen("upscale")] == ["first", "second"]
    assert where.custody.facts["srwatchd.engine.name"] == "second"
    assert where.custody.calls.count("discard") == 2


def test_implausible_on_every_engine_is_quarantined():
    """No engine is left: the error folder."""
    where = FakeFolder()
    found = outcome(job(where, FakeStages(verify=[_implausible(), _implausible()])))
    assert found.verdict is Verdict.QUARANTINED
    assert where.custody.failure.code == "result_not_plausible"


def test_another_permanent_error_is_not_tried_on_another_engine():
    """A result that cannot be encoded is no engine's fault."""
    stages = FakeStages(encode=[PermanentError("cannot_encode", "no")])
    assert outcome(job(stages=stages)).verdict is Verdict.QUARANTINED
    assert len(stages.seen("upscale")) == 1


@pytest.mark.parametrize("step", ["claim", "begin", "fingerprint", "stage", "finish", "note", "quarantine"])
def test_the_host_at_fault_holds_without_an_attempt(step):
    """A full disk at any step of custody spends no attempt and quarantines nothing."""
    where = FakeFolder(FakeCustody(**{step: [HostError("disk_full", "full", path="/x")]}))
    script = {"note": [TransientError("worker_died", "gone")], "quarantine": [PermanentError("cannot_encode", "no")]}
    stages = FakeStages(upscale=script.get(step, []))
    found = outcome(job(where, stages))
    assert found.verdict is Verdict.HELD
    assert found.error.code == "disk_full"
    assert (found.record is None) == (step == "claim")
    assert found.record is None or (found.record.attempts == () and found.record.state is State.CLAIMED)


@pytest.mark.parametrize("stage", ["decode", "upscale", "encode", "verify"])
def test_a_stage_without_room_or_workers_holds(stage):
    """Scratch space and workers are the host's, too."""
    found = outcome(job(stages=FakeStages(**{stage: [HostError("workers_unavailable", "none")]})))
    assert (found.verdict, found.error.code) == (Verdict.HELD, "workers_unavailable")


def test_an_unreadable_candidate_is_held_where_it_lies():
    """A source that we may not read is neither claimed nor quarantined."""
    where = FakeFolder()
    where.candidates.append(HostError("source_unreadable", "not ours"))
    found = outcome(job(where))
    assert (found.verdict, found.record) == (Verdict.HELD, None)


@pytest.mark.parametrize("stage", ["upscale", "encode"])
@pytest.mark.parametrize(
    ("error", "code"), [(ModelError("model_altered", "other bytes"), "model_altered"), (OSError(5, "I/O"), "io_error")]
)
def test_an_altered_model_and_an_untranslated_errno_hold_as_well(stage, error, code):
    """What no picture is to blame for never escapes the run, and never costs an attempt."""
    found = outcome(job(stages=FakeStages(**{stage: [error]})))
    assert (found.verdict, found.error.code) == (Verdict.HELD, code)
    assert isinstance(found.error, HostError)


@pytest.mark.parametrize("stage", ["decode", "upscale", "encode", "verify"])
def test_a_defect_costs_one_picture(stage):
    """An unknown exception is quarantined with its traceback, and not repeated."""
    where = FakeFolder()
    found = outcome(job(where, FakeStages(**{stage: [ZeroDivisionError("boom")]})))
    assert found.verdict is Verdict.QUARANTINED
    assert where.custody.failure.code == "internal_error"
    assert "ZeroDivisionError: boom" in where.custody.failure.message


@pytest.mark.parametrize("error", [KeyError("x"), OSError(28, "full")])
def test_a_defect_of_custody_holds_and_keeps_the_job(error):
    """When even the quarantine fails in an unknown way, the record stays and a person is told."""
    where = FakeFolder(FakeCustody(quarantine=[error]))
    found = outcome(job(where, FakeStages(encode=[PermanentError("cannot_encode", "no")])))
    assert (found.verdict, found.error.code) == (Verdict.HELD, "io_error")
    assert found.record.state is State.CLAIMED


def test_a_recovered_record_is_decoded_from_the_private_folder():
    """After a crash the raster is gone: the claimed source is opened and decoded again."""
    where, stages = FakeFolder(), FakeStages()
    found = outcome(job(where, stages, record=record(state=State.CLAIMED)))
    assert found.verdict is Verdict.DELIVERED
    assert where.custody.calls[:2] == ["begin", "open_source"]


async def _cancelled_in(run, stages, stage):
    reached = asyncio.Event()

    async def wait():
        reached.set()
        await asyncio.sleep(60)

    stages.script[stage] = [wait]
    task = asyncio.create_task(run.run())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("stage", ["upscale", "encode", "verify"])
def test_a_stop_gives_the_source_back(stage):
    """Cancelled in a worker's stage: what was staged is removed, the source goes back to the inbox."""
    where, stages = FakeFolder(), FakeStages()
    asyncio.run(_cancelled_in(job(where, stages), stages, stage))
    assert "release" in where.custody.calls
    assert "finish" not in where.custody.calls
    assert where.custody.calls.count("stage") == where.custody.calls.count("discard")


def test_a_stop_while_probing_has_nothing_to_give_back():
    """Nothing is claimed before the probe is over."""
    where, stages = FakeFolder(), FakeStages()
    asyncio.run(_cancelled_in(job(where, stages), stages, "decode"))
    assert where.custody.calls == []


def test_a_job_with_attempts_stays_in_custody_at_a_stop():
    """Its attempts are remembered by its record; given back, they would be forgotten."""
    where, stages = FakeFolder(), FakeStages()
    waiting = record(state=State.WAITING, attempts=(Attempt(CLOCK, "worker_died", "gone"),))
    asyncio.run(_cancelled_in(job(where, stages, record=waiting), stages, "upscale"))
    assert "release" not in where.custody.calls
    assert where.custody.calls[-1] == "end"


def test_a_stop_that_cannot_give_back_leaves_it_to_recovery():
    """The disk refuses the release: the claim stays, the stop goes on."""
    where = FakeFolder(FakeCustody(release=[HostError("disk_full", "full")]))
    stages = FakeStages()
    asyncio.run(_cancelled_in(job(where, stages), stages, "upscale"))
    assert "end" in where.custody.calls


class SlowLane(FakeLane):
    """Lets a test in while a step of custody is under way."""

    def __init__(self, step):
        self.step, self.reached, self.go = step, asyncio.Event(), asyncio.Event()

    async def run(self, call, *args, **kwargs):
        if getattr(call, "__name__", getattr(getattr(call, "func", None), "__name__", "")) == self.step:
            self.reached.set()
            await self.go.wait()
        return await super().run(call, *args, **kwargs)


@pytest.mark.parametrize(("step", "then"), [("claim", "release"), ("finish", "discard"), ("open_source", "release")])
def test_a_step_of_custody_is_finished_whatever_is_cancelled(step, then):
    """A stop in the middle of a move waits for it, and then does what follows from it."""

    async def body():
        where = FakeFolder()
        where.lane = SlowLane(step)
        run = job(where, record=record(state=State.CLAIMED)) if step == "open_source" else job(where)
        task = asyncio.create_task(run.run())
        await where.lane.reached.wait()
        task.cancel()
        await asyncio.sleep(0)
        where.lane.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return where.custody.calls, run.record

    before = len(os.listdir("/proc/self/fd"))
    calls, left = asyncio.run(body())
    assert step in calls
    assert then in calls
    assert left.state in (State.CLAIMED, State.RELEASED) if step != "finish" else left.state is State.DELIVERED
    assert len(os.listdir("/proc/self/fd")) == before
