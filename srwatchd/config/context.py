"""What validation knows about the file that it validates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from srwatchd.config.document import KeyPath

__all__ = ["Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """What validation knows about the file: its path, the lines of its keys, and what came from ``defaults``."""

    file: Path
    lines: dict[KeyPath, int] = field(default_factory=dict)
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """Where relative paths begin."""
        return self.file.parent

    def where(self, path: KeyPath) -> tuple[KeyPath, int]:
        """Where the value of ``path`` is written (in ``defaults``, if it came from there), and the nearest line."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                path = (*self.origins[path[:length]], *path[length:])
                break
        nearest = path
        while nearest and nearest not in self.lines:
            nearest = nearest[:-1]
        return path, self.lines.get(nearest, 1)
