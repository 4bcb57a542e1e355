"""The command: ``python -m benchmarks.performance [PART ...] [--quick] [--report docs/performance.md]``."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.__main__ import installed_command
from benchmarks.performance import page
from benchmarks.performance.bench import Bench
from benchmarks.performance.figures import Figures
from benchmarks.performance.machine import run_of
from benchmarks.performance.parts import backlog, engines, folders, idle, latency, sizes, way, workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.performance.bench import Row

__all__ = ["PARTS", "main"]

_GROWING: Final = (sizes, backlog, folders, workers)
PARTS: Final[dict[str, Callable[[Bench], Iterator[Row]]]] = {
    "engines": engines.measure,
    "way": way.measure,
    "latency": latency.measure,
    "idle": idle.measure,
    "growth": lambda bench: itertools.chain.from_iterable(each.measure(bench) for each in _GROWING),
}
_ROOT: Final = Path(__file__).resolve().parents[2]
_DISK: Final = "/var/tmp"  # noqa: S108 - on a disk; what is made there has a name of its own
_PHOTOS: Final = tuple(_ROOT.parent / "shared" / name for name in ("bench", "train"))


def main(words: list[str]) -> int:
    """Run the parts one after the other, keep each figure as soon as it is there; write the page."""
    arguments = _parse(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started, too
    figures = Figures.read(arguments.figures)
    photos = tuple(path for path in arguments.photos if path.is_dir())
    for name in () if arguments.redraw else arguments.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="srwatchd-performance-", dir=arguments.work or _DISK) as made:
            command = tuple(shlex.split(arguments.srwatchd))
            bench = Bench(Path(made), command, photos, arguments.quick, arguments.only)
            run = run_of(_command(name, arguments))
            begin = time.monotonic()
            print(f"{name}: {run['commit']}, load {run['load']}", flush=True)
            for row in PARTS[name](bench):
                if "skipped" in row:
                    print(f"  {row['key']} is left out: {row['skipped']}", flush=True)
                figures.keep(name, row, run)
                figures.write(arguments.figures)
            print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)
    if arguments.report is not None:
        for target in page.write(arguments.report, figures):
            print(f"{target.what}: wanted {target.wanted}, reached {target.reached}: {target.verdict}")
    return 0


def _command(part: str, arguments: argparse.Namespace) -> str:
    """What to type for the same."""
    words = ["python -m benchmarks.performance", part]
    if arguments.only:
        words.append(f"--only {shlex.quote(arguments.only)}")
    return " ".join([*words, *(["--quick"] if arguments.quick else [])])


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance", description="How fast srwatchd is.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"Some of: {', '.join(PARTS)}. Without any: all.")
    parser.add_argument("--quick", action="store_true", help="A little of each: to see that it works, not how fast.")
    parser.add_argument(
        "--only",
        default="",
        metavar="TEXT",
        help="Only cases whose name contains this (and ends there, after a space).",
    )
    parser.add_argument("--redraw", action="store_true", help="Measure nothing, write the page of the figures again.")
    parser.add_argument("--report", type=Path, metavar="FILE", help="Write the page, and its plots beside it.")
    parser.add_argument(
        "--figures", type=Path, metavar="FILE", help="Where figures are kept, of earlier runs too.  [beside the page]"
    )
    parser.add_argument(
        "--photos", type=Path, nargs="+", default=_PHOTOS, metavar="DIR", help="Folders of photographs: Kodak, others."
    )
    parser.add_argument("--srwatchd", default=installed_command(), metavar="PATH", help="The command under test.")
    parser.add_argument("--work", type=Path, metavar="DIR", help="Where to work, a local disk.  [/var/tmp]")
    arguments = parser.parse_args(words)
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(PARTS)}")
    if arguments.figures is None:
        page = arguments.report or (Path(tempfile.gettempdir()) / "srwatchd-performance.md")
        arguments.figures = page.with_suffix(".json")
    return arguments


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
