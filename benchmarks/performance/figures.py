"""Every figure that a page is made of, in one file: runs of several days can follow one another in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from benchmarks.performance.machine import described

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.performance.bench import Row

__all__ = ["Figures"]


@dataclass(slots=True)
class Figures:
    """By part and case, what was seen last, with the run in which it was seen."""

    machine: dict[str, str] = field(default_factory=described)
    parts: dict[str, dict[str, Row]] = field(default_factory=dict)

    @classmethod
    def stored(cls, path: Path) -> Self:
        """What the file at ``path`` has, wherever it was measured."""
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(found["machine"], found["parts"])

    @classmethod
    def read(cls, path: Path) -> Self:
        """What the file at ``path`` has, if it is of this machine, to go on with; else nothing yet."""
        if path.exists():
            found = cls.stored(path)
            if found.machine["processor"] == described()["processor"]:
                return cls(described(), found.parts)
        return cls()

    def keep(self, part: str, row: Row, run: Row) -> None:
        """Take up a row, in place of the one that had its key."""
        self.parts.setdefault(part, {})[row["key"]] = {**row, "run": run}

    def rows(self, part: str) -> list[Row]:
        """The rows of a part."""
        return list(self.parts.get(part, {}).values())

    def write(self, path: Path) -> None:
        """Write the file: one line for each row, so that a change is seen as one."""
        lines = ["{", f' "machine": {json.dumps(self.machine)},', ' "parts": {']
        for number, (part, rows) in enumerate(self.parts.items()):
            inner = ",\n".join(f"   {json.dumps(key)}: {json.dumps(row)}" for key, row in rows.items())
            lines.append(f"  {json.dumps(part)}: {{\n{inner}\n  }}{',' if number + 1 < len(self.parts) else ''}")
        path.write_text("\n".join([*lines, " }", "}"]) + "\n", encoding="utf-8")
