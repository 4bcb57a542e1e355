"""srwatchd.daemon.dispatcher: whose turn it is, how many at once, and what follows from how a run ended."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from daemon_standin import CLOCK, folder, record

from srwatchd.daemon.dispatcher import Dispatcher
from srwatchd.daemon.jobrun import KILLED, Outcome, Verdict
from srwatchd.daemon.workqueue import Work
from srwatchd.errors import PermanentError, TransientError
from srwatchd.job import Attempt, Placement


class FakeFolder:
    """A folder of ready names and interrupted records."""

    stalled = False

    def __init__(self, name="a", *, ready=(), interrupted=(), weight=1):
        self.config = folder(id=name, weight=weight, retry={"initial_delay": 8.0, "max_delay": 100.0})
        self.ready, self.interrupted = deque(ready), deque(interrupted)
        self.ended: list[Any] = []

    def has_work(self):
        return bool(self.ready)

    def next_work(self):
        return Work(candidate=self.ready.popleft())

    def next_interrupted(self):
        return Work(record=self.interrupted.popleft()) if self.interrupted else None

    def started(self, run):
        pass

    def settled(self, run, outcome, *, wait=0.0):
        self.ended.append((run.name, outcome, wait))


@dataclass
class FakeRun:
    """Runs until it is let go, or for ever."""

    folder: FakeFolder
    name: str
    outcome: Outcome
    go: asyncio.Event = field(default_factory=asyncio.Event)
    record: Any = None
    progress: Any = field(default_factory=lambda: SimpleNamespace(nanoseconds={"decode": 1_500_000}))

    async def run(self):
        await self.go.wait()
        return self.outcome


class Stage:
    """A dispatcher over fake folders; every started run is kept, and by default ends at once as delivered."""

    def __init__(self, *folders, slots=2, outcomes=None, patient=False):
        self.runs: list[FakeRun] = []
        self.outcomes = outcomes or {}
        self.patient = patient
        self.wake = asyncio.Event()
        self.dispatcher = Dispatcher(folders, slots=slots, start=self.start, wake=self.wake)
        self.most = 0

    def start(self, where, work):
        name = work.candidate or work.record
        run = FakeRun(where, name, self.outcomes.get(name, Outcome(Verdict.DELIVERED)))
        if not self.patient:
            run.go.set()
        self.runs.append(run)
        self.most = max(self.most, len(self.dispatcher.runs) + 1)
        return run

    async def settle(self):
        """Let the loop run until nothing happens any more."""
        for _ in range(200):
            await asyncio.sleep(0)

    @property
    def names(self):
        return [run.name for run in self.runs]


def staged(body, *folders, **options):
    async def run():
        stage = Stage(*folders, **options)
        loop = asyncio.create_task(stage.dispatcher.loop())
        await stage.settle()
        try:
            result = body(stage)
            if asyncio.iscoroutine(result):
                result = await result
            return result
        finally:
            loop.cancel()
            for each in stage.dispatcher.runs:
                each.cancel()
            await stage.settle()

    with structlog.testing.capture_logs() as lines:
        run.result = asyncio.run(run())
    return run.result, lines


def test_folders_take_turns_by_weight():
    """Weights 2 and 1: two of a for each of b, and nobody starves."""
    a, b = FakeFolder("a", ready=[f"a{n}" for n in range(4)], weight=2), FakeFolder("b", ready=["b0", "b1"])
    names, _ = staged(lambda stage: stage.names, a, b, slots=1)
    assert [name[0] for name in names] == ["a", "b", "a", "a", "b", "a"]
    assert [name for name, _, _ in a.ended] == ["a0", "a1", "a2", "a3"]


def test_no_more_runs_than_slots():
    """Three slots hold three runs; a fourth starts when one has ended."""

    async def body(stage):
        assert len(stage.dispatcher.runs) == 3
        assert stage.dispatcher.busy
        stage.runs[1].go.set()
        await stage.settle()
        return stage.names

    names, _ = staged(body, FakeFolder(ready="abcdef"), slots=3, patient=True)
    assert names == list("abcd")


def test_the_interrupted_run_last_and_alone():
    """What the daemon's own death interrupted waits for everything that is ready, and shares with nobody."""

    async def body(stage):
        assert stage.names == ["x", "y"]
        stage.runs[0].go.set()
        await stage.settle()
        assert stage.names == ["x", "y"], "one is still running"
        stage.runs[1].go.set()
        await stage.settle()
        assert stage.names == ["x", "y", "i1"]
        where.ready.append("z")
        stage.wake.set()
        await stage.settle()
        assert stage.names == ["x", "y", "i1"], "nothing starts beside it"
        stage.runs[2].go.set()
        await stage.settle()
        assert stage.names == ["x", "y", "i1", "z"], "what came meanwhile goes before the next"
        stage.runs[3].go.set()
        await stage.settle()
        return stage.names

    where = FakeFolder(ready="xy", interrupted=["i1", "i2"])
    names, _ = staged(body, where, slots=3, patient=True)
    assert names == ["x", "y", "i1", "z", "i2"]


