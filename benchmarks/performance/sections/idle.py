"""At rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.performance.bench import Section, Target
from benchmarks.performance.parts.idle import SITES
from benchmarks.performance.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.performance.bench import Row

__all__ = ["section"]

_MEMORY_WANTED: Final = 60 * 10**6
_PROCESSOR_WANTED: Final = 0.005


def section(rows: Sequence[Row]) -> Section:
    """A table, and two targets for each site."""
    body, targets = [], []
    for row in rows:
        supervisor, workers = row["supervisor"], row["workers"]
        body.append(
            [
                SITES[row["key"]],
                f"{supervisor['memory'] / 1e6:.1f}",
                f"{supervisor['share'] / 1e6:.1f}",
                f"{100 * supervisor['processor']:.2f}",
                f"{workers['share'] / 1e6:.0f}",
                f"{100 * workers['processor']:.2f}",
            ]
        )
        reached = supervisor["memory"]
        targets.append(
            Target(f"idle, {row['key']}: supervisor", "60 MB", f"{reached / 1e6:.1f} MB", reached < _MEMORY_WANTED)
        )
        used = supervisor["processor"] + workers["processor"]
        targets.append(
            Target(f"idle, {row['key']}: all processes", "0.5 %", f"{100 * used:.2f} %", used < _PROCESSOR_WANTED)
        )
    head = [
        "around it",
        "supervisor, resident, MB",
        "proportional, MB",
        "processor, %",
        "workers, proportional, MB",
        "processor, %",
    ]
    return Section({"idle": "\n".join(table(head, body, right=5))}, targets=targets)
