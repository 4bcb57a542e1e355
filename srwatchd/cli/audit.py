"""audit: read and check the ledger. Reading needs no lock and works beside a running daemon."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import click

from srwatchd.audit import Agreement, Checkpoint, check_against, checkpoint, export, read_key, tail, verify
from srwatchd.cli.options import config_option, json_option, print_json
from srwatchd.config import load

__all__ = ["audit"]

_TIME: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])


@click.group(epilog="Example: srwatchd audit verify --config srwatchd.yaml")
def audit() -> None:
    """The ledger: verify it, read it, put a checkpoint elsewhere."""


@audit.command(name="verify", epilog="Example: srwatchd audit verify --config srwatchd.yaml --against checkpoint.json")
@config_option
@click.option("--against", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="CHECKPOINT")
@json_option
@click.pass_context
def verify_command(ctx: click.Context, config_path: Path, against: Path | None, as_json: bool) -> None:
    """Find any changed, removed, inserted or reordered line. Exit status 0, or 4 when the chain is broken."""
    config = load(config_path)
    report = verify(config.audit.path, None if config.audit.key_file is None else read_key(config.audit.key_file))
    agreement = Agreement.SAME
    if against is not None:
        agreement = check_against(
            config.audit.path, Checkpoint.from_dict(json.loads(against.read_text(encoding="ascii")))
        )
    ok = report.ok and agreement is Agreement.SAME
    if as_json:
        problem = None if report.first_problem is None else asdict(report.first_problem)
        facts = {"lines": report.lines, "segments": report.segments, "last_sequence": report.last_sequence}
        facts |= {"faults": report.faults, "unchecked": report.unchecked}
        said = {"message": str(report), "first_problem": problem, "checkpoint": agreement.value if against else None}
        print_json({"ok": ok, **facts, **said})
    else:
        click.echo(str(report))
        if against is not None:
            click.echo(f"checkpoint: {agreement.value}")
    ctx.exit(0 if ok else 4)


@audit.command(name="tail", epilog="Example: srwatchd audit tail --config srwatchd.yaml -n 5")
@config_option
@click.option("-n", "count", default=10, show_default=True, type=click.IntRange(min=1))
def tail_command(config_path: Path, count: int) -> None:
    """Show the last lines."""
    for fields in tail(load(config_path).audit.path, count):
        click.echo(json.dumps(fields))


@audit.command(name="export", epilog="Example: srwatchd audit export --config srwatchd.yaml --format csv > ledger.csv")
@config_option
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--since", type=_TIME, metavar="TIME", help="From this time on, UTC.")
@click.option("--until", type=_TIME, metavar="TIME", help="Before this time, UTC.")
def export_command(
    config_path: Path, form: Literal["jsonl", "csv"], since: datetime | None, until: datetime | None
) -> None:
    """Write the ledger to standard output."""
    path = load(config_path).audit.path
    for chunk in export(path, since=_utc(since), until=_utc(until), format=form):
        sys.stdout.buffer.write(chunk)


@audit.command(name="checkpoint", epilog="Example: srwatchd audit checkpoint --config srwatchd.yaml --to /mnt/usb")
@config_option
@click.option("--to", "target", type=click.Path(path_type=Path), metavar="FILE", help="Write it there, too.")
def checkpoint_command(config_path: Path, target: Path | None) -> None:
    """Print the end of the chain; kept elsewhere, it makes a cut or rewritten ledger visible."""
    made = checkpoint(load(config_path).audit.path)
    if made is None:
        raise click.ClickException("the ledger has no line yet")
    print_json(made.to_dict())
    if target is not None:
        place = target / f"srwatchd-checkpoint-{made.sequence}.json" if target.is_dir() else target
        with place.open("x", encoding="ascii") as file:
            json.dump(made.to_dict(), file)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
