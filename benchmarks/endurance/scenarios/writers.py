"""Writers of every kind: half a picture is never taken, and a whole one is taken at once."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.checker import Dropped, Fate
from benchmarks.endurance.dropping import Dropper
from benchmarks.endurance.pictures import made
from benchmarks.endurance.scenario import finish
from benchmarks.endurance.service import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from benchmarks.endurance.pictures import Picture
    from benchmarks.endurance.scenario import Bench, Result
    from benchmarks.endurance.site import Site

__all__ = ["latency", "writers"]

_EXTENSIONS: Final = ("jpg", "bmp", "png", "tif", "webp")
_GRACE: Final = 14.0
_EDGES: Final = (360, 420)
"""Several blocks of the file system, so that what was never written shows as a hole; see ``docs/endurance.md``."""
_STALL: Final = 5.0
"""Longer than the settle time of two seconds, shorter than the grace."""
_PIECES: Final = 10
_CHILD: Final = """
import os, sys, time
path, half, size = sys.argv[1], sys.stdin.buffer.read(), int(sys.argv[2])
fd = os.open(path, os.O_WRONLY | os.O_CREAT)
if size:
    os.ftruncate(fd, size)
os.write(fd, half)
print("written", flush=True)
time.sleep(60)
"""


def _slow(path: Path, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        for piece in _pieces(data):
            file.write(piece)
            time.sleep(_STALL / _PIECES)


def _frozen(path: Path, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(data[: len(data) // 2])
        time.sleep(_STALL)
        file.write(data[len(data) // 2 :])


def _preallocating(path: Path, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, len(data))
        for piece in _pieces(data):
            file.write(piece)
            time.sleep(_STALL / _PIECES)


def _sized_first(path: Path, data: bytes) -> None:
    """Gives the file its whole size, closes it, and writes the content later."""
    with open(path, "wb", buffering=0) as file:
        file.write(data[: len(data) // 3])
        file.truncate(len(data))
    time.sleep(_STALL)
    with open(path, "r+b", buffering=0) as file:
        file.seek(len(data) // 3)
        file.write(data[len(data) // 3 :])


def _resumed(path: Path, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(data[: len(data) // 2])
    time.sleep(_STALL)
    with open(path, "ab", buffering=0) as file:
        file.write(data[len(data) // 2 :])


def _killed(path: Path, data: bytes) -> None:
    _killed_child(path, data[: len(data) // 2], 0)


def _killed_after_sizing(path: Path, data: bytes) -> None:
    _killed_child(path, data[: len(data) // 2], len(data))


_WRITERS: Final[dict[str, tuple[Callable[[Path, bytes], None], Fate]]] = {
    "slow": (_slow, Fate.DELIVERED),
    "frozen with an open descriptor": (_frozen, Fate.DELIVERED),
    "preallocating": (_preallocating, Fate.DELIVERED),
    "size first and content later": (_sized_first, Fate.DELIVERED),
    "broken off and resumed": (_resumed, Fate.DELIVERED),
    "killed": (_killed, Fate.QUARANTINED),
    "killed after setting the size": (_killed_after_sizing, Fate.QUARANTINED),
}


def writers(bench: Bench, result: Result) -> None:
    """Every kind of writer with every kind of format at the same time: what is delivered is whole."""
    site = bench.site("writers", options={"grace": f"{_GRACE:.0f} s"})
    rng = bench.random()
    dropped: list[Dropped] = []
    with bench.service(site) as service:
        service.start()
        threads = []
        for kind, (write, fate) in _WRITERS.items():
            for extension in _EXTENSIONS[: bench.many(5, short=2)]:
                picture = made(rng, width=rng.randint(*_EDGES), height=rng.randint(*_EDGES), extension=extension)
                name = f"{kind}-{extension}.{extension}".replace(" ", "-")
                dropped.append(Dropped(name, _left_by(kind, picture), fate))
                threads.append(threading.Thread(target=write, args=(site.inbox / name, picture.data)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        finish(service, dropped, result, seconds=_GRACE + 90.0)
    result.figure("kinds of writers", ", ".join(_WRITERS))
    result.figure("formats", ", ".join(sorted({each.picture.extension for each in dropped})))


def _pieces(data: bytes) -> Iterable[bytes]:
    step = len(data) // _PIECES + 1
    return (data[start : start + step] for start in range(0, len(data), step))


def _left_by(kind: str, picture: Picture) -> Picture:
    """What lies in the inbox once that writer has gone."""
    half = picture.data[: len(picture.data) // 2]
    left = {"killed": half, "killed after setting the size": half + bytes(len(picture.data) - len(half))}
    return replace(picture, data=left.get(kind, picture.data))


def _killed_child(path: Path, half: bytes, size: int) -> None:
    """A process that writes ``half`` of a file of ``size`` bytes and is killed while it has it open."""
    command = [sys.executable, "-c", _CHILD, str(path), str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None  # noqa: S101 - asked for
        assert child.stdout is not None  # noqa: S101 - asked for
        child.stdin.write(half)
        child.stdin.close()
        child.stdout.readline()
        child.kill()


def latency(bench: Bench, result: Result) -> None:
    """From the close of a clean local write to the claim in the ledger, one picture at a time."""
    site = bench.site("latency")
    rng = bench.random()
    with bench.service(site) as service:
        service.start()
        dropper = Dropper(site.inbox, site.root / "outside")
        for way in dropper.ways:
            seconds = []
            for _ in range(bench.many(30, short=5)):
                picture = made(rng, width=64, height=48, extension="jpg")
                name = dropper.drop(picture, way=way).name
                closed = time.time()
                until(lambda: site.waiting() == 0, 30.0, f"{name} is done", pause=0.05)
                seconds.append(_claimed(site, name) - closed)
            middle, worst = statistics.median(seconds), max(seconds)
            result.figure(
                f"{way}: milliseconds until claimed, median (most)", f"{middle * 1e3:.0f} ({worst * 1e3:.0f})"
            )
        finish(service, dropper.dropped, result)


def _claimed(site: Site, name: str) -> float:
    """When the source was claimed, in seconds since 1970."""
    path = str(site.inbox / name)
    entries = (entry for entry in site.entries() if entry["event.action"] == "job.claimed")
    stamp = next(entry["@timestamp"] for entry in entries if entry["file.path"] == path)
    return datetime.fromisoformat(stamp).timestamp()
