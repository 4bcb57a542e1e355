"""The drop-in that a configuration asks for: where the unit may write, what it is ordered after, what it may take."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from srwatchd.systemd.escaping import command_word, listed_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from srwatchd.config import Config
    from srwatchd.systemd.mounts import MountPoint

__all__ = ["COMMAND", "Host", "Needs", "drop_in", "head", "hidden", "needs", "visible", "writable"]

COMMAND: Final = "/opt/srwatchd/bin/srwatchd"
"""What the shipped units start."""
_MIB: Final = 1 << 20
_GRANTED: Final = "/srv/srwatchd"
"""What the shipped units may write besides their state."""
_TEMPORARY: Final = ("/tmp", "/var/tmp")  # noqa: S108 - PrivateTmp= hides them
_ALWAYS_THERE: Final = frozenset(
    {"/dev", "/home", "/opt", "/root", "/run", "/srv", "/usr", "/usr/local", "/var", "/var/lib", "/var/log"}
    | {"/dev/shm", *_TEMPORARY}  # noqa: S108 - names of mounts
)
"""Mounts of the system itself: they neither come nor go under a service, and are too much to grant whole."""
_HOMES: Final = ("/home", "/root", "/run/user")


@dataclass(frozen=True, slots=True)
class Host:
    """What is known about the machine: its mounts besides ``/``, and the command that the unit is to start."""

    mounts: tuple[MountPoint, ...] = ()
    command: str = COMMAND


@dataclass(frozen=True, slots=True)
class Needs:
    """What the unit needs over what it ships with. ``command`` is "" where the shipped one is right."""

    source: str
    writable: tuple[str, ...]
    units: tuple[str, ...]
    memory_max: int
    memory_limit: int
    home: bool
    temporary: bool
    command: str


def needs(config: Config, host: Host, *, instance: str = "") -> Needs:
    """What the service for ``config`` needs; with ``instance`` for ``srwatchd@INSTANCE.service``.

    A place on a mount of its own is granted as that whole mount: systemd would otherwise bind the folder over itself in
    the service's view of the file system, and that bind would pin the mount through an unmount and hide the next one.
    """
    name = f"srwatchd-{instance}" if instance else "srwatchd"
    places = sorted({os.path.realpath(place) for place in _places(config)})
    mounts = [
        mount
        for mount in host.mounts
        if mount.path not in _ALWAYS_THERE and any(mount.holds(place) for place in places)
    ]
    granted = {_granted(place, mounts) for place in places}
    shipped = (f"/var/lib/{name}", _GRANTED)
    on_mounts = {mount.path for mount in mounts}
    wanted = [
        path
        for path in sorted(granted)
        if path in on_mounts
        or not (_below(path, shipped) or any(path != other and _below(path, (other,)) for other in granted))
    ]
    source = os.path.realpath(config.source)
    usual = (COMMAND, f"/etc/srwatchd/{instance or 'srwatchd'}.yaml")
    right = (host.command, str(config.source)) == usual
    home, temporary = hidden((*places, source, host.command))
    return Needs(
        source=source,
        writable=tuple(wanted),
        units=tuple(dict.fromkeys(mount.unit for mount in mounts)),
        memory_max=config.memory_limit + config.memory_limit // 2,
        memory_limit=config.memory_limit,
        home=home,
        temporary=temporary,
        command="" if right else f"{command_word(host.command)} run --config {command_word(str(config.source))}",
    )


def drop_in(wanted: Needs) -> str:
    """The text of the drop-in. Raises ConfigurationError for a path that a unit file cannot hold."""
    lines = head(wanted.source)
    if wanted.units:
        units = " ".join(wanted.units)
        lines += [
            "",
            "[Unit]",
            "# An order and a wish, no requirement: a folder whose mount is missing is held, the rest goes on.",
        ]
        lines += [f"After={units}", f"Wants={units}"]
    lines += ["", "[Service]"]
    if wanted.command:
        lines += ["ExecStart=", f"ExecStart={wanted.command}"]
    lines += [f"# memory_limit is {wanted.memory_limit // _MIB} MiB; half of it more for cached files."]
    lines += [f"MemoryMax={wanted.memory_max}"]
    if wanted.writable:
        lines += ["# A mount is granted whole: a folder in it would pin it through an unmount."]
        lines += [writable(path) for path in wanted.writable]
    return "\n".join([*lines, *visible(home=wanted.home, temporary=wanted.temporary)]) + "\n"


def head(source: str) -> list[str]:
    """The first lines of a drop-in of ours, which is made from the configuration ``source``."""
    return [
        "# Written by `srwatchd systemd`, and written anew by the next `srwatchd systemd install`:",
        f"# change {source!a} instead, or add a drop-in of your own in /etc/systemd/system.",
    ]


def writable(path: str) -> str:
    """The line that lets a unit write ``path``, which may be missing when it starts."""
    return f"ReadWritePaths={listed_path(f'-{path}')}"


def visible(*, home: bool, temporary: bool) -> list[str]:
    """The lines that show a unit home directories, or temporary ones, where something that it needs is there."""
    lines = []
    if home:
        lines += ["# The configuration, the program or a folder is below a home directory.", "ProtectHome=no"]
    if temporary:
        lines += ["# The configuration, the program or a folder is in a temporary directory.", "PrivateTmp=no"]
    return lines


def hidden(paths: Iterable[str]) -> tuple[bool, bool]:
    """Whether any of ``paths`` is below a home directory, and whether any is in a temporary one."""
    known = list(paths)
    return any(_below(path, _HOMES) for path in known), any(_below(path, _TEMPORARY) for path in known)


def _places(config: Config) -> Iterable[Path]:
    yield from (config.state_dir, config.models_dir, config.audit.path.parent)
    if config.metrics.path is not None:
        yield config.metrics.path.parent
    for folder in config.folders:
        yield from (folder.inbox, folder.done, folder.error)
        if folder.on_success == "archive":
            yield folder.archive


def _granted(place: str, mounts: Iterable[MountPoint]) -> str:
    """The innermost mount that holds ``place``, or else ``place``."""
    return max((mount.path for mount in mounts if mount.holds(place)), key=len, default=place)


def _below(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)
