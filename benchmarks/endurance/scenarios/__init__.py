"""Every scenario by name, in the order in which they are run."""

from __future__ import annotations

from typing import Final

from benchmarks.endurance.scenario import Scenario
from benchmarks.endurance.scenarios.control import reload_under_load, second_daemon, stop_under_load
from benchmarks.endurance.scenarios.host import disk_full, read_only
from benchmarks.endurance.scenarios.inbox import inbox_gone
from benchmarks.endurance.scenarios.kills import kills
from benchmarks.endurance.scenarios.photographs import edsr, photographs
from benchmarks.endurance.scenarios.steps import step_errors, step_kills, worker_kills
from benchmarks.endurance.scenarios.unprivileged import foreign_files, unprivileged_kills, unprivileged_photographs
from benchmarks.endurance.scenarios.writers import latency, writers

__all__ = ["SCENARIOS"]

_ALL: Final = (
    Scenario("edsr", "480x320 becomes 1440x960 with `edsr_x3`.", edsr),
    Scenario("photographs", "Photographs by cp, mv, rsync and in sub folders, while the daemon runs.", photographs),
    Scenario("kills", "kill -9 of supervisor and workers at random, during small good pictures: none in error.", kills),
    Scenario(
        "steps", "kill -9 at every rename, write, fsync and unlink of a job: everything exactly once.", step_kills
    ),
    Scenario("worker-steps", "kill -9 of a worker at every write of a job: none in error.", worker_kills),
    Scenario("errors", "ENOSPC and EIO at every step of a job: held, resumed, no attempt spent.", step_errors),
    Scenario("disk-full", "Done, archive or the ledger's disk is full or out of inodes: held, resumed.", disk_full),
    Scenario("read-only", "Done is remounted read-only and back: held, resumed.", read_only),
    Scenario("inbox", "The inbox is unmounted, mounted over or replaced, and back with its id.", inbox_gone),
    Scenario("second", "A second daemon with the same state or the same inbox is refused.", second_daemon),
    Scenario("stop", "SIGTERM under load: ends within 25 s with 0, gives back what is in flight.", stop_under_load),
    Scenario("reload", "SIGHUP with good and bad files under load: nothing is lost.", reload_under_load),
    Scenario("writers", "Slow, frozen, preallocating, resumed and killed writers: never half a picture.", writers),
    Scenario("latency", "A clean local write starts within a quarter of a second.", latency),
    Scenario("user-photographs", "Photographs, unprivileged: four mounts, another's files.", unprivileged_photographs),
    Scenario("user-kills", "Kills, unprivileged: four mounts, another's files.", unprivileged_kills),
    Scenario("user-foreign", "Unprivileged: 0600 is held and named with a remedy, 0640 is processed.", foreign_files),
)

SCENARIOS: Final = {each.name: each for each in _ALL}
