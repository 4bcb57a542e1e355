"""Run it and say what was found."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.console.found import Found
from benchmarks.console.service import Pages, Pair, make_picture

_PATIENCE = 1800.0


def main() -> int:
    """Measure, print, and say by the exit status whether all was delivered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=50)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--model", default="espcn_x2")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="srwatchd-console-") as folder, Pair(Path(folder), options.model) as pair:
        found = Found()
        measured(pair, options, found)
    if options.json:
        print(json.dumps(found, indent=1))
    return 0 if found["delivered"] == options.uploads + found["uploads before"] else 1


def measured(pair: Pair, options: argparse.Namespace, found: Found) -> None:
    """Find all of them."""
    picture = make_picture(options.megabytes * 1_000_000)
    idle = pair.memory()
    found["picture, bytes"] = len(picture)
    found["console at rest, MiB"] = idle >> 20
    pair.steer("pause")
    alone = [upload(pair, picture, f"alone-{number}.png") for number in range(3)]
    with Pages(pair, options.pages) as pages:
        watched = [upload(pair, picture, f"watched-{number}.png") for number in range(3)]
    found["upload alone, s"] = round(statistics.median(alone), 2)
    found[f"upload with {options.pages} pages, s"] = round(statistics.median(watched), 2)
    found["page meanwhile, median and slowest, s"] = f"{pages.median:.3f} {pages.slowest:.3f}"
    before = len(alone) + len(watched)
    found["uploads before"] = before
    pair.steer("resume")
    begin = time.monotonic()
    with Pages(pair, options.pages) as pages, ThreadPoolExecutor(options.uploads) as many:
        gate = threading.Barrier(options.uploads)

        def one(number: int) -> float:
            gate.wait()
            return upload(pair, picture, f"many-{number}.png")

        times = list(many.map(one, range(options.uploads)))
        found[f"{options.uploads} uploads at once, s"] = round(time.monotonic() - begin, 1)
        found["one of them, median and slowest, s"] = f"{statistics.median(times):.1f} {max(times):.1f}"
    found["page meanwhile, slowest, s"] = round(pages.slowest, 2)
    found["pages answered, without a body, asked again"] = f"{pages.answered} {pages.unchanged} {pages.again}"
    found["console at most, MiB"] = pair.memory() >> 20
    wanted = before + options.uploads
    deadline = time.monotonic() + _PATIENCE
    while (delivered := pair.delivered()) < wanted and time.monotonic() < deadline:
        time.sleep(1)
    found["delivered"] = delivered
    found["until all were delivered, s"] = round(time.monotonic() - begin, 1)


def upload(pair: Pair, picture: bytes, name: str) -> float:
    """Seconds for one."""
    begin = time.monotonic()
    with pair.client() as client:
        answer = client.put(f"/api/v1/folders/load/files/{name}", content=picture)
    answer.raise_for_status()
    return time.monotonic() - begin


sys.exit(main())
