"""What an installation consists of, as data: files to write and commands to run. Nothing is done here.

Everything of ours goes below ``/usr/local/lib``; what an administrator makes goes below ``/etc``, wins over ours there
and is never touched.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.systemd.console import UNIT as CONSOLE_UNIT
from srwatchd.systemd.console import console_drop_in, console_folders
from srwatchd.systemd.dropin import Host, drop_in, needs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from srwatchd.config import Config

__all__ = ["UNIT_FOLDER", "Command", "Installation", "RemoveFile", "Step", "WriteFile", "install_steps", "remove_steps"]

UNIT_FOLDER: Final = "/usr/local/lib/systemd/system"
_SYSUSERS: Final = "/usr/local/lib/sysusers.d/srwatchd.conf"
_TMPFILES: Final = "/usr/local/lib/tmpfiles.d/srwatchd.conf"
_UNITS: Final = ("srwatchd.service", "srwatchd@.service")
_CONSOLE_TMPFILES: Final = "/usr/local/lib/tmpfiles.d/srwatchd-console.conf"
_OWN_DROP_IN: Final = "10-configuration.conf"
_NEWER: Final = ((253, "notify-reload"), (254, "restart-steps"))
"""Drop-ins for what systemd can do from a version on."""
_NOTHING_COMPILED: Final = frozenset({"opencv", "onnxruntime"})
"""Engines that run under MemoryDenyWriteExecute on the processor."""


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Have ``path`` hold ``text``, with mode 0644; folders on the way are made."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Have nothing at ``path``."""

    path: str


@dataclass(frozen=True, slots=True)
class Command:
    """Run ``words``; ``why`` for people. ``vital``: the installation is none without it."""

    words: tuple[str, ...]
    why: str
    vital: bool = True


Step = WriteFile | RemoveFile | Command


@dataclass(frozen=True, slots=True)
class Installation:
    """What is to be installed where.

    ``shipped`` is the folder of the units that come with srwatchd, ``version`` that of systemd, ``root`` another
    system's root folder ("" for this one), ``instance`` the name of one of several services ("" for the only one).
    ``running``: whether there is a service manager that can be told; ``start``: whether it shall start the service.
    ``console``: whether the console's unit is installed with it, ``console_on``: whether it runs from now on (an
    installation without it leaves that as it is).
    """

    shipped: Path
    host: Host
    version: int
    root: str = ""
    instance: str = ""
    running: bool = True
    start: bool = False
    console: bool = False
    console_on: bool = False

    @property
    def unit(self) -> str:
        """The service's name."""
        return f"srwatchd@{self.instance}.service" if self.instance else "srwatchd.service"


def install_steps(config: Config, place: Installation) -> list[Step]:
    """Everything that makes ``config`` a service, in order. Doing it again changes nothing.

    Raises ConfigurationError for paths that a unit file cannot hold.
    """
    steps: list[Step] = [
        WriteFile(_SYSUSERS, _text(place, "sysusers.d/srwatchd.conf")),
        WriteFile(_TMPFILES, _text(place, "tmpfiles.d/srwatchd.conf")),
        *(WriteFile(f"{UNIT_FOLDER}/{name}", _text(place, name)) for name in _UNITS),
    ]
    folder = f"{UNIT_FOLDER}/{place.unit}.d"
    steps.append(WriteFile(f"{folder}/{_OWN_DROP_IN}", drop_in(needs(config, place.host, instance=place.instance))))
    chosen = dict(_chosen(config, place.version))
    for name in sorted(os.listdir(place.shipped / "drop-ins")):
        path = f"{folder}/20-{name}"
        wanted = name.removesuffix(".conf") in chosen
        steps.append(WriteFile(path, _text(place, f"drop-ins/{name}")) if wanted else RemoveFile(path))
    root = (f"--root={place.root}",) if place.root else ()
    steps += [
        Command(("systemd-sysusers", *root, os.path.basename(_SYSUSERS)), "the user srwatchd"),
        Command(
            ("systemd-tmpfiles", *root, "--create", os.path.basename(_TMPFILES)), "/etc/srwatchd and /srv/srwatchd"
        ),
    ]
    if not place.instance:
        steps += _console_steps(config, place, root)
    if place.running:
        steps.append(Command(("systemctl", "daemon-reload"), "the new units are read"))
    steps.append(Command(("systemctl", *root, "enable", place.unit), "started at every boot"))
    if place.start and place.running:
        steps.append(Command(("systemctl", "restart", place.unit), "started now; it ends when the service is ready"))
    if place.console_on:
        steps.append(Command(("systemctl", *root, "enable", CONSOLE_UNIT), "the console, started at every boot"))
    if place.console and place.start and place.running:
        verb = "restart" if place.console_on else "try-restart"
        steps.append(Command(("systemctl", verb, CONSOLE_UNIT), "the console of this version", vital=False))
    return steps


