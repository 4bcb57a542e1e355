"""doctor: what is wrong with this machine and configuration, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.markup import escape

from srwatchd.cli.options import config_option, json_option, print_json
from srwatchd.config import load
from srwatchd.daemon.examination import examine
from srwatchd.daemon.finding import Level
from srwatchd.intake.names import display

if TYPE_CHECKING:
    from pathlib import Path

    from srwatchd.daemon.finding import Finding

__all__ = ["doctor"]

_STYLES: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}


@click.command(epilog="Example: sudo -u srwatchd srwatchd doctor --config /etc/srwatchd/srwatchd.yaml")
@config_option
@json_option
@click.pass_context
def doctor(ctx: click.Context, config_path: Path, as_json: bool) -> None:
    """Look at mounts, permissions, models, engines, leases, space and network, and say what to do about each.

    Run it as the user of the daemon. It takes no lock, so a running daemon is not disturbed. Exit status 0, or 6 when
    something is a problem; warnings do not count.
    """
    findings = examine(load(config_path))
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    if as_json:
        print_json(
            {
                "ok": not counts[Level.PROBLEM],
                "problems": counts[Level.PROBLEM],
                "warnings": counts[Level.WARNING],
                "findings": [
                    {
                        "topic": finding.topic,
                        "subject": finding.subject,
                        "level": finding.level.value,
                        "found": finding.found,
                        "remedy": finding.remedy,
                    }
                    for finding in findings
                ],
            }
        )
    else:
        _print(findings, counts)
    ctx.exit(6 if counts[Level.PROBLEM] else 0)


def _print(findings: list[Finding], counts: dict[Level, int]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        style = _STYLES[finding.level]
        subject = escape(display(finding.subject))
        level = f"[{style}]{finding.level.value:<7}[/]"
        console.print(f"{level} {finding.topic:<8} {subject}: {escape(display(finding.found))}")
        if finding.remedy:
            console.print(f"          [bold]what to do:[/] {escape(display(finding.remedy))}")
    console.print(f"{counts[Level.PROBLEM]} problems, {counts[Level.WARNING]} warnings")