def test_a_lone_run_on_a_hung_disk_stops_no_other_folder():
    """Alone means nothing beside it while it works; one that hangs is not waited for."""

    async def body(stage):
        assert stage.names == ["i1"]
        other.ready.append("z")
        hung.stalled = True
        stage.wake.set()
        await stage.settle()
        return stage.names

    hung, other = FakeFolder("a", interrupted=["i1"]), FakeFolder("b")
    names, _ = staged(body, hung, other, slots=3, patient=True)
    assert names == ["i1", "z"]


def _retry(*codes):
    attempts = tuple(Attempt(CLOCK, code, "m") for code in codes)
    return Outcome(Verdict.RETRY, record(attempts=attempts), TransientError(codes[-1], "m"))


@pytest.mark.parametrize(
    ("codes", "low", "high"),
    [
        (("worker_died",), 6.0, 8.0),
        (("worker_died", "worker_hung"), 12.0, 16.0),
        (("worker_died", KILLED), 0.0, 0.0),
        ((KILLED, "worker_died"), 6.0, 8.0),
        (("worker_died", "worker_stuck"), 6.0, 8.0),
        (("worker_stuck", "worker_stuck"), 12.0, 16.0),
        (("worker_died",) * 9, 75.0, 100.0),
    ],
)
def test_a_retry_waits_ever_longer(codes, low, high):
    """The wait doubles with every fault of the job; a worker killed from outside costs no wait."""
    where = FakeFolder(ready=["a"])
    staged(lambda _: None, where, outcomes={"a": _retry(*codes)})
    ((_, _, wait),) = where.ended
    assert low <= wait <= high


def test_every_run_is_one_line_of_the_log():
    """Delivered with its result and times, failed with code and reason; a declined one only when debugging."""
    done = record(result=Placement("a_x2.png", "", 1, 1, 1))
    outcomes = {
        "good": Outcome(Verdict.DELIVERED, done),
        "bad": Outcome(Verdict.QUARANTINED, record(), PermanentError("empty", "0 bytes")),
        "early": Outcome(Verdict.DECLINED, None, PermanentError("incomplete", "x")),
        "gone": Outcome(Verdict.DECLINED),
    }
    where = FakeFolder(ready=list(outcomes))
    _, lines = staged(lambda _: None, where, outcomes=outcomes)
    by_name = {line["name"]: line for line in lines}
    assert by_name["good"]["event"] == "delivered"
    assert by_name["good"]["result"] == "a_x2.png"
    assert by_name["good"]["decode_ms"] == 1.5
    assert (by_name["bad"]["code"], by_name["bad"]["log_level"]) == ("empty", "warning")
    assert (by_name["early"]["reason"], by_name["early"]["log_level"]) == ("incomplete", "debug")
    assert by_name["gone"]["reason"] == ""


def test_a_drain_waits_and_then_cancels():
    """What ends in time ends; the rest is cancelled and its folder is told so."""

    async def body(stage):
        asyncio.get_running_loop().call_later(0.01, stage.runs[0].go.set)
        await stage.dispatcher.drain(0.1)
        await stage.settle()
        assert not stage.dispatcher.busy
        await stage.dispatcher.drain(0.1)

    where = FakeFolder(ready="ab")
    staged(body, where, patient=True)
    assert [(name, outcome and outcome.verdict) for name, outcome, _ in where.ended] == [
        ("a", Verdict.DELIVERED),
        ("b", None),
    ]


def test_a_stop_that_meets_a_wake_up_is_not_lost():
    """Cancelled in the moment in which it is woken, the loop ends all the same."""

    async def scenario():
        stage = Stage(FakeFolder())
        loop = asyncio.create_task(stage.dispatcher.loop())
        await stage.settle()
        stage.wake.set()
        await asyncio.sleep(0)
        loop.cancel()
        await stage.settle()
        return loop.cancelled()

    assert asyncio.run(scenario())
