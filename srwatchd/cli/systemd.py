"""systemd: the service's units and drop-ins, put in place or only shown."""

from __future__ import annotations

import dataclasses
import grp
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from srwatchd.cli.options import config_option
from srwatchd.config import data_path, load
from srwatchd.systemd import (
    Host,
    Installation,
    console_drop_in,
    drop_in,
    install_steps,
    known_mounts,
    missing_places,
    needs,
    perform,
    remove_steps,
    unreadable_for,
)
from srwatchd.systemd.dropin import COMMAND

__all__ = ["systemd"]

_OLDEST: Final = 252
_INSTANCE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]*")


def _checked_instance(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value and not _INSTANCE.fullmatch(value):
        raise click.BadParameter("letters, digits, dots and underscores, not beginning with a dot")
    return value


_instance_option = click.option(
    "--instance",
    default="",
    metavar="NAME",
    callback=_checked_instance,
    help="For srwatchd@NAME.service, one of several services.",
)


def _absolute_root(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    """Give "" for this system, which is also what ``--root /`` means."""
    return "" if value is None else os.path.realpath(value).rstrip("/")


_console_option = click.option(
    "--console/--no-console",
    "console",
    default=None,
    help="Start the web console at every boot, or have no unit of it. Else its unit is there if the extra is, and"
    " whether it runs stays as it is.",
)
_root_option = click.option(
    "--root",
    default=None,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    callback=_absolute_root,
    help="The root folder of another system, such as an image that is being made.",
)
_dry_option = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


@click.group(epilog="Example: sudo srwatchd systemd install --config /etc/srwatchd/srwatchd.yaml --start")
def systemd() -> None:
    """Be a service of systemd."""


@systemd.command(name="drop-in", epilog="Example: srwatchd systemd drop-in --config /etc/srwatchd/srwatchd.yaml")
@config_option
@_instance_option
@click.option("--console", is_flag=True, help="For srwatchd-console.service.")
def show_drop_in(config_path: Path, instance: str, *, console: bool) -> None:
    """Print what the unit needs for these folders: where it may write, the order of mounts, the memory limit."""
    config, host = load(config_path.absolute()), _host("")
    text = console_drop_in(config, host) if console else drop_in(needs(config, host, instance=instance))
    click.echo(text, nl=False)


@systemd.command(epilog="Example: sudo srwatchd systemd install --config /etc/srwatchd/srwatchd.yaml --start")
@config_option
@_instance_option
@_root_option
@_dry_option
@_console_option
@click.option("--start", is_flag=True, help="Start it, or start it anew, and wait until it is ready.")
def install(config_path: Path, *, instance: str, root: str, dry_run: bool, console: bool | None, start: bool) -> None:
    """Make a configuration a service: units, user, folders, drop-ins; started at every boot.

    May be repeated, and should be after a change of the folders or of memory_limit, and after an upgrade. What is so
    already is left alone. Everything goes below /usr/local/lib; nothing below /etc is changed but the link that enables
    the service.
    """
    config = load(config_path.absolute())
    if console and instance:
        raise click.UsageError(
            "the console's unit is one for srwatchd.service; docs/systemd.md says how to have others"
        )
    there = _has_console() if console is None else console
    place = dataclasses.replace(
        _installation(root), instance=instance, start=start, console=there, console_on=bool(console)
    )
    changed = perform(install_steps(config, place), root=root, dry=dry_run, say=click.echo)
    if console and not _has_console():
        click.echo("the console is not installed here: pip install 'srwatchd[console]'")
    if not root:
        for path in missing_places(config):
            click.echo(f"not there yet; to make it: install -d -o srwatchd -g srwatchd -m 2775 {path!r}")
        _say_readable(config_path)
        _say_hidden(place.unit)
    click.echo(f"{'would change' if dry_run else 'changed'}: {changed} files")


@systemd.command(epilog="Example: sudo srwatchd systemd remove")
@_root_option
@_dry_option
def remove(root: str, dry_run: bool) -> None:
    """Stop the services and take away what `install` made.

    Kept: pictures, ledger and state, configurations, drop-ins in /etc, the user.
    """
    changed = perform(remove_steps(_installation(root)), root=root, dry=dry_run, say=click.echo)
    click.echo(f"{'would remove' if dry_run else 'removed'}: {changed} files")


def _has_console() -> bool:
    """Whether the extra ``console`` is installed beside this command."""
    return all(importlib.util.find_spec(name) is not None for name in ("fastapi", "uvicorn"))


def _installation(root: str) -> Installation:
    running = not root and os.path.isdir("/run/systemd/system")
    return Installation(data_path("systemd"), _host(root), _version(root), root=root, running=running)


def _host(root: str) -> Host:
    """What is known about this machine, or about the one whose root folder it is."""
    mountinfo = "" if root else _text("/proc/self/mountinfo")
    return Host(known_mounts(mountinfo.splitlines(), _text(f"{root}/etc/fstab").splitlines()), _command(root))


def _command(root: str) -> str:
    """The command that the unit is to start: the shipped path if that is this installation, or else this one's."""
    mine = os.path.join(sys.prefix, "bin", "srwatchd")
    if root or not os.path.exists(mine):
        return COMMAND
    return COMMAND if os.path.exists(COMMAND) and os.path.samefile(mine, COMMAND) else mine


def _version(root: str) -> int:
    """The version of systemd there; the oldest one that is supported where none is found."""
    if root:
        found = [
            *Path(root).glob("usr/lib/systemd/libsystemd-shared-*"),
            *Path(root).glob("usr/lib/*/systemd/libsystemd-shared-*"),
        ]
        text = " ".join(path.name for path in found)
    else:
        try:
            command = [shutil.which("systemctl") or "systemctl", "--version"]
            text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        except FileNotFoundError:
            text = ""
    number = re.search(r"(?:systemd |libsystemd-shared-)(\d+)", text)
    return int(number[1]) if number else _OLDEST


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _say_readable(config_path: Path) -> None:
    try:
        group = grp.getgrnam("srwatchd").gr_gid
    except KeyError:
        return
    if unreadable_for(str(config_path), group):
        path = str(config_path)
        click.echo(f"the service cannot read it: chgrp srwatchd {path!r} && chmod g+r {path!r}")


def _say_hidden(unit: str) -> None:
    """A whole unit in /etc wins over ours, and does not follow upgrades."""
    for name in {unit, "srwatchd.service", "srwatchd@.service"}:
        path = f"/etc/systemd/system/{name}"
        if os.path.isfile(path):
            click.echo(f"{path} hides the unit of this version; remove it unless it is meant to")
