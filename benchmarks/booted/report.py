"""The page of results."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.booted.bench import Bench
    from benchmarks.endurance.report import Row

__all__ = ["page"]


def page(rows: Sequence[Row], bench: Bench) -> str:
    """The whole page in Markdown."""
    asked = [shutil.which("systemctl") or "systemctl", "--version"]
    version = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.partition("\n")[0]
    passed = sum(row.verdict == "passed" for row in rows)
    head = [
        "# Runs in a booted systemd",
        "",
        "Made by `python -m benchmarks.booted --report docs/systemd-runs.md`. A Debian 12 with srwatchd, installed",
        f"from `{bench.archive().name}` without a network, is booted in systemd-nspawn for each of",
        "these; what is done to it is in `benchmarks/booted/scenarios/`. Each ends with the questions of",
        "[endurance.md](endurance.md): is every dropped source exactly once where it belongs, is there one whole",
        "result of each, is nothing left over, is the ledger whole? [systemd.md](systemd.md) says what follows.",
        "",
        "| | |",
        "|---|---|",
        f"| when | {datetime.now(UTC):%Y-%m-%d %H:%M} UTC |",
        f"| host | Linux {platform.release().partition('-')[0]}, {os.cpu_count()} processors with other work to do |",
        f"| systemd | {version} on the host, Debian 12's 252 in the machine |",
        f"| run | {passed} of {len(rows)} passed, {sum(row.seconds for row in rows) / 60:.0f} minutes |",
        "",
    ]
    return "\n".join([*head, *(row.section() for row in rows)]).rstrip() + "\n"
