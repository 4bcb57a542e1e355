"""Every scenario by name, in the order in which they are run."""

from __future__ import annotations

from typing import Final

from benchmarks.endurance.scenario import Scenario
from benchmarks.endurance.scenarios.kills import kills

__all__ = ["SCENARIOS"]

_ALL: Final = (
    Scenario("kills", "kill -9 of supervisor and workers at random, during small good pictures: none in error.", kills),
)

SCENARIOS: Final = {each.name: each for each in _ALL}
