"""The page: the words of ``page.md`` around the tables that are made of the figures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.report import facts_table
from benchmarks.performance.sections import engines, growth, idle, latency, way
from benchmarks.performance.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.performance.bench import Row, Section, Target
    from benchmarks.performance.figures import Figures

__all__ = ["SECTIONS", "write"]

SECTIONS: Final[dict[str, Callable[[Sequence[Row]], Section]]] = {
    "engines": engines.section,
    "way": way.section,
    "latency": latency.section,
    "idle": idle.section,
    "growth": growth.section,
}
_WORDS: Final = Path(__file__).with_name("page.md")
_PLACE: Final = re.compile(r"^<!-- ([\w ]+) -->$", re.MULTILINE)


def write(path: Path, figures: Figures) -> list[Target]:
    """Write the page to ``path`` and its plots beside it; what was asked for and reached.

    A place of ``page.md`` for which there are no figures says so.
    """
    sections = [make(figures.rows(part)) for part, make in SECTIONS.items() if figures.rows(part)]
    targets = [target for section in sections for target in section.targets]
    texts = {name: text for section in sections for name, text in section.texts.items() if text}
    texts |= {
        "machine": "\n".join(facts_table(figures.machine)).rstrip(),
        "runs": _runs(figures),
        "targets": _judged(targets),
    }
    page = _PLACE.sub(lambda place: texts.get(place[1], "*Not measured.*"), _WORDS.read_text(encoding="utf-8"))
    path.write_text(page, encoding="utf-8")
    for section in sections:
        for name, plot in section.plots.items():
            path.with_name(name).write_text(plot, encoding="utf-8")
    return targets


def _runs(figures: Figures) -> str:
    """When what was measured, on which code."""
    runs = [row["run"] for part in SECTIONS for row in figures.rows(part)]
    body = sorted({(run["when"], run["commit"], f"`{run['command']}`", f"{run['load']}") for run in runs})
    return "\n".join(table(["when", "commit", "command", "load before"], body, right=1))


def _judged(targets: Sequence[Target]) -> str:
    body = ([each.what, each.wanted, each.reached, each.verdict] for each in targets)
    return "\n".join(table(["", "wanted", "reached", ""], body))
