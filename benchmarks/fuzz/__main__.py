"""The command: ``python -m benchmarks.fuzz --minutes N [--seed S] [--report FILE]``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fuzz.campaign import Campaign
from benchmarks.fuzz.report import figures, write
from benchmarks.fuzz.seeds import seeds

__all__ = ["main"]


def main(words: list[str]) -> int:
    """Run a campaign, or one case of it; 0 when nothing was kept."""
    arguments = _parse(words)
    campaign = Campaign(seeds(), arguments.seed, arguments.keep)
    began = time.monotonic()
    if arguments.case is not None:
        content, seed, mutations = campaign.make(arguments.case)
        print(f"case {arguments.case}: {seed}, {mutations}, {len(content)} bytes")
    first, most = (0, None) if arguments.case is None else (arguments.case, 1)
    seconds = arguments.minutes * 60
    asyncio.run(campaign.run(seconds=seconds, workers=arguments.workers, first=first, most=most))
    command = f"python -m benchmarks.fuzz --minutes {arguments.minutes:g} --seed {arguments.seed}"
    text = figures(campaign, command=command, seconds=time.monotonic() - began)
    print(text)
    if arguments.report is not None:
        write(arguments.report, text)
    return 1 if campaign.offenders else 0


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description="Mutated pictures for the codec.")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--case", type=int, metavar="NUMBER", help="Only this case.")
    parser.add_argument("--report", type=Path, metavar="FILE", help="Put the figures into this page.")
    kept = Path(tempfile.gettempdir()) / "srwatchd-fuzz"
    parser.add_argument("--keep", type=Path, default=kept, metavar="DIR", help="Where offenders go.")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
