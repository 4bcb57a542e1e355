"""A clock that stands in 1970, and one that jumps ten years.

The machine shares the host's clock, which nobody may set for a test: libfaketime stands between the daemon and
CLOCK_REALTIME, the monotonic clock and the times of files stay as they are, as after a step of a real clock.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.booted.bench import Scenario
from benchmarks.endurance.service import until

if TYPE_CHECKING:
    from benchmarks.booted.bench import Bench
    from benchmarks.booted.box import Box
    from benchmarks.endurance.scenario import Result

__all__ = ["SCENARIOS"]

_OVERRIDE: Final = """\
[Service]
Environment=LD_PRELOAD=/usr/lib/{triplet}/faketime/libfaketime.so.1
Environment=FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1
Environment=FAKETIME_CACHE_DURATION=1 FAKETIME_TIMESTAMP_FILE=/etc/faketime
"""


def _clock(bench: Bench, result: Result) -> None:
    with bench.box() as box:
        box.until_active()
        found = box.machine.run("sh", "-c", "ls -d /usr/lib/*/faketime")
        _set(box, "@1970-01-01 00:00:30")
        box.override("clock", _OVERRIDE.format(triplet=found.split("/")[3]))
        box.systemctl("restart")
        box.drop(4, width=400)
        box.until_delivered(4)
        result.expect(_years(box) & {"1970"}, f"the ledger has the years {_years(box)}")
        for name, to in (("2036", "@2036-06-01 12:00:00"), ("2026 again", "@2026-06-01 12:00:00")):
            before = box.pid()
            box.drop(6, width=600)
            until(lambda: "in work, 'p" in box.text(), 60.0, "work", pause=0.02)
            _set(box, to)
            box.until_delivered(len(box.dropped))
            box.drop(2)
            box.until_delivered(len(box.dropped))
            result.expect(box.pid() == before, f"the jump to {name} made it restart")
        time.sleep(70)  # longer than the watchdog has patience
        result.expect(box.restarts() == 0, f"restarts: {box.restarts()}")
        result.figure("years in the ledger", " ".join(sorted(_years(box))))
        box.finish(result)


def _set(box: Box, to: str) -> None:
    box.machine.path("/etc/faketime").write_text(f"{to}\n", encoding="ascii")


def _years(box: Box) -> set[str]:
    return {entry["@timestamp"][:4] for entry in box.site.entries()}


SCENARIOS: Final = (
    Scenario(
        "clock", "The clock in 1970, then ten years ahead and back at work: nothing lost, the chain holds.", _clock
    ),
)
