"""Examination of what the daemon does beside its pictures: figures, hooks, retention."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from srwatchd.daemon.finding import Finding, ok, warning
from srwatchd.daemon.retention import PLACES, has_rules
from srwatchd.intake.owners import own_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from srwatchd.config import Config, Folder

__all__ = ["examine_operation"]

_HOOKS: Final = ("on_success", "on_failure", "on_hold")


def examine_operation(config: Config) -> Iterator[Finding]:
    """Whether the figures can be written, the hooks run, and what is ever removed. Changes nothing."""
    yield from _figures(config)
    for folder in config.folders:
        for name in _HOOKS:
            words = getattr(folder.hooks, name)
            if words:
                yield _hook(folder, name, words[0])
        yield _retention(folder)


def _figures(config: Config) -> Iterator[Finding]:
    path = config.metrics.path
    if path is None:
        return
    place = path.parent if path.parent.is_dir() else path.parent.parent
    if os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        yield ok("figures", str(path), "can be written")
    else:
        remedy = "Give the daemon's user that folder (under systemd also ReadWritePaths=), or set metrics.path to off."
        yield warning("figures", str(path), f"{own_name()} may not write there", remedy)


def _hook(folder: Folder, name: str, program: str) -> Finding:
    if os.access(program, os.X_OK, effective_ids=True):
        return ok("hook", f"{folder.id} {name}", f"{program!r} can be run")
    remedy = "Give the daemon's user execute permission on it and on the folders around it."
    return warning("hook", f"{folder.id} {name}", f"{own_name()} may not run {program!r}", remedy)


def _retention(folder: Folder) -> Finding:
    if has_rules(folder):
        kept = [place for place in PLACES if getattr(folder.retention, place).model_fields_set]
        room = f", makes room in {' '.join(folder.retention.make_room)}" if folder.retention.make_room else ""
        return ok("removal", folder.id, f"bounds {' '.join(kept) or 'nothing'}{room}")
    return ok("removal", folder.id, "nothing is ever removed: retention is off")
