"""The command: ``python -m benchmarks.soak [--minutes N | --seconds N] [--report FILE]``."""

from __future__ import annotations

import argparse
import random
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.endurance.__main__ import installed_command
from benchmarks.endurance.mounts import own_mounts
from benchmarks.endurance.report import machine
from benchmarks.endurance.scenario import Bench, Result, SkippedError, finish
from benchmarks.endurance.service import until
from benchmarks.soak.faults import Faults
from benchmarks.soak.feed import Feeder
from benchmarks.soak.places import Places
from benchmarks.soak.report import Soaked, write_report
from benchmarks.soak.sampling import Sampler

if TYPE_CHECKING:
    from benchmarks.endurance.service import Service
    from benchmarks.endurance.site import Site

__all__ = ["main"]

_PAUSES: Final = (1.0, 9.0)
_DRAIN_SECONDS: Final = 900.0
_SAID_EVERY: Final = 60.0
_HOOK: Final = """#!/bin/sh
printf '%s %s %s %s\\n' "$SRWATCHD_EVENT" "$SRWATCHD_FOLDER" "${SRWATCHD_JOB:--}" "${SRWATCHD_CODE:--}" >> OUT
"""


def main(words: list[str]) -> int:
    """Soak; 0 when every promise was kept, 77 where nothing can be mounted."""
    arguments = _parse(words)
    own_mounts("benchmarks.soak")
    work = Path(tempfile.mkdtemp(prefix="srwatchd-soak-", dir=arguments.work))
    bench = Bench(tuple(shlex.split(arguments.srwatchd)), work, short=False, seed=arguments.seed)
    seconds = arguments.seconds if arguments.seconds is not None else arguments.minutes * 60.0
    site = bench.site("soak", model="fsrcnn_x2", scale=2, options=_folder(work), extra=_top())
    site.write_config()
    try:
        with Places(site).mounted(), bench.service(site) as service:
            soaked = _soak(service, Places(site), seconds, arguments, machine(bench))
    except SkippedError as error:
        print(f"skipped: {error}")
        shutil.rmtree(work, ignore_errors=True)
        return 77
    if arguments.report is not None:
        write_report(arguments.report, soaked)
    print(soaked.text(), flush=True)
    if soaked.result.problems:
        print(f"failed; log and configuration are kept in {work}")
        return 1
    shutil.rmtree(work, ignore_errors=True)
    return 0


def _soak(
    service: Service, places: Places, seconds: float, arguments: argparse.Namespace, facts: dict[str, str]
) -> Soaked:
    rng = random.Random(arguments.seed)
    site, result = service.site, Result()
    faults = Faults(service, places, random.Random(rng.random()))
    feeder = Feeder(site, random.Random(rng.random()), most=arguments.most)
    sampler = Sampler(service, interval=min(5.0, seconds / 20))
    faults.start()
    begin = said = time.monotonic()
    feeder.start()
    sampler.start()
    try:
        while time.monotonic() - begin < seconds:
            time.sleep(faults.rng.uniform(*_PAUSES) if seconds > _SAID_EVERY else 0.5)
            faults.one()
            if time.monotonic() - said > _SAID_EVERY:
                said = time.monotonic()
                print(
                    f"  {(said - begin) / 60:.0f} min: {len(feeder.dropped)} dropped, {site.waiting()} wait", flush=True
                )
    finally:
        feeder.stop()
        sampler.stop()
    result.problems += faults.problems
    if not service.running:
        faults.start()
    lasted = time.monotonic() - begin
    until(lambda: service.status() or not service.running, 60.0, "it answers", pause=0.5)
    service.ask("resume")
    finish(service, feeder.dropped, result, seconds=_DRAIN_SECONDS)
    _see_hooks(site, result)
    return Soaked(lasted, result, faults, feeder, sampler.samples, facts, arguments.remark)


def _see_hooks(site: Site, result: Result) -> None:
    """At most one line for each job, and only of jobs that failed."""
    path = site.root / "hooks.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    jobs = [line.split()[2] for line in lines if line.startswith("failure ")]
    result.expect(len(jobs) == len(set(jobs)), f"hooks were run twice: {len(jobs)} for {len(set(jobs))} jobs")
    result.figure("hooks run: failure, hold", f"{len(jobs)}, {len(lines) - len(jobs)}")


def _folder(work: Path) -> dict[str, Any]:
    """What the folder has beside its places."""
    hook = work / "hook.sh"
    hook.write_text(_HOOK.replace("OUT", str(work / "soak" / "hooks.txt")), encoding="utf-8")
    hook.chmod(0o755)
    return {
        "grace": "6 s",
        "rescan_interval": "20 s",
        "retry": {"initial_delay": "1 s", "max_delay": "10 s"},
        "hooks": {"on_failure": [str(hook)], "on_hold": [str(hook)]},
        "retention": {place: {"max_age": "30 d", "max_size": "10 GB"} for place in ("archive", "done", "error")},
    }


def _top() -> dict[str, Any]:
    return {"audit": {"path": "ledger/audit.jsonl", "segment_size": "4 MiB"}, "metrics": {"interval": "5 s"}}


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="A soak of srwatchd.")
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--seconds", type=float, help="Instead of minutes.")
    parser.add_argument("--most", type=int, default=20_000, help="Drop no more than that many files.")
    parser.add_argument("--srwatchd", default=installed_command(), metavar="PATH", help="The command under test.")
    parser.add_argument("--report", type=Path, metavar="FILE", help="Write a page there, and the plot beside it.")
    parser.add_argument("--remark", default="", metavar="TEXT", help="What the page is to say besides.")
    parser.add_argument("--work", type=Path, metavar="DIR", help="Where to work; a local disk.")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
