"""What systemd has to know about an installation: drop-ins made from a configuration, and units put in their places."""

from __future__ import annotations

from srwatchd.systemd.console import console_drop_in, console_folders
from srwatchd.systemd.dropin import Host, Needs, drop_in, needs
from srwatchd.systemd.installation import Command, Installation, WriteFile, install_steps, remove_steps
from srwatchd.systemd.mounts import MountPoint, known_mounts
from srwatchd.systemd.perform import missing_places, perform, unreadable_for

__all__ = [
    "Command",
    "Host",
    "Installation",
    "MountPoint",
    "Needs",
    "WriteFile",
    "console_drop_in",
    "console_folders",
    "drop_in",
    "install_steps",
    "known_mounts",
    "missing_places",
    "needs",
    "perform",
    "remove_steps",
    "unreadable_for",
]
