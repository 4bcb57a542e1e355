"""The command: ``python -m benchmarks.endurance [SCENARIO ...] [--short] [--report FILE]``."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.endurance.mounts import own_mounts
from benchmarks.endurance.report import page, row_of
from benchmarks.endurance.scenario import Bench
from benchmarks.endurance.scenarios import SCENARIOS

__all__ = ["installed_command", "main"]

_PHOTOS: Final = tuple(Path(__file__).resolve().parents[3] / "shared" / name for name in ("train", "bench"))


def main(words: list[str]) -> int:
    """Run the scenarios; 0 when every one that this machine can do has passed."""
    arguments = _parse(words)
    own_mounts("benchmarks.endurance")
    work = Path(tempfile.mkdtemp(prefix="srwatchd-endurance-", dir=arguments.work))
    work.chmod(0o755)
    photos = tuple(path for path in _PHOTOS if path.is_dir())
    bench = Bench(tuple(shlex.split(arguments.srwatchd)), work, arguments.short, photos, arguments.seed)
    chosen = [SCENARIOS[name] for name in arguments.scenarios or SCENARIOS]
    rows = [row_of(each.name, each.promise, partial(each.run, bench)) for each in chosen]
    failed = [row for row in rows if row.problems]
    if arguments.report is not None:
        arguments.report.write_text(page(rows, bench), encoding="utf-8")
    if failed:
        print(f"failed: {', '.join(row.name for row in failed)}; everything is kept in {work}")
    else:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description="Endurance runs of srwatchd.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"Some of: {', '.join(SCENARIOS)}.")
    parser.add_argument("--short", action="store_true", help="A short version of each.")
    parser.add_argument("--srwatchd", default=installed_command(), metavar="PATH", help="The command under test.")
    parser.add_argument("--report", type=Path, metavar="FILE", help="Write the results as a page.")
    parser.add_argument("--work", type=Path, metavar="DIR", help="Where to work; a local disk, readable for all.")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(words)
    if unknown := set(arguments.scenarios) - set(SCENARIOS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(SCENARIOS)}")
    return arguments


def installed_command() -> str:
    """The installed command: beside this interpreter, or on the path, or else this interpreter's module."""
    beside = Path(sys.executable).parent / "srwatchd"
    found = str(beside) if beside.exists() else shutil.which("srwatchd")
    return shlex.quote(found) if found else shlex.join([sys.executable, "-P", "-m", "srwatchd"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
