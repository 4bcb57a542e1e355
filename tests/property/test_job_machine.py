"""The whole life of pictures in one hot folder under a user, a crashing machine and a full disk.

Everything is real but the workers: inbox, claims, custody, delivery and ledger on real folders. A result is bytes that
the machine writes into the staged file. Every source carries a number by which it is found again wherever it is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from custody_bench import Bench, Crash, Faults
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from srwatchd import storage
from srwatchd.delivery.names import SIDECAR_SUFFIX
from srwatchd.errors import HostError, TransientError
from srwatchd.job import Attempt, Event, Failure

NAMES = st.sampled_from(["a.png", "A.png", "b.jpg", "sub/a.png", "sub/deep/c", "line\nbreak.png", "\udcff.png"])
WHICH = st.integers(0, 7)
FAULTS = st.one_of(
    st.none(),
    st.builds(
        Faults,
        at=st.integers(1, 30),
        dead=st.booleans(),
        after=st.booleans(),
        lasting=st.sampled_from([1, 1, 2, 3, 6, 1000]),
    ),
)
WHY = Failure("incomplete", "it ends too early", "drop it again")
TRY = Attempt("2026-01-02T03:04:05Z", "worker_died", "gone")


class Machine(RuleBasedStateMachine):
    """One hot folder. ``sources`` are the numbers that the user has not taken back; each must be somewhere, once."""

    def __init__(self) -> None:
        super().__init__()
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.root = Path(tempfile.mkdtemp(dir=memory))
        self.sources: set[int] = set()
        self.number = 0
        self.jobs: dict[str, Any] = {}
        self.renameat2 = storage._renameat2

    @initialize(on_success=st.sampled_from(["archive", "delete"]), modern=st.booleans())
    def begin(self, on_success: str, modern: bool) -> None:
        if not modern:
            storage._renameat2 = None
        self.deleting = on_success == "delete"
        self.bench = Bench(self.root, on_success=on_success)
        self.up = True

    def teardown(self) -> None:
        storage._renameat2 = self.renameat2
        with contextlib.suppress(AttributeError):
            self.bench.die()
        shutil.rmtree(self.root)

    # -- the user ------------------------------------------------------------------------------------------------

    @rule(name=NAMES)
    def drop(self, name: str) -> None:
        """A new file, or new content at an old name."""
        self._take_back(name)
        self.number += 1
        self.sources.add(self.number)
        self.bench.drop(name, b"source %06d\n" % self.number)

    @rule(which=WHICH)
    def grow(self, which: int) -> None:
        """Somebody goes on writing."""
        if name := self._in_inbox(which):
            with open(os.fsencode(self.bench.config.inbox / name), "ab") as file:
                file.write(b"more\n")

    @rule(which=WHICH)
    def delete(self, which: int) -> None:
        """Somebody changes their mind."""
        if name := self._in_inbox(which):
            self._take_back(name)

    @rule(which=WHICH, name=NAMES)
    def rename(self, which: int, name: str) -> None:
        """Somebody renames a file, perhaps over another one."""
        old = self._in_inbox(which)
        if old and old != name:
            self._take_back(name)
            inbox = self.bench.config.inbox
            (inbox / name).parent.mkdir(parents=True, exist_ok=True)
            os.rename(os.fsencode(inbox / old), os.fsencode(inbox / name))

    # -- the daemon ----------------------------------------------------------------------------------------------

    @rule(which=WHICH, fault=FAULTS, late=st.booleans())
    def claim(self, which: int, fault: Faults | None, late: bool) -> None:
        """Claim a settled file, or one that was changed since it was looked at."""
        name = self._in_inbox(which)
        if not name:
            return
        seen = self.bench.seen(name)
        if late:
            self.grow(which)

        def step() -> None:
            record = self.bench.custody.claim(seen)
            self.jobs[record.job] = record
            self.bench.custody.begin(record)

        self._try(step, fault)

    @rule(which=WHICH, fault=FAULTS)
    def fail(self, which: int, fault: Faults | None) -> None:
        """An attempt fails, another one begins."""
        if record := self._job(which):

            def step() -> None:
                self.jobs[record.job] = self.bench.custody.fail(record, TRY).after(Event.RETRY)

            self._try(step, fault)

    @rule(which=WHICH, fault=FAULTS)
    def finish(self, which: int, fault: Faults | None) -> None:
        """The result is made and delivered."""
        if record := self._job(which):

            def step() -> None:
                content = b"result of " + self.bench.claimed[f"{record.job}.src"][:13]
                self.bench.finish(record, content=content)
                del self.jobs[record.job]

            self._try(step, fault)

    @rule(which=WHICH, fault=FAULTS)
    def quarantine(self, which: int, fault: Faults | None) -> None:
        """The picture is given up."""
        if record := self._job(which):

            def step() -> None:
                self.bench.custody.quarantine(record, WHY)
                del self.jobs[record.job]

            self._try(step, fault)

    @rule(which=WHICH, fault=FAULTS)
    def release(self, which: int, fault: Faults | None) -> None:
        """The daemon stops and gives it back."""
        if record := self._job(which):

            def step() -> None:
                self.bench.custody.release(record, "stopped")
                del self.jobs[record.job]

            self._try(step, fault)

    @rule(fault=FAULTS)
    def restart(self, fault: Faults | None) -> None:
        """Killed between two steps; perhaps killed once more while it takes up the folder."""
        self._try(self._take_up, fault)

    # -- what must be so -----------------------------------------------------------------------------------------

    @invariant()
    def every_source_is_in_exactly_one_place(self) -> None:
        """By content: inbox, claimed, archive or error; with `delete` it may instead be done for."""
        if not hasattr(self, "bench"):
            return
        bench, config = self.bench, self.bench.config
        inbox = Counter(_numbers(bench.files(config.inbox).values()))
        claimed = Counter(_numbers(bench.claimed.values()))
        archive = Counter(_numbers(bench.files(config.archive).values()))
        error = {name: data for name, data in bench.files(config.error).items() if not name.endswith(SIDECAR_SUFFIX)}
        where = inbox + claimed + archive + Counter(_numbers(error.values()))
        results = Counter(_numbers(bench.files(config.done).values()))
        if self.deleting:
            assert not archive
            where += Counter(number for number in results if number not in where)
        assert dict(where) == dict.fromkeys(self.sources, 1)
        done = archive if not self.deleting else Counter(n for n in results if n not in inbox + claimed)
        assert {number: results[number] for number in done} == dict.fromkeys(done, 1)
        assert set(results) <= set(done), "a result whose source was not put away"
        for name in error:
            assert name + SIDECAR_SUFFIX in bench.files(config.error), "no reason beside a quarantined source"

    @invariant()
    def the_ledger_tells_the_truth(self) -> None:
        """Its chain is whole; a job has one outcome when it is over and none while it lives."""
        if not hasattr(self, "bench"):
            return
        assert self.bench.verified()
        outcomes = self.bench.outcomes()
        assert {job: len(found) for job, found in outcomes.items()} == {job: job not in self.jobs for job in outcomes}
        ended = Counter(action for found in outcomes.values() for action in found)
        assert ended["job.completed"] == len(self.bench.files(self.bench.config.done))

    @invariant()
    def nothing_is_left_behind(self) -> None:
        """No staged file, no record without its job."""
        if not hasattr(self, "bench"):
            return
        assert self.bench.leftovers == []
        assert {name.partition(".")[0] for name in self.bench.private} == set(self.jobs)

    # -- inside --------------------------------------------------------------------------------------------------

    def _try(self, step: Any, fault: Faults | None) -> None:
        """Do a step while the file system may fail; then go on as the daemon does: recover, or start again."""
        try:
            with fault or contextlib.nullcontext():
                try:
                    step()
                except TransientError:
                    self.jobs = {job: record for job, record in self.jobs.items() if self._on_disk(job)}
                except HostError:  # the folder is held; the cause may go on during the next tries
                    with contextlib.suppress(HostError):
                        self._recover()
                    self._recover() if fault is None else None
        except Crash:
            self._take_up()
        else:
            if fault is not None and fault.struck:
                self._recover()

    def _take_up(self) -> None:
        self.up = False
        self.bench.die()
        self.bench.open()
        self.up = True
        self._recover()

    def _recover(self) -> None:
        if not self.up:
            self._take_up()
            return
        self.jobs = {record.job: record for record in self.bench.recover()}

    def _on_disk(self, job: str) -> bool:
        return f"{job}.json" in self.bench.private

    def _in_inbox(self, which: int) -> str | None:
        names = sorted(self.bench.files(self.bench.config.inbox))
        return names[which % len(names)] if names else None

    def _job(self, which: int) -> Any:
        jobs = sorted(self.jobs)
        return self.jobs[jobs[which % len(jobs)]] if jobs else None

    def _take_back(self, name: str) -> None:
        """The user removes or overwrites what is there; it is no longer ours to keep."""
        path = os.fsencode(self.bench.config.inbox / name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                self.sources -= set(_numbers([file.read()]))
            os.unlink(path)


def _numbers(contents: Any) -> list[int]:
    return [int(content.partition(b"source ")[2][:6]) for content in contents]


TestJobMachine = Machine.TestCase
TestJobMachine.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
