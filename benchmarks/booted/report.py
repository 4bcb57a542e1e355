"""The page of results."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from typing import TYPE_CHECKING

from benchmarks.endurance.report import facts_table, now, verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.booted.bench import Bench
    from benchmarks.endurance.report import Row

__all__ = ["page"]


def page(rows: Sequence[Row], bench: Bench) -> str:
    """The whole page in Markdown."""
    asked = [shutil.which("systemctl") or "systemctl", "--version"]
    version = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.partition("\n")[0]
    facts = {
        "when": now(),
        "host": f"Linux {platform.release().partition('-')[0]}, {os.cpu_count()} processors with other work to do",
        "systemd": f"{version} on the host, Debian 12's 252 in the machine",
        "run": verdicts(rows),
    }
    head = [
        "# Runs in a booted systemd",
        "",
        "Made by `python -m benchmarks.booted --report docs/systemd-runs.md`. A Debian 12 with srwatchd, installed",
        f"from `{bench.archive().name}` without a network, is booted in systemd-nspawn for each of",
        "these; what is done to it is in `benchmarks/booted/scenarios/`. Each ends with the questions of",
        "[endurance.md](endurance.md): is every dropped source exactly once where it belongs, is there one whole",
        "result of each, is nothing left over, is the ledger whole? [systemd.md](systemd.md) says what follows.",
        "",
        *facts_table(facts),
    ]
    return "\n".join([*head, *(row.section() for row in rows)]).rstrip() + "\n"
