"""Every scenario by name, in the order in which they are run."""

from __future__ import annotations

from typing import Final

from benchmarks.endurance.scenario import Scenario
from benchmarks.endurance.scenarios.kills import kills
from benchmarks.endurance.scenarios.steps import step_errors, step_kills

__all__ = ["SCENARIOS"]

_ALL: Final = (
    Scenario("kills", "kill -9 of supervisor and workers at random, during small good pictures: none in error.", kills),
    Scenario(
        "steps", "kill -9 at every rename, write, fsync and unlink of a job: everything exactly once.", step_kills
    ),
    Scenario("errors", "ENOSPC and EIO at every step of a job: held, resumed, no attempt spent.", step_errors),
)

SCENARIOS: Final = {each.name: each for each in _ALL}
