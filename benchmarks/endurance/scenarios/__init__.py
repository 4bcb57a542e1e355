"""Every scenario by name, in the order in which they are run."""

from __future__ import annotations

from typing import Final

from benchmarks.endurance.scenario import Scenario
from benchmarks.endurance.scenarios.control import reload_under_load, second_daemon, stop_under_load
from benchmarks.endurance.scenarios.host import disk_full, read_only
from benchmarks.endurance.scenarios.inbox import inbox_gone
from benchmarks.endurance.scenarios.kills import kills
from benchmarks.endurance.scenarios.steps import step_errors, step_kills

__all__ = ["SCENARIOS"]

_ALL: Final = (
    Scenario("kills", "kill -9 of supervisor and workers at random, during small good pictures: none in error.", kills),
    Scenario(
        "steps", "kill -9 at every rename, write, fsync and unlink of a job: everything exactly once.", step_kills
    ),
    Scenario("errors", "ENOSPC and EIO at every step of a job: held, resumed, no attempt spent.", step_errors),
    Scenario(
        "disk-full", "done, archive or the ledger's disk is full, or out of inodes: held, resumed by itself.", disk_full
    ),
    Scenario("read-only", "done is remounted read-only and back: held, resumed by itself.", read_only),
    Scenario("inbox", "the inbox is unmounted, mounted over or replaced, and back with its id.", inbox_gone),
    Scenario("second", "a second daemon with the same state or the same inbox is refused.", second_daemon),
    Scenario("stop", "SIGTERM under load: ends within 25 s with 0, gives back what is in flight.", stop_under_load),
    Scenario("reload", "SIGHUP with good and bad files under load: nothing is lost.", reload_under_load),
)

SCENARIOS: Final = {each.name: each for each in _ALL}
