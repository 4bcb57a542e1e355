"""What came of a soak: in words, as a page, and as a plot."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.report import facts_table
from benchmarks.soak.plot import plot

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.endurance.scenario import Result
    from benchmarks.soak.faults import Faults
    from benchmarks.soak.feed import Feeder
    from benchmarks.soak.sampling import Sample

__all__ = ["Soaked", "write_report"]

_SERIES: Final = {
    "supervisor, resident MiB": "supervisor_mib",
    "workers, proportional MiB": "workers_mib",
    "descriptors of the supervisor": "descriptors",
    "threads of the supervisor": "threads",
    "processes": "processes",
    "scratch in use, MiB": "scratch_mib",
    "staged files": "staged",
    "claims": "claims",
    "files in the state directory": "state_files",
    "ledger, MiB": "ledger_mib",
}


@dataclass(frozen=True, slots=True)
class Soaked:
    """Everything that is known afterwards."""

    seconds: float
    result: Result
    faults: Faults
    feeder: Feeder
    samples: list[Sample]
    machine: Mapping[str, str]
    remark: str = ""
    """What is to be said of it besides."""

    def text(self) -> str:
        """The figures and problems."""
        lines = [f"{self.seconds / 60:.1f} minutes, {sum(self.faults.counts.values())} faults"]
        lines += [f"  {name}: {value}" for name, value in self.result.figures.items()]
        lines += [f"  problem: {problem}" for problem in self.result.problems]
        return "\n".join([*lines, "failed" if self.result.problems else "passed"])


def write_report(path: Path, soaked: Soaked) -> None:
    """Write the page at ``path``, and the plot beside it as SVG."""
    picture = path.with_suffix(".svg")
    picture.write_text(plot(soaked.samples), encoding="utf-8")
    path.write_text("\n".join(_page(soaked, picture.name)) + "\n", encoding="utf-8")


def _page(soaked: Soaked, picture: str) -> list[str]:
    return [
        "# Soak",
        "",
        "One daemon, pictures and bad files without an end, faults at random; `python -m benchmarks.soak --minutes 45`",
        "makes this page. What is asked at the end is in the module's first lines.",
        "",
        *facts_table(soaked.machine),
        f"**{'Failed' if soaked.result.problems else 'Passed'}** after {soaked.seconds / 60:.0f} minutes."
        f" {soaked.remark}".rstrip(),
        "",
        *(f"- {' '.join(problem.split())}" for problem in soaked.result.problems),
        *([""] if soaked.result.problems else []),
        *facts_table(
            {
                **soaked.result.figures,
                "ways of writing": ", ".join(f"{way} {count}" for way, count in sorted(soaked.feeder.ways.items())),
                "longest stop": f"{soaked.faults.longest_stop:.1f} s",
                "starts of the supervisor": f"{max((each.life for each in soaked.samples), default=0)} seen",
            }
        ),
        "| fault | times |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in soaked.faults.counts.most_common()),
        "",
        "## Over time",
        "",
        f"![memory, descriptors, threads and leftovers over time]({picture})",
        "",
        "| | median of the first third | of the last third | most |",
        "|---|---|---|---|",
        *_rows(soaked.samples),
    ]


def _rows(samples: list[Sample]) -> list[str]:
    third = max(1, len(samples) // 3)
    rows = []
    for shown, name in _SERIES.items():
        values = [float(getattr(each, name)) for each in samples]
        if values:
            first, last = statistics.median(values[:third]), statistics.median(values[-third:])
            rows.append(f"| {shown} | {first:.3g} | {last:.3g} | {max(values):.3g} |")
    return rows
