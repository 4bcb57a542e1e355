"""kill -9 at random moments, of the supervisor and of its workers, while small good pictures keep coming."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.dropping import Dropper
from benchmarks.endurance.pictures import FORMATS, made
from benchmarks.endurance.scenario import Result, finish

if TYPE_CHECKING:
    import random

    from benchmarks.endurance.pictures import Picture
    from benchmarks.endurance.scenario import Bench
    from benchmarks.endurance.service import Service

__all__ = ["kills", "kills_on"]

_PENDING: Final = 6
_LONGEST_PAUSE: Final = 1.2


def kills(bench: Bench, result: Result) -> None:
    """Two hundred kills: nothing in error, everything exactly once."""
    site = bench.site("kills")
    with bench.service(site) as service:
        dropper = Dropper(site.inbox, site.root / "outside")
        service.start()
        kills_on(service, dropper, bench.random(), number=bench.many(200, short=10), result=result)


def kills_on(service: Service, dropper: Dropper, rng: random.Random, *, number: int, result: Result) -> None:
    """Kill ``number`` times, half the time the supervisor, and examine what is left at the end."""
    victims = {"supervisor": 0, "worker": 0}
    early = 0
    while sum(victims.values()) < number:
        while service.site.waiting() < _PENDING:
            dropper.drop(_small(rng), folder=rng.choice(("", "", "sub", "sub/deeper")))
        time.sleep(rng.uniform(0.0, _LONGEST_PAUSE))
        if not service.running:
            result.problems.append(f"the daemon ended by itself: {service.last_words()}")
            service.start()
        elif rng.random() < 0.5:  # noqa: PLR2004 - a coin
            service.kill()
            victims["supervisor"] += 1
            ready = rng.random() < 0.8  # noqa: PLR2004 - one in five dies while it starts
            early += not ready
            service.start(ready=ready)
        elif workers := service.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(workers), signal.SIGKILL)
            victims["worker"] += 1
    result.figure("kills of the supervisor", f"{victims['supervisor']} ({early} of them followed by an early one)")
    result.figure("kills of a worker", victims["worker"])
    finish(service, dropper.dropped, result, seconds=300.0)


def _small(rng: random.Random) -> Picture:
    return made(rng, width=rng.randint(16, 64), height=rng.randint(16, 64), extension=rng.choice(FORMATS))
