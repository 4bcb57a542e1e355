"""What was seen, as a part of a page."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.large.case import Result

__all__ = ["figures", "line", "write"]

_BEGIN: Final = "<!-- figures -->"
_END: Final = "<!-- end of figures -->"
_COLUMNS: Final = (
    *("memory_limit", "source", "model", "result", "private", "private and waiting", "charged", "ended by the kernel"),
    *("tile", "seconds: decode", "upscale", "encode", "verify"),
)


def figures(results: Sequence[Result], *, command: str, grouped: bool) -> str:
    """A table in Markdown, and the refusals in their own words."""
    lines = [
        f"`{command}` on {os.cpu_count()} processors ({platform.machine()}, Linux {platform.release()}).",
        "" if grouped else "\nWithout a control group: nothing was limited, and memory was not measured.\n",
        "| " + " | ".join(_COLUMNS) + " |",
        "|" + "---|" * 4 + "---:|" * (len(_COLUMNS) - 4),
        *("| " + " | ".join(_cells(each)) + " |" for each in results),
        "",
    ]
    lines += [f"- {each.case}: `{each.code}`: {each.message}" for each in results if each.code]
    return "\n".join(lines) + "\n"


def line(result: Result) -> str:
    """One result on one line."""
    how = f"{result.code}: {result.message}" if result.code else f"{result.size}"
    took = ", ".join(f"{name} {value:.0f} s" for name, value in result.seconds.items())
    peaks = result.peaks
    seen = f"private {peaks.private >> 20}, with waiting pages {peaks.both >> 20}, charged {peaks.charged >> 20} MiB"
    return f"{'ok' if result.fine else 'NOT OK'}  {result.case}: {how}; {seen}, {peaks.kills} ended; {took}"


def write(path: Path, text: str) -> None:
    """Put ``text`` between the marks of the page at ``path``."""
    page = path.read_text(encoding="utf-8")
    before, after = page.partition(_BEGIN)[0], page.partition(_END)[2]
    path.write_text(f"{before}{_BEGIN}\n{text}{_END}{after}", encoding="utf-8")


def _cells(result: Result) -> list[str]:
    case, peaks = result.case, result.peaks
    how = f"{case.result} {result.size[0]} x {result.size[1]}" if result.size else f"refused: `{result.code}`"
    steps = (f"{result.seconds[step]:.0f}" if step in result.seconds else "-" for step in _STEPS)
    memory = (f"{value >> 20} MiB" for value in (peaks.private, peaks.both, peaks.charged))
    source = f"{case.megapixels:.0f} MP {case.kind}"
    return [
        *(
            f"{case.limit >> 20} MiB",
            source,
            f"`{case.model}`",
            how,
            *memory,
            str(peaks.kills),
            str(result.tile or "-"),
        ),
        *steps,
    ]


_STEPS: Final = ("decode", "upscale", "encode", "verify")