def _console_steps(config: Config, place: Installation, root: tuple[str, ...]) -> list[Step]:
    """The console's unit, its drop-in and its folders, or nothing of them."""
    unit, own = f"{UNIT_FOLDER}/{CONSOLE_UNIT}", f"{UNIT_FOLDER}/{CONSOLE_UNIT}.d/{_OWN_DROP_IN}"
    if not place.console:
        off = Command(("systemctl", *root, "disable", CONSOLE_UNIT), "there is no console any more", vital=False)
        gone = [off] if os.path.exists(f"{place.root}{unit}") else []
        return [*gone, RemoveFile(own), RemoveFile(unit), RemoveFile(_CONSOLE_TMPFILES)]
    steps: list[Step] = [
        WriteFile(unit, _text(place, CONSOLE_UNIT)),
        WriteFile(own, console_drop_in(config, place.host)),
    ]
    folders = console_folders(config)
    if not folders:
        return [*steps, RemoveFile(_CONSOLE_TMPFILES)]
    create = ("systemd-tmpfiles", *root, "--create", os.path.basename(_CONSOLE_TMPFILES))
    return [*steps, WriteFile(_CONSOLE_TMPFILES, folders), Command(create, "the console's folders")]


def remove_steps(place: Installation) -> list[Step]:
    """Everything that takes the services away again: units, the drop-ins that we wrote, what makes user and folders.

    Kept: pictures, state and ledger, configurations, administrators' drop-ins, the user (files belong to it).
    """
    steps: list[Step] = []
    found = [unit for unit, _ in _ours(place.root)] or ["srwatchd.service"]
    root = (f"--root={place.root}",) if place.root else ()
    for unit in found:
        if place.running:
            steps.append(Command(("systemctl", "stop", unit), "what is in work is finished or given back", vital=False))
        steps.append(Command(("systemctl", *root, "disable", unit), "not started any more", vital=False))
    steps += [RemoveFile(path) for _, paths in _ours(place.root) for path in paths]
    steps += [RemoveFile(f"{UNIT_FOLDER}/{name}") for name in (CONSOLE_UNIT, *_UNITS)]
    steps += [RemoveFile(_SYSUSERS), RemoveFile(_TMPFILES), RemoveFile(_CONSOLE_TMPFILES)]
    if place.running:
        steps.append(Command(("systemctl", "daemon-reload"), "the units are forgotten"))
    return steps


def _chosen(config: Config, version: int) -> Iterator[tuple[str, str]]:
    """The names of the drop-ins that this configuration and this systemd call for, and why."""
    yield from ((name, f"systemd {version}") for least, name in _NEWER if version >= least)
    if config.engine.name in _NOTHING_COMPILED and config.engine.device in ("auto", "cpu"):
        yield "opencv", f"engine.name is {config.engine.name}, which compiles nothing at run time"
    if config.engine.device not in ("auto", "cpu"):
        yield "gpu", f"engine.device is {config.engine.device}"
    if any(folder.source.samba_audit_log is not None for folder in config.folders):
        yield "samba", "source.samba_audit_log is read"


def _ours(root: str) -> Iterator[tuple[str, list[str]]]:
    """The services that an installation wrote drop-ins for, with those drop-ins."""
    folder = f"{root}{UNIT_FOLDER}"
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for name in sorted(names):
        if name.startswith("srwatchd") and name.endswith(".service.d"):
            written = sorted(os.listdir(f"{folder}/{name}"))
            yield name.removesuffix(".d"), [f"{UNIT_FOLDER}/{name}/{each}" for each in written]


def _text(place: Installation, name: str) -> str:
    return (place.shipped / name).read_text(encoding="utf-8")
