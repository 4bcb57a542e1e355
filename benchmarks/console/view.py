"""Regions of large pictures on a page: ``python -m benchmarks.console.view``.

Makes a JPEG of ``--megapixels``, 3:2, which the ledger says was quarantined, and asks a console for its thumbnail and
for regions of 800 x 600 pixels at its top, middle and bottom. None of them is on the shelf; the first one of all also
starts the workers and hashes the file. ``--progressive`` for such a JPEG.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.console.found import Found
from benchmarks.console.service import Pair
from srwatchd.audit import Entry, Ledger
from srwatchd.codec.vips import pyvips

_JOB = "a" * 32
_EDGE = (800, 600)
_TILE = (3000, 2000)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=int, default=400)
    parser.add_argument("--progressive", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = Found()
    with tempfile.TemporaryDirectory(prefix="srwatchd-console-") as name:
        folder = Path(name)
        width, height = prepare(folder, options.megapixels, progressive=options.progressive)
        found["picture, pixels and MB"] = f"{width}x{height} {(folder / 'error/large.jpg').stat().st_size / 1e6:.0f}"
        with Pair(folder, "fsrcnn_x2", alone=True) as pair, pair.client() as client:
            while not client.get("/api/v1/jobs").json()["jobs"]:
                time.sleep(0.1)
            for what, path in {
                "first region, at the top, s": region(0, 0),
                "region at the top, s": region(900, 0),
                "region in the middle, s": region(900, height // 2),
                "region at the bottom, s": region(900, height - _EDGE[1]),
                "region at the bottom again, s": region(1900, height - _EDGE[1]),
                "thumbnail, s": "thumbnail",
                "all of it, 1600 pixels, s": "view/source",
                "all of it once more, s": "view/source",
            }.items():
                begin = time.monotonic()
                client.get(f"/api/v1/jobs/{_JOB}/{path}").raise_for_status()
                found[what] = round(time.monotonic() - begin, 2)
    if options.json:
        print(json.dumps(found, indent=1))
    return 0


def region(x: int, y: int) -> str:
    """What is asked for a region there."""
    return f"view/source?x={x}&y={y}&width={_EDGE[0]}&height={_EDGE[1]}"


def prepare(folder: Path, megapixels: int, *, progressive: bool) -> tuple[int, int]:
    """A picture in the error folder, and the ledger that tells of it; its width and height."""
    height = int(math.sqrt(megapixels * 1e6 / 1.5))
    width = height * 3 // 2
    tile = pyvips().Image.gaussnoise(*_TILE, mean=128, sigma=60).gaussblur(1.5)
    picture = tile.replicate(-(-width // _TILE[0]), -(-height // _TILE[1])).crop(0, 0, width, height)
    for each in ("error", "var"):
        (folder / each).mkdir()
    file = folder / "error/large.jpg"
    picture.bandjoin([picture * 0.9, 255 - picture]).cast("uchar").copy(interpretation="srgb").jpegsave(
        str(file), Q=85, interlace=progressive
    )
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    fields = {
        "file.path": str(folder / "inbox/large.jpg"),
        "file.size": file.stat().st_size,
        "file.hash.sha256": digest,
        "srwatchd.folder": "load",
        "srwatchd.error.path": str(file),
    }
    ledger = Ledger(folder / "var/audit/audit.jsonl")
    ledger.open()
    ledger.append(
        [
            Entry("job.claimed", "unknown", job=_JOB, fields={**fields, "srwatchd.error.path": None}),
            Entry("job.quarantined", "failure", job=_JOB, fields={**fields, "error.code": "too_many_pixels"}),
        ]
    )
    ledger.close()
    return width, height


if __name__ == "__main__":
    sys.exit(main())
