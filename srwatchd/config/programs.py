"""Whether the programs that hooks name can be run, found when the configuration is read and not in the night."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, Final

from srwatchd.config.places import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["missing_programs"]

_HOOKS: Final = ("on_success", "on_failure", "on_hold")


def missing_programs(data: dict[str, Any]) -> Iterator[Finding]:
    """Every hook in ``data`` (raw, with the defaults merged in) whose program is no file that may be executed."""
    folders = data.get("folders")
    for index, folder in enumerate(folders if isinstance(folders, tuple) else ()):
        hooks = folder.get("hooks") if isinstance(folder, dict) else None
        for name in _HOOKS:
            words = hooks.get(name) if isinstance(hooks, dict) else None
            program = words[0] if isinstance(words, tuple | list) and words else None
            if isinstance(program, str) and program.startswith("/") and (what := _wrong(program)):
                yield Finding(("folders", index, "hooks", name), f"{program!r} {what}; correct the path or the file")


def _wrong(program: str) -> str:
    try:
        if not stat.S_ISREG(os.stat(program).st_mode):
            return "is no program"
    except (OSError, ValueError) as error:
        return f"cannot be run: {error.strerror if isinstance(error, OSError) else error}"
    return "" if os.access(program, os.X_OK) else "may not be executed"
