"""What is said of a picture that is done with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srwatchd.daemon.batchrun import Fate
from srwatchd.intake.names import display

if TYPE_CHECKING:
    from srwatchd.daemon.batchrun import Result

__all__ = ["lines_of"]


def lines_of(result: Result) -> list[str]:
    """One line, of a failure a second one with its remedy."""
    source = display(str(result.source.path))
    if result.error is not None:
        return [f"failed: {source}: {result.error.code}: {result.error.message}", f"  what to do: {result.error.hint}"]
    target = display(str(result.path))
    if result.fate is Fate.SKIPPED:
        return [f"already there: {source} -> {target}"]
    return [f"{source} -> {target} ({result.seconds:.1f} s)"]
