"""What the console's unit needs for a configuration: a drop-in, and folders that have to be there when it starts."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Final

from srwatchd.systemd.dropin import COMMAND, Host, head, hidden, visible, writable
from srwatchd.systemd.escaping import command_word

if TYPE_CHECKING:
    from srwatchd.config import Config

__all__ = ["UNIT", "console_drop_in", "console_folders"]

UNIT: Final = "srwatchd-console.service"
_STATE: Final = "/var/lib/srwatchd"
"""What the shipped unit's StateDirectory= is about."""
_MIB: Final = 1 << 20


def console_drop_in(config: Config, host: Host) -> str:
    """The text of the drop-in. Raises ConfigurationError for a path that a unit file cannot hold.

    Only inboxes are granted, never the mount that they are on: results and archives may lie on it as well.
    """
    settings = config.console
    source, state = os.path.realpath(config.source), os.path.realpath(config.state_dir)
    inboxes = sorted({os.path.realpath(folder.inbox) for folder in config.folders})
    places = [path for path in inboxes if not path.startswith(f"{state}/console/")]
    models = os.path.realpath(config.models_dir)
    lines = [*head(source), "", "[Service]"]
    if (host.command, str(config.source)) != (COMMAND, "/etc/srwatchd/srwatchd.yaml"):
        program = f"{command_word(host.command)} console --config {command_word(str(config.source))}"
        lines += ["ExecStart=", f"ExecStart={program}"]
    lines += [f"# console.memory_limit is {settings.memory_limit // _MIB} MiB; half of it more for cached files."]
    lines += [f"MemoryMax={settings.memory_limit + settings.memory_limit // 2}"]
    if state != _STATE:
        lines += ["StateDirectory="]
        places += [f"{state}/console", f"{state}/origins"]
    if models != f"{_STATE}/models":
        places.append(models)
    lines += [writable(path) for path in places]
    if not _only_here(settings.host):
        lines += [f"# console.host is {settings.host!a}.", "IPAddressAllow=any"]
    tls = [os.path.realpath(path) for path in (settings.tls.certificate, settings.tls.key) if path is not None]
    home, temporary = hidden([*places, *tls, source, host.command])
    return "\n".join([*lines, *visible(home=home, temporary=temporary)]) + "\n"


def console_folders(config: Config) -> str:
    """What makes the folders that the unit does not make itself, for tmpfiles.d; "" where there are none.

    A folder that is missing when the unit starts could not be made later: everything around it is read-only then.
    """
    state, models = os.path.realpath(config.state_dir), os.path.realpath(config.models_dir)
    wanted = [] if state == _STATE else [state, f"{state}/console", f"{state}/origins"]
    wanted += [] if models == f"{_STATE}/models" else [models]
    lines = [f"d {_tmpfiles_word(path)} 0750 srwatchd srwatchd -" for path in wanted]
    return "\n".join(["# Written by `srwatchd systemd install`.", *lines]) + "\n" if lines else ""


def _tmpfiles_word(path: str) -> str:
    """A word of tmpfiles.d(5): as in a command line, but for variables, which it does not know."""
    return command_word(path).replace("$$", "$")


def _only_here(host: str) -> bool:
    """Whether only this machine can reach what listens on ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
