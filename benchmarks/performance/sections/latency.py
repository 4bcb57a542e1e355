"""From a drop to its result, and commands that have to start first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.performance.bench import Section, Target
from benchmarks.performance.parts.latency import COMMANDS, DROPS
from benchmarks.performance.samples import median, percentile
from benchmarks.performance.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.performance.bench import Row

__all__ = ["section"]

_DROP_WANTED: Final = 0.3
_UPSCALE_WANTED: Final = 1.5


def section(rows: Sequence[Row]) -> Section:
    """Two tables."""
    texts, targets = {}, []
    for row in rows:
        if row["key"] == "drop":
            texts["drops"] = "\n".join(_drops(row))
            every = [each for seconds in row["seconds"].values() for each in seconds]
            reached, wanted = median(every), _DROP_WANTED
            targets.append(
                Target(
                    f"drop to delivered, {row['edge']}x{row['edge']}, median",
                    f"{1000 * wanted:.0f} ms",
                    f"{1000 * reached:.0f} ms",
                    reached < wanted,
                )
            )
        else:
            texts["commands"] = "\n".join(_commands(row))
            reached = median(row["seconds"]["upscale"])
            targets.append(
                Target(
                    f"`upscale` of one picture ({row['picture']}), start to end",
                    f"{_UPSCALE_WANTED} s",
                    f"{reached:.2f} s",
                    reached < _UPSCALE_WANTED,
                )
            )
    return Section(texts, targets=targets)


def _drops(row: Row) -> list[str]:
    body = []
    for way, seconds in row["seconds"].items():
        figures = (min(seconds), median(seconds), percentile(seconds, 0.95), max(seconds))
        body.append([DROPS[way], str(len(seconds)), *(f"{1000 * each:.0f}" for each in figures)])
    stages = ", ".join(f"{name} {1000 * median(each):.0f}" for name, each in row["stages"].items())
    head = ["dropped", "times", "least, ms", "median, ms", "95 of 100, ms", "most, ms"]
    return [*table(head, body, right=5), "", f"Medians of the stages, ms: {stages}."]


def _commands(row: Row) -> list[str]:
    body = [
        [COMMANDS[name], str(len(seconds)), *(f"{each:.2f}" for each in (min(seconds), median(seconds), max(seconds)))]
        for name, seconds in row["seconds"].items()
    ]
    return table(["command", "times", "least, s", "median, s", "most, s"], body, right=4)
