"""Doing the steps of an installation, each said before it is done; what is so already is left alone."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from typing import TYPE_CHECKING

from srwatchd.errors import FatalError
from srwatchd.storage import host_errors, write_durably
from srwatchd.systemd.installation import Command, RemoveFile, WriteFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from srwatchd.config import Config
    from srwatchd.systemd.installation import Step

__all__ = ["missing_places", "perform", "unreadable_for"]

_MODE = 0o644


def perform(steps: Iterable[Step], *, root: str = "", dry: bool = False, say: Callable[[str], object]) -> int:
    """Do ``steps`` below ``root`` (with ``dry`` only say them); how many files were written or removed.

    Raises HostError for a file that cannot be written, FatalError when a vital command fails.
    """
    changed = 0
    for step in steps:
        if isinstance(step, Command):
            _run(step, dry=dry, say=say)
        elif isinstance(step, WriteFile):
            changed += _write(step, root, dry=dry, say=say)
        else:
            changed += _remove(step, root, dry=dry, say=say)
    return changed


def missing_places(config: Config) -> list[str]:
    """The folders of the configuration that are not there and that the service cannot make: not in /srv/srwatchd."""
    places = {str(each) for folder in config.folders for each in (folder.inbox, folder.done, folder.error)}
    places |= {str(folder.archive) for folder in config.folders if folder.on_success == "archive"}
    return sorted(each for each in places if not each.startswith("/srv/srwatchd/") and not os.path.isdir(each))


def unreadable_for(path: str, group: int) -> bool:
    """Whether a member of ``group``, who is not its owner, can be expected not to be able to read ``path``."""
    seen = os.stat(path)
    return not seen.st_mode & (stat.S_IRGRP if seen.st_gid == group else stat.S_IROTH)


def _write(step: WriteFile, root: str, *, dry: bool, say: Callable[[str], object]) -> bool:
    path = f"{root}{step.path}"
    data = step.text.encode("utf-8")
    try:
        with open(path, "rb") as file:
            if file.read() == data:
                say(f"is as it should be: {path}")
                return False
    except FileNotFoundError:
        pass
    say(f"write: {path}")
    if not dry:
        with host_errors(path, "writing"):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                write_durably(os.path.basename(path), data, dir_fd=folder, mode=_MODE)
            finally:
                os.close(folder)
    return True


def _remove(step: RemoveFile, root: str, *, dry: bool, say: Callable[[str], object]) -> bool:
    path = f"{root}{step.path}"
    if not os.path.lexists(path):
        return False
    say(f"remove: {path}")
    if not dry:
        with host_errors(path, "removing"):
            os.unlink(path)
            folder = os.path.dirname(path)
            if folder.endswith(".d") and not os.listdir(folder):
                os.rmdir(folder)
    return True


def _run(step: Command, *, dry: bool, say: Callable[[str], object]) -> None:
    say(f"run: {shlex.join(step.words)}  ({step.why})")
    if dry:
        return
    try:
        answer = subprocess.run(step.words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        told = answer.stderr.strip() or answer.stdout.strip()
        failed = answer.returncode != 0
    except FileNotFoundError:
        failed, told = True, "it is not installed"
    if failed and step.vital:
        raise FatalError("not_installed", f"{shlex.join(step.words)}: {told}")
    if failed:
        say(f"  {told}")
