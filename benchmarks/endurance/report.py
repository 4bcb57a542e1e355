"""The page of results: what was done on what machine, and what came of it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.scenario import Result, SkippedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.endurance.scenario import Bench

__all__ = ["Row", "facts_table", "machine", "now", "page", "row_of", "verdicts"]

_MOST: Final = 10
_LONGEST: Final = 1500
_PREFACE: Final = """\
Every scenario uses the installed command, real folders and real signals, and ends with the same questions: is every
dropped source exactly once, byte for byte, where it belongs; is there exactly one whole result of each, of the right
size and looking like its source; is no temporary file, record, scratch file or process left; does every job have
exactly one outcome; is the ledger whole (`srwatchd audit verify`)?"""

_LIMITS: Final = """\
## What these runs do not show

- A killed process leaves the page cache as it is: no run here shows what a power cut leaves. What is fsynced when is
  seen in `steps`, which kills before each of these calls.
- A file whose size is set first, then closed, and filled later is recognised by its hole, in whole blocks of the file
  system. What is missing inside the last block (usually 4096 bytes) shows only where the format proves its own end;
  the pictures of `writers` are larger than that.
- `another's files` are files of another user id that shares a group; Samba, NFS and SFTP servers are not part of it.
- Rates are those of a machine that may have had other things to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one scenario."""

    name: str
    promise: str
    figures: Mapping[str, str]
    problems: Sequence[str]
    skipped: str
    seconds: float

    @property
    def verdict(self) -> str:
        """In a word."""
        return "skipped" if self.skipped else "failed" if self.problems else "passed"

    def told(self) -> list[str]:
        """The first problems, shortened; a broken daemon has thousands."""
        told = [problem[:_LONGEST] for problem in self.problems[:_MOST]]
        return told + [f"and {len(self.problems) - _MOST} more"] * (len(self.problems) > _MOST)

    def text(self) -> str:
        """For the terminal."""
        lines = [f"  {self.verdict} in {self.seconds:.0f} s" + (f": {self.skipped}" if self.skipped else "")]
        lines += [f"  {name}: {value}" for name, value in self.figures.items()]
        lines += [f"  PROBLEM: {problem}" for problem in self.told()]
        return "\n".join(lines)

    def section(self) -> str:
        """For the page."""
        lines = [f"## {self.name}: {self.verdict}", "", f"{self.promise}", ""]
        if self.skipped:
            lines += [f"Skipped: {self.skipped}", ""]
        if self.figures:
            lines += ["| what | value |", "|---|---|"]
            lines += [f"| {name} | {value} |" for name, value in self.figures.items()]
            lines += [f"| seconds | {self.seconds:.0f} |", ""]
        for problem in self.told():
            lines += ["```", problem, "```", ""]
        return "\n".join(lines)


def row_of(name: str, promise: str, run: Callable[[Result], None]) -> Row:
    """Run a scenario and say on the terminal what came of it; whatever it raises is its problem."""
    print(f"{name}: {promise}", flush=True)
    begin, skipped, result = time.monotonic(), "", Result()
    try:
        run(result)
    except SkippedError as error:
        skipped = str(error)
    except Exception:  # noqa: BLE001 - the others are still to be run
        result.problems.append(traceback.format_exc(limit=4))
    row = Row(name, promise, result.figures, result.problems, skipped, time.monotonic() - begin)
    print(row.text(), flush=True)
    return row


def facts_table(facts: Mapping[str, str]) -> list[str]:
    """A table of two columns without a head, and the empty line after it."""
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items()), ""]


def verdicts(rows: Sequence[Row]) -> str:
    """How many passed, and how long all of them took."""
    passed = sum(row.verdict == "passed" for row in rows)
    return f"{passed} of {len(rows)} passed, {sum(row.seconds for row in rows) / 60:.0f} minutes"


def now() -> str:
    """The time of a run, for its page."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def page(rows: Sequence[Row], bench: Bench) -> str:
    """The whole page in Markdown."""
    kind = "short" if bench.short else "long"
    head = [
        "# Endurance runs",
        "",
        f"Made by `python -m benchmarks.endurance{' --short' if bench.short else ''} --report docs/endurance.md`.",
        _PREFACE,
        "",
        *facts_table({**machine(bench), "run": f"{kind}, {verdicts(rows)}"}),
        "| scenario | verdict | seconds |",
        "|---|---|---|",
        *(f"| [{row.name}](#{row.name}-{row.verdict}) | {row.verdict} | {row.seconds:.0f} |" for row in rows),
        "",
    ]
    return "\n".join([*head, *(row.section() for row in rows), _LIMITS]).rstrip() + "\n"


def machine(bench: Bench) -> dict[str, str]:
    """What it ran on."""
    version = subprocess.run([*bench.command, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "when": now(),
        "command": f"{version}, installed from its wheel in a virtual environment of its own",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.platform()}, Python {platform.python_version()}",
        "working disk": _file_system(bench),
        "user": "root" if os.geteuid() == 0 else f"uid {os.geteuid()}",
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def _file_system(bench: Bench) -> str:
    stat = shutil.which("stat")
    if stat is None:
        return sys.platform
    answer = subprocess.run([stat, "-f", "-c", "%T", str(bench.work)], capture_output=True, text=True, check=False)
    return answer.stdout.strip()
