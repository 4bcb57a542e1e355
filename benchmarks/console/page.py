"""A page with many uploads queued, in a real Chromium: ``python -m benchmarks.console.page``.

``--uploads`` PNG files of ``--kilobytes`` each go into the page's file chooser at once, beside a paused daemon.
Measures until all of them are there, how often and how long the page did not answer (tasks of more than 50 ms), how
large it was, and whether it asked for the present all the while. Needs Playwright and Debian's chromium.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.console.found import Found
from benchmarks.console.service import Pair, make_picture

_WATCH = """() => {
    window.slow = [];
    new PerformanceObserver((list) => slow.push(...list.getEntries().map((entry) => entry.duration)))
        .observe({type: "longtask"});
    performance.setResourceTimingBufferSize(100000);
}"""
_WAITS = """() => {
    const count = (what) => document.querySelectorAll(what).length;
    return {rows: count(".upload"), nodes: count("*"), heap: performance.memory.usedJSHeapSize};
}"""
_ASKED = """() => performance.getEntriesByType("resource").filter((each) => each.name.endsWith("/live"))
    .map((each) => each.startTime)"""


def main() -> int:
    """Measure, print, and say by the exit status whether all have come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=500)
    parser.add_argument("--kilobytes", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = Found()
    with (
        tempfile.TemporaryDirectory(prefix="srwatchd-console-") as name,
        Pair(Path(name), "fsrcnn_x2") as pair,
        sync_playwright() as driver,
    ):
        pair.steer("pause")
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(base_url=pair.url, locale="en-GB")
        measured(pair, page, options, found)
        browser.close()
        came = len([each for each in (pair.folder / "inbox").iterdir() if not each.name.startswith(".")])
    found["files in the inbox"] = came
    if options.json:
        print(json.dumps(found, indent=1))
    return 0 if came == options.uploads else 1


def measured(pair: Pair, page: Page, options: argparse.Namespace, found: Found) -> None:
    """One page that sends all of them."""
    sources = pair.folder / "sources"
    sources.mkdir()
    picture = make_picture(options.kilobytes * 1000)
    paths = [sources / f"picture {number}.png" for number in range(options.uploads)]
    for path in paths:
        path.write_bytes(picture)
    page.goto("/")
    page.wait_for_selector(".choice")
    page.evaluate(_WATCH)
    begin = time.monotonic()
    page.locator("#files").set_input_files(paths)
    page.wait_for_selector(".upload")
    found[f"{options.uploads} chosen until the list shows, s"] = round(time.monotonic() - begin, 2)
    most: dict[str, Any] = {}
    while True:
        for key, value in page.evaluate(_WAITS).items():
            most[key] = max(most.get(key, 0), value)
        if page.get_by_text(f"{options.uploads} uploaded").count():
            break
        time.sleep(0.5)
    spent = time.monotonic() - begin
    found["all uploaded in, s, and files a second"] = f"{spent:.1f} {options.uploads / spent:.0f}"
    slow = page.evaluate("slow")
    found["tasks of more than 50 ms, and the longest, ms"] = f"{len(slow)} {max(slow, default=0):.0f}"
    asked = page.evaluate(_ASKED)
    gaps = [after - before for before, after in itertools.pairwise(asked)]
    found["the present asked for, times, longest gap, s"] = f"{len(asked)} {max(gaps, default=0) / 1000:.1f}"
    found["rows and elements at most, and MB of JavaScript"] = (
        f"{most['rows']} {most['nodes']} {most['heap'] / 1e6:.0f}"
    )
    found["console at most, MiB"] = pair.memory() >> 20


if __name__ == "__main__":
    sys.exit(main())
