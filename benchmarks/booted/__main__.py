"""The command: ``python -m benchmarks.booted [SCENARIO ...] [--short] [--report FILE]``."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.booted.bench import Bench
from benchmarks.booted.machine import obstacle
from benchmarks.booted.report import page
from benchmarks.booted.scenarios import SCENARIOS
from benchmarks.endurance.report import row_of
from benchmarks.endurance.scenario import SkippedError

if TYPE_CHECKING:
    from benchmarks.endurance.report import Row

__all__ = ["main"]

_SKIPPED = 77
"""The exit status of a run that this machine cannot do, as automake has it."""


def main(words: list[str]) -> int:
    """Run the scenarios; 0 when every one has passed, 77 when no machine can be booted here."""
    arguments = _parse(words)
    if (why := obstacle()) is not None:
        print(f"skipped: {why}")
        return _SKIPPED
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of every "finally"
    work = Path(tempfile.mkdtemp(prefix="srwatchd-booted-", dir=arguments.work))
    begin = time.monotonic()
    rows: list[Row] = []
    bench = Bench(work, arguments.seed)
    try:
        bench.installed()
        print(f"a machine with srwatchd installed is there after {time.monotonic() - begin:.0f} s", flush=True)
        for name in _wanted(arguments):
            scenario = SCENARIOS[name]
            rows.append(row_of(name, scenario.promise, partial(scenario.run, bench)))
            if arguments.report is not None:  # each time: a run that is broken off has its page, too
                arguments.report.write_text(page(rows, bench), encoding="utf-8")
    except SkippedError as error:
        print(f"skipped: {error}")
        return _SKIPPED
    finally:
        bench.close()
    return 1 if any(row.problems for row in rows) else 0


def _wanted(arguments: argparse.Namespace) -> list[str]:
    if arguments.scenarios:
        return list(arguments.scenarios)
    return [name for name, scenario in SCENARIOS.items() if scenario.smoke or not arguments.short]


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.booted", description="srwatchd under a booted systemd.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"Some of: {', '.join(SCENARIOS)}.")
    parser.add_argument("--short", action="store_true", help="Only the smoke.")
    parser.add_argument("--report", type=Path, metavar="FILE", help="Write the results as a page.")
    parser.add_argument("--work", type=Path, metavar="DIR", help="Where to work; a local disk.", default="/var/tmp")  # noqa: S108
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(words)
    if unknown := set(arguments.scenarios) - set(SCENARIOS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(SCENARIOS)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
