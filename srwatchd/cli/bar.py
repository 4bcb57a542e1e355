"""The progress bar of ``upscale``. Loaded for a terminal only."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from srwatchd.cli.results import lines_of
from srwatchd.daemon.batchrun import Fate
from srwatchd.intake.names import display

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from srwatchd.daemon.batch import Listener
    from srwatchd.daemon.batchrun import BatchRun, Result
    from srwatchd.pipeline.stages import Choice

__all__ = ["bar"]


@contextlib.contextmanager
def bar(total: int) -> Iterator[Listener]:
    """A bar for ``total`` pictures while the block lasts."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(), transient=True) as progress:
        yield _Bar(progress, total)


class _Bar:
    """A progress bar with the lines above it."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._ended = 0
        self._task = progress.add_task("loading the model", total=total, count=f"0/{total}")

    def chosen(self, choice: Choice) -> None:
        """Which engine, and why."""
        for each in (f"{choice.model}: {choice.reason}", *choice.warnings):
            self._progress.console.print(each, markup=False, highlight=False)

    def ended(self, result: Result) -> None:
        """What became of a picture."""
        self._ended += 1
        style = "red" if result.fate is Fate.FAILED else None
        for line in lines_of(result):
            self._progress.console.print(line, markup=False, highlight=False, style=style)

    def advanced(self, done: float, running: Sequence[BatchRun]) -> None:
        """The bar itself."""
        current = running[0] if running else None
        what = f"{current.stage} {escape(display(current.source.name))}" if current else ""
        self._progress.update(self._task, completed=done, count=f"{self._ended}/{self._total}", description=what)
