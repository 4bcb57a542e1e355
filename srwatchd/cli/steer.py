"""status, pause, resume, retry: looking at and steering a daemon, running or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from srwatchd.cli.options import config_option, console, folder_option, json_option, print_json
from srwatchd.config import load
from srwatchd.control.socket import NotRunningError, call
from srwatchd.errors import HINTS
from srwatchd.intake.names import display

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from srwatchd.config import Config

__all__ = ["pause", "resume", "retry", "status"]


@click.command(epilog="Example: srwatchd status --config srwatchd.yaml --json")
@config_option
@json_option
@click.pass_context
def status(ctx: click.Context, config_path: Path, as_json: bool) -> None:
    """Show what needs a person, then what waits, what is in work, what is held and why.

    Exit status 0, 5 when no daemon runs, 7 when a person is needed.
    """
    try:
        report = call(load(config_path).state_dir / "control.sock", "status")
    except NotRunningError as error:
        if as_json:
            print_json({"running": False, "message": error.message, "hint": error.hint})
        raise
    if as_json:
        print_json({"running": True, **report})
    else:
        _print_status(report)
    ctx.exit(7 if report["needs_person"] else 0)


@click.command(epilog="Example: srwatchd pause --config srwatchd.yaml --folder scans")
@config_option
@folder_option
@json_option
def pause(config_path: Path, folder_id: str | None, as_json: bool) -> None:
    """Start no more pictures; what is in work is finished. Survives a restart."""
    _switch(load(config_path), "pause", "paused", folder_id, as_json=as_json)


@click.command(epilog="Example: srwatchd resume --config srwatchd.yaml")
@config_option
@folder_option
@json_option
def resume(config_path: Path, folder_id: str | None, as_json: bool) -> None:
    """Go on after a pause."""
    _switch(load(config_path), "resume", "resumed", folder_id, as_json=as_json)


@click.command(epilog="Example: srwatchd retry --config srwatchd.yaml scans/page-7.tif")
@config_option
@folder_option
@json_option
@click.option("--all", "everything", is_flag=True, help="Everything in the error folders.")
@click.argument("names", nargs=-1)
def retry(config_path: Path, *, folder_id: str | None, as_json: bool, everything: bool, names: tuple[str, ...]) -> None:
    """Put pictures from the error folder back into the inbox.

    NAMES are paths relative to the error folder. Exit status 0, or 1 when one of them is not there.
    """
    if bool(names) == everything:
        raise click.UsageError("name pictures, or say --all")
    moved = _steer(load(config_path), "retry", folder=folder_id, names=list(names))
    if as_json:
        print_json(moved)
    else:
        for name in moved["moved"]:
            click.echo(f"back in the inbox: {display(name)}")
        if everything and not moved["moved"]:
            click.echo("nothing is in an error folder")
        for name in moved["missing"]:
            click.echo(f"not in an error folder: {display(name)}", err=True)
    if moved["missing"]:
        raise click.exceptions.Exit(1)


def _switch(config: Config, command: str, done: str, folder_id: str | None, *, as_json: bool) -> None:
    _steer(config, command, folder=folder_id)
    if as_json:
        print_json({done: [folder_id] if folder_id else [folder.id for folder in config.folders]})
    else:
        click.echo(f"{done}: {folder_id or 'all folders'}")


def _steer(config: Config, command: str, **fields: Any) -> Any:
    """Ask the daemon; without one do it under its lock."""
    known = [folder.id for folder in config.folders]
    if fields["folder"] not in (None, *known):
        raise click.UsageError(f"there is no folder {fields['folder']!r}; known are {', '.join(known)}")
    try:
        return call(config.state_dir / "control.sock", command, timeout=600.0, **fields)
    except NotRunningError:
        from srwatchd.daemon.offline import Offline  # noqa: PLC0415 - not for `status`: health checks ask it often

        with Offline(config) as offline:
            return offline.answer(command, fields)


def _print_status(report: dict[str, Any]) -> None:
    screen = console()
    _print_what_needs_a_person(screen, report)
    table = Table(title=f"srwatchd {report['version']}, {report['jobs']['in_work']} in work", title_justify="left")
    for heading in ("folder", "state", "waiting", "in work", "delivered", "in error", "model", "engine"):
        table.add_column(heading)
    for folder in report["folders"]:
        state = f"{folder['state']}, paused" if folder["paused"] else folder["state"]
        cells = (folder["id"], state, folder["waiting"], folder["in_work"], folder["delivered"], folder["quarantined"])
        table.add_row(*(escape(str(cell)) for cell in (*cells, folder["model"], folder["engine"])))
    screen.print(table)
    for job in report["jobs"]["running"]:
        tiles = f" tile {job['done']} of {job['total']}" if job["total"] else ""
        screen.print(f"  {escape(job['folder'])}/{escape(display(job['name']))}: {job['stage']}{tiles}")


def _print_what_needs_a_person(screen: Console, report: dict[str, Any]) -> None:
    """Holds with their remedy, folders that do not answer, then files that have been in an inbox for long."""
    for folder in report["folders"]:
        name = escape(folder["id"])
        if folder["hold"]:
            hold = folder["hold"]
            screen.print(f"[bold]{name} is held[/] since {hold['since']}: {escape(display(hold['message']))}")
            screen.print(f"  what to do: {escape(display(hold['hint']))}")
        if folder["state"] == "not answering":
            screen.print(f"[bold]{name} is not answering[/]")
            screen.print(f"  what to do: {escape(HINTS['not_answering'])}")
    for folder in report["folders"]:
        for warning in folder["warnings"]:
            screen.print(f"{escape(folder['id'])}: {escape(display(warning))}")
        for file in folder["files"]:
            what = f"{file['reason']}: {file['detail']}" if file["detail"] else file["reason"]
            where = f"{escape(folder['id'])}/{escape(display(file['name']))}"
            screen.print(f"{where}: {escape(display(what))}, for {_span(file['seconds'])}")


def _span(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
