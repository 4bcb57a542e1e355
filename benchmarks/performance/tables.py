"""Tables in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.performance.bench import Row

__all__ = ["skipped_lines", "table"]


def table(head: Sequence[str], body: Iterable[Sequence[str]], *, right: int = 0) -> list[str]:
    """The lines of a table, the last ``right`` columns set to the right."""
    left = len(head) - right
    return [
        f"| {' | '.join(head)} |",
        "|" + "---|" * left + "---:|" * right,
        *(f"| {' | '.join(cells)} |" for cells in body),
    ]


def skipped_lines(rows: Sequence[Row]) -> Iterator[str]:
    """What was left out, and why."""
    left = [row for row in rows if "skipped" in row]
    if left:
        yield ""
        yield from (f"- {row['key']}: left out, {row['skipped']}" for row in left)
