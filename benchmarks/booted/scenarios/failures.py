"""Processes that are killed, that hang, that meet the memory limit, that crash again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from benchmarks.booted.bench import Scenario
from benchmarks.booted.box import UNIT
from benchmarks.endurance.service import until

if TYPE_CHECKING:
    from benchmarks.booted.bench import Bench
    from benchmarks.booted.box import Box
    from benchmarks.endurance.scenario import Result

__all__ = ["SCENARIOS"]

_TIGHTENINGS: Final = 40


def _kill_supervisor(bench: Bench, result: Result) -> None:
    with bench.box() as box:
        box.until_active()
        box.drop(1)
        box.until_delivered(1)
        box.kill("STOP", *box.workers("infer"))  # the pictures are in work for as long as it takes to see it
        box.drop(8, width=500)
        until(lambda: "in work, 'p" in box.text(), 60.0, "work", pause=0.05)
        before = box.pid()
        box.kill("KILL", before)
        result.figure("seconds from kill -9 of the supervisor to READY", f"{box.until_back(before):.1f}")
        result.expect(box.restarts() == 1, f"restarts: {box.restarts()}")
        box.finish(result)


def _kills(bench: Bench, result: Result) -> None:
    rng = bench.random()
    with bench.box() as box:
        box.until_active()
        box.drop(24, width=700)
        for _ in range(4):
            time.sleep(rng.uniform(1.0, 4.0))
            for role in ("codec", "infer"):
                box.kill("KILL", *box.workers(role)[:1])
                time.sleep(rng.uniform(0.2, 1.5))
        for number in range(2):
            box.until_active()
            box.drop(6, width=700)
            time.sleep(rng.uniform(0.5, 2.0))
            before = box.pid()
            box.kill("KILL", before, *(box.workers() if number else ()))
            box.until_back(before)
        result.figure("kill -9 of workers", "8, one at a time, and all at once with the supervisor")
        result.figure("kill -9 of the supervisor", 2)
        box.finish(result)


def _watchdog(bench: Bench, result: Result) -> None:
    with bench.box() as box:
        box.until_active()
        box.drop(6, width=700)
        until(lambda: "in work, 'p" in box.text(), 60.0, "work", pause=0.05)
        before = box.pid()
        box.kill("STOP", before)
        result.figure(
            "seconds from SIGSTOP of the supervisor to READY (WatchdogSec=60s)", f"{box.until_back(before, 180):.0f}"
        )
        result.expect("watchdog" in box.machine.journal().lower(), "the journal does not say that it was the watchdog")
        # Stopped at rest: the next picture stands still in it, however short its time there would have been.
        box.kill("STOP", *box.workers("infer"))
        box.drop(4, width=700)
        until(lambda: "(upscale)" in box.text(), 60.0, "a picture that stands still in inference", pause=0.2)
        begin = time.monotonic()
        box.finish(result)
        result.figure(
            "seconds until all was delivered after SIGSTOP of the inference worker", f"{time.monotonic() - begin:.0f}"
        )
        result.expect(box.restarts() == 1, f"a stopped worker made the service restart: {box.restarts()}")


def _memory(bench: Bench, result: Result) -> None:
    with bench.box() as box:
        box.until_active()
        limit = box.machine.shows(UNIT, "MemoryMax")["MemoryMax"]
        result.expect(limit == str(1536 << 20), f"MemoryMax={limit} with the default memory_limit")
        group = _memory_files(box)
        box.drop(8, width=1600)
        until(lambda: "in work, 'p" in box.text(), 60.0, "work", pause=0.05)
        floor = int(box.machine.run("cat", group["used"]))
        strangled = 0
        while not _struck(box, group) and strangled < _TIGHTENINGS:
            box.machine.run(
                "systemctl",
                "set-property",
                "--runtime",
                UNIT,
                f"MemoryMax={max(floor - (strangled * 8 << 20), 48 << 20)}",
                check=False,
            )
            strangled += 1
            time.sleep(0.5)
        result.expect(_struck(box, group), "the kernel never had to kill anything")
        box.machine.run("systemctl", "set-property", "--runtime", UNIT, f"MemoryMax={limit}")
        result.figure("killed by the kernel for memory", _struck(box, group))
        box.until_active()
        box.finish(result)
        result.figure("restarts of the service", box.restarts())


def _memory_files(box: Box) -> dict[str, str]:
    own = box.machine.shows(UNIT, "ControlGroup")["ControlGroup"]
    first = f"/sys/fs/cgroup/memory{own}"
    if box.machine.path(first).is_dir():
        return {"used": f"{first}/memory.usage_in_bytes", "events": f"{first}/memory.oom_control"}
    return {"used": f"/sys/fs/cgroup{own}/memory.current", "events": f"/sys/fs/cgroup{own}/memory.events"}


def _struck(box: Box, group: dict[str, str]) -> int:
    lines = box.machine.run("cat", group["events"], check=False).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _crashing(bench: Bench, result: Result) -> None:
    with bench.box() as box:
        box.until_active()
        box.override("quick", "[Service]\nRestartSec=100ms\n")
        for _ in range(3):
            before = box.pid()
            box.kill("KILL", before)
            until(lambda before=before: box.pid() not in (0, before), 60.0, "started again", pause=0.05)
            if box.text().startswith("ended"):
                break
            until(
                lambda: box.state() == ("active", "running") or box.text().startswith("ended"), 60.0, "ready or waiting"
            )
        until(lambda: "waiting" in box.text() and "in a row" in box.text(), 60.0, f"the wait: {box.text()!r}")
        result.figure("status line after the third crash in a row", box.text())
        box.drop(2)
        result.figure("seconds until it served again by itself", f"{box.until_active(120.0):.0f}")
        box.finish(result)


SCENARIOS: Final = (
    Scenario("supervisor", "kill -9 of the supervisor at work: back by itself, nothing lost.", _kill_supervisor, True),
    Scenario("kills", "kill -9 of workers and supervisor, again and again: back by itself, nothing lost.", _kills),
    Scenario(
        "watchdog",
        "A supervisor that stands still is killed and restarted, a worker is replaced: nothing lost.",
        _watchdog,
    ),
    Scenario("memory", "The kernel kills for memory in the middle of a batch: back by itself, nothing lost.", _memory),
    Scenario(
        "crashing", "After the third crash in a row it waits before it works, says so, and then serves.", _crashing
    ),
)
