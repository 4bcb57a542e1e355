"""Everything that is done to a machine, in the order in which it is best read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.booted.scenarios import clock, console, failures, installation, power, shares, start, steering

if TYPE_CHECKING:
    from benchmarks.booted.bench import Scenario

__all__ = ["SCENARIOS"]

SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for module in (start, failures, steering, shares, power, clock, console, installation)
    for scenario in module.SCENARIOS
}
