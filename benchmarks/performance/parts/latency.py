"""How long somebody waits: from a drop to its result, and for ``srwatchd upscale`` of one picture."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.pictures import photographs, resized
from benchmarks.endurance.service import NotInTimeError, until
from benchmarks.large.case import forget
from benchmarks.performance.parts.way import Daemon
from srwatchd.config import find_models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.endurance.pictures import Picture
    from benchmarks.performance.bench import Bench, Row

__all__ = ["COMMANDS", "DROPS", "measure"]

_MODEL: Final = "fsrcnn_x3"
_SCALE: Final = 3
_EDGE: Final = 128
_LOOK_SECONDS: Final = 0.0005
_PATIENCE_SECONDS: Final = 60.0
_SAMPLE: Final = Path(__file__).resolve().parents[3] / "config" / "sample.png"

DROPS: Final = {"moved": "moved in (`mv` on one disk)", "written": "written in place (`cp`)"}
COMMANDS: Final = {
    "script": "a script of four lines with `dnn_superres`",
    "upscale": "`srwatchd upscale`",
    "upscale uncached": "`srwatchd upscale`, nothing of the installation in the page cache",
}
_SCRIPT: Final = """\
import sys, cv2
network = cv2.dnn_superres.DnnSuperResImpl_create()
network.readModel(sys.argv[2]); network.setModel(sys.argv[3], int(sys.argv[4]))
cv2.imwrite(sys.argv[5], network.upsample(cv2.imread(sys.argv[1])))
"""


def measure(bench: Bench) -> Iterator[Row]:
    """A row for drops, and one for commands."""
    if bench.wants("drop"):
        yield {"key": "drop", **_dropped(bench)}
    if bench.wants("upscale"):
        yield {"key": "upscale", **_commanded(bench)}


def _dropped(bench: Bench) -> Row:
    """Drops of one small picture into an idle daemon, one after the other, in two ways by turns."""
    daemon = Daemon(bench, bench.work / "latency", model=_MODEL, scale=_SCALE)
    rng = random.Random(1)
    seconds: dict[str, list[float]] = {way: [] for way in DROPS}
    made = photographs(bench.photos, rng, count=2 + bench.many(100, quick=4), most=_EDGE, formats=("jpg",))
    try:
        for number, picture in enumerate(made):
            way = tuple(DROPS)[number % len(DROPS)]
            taken = _one(daemon, _cropped(picture), f"p{number:04d}", way)
            if number > 1:  # the first of each way warm the daemon up
                seconds[way].append(taken)
            time.sleep(rng.uniform(0.02, 0.15))
        return {"edge": _EDGE, "model": _MODEL, "seconds": seconds, "stages": daemon.stages(after=2)}
    finally:
        daemon.close()
        shutil.rmtree(daemon.site.root)


def _cropped(picture: Picture) -> bytes:
    return resized(picture, width=_EDGE, height=_EDGE).data


def _one(daemon: Daemon, data: bytes, stem: str, way: str) -> float:
    """Drop one; the seconds until its result has its name. The source is in the archive when this returns."""
    site = daemon.site
    result, archived = site.done / f"{stem}_x{_SCALE}.jpg", site.archive / f"{stem}.jpg"
    outside, target = site.root / "outside" / f"{stem}.jpg", site.inbox / f"{stem}.jpg"
    outside.write_bytes(data)
    begin = time.perf_counter()
    if way == "moved":
        outside.rename(target)
    else:
        target.write_bytes(data)
    while not result.exists():
        time.sleep(_LOOK_SECONDS)
        if time.perf_counter() - begin > _PATIENCE_SECONDS:
            raise NotInTimeError(f"no result of {stem}: {daemon.service.last_words()}")
    taken = time.perf_counter() - begin
    until(archived.exists, _PATIENCE_SECONDS, "archived", pause=0.002)
    return taken


def _commanded(bench: Bench) -> Row:
    """One picture by a command that has to start first: by turns."""
    root = bench.work / "upscale"
    root.mkdir()
    source = root / "sample.png"
    shutil.copyfile(_SAMPLE, source)
    contest: dict[str, Callable[[Path], list[str]]] = {
        "script": lambda target: _script(source, target),
        "upscale": lambda target: [
            *(*bench.command, "upscale", str(source), "--model", _MODEL, "--output", str(target), "--json")
        ],
    }
    if not bench.quick:
        contest["upscale uncached"] = contest["upscale"]
    seconds: dict[str, list[float]] = {name: [] for name in contest}
    for turn in range(bench.many(8, quick=1)):
        for name, words in contest.items():
            target = root / f"{name} {turn}".replace(" ", "-")
            target.mkdir()
            if name.endswith("uncached"):
                forget(Path(sys.prefix))
            os.sync()
            begin = time.perf_counter()
            subprocess.run(words(target), check=True, stdout=subprocess.DEVNULL)
            if turn or bench.quick:  # the first turn fills the page cache
                seconds[name].append(time.perf_counter() - begin)
            assert len(list(target.iterdir())) == 1  # noqa: S101 - each of them writes one result
    shutil.rmtree(root)
    return {"picture": "480 x 320", "model": _MODEL, "seconds": seconds}


def _script(source: Path, target: Path) -> list[str]:
    spec = find_models(None)[_MODEL]
    words = (source, spec.path, spec.architecture, spec.scale, target / "result.png")
    return [sys.executable, "-c", _SCRIPT, *map(str, words)]
