"""The console before a long ledger: ``python -m benchmarks.console.ledger``.

Writes a ledger of ``--lines`` lines with the package's own writer, five for each picture, spread over ninety days, one
picture in fifty quarantined, and opens it with a console that has no daemon and no index yet. Measures

- how long until everything is indexed, and how long a page takes meanwhile;
- pages of the history (first, in the middle, searched, filtered), of the ledger, and the present, each twenty times;
- both exports, and a verification;
- a start with the index that is there;
- the console's peak memory after each.

``--json`` for scripts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.console.found import Found
from benchmarks.console.service import Pair
from srwatchd.audit import Entry, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

_BATCH = 1000
_LINES_EACH = 5
_DAYS = 90
_BAD = 50
_TIMES = 20
_SECOND = 1_000_000_000
_PLACES = ("Anhang", "holiday/day 2", "scans/2026", "海滩")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = Found()
    with tempfile.TemporaryDirectory(prefix="srwatchd-console-") as name:
        folder = Path(name)
        begin = time.monotonic()
        write(folder, options.lines)
        size = sum(each.stat().st_size for each in (folder / "var/audit").iterdir())
        found["ledger, lines and MB"] = f"{options.lines} {size / 1e6:.0f}"
        found["written in, s"] = round(time.monotonic() - begin, 1)
        with Pair(folder, "fsrcnn_x2", alone=True) as pair:
            first(pair, options.lines, found)
            pages(pair, options.lines, found)
            whole(pair, size, found)
        begin = time.monotonic()
        with Pair(folder, "fsrcnn_x2", alone=True) as pair:
            until_indexed(pair)
            found["started again until complete, s"] = round(time.monotonic() - begin, 2)
            found["console at most after that, MiB"] = pair.memory() >> 20
    if options.json:
        print(json.dumps(found, indent=1))
    return 0


def write(folder: Path, lines: int) -> None:
    """A valid ledger in ``folder``, of that many lines."""
    (folder / "var").mkdir()
    now = time.time_ns()
    step = _DAYS * 86_400 * _SECOND // lines
    clock = iter(range(now - step * lines, now + step * lines, step))
    ledger = Ledger(folder / "var/audit/audit.jsonl", clock=lambda: next(clock))
    ledger.open()
    left = lines - ledger.sequence
    batch: list[Entry] = []
    for entry in entries(folder):
        batch.append(entry)
        left -= 1
        if len(batch) == _BATCH or left == 0:
            ledger.append(batch)
            batch = []
            left = lines - ledger.sequence  # new segments have first lines of their own
            if left <= 0:
                break
    ledger.close()


def entries(folder: Path) -> Iterator[Entry]:
    """What one picture after another writes, without an end."""
    number = 0
    while True:
        number += 1
        job = f"{number:032x}"
        name = f"{_PLACES[number % len(_PLACES)]}/picture {number}.png"
        digest = f"{number:064x}"
        base: dict[str, Any] = {
            "file.path": str(folder / "inbox" / name),
            "file.size": 200_000 + number,
            "srwatchd.folder": "load",
            "source.ip": f"192.0.2.{number % 250}",
            "srwatchd.origin": "console",
            "user.name": ("anna", "otto")[number % 2],
        }
        result = {"srwatchd.result.path": str(folder / "done" / name)}
        hashed = {**base, "file.hash.sha256": digest}
        yield Entry("job.claimed", "unknown", job=job, fields={**base, "file.inode": str(number)})
        if number % _BAD == 0:
            wrong = {"error.code": "incomplete", "error.message": "the file is incomplete"}
            yield Entry("job.attempt_failed", "failure", job=job, fields={**hashed, **wrong})
            yield Entry("job.quarantining", "unknown", job=job, fields=hashed)
            error = {**wrong, "srwatchd.error.path": str(folder / "error" / name)}
            yield Entry("job.quarantined", "failure", job=job, fields={**hashed, **error})
            continue
        yield Entry("job.delivering", "unknown", job=job, fields={**hashed, **result})
        made = {**result, "srwatchd.result.sha256": digest, "srwatchd.result.size": 900_000}
        yield Entry("job.delivered", "success", job=job, fields={**hashed, **made})
        yield Entry("job.archiving", "unknown", job=job, fields=hashed)
        told = {
            "srwatchd.archive.path": str(folder / "archive" / name),
            "srwatchd.duration.decode": 11_726_418,
            "srwatchd.duration.upscale": 129_319_110,
            "srwatchd.engine.name": "openvino",
            "srwatchd.model.name": "fsrcnn_x2",
            "srwatchd.model.scale": 2,
            "srwatchd.source.format": "png",
            "srwatchd.source.width": 640,
            "srwatchd.source.height": 480,
            "srwatchd.result.format": "png",
            "srwatchd.result.width": 1280,
            "srwatchd.result.height": 960,
        }
        yield Entry("job.completed", "success", job=job, fields={**hashed, **made, **told})


def first(pair: Pair, lines: int, found: Found) -> None:
    """The first index."""
    begin = time.monotonic()
    seconds = until_indexed(pair)
    spent = time.monotonic() - begin
    found["indexed in, s, and lines a second"] = f"{spent:.1f} {lines / spent:.0f}"
    found["a page meanwhile, median and slowest, s"] = both(seconds)
    place = pair.folder / "var/console"
    found["index, MB"] = round(sum(each.stat().st_size for each in place.glob("history.sqlite3*")) / 1e6, 1)
    found["console at most until then, MiB"] = pair.memory() >> 20


def until_indexed(pair: Pair) -> list[float]:
    """Ask for the first page until all of the ledger is in it; the seconds that each took."""
    seconds = []
    with pair.client() as client:
        while True:
            begin = time.monotonic()
            answer = client.get("/api/v1/jobs?limit=50")
            answer.raise_for_status()
            seconds.append(time.monotonic() - begin)
            if answer.json()["indexed"]:
                return seconds
            time.sleep(0.25)


def pages(pair: Pair, lines: int, found: Found) -> None:
    """Everything that a page asks for."""
    middle = lines // 2
    half = middle // _LINES_EACH
    month = "since=2026-10-01T00:00:00Z&until=2026-11-01T00:00:00Z"
    for what, path in {
        "history, first page": "jobs?limit=50",
        "history, from the middle": f"jobs?limit=50&cursor={middle}",
        "history, a name that one has": f"jobs?limit=50&q=picture {half}.",
        "history, a name that nobody has": "jobs?limit=50&q=no such picture",
        "history, quarantined": "jobs?limit=50&outcome=quarantined",
        "history, of a user and a month": f"jobs?limit=50&user=anna&{month}",
        "one picture with its timeline": f"jobs/{half:032x}",
        "the present": "live",
        "ledger, newest": "ledger?limit=100",
        "ledger, from the middle": f"ledger?limit=100&before={middle}",
        "ledger, quarantines": "ledger?limit=100&action=job.quarantined",
        "ledger, what there is none of": "ledger?limit=100&action=hook.failed",
        "ledger, its chain": "ledger/state",
    }.items():
        seconds = []
        with pair.client() as client:
            for _ in range(_TIMES):
                begin = time.monotonic()
                client.get(f"/api/v1/{path}").raise_for_status()
                seconds.append(time.monotonic() - begin)
        found[f"{what}, median and slowest, s"] = both(seconds)
    found["console at most after all pages, MiB"] = pair.memory() >> 20


def whole(pair: Pair, size: int, found: Found) -> None:
    """What reads all of the ledger."""
    for form in ("jsonl", "csv"):
        begin = time.monotonic()
        taken = 0
        with pair.client() as client, client.stream("GET", f"/api/v1/ledger/export?format={form}") as answer:
            for piece in answer.iter_raw():
                taken += len(piece)
        spent = time.monotonic() - begin
        if form == "jsonl" and taken != size:
            raise SystemExit(f"the export has {taken} bytes, the ledger {size}")
        found[f"export as {form}, s, and MB a second"] = f"{spent:.1f} {taken / 1e6 / spent:.0f}"
    found["console at most after both, MiB"] = pair.memory() >> 20
    begin = time.monotonic()
    seconds = []
    with pair.client() as client:
        client.post("/api/v1/ledger/verify").raise_for_status()
        while True:
            asked = time.monotonic()
            told = client.get("/api/v1/ledger/state").json()["verification"]
            seconds.append(time.monotonic() - asked)
            if told["state"] != "running":
                break
            time.sleep(0.5)
    found["verified in, s, and what it said"] = f"{time.monotonic() - begin:.1f} {told['state']} {told['lines']}"
    found["a page meanwhile, median and slowest, s (2)"] = both(seconds)
    found["console at most after that, MiB (2)"] = pair.memory() >> 20


def both(seconds: list[float]) -> str:
    """Median and slowest."""
    return f"{statistics.median(seconds):.3f} {max(seconds):.3f}"


if __name__ == "__main__":
    sys.exit(main())
