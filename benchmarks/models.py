"""How long each model takes on one picture of 480x320, on every engine that is here.

``python -m benchmarks.models`` writes ``docs/models-speed.json``, which ``training/srtrain/plots.py`` draws and
``training/srtrain/report.py`` tabulates. Timed is what a worker does with a tile: RGB of 8 bit in, RGB of 8 bit out,
the colour of luma networks included; loading and the first run are not. What is to be seen does not change the time.
One thread computes, and the processor's time is taken, not the clock's: so what else the machine does matters little.
The public networks are timed too where their files are (``--public``); INTER_CUBIC stands for no network at all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from srwatchd.config.models import ModelSpec, find_models
from srwatchd.engine.select import engines
from srwatchd.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["main"]

ROOT: Final = Path(__file__).resolve().parent.parent
PUBLIC: Final = ROOT.parent / "shared" / "models" / "upstream"
_ENOUGH: Final = 3.0
"""Processor seconds that one model is timed for."""
_MOST: Final = 15
"""Runs of one model that are enough in any case."""


def public_models(folder: Path) -> Iterator[ModelSpec]:
    """The public files of the luma families in ``folder``."""
    for path in sorted(folder.glob("*_x[0-9].pb")):
        match = re.fullmatch(r"(FSRCNN|ESPCN|LapSRN)(-small)?_x(\d)", path.stem)
        if match:
            yield ModelSpec(
                name=f"public {match[1]}{match[2] or ''}",
                architecture=match[1].lower(),
                scale=int(match[3]),
                path=path,
                sha256="",
                input_colour="y",
                input_range=(0.0, 1.0),
                mean=(),
                output_node="NCHW_output",
                receptive_radius=12,
                parameters=0,
                macs_per_input_pixel=0,
            )


def seconds_of(work: Callable[[], object]) -> float:
    """The median processor time of several runs after one that does not count, unless that took long enough."""
    started = time.process_time()
    work()
    first = time.process_time() - started
    taken: list[float] = [first] if first > _ENOUGH else []
    while sum(taken) < _ENOUGH and len(taken) < _MOST:
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def measured(public: Path, picture: np.ndarray, only: Collection[str]) -> Iterator[dict[str, Any]]:
    """Name, scale, engine and seconds of everything (or of the models in ``only``), one after another."""
    cv2.setNumThreads(1)
    for scale in () if only else (2, 3, 4, 8):
        size = (picture.shape[1] * scale, picture.shape[0] * scale)
        spent = seconds_of(lambda size=size: cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC))
        yield {"name": "INTER_CUBIC", "scale": scale, "engine": "opencv", "seconds": round(spent, 5)}
    for spec in [*find_models(None).values(), *public_models(public)]:
        if only and spec.name not in only:
            continue
        for engine in engines():
            if engine.available() is not None:
                continue
            try:
                network = engine.open(spec, device="cpu", threads=1)
                spent = seconds_of(lambda network=network: network.upscale(picture))
            except ModelError as error:
                print(f"{spec.name} x{spec.scale} on {engine.name}: {error}", file=sys.stderr)
                continue
            yield {"name": spec.name, "scale": spec.scale, "engine": engine.name, "seconds": round(spent, 4)}


def processor() -> str:
    """What the kernel calls the processor."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"model name\s*: (.+)", text)
    return found[1].strip() if found else platform.machine()


def main(words: list[str]) -> int:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument("--public", type=Path, default=PUBLIC)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "models-speed.json")
    parser.add_argument("--only", nargs="+", default=[], help="these models; what the file has of others is kept")
    options = parser.parse_args(words)
    stored = cv2.imread(str(ROOT / "config" / "sample.png"), cv2.IMREAD_COLOR)
    if stored is None:
        parser.error("config/sample.png is not readable")
    picture = np.ascontiguousarray(stored[:, :, ::-1])
    if not options.public.is_dir():
        print(f"the public files are not at {options.public}; left out", file=sys.stderr)
    facts = {
        "picture": [picture.shape[1], picture.shape[0]],
        "processor": processor(),
        "load_before": round(os.getloadavg()[0], 2),
        "opencv": cv2.__version__,
        "openvino": version("openvino"),
    }
    runs = []
    if options.only and options.out.exists():
        before = json.loads(options.out.read_text(encoding="utf-8"))["runs"]
        runs = [run for run in before if run["name"] not in options.only]
    for run in measured(options.public, picture, options.only):
        runs.append(run)
        print(json.dumps(run), flush=True)
    text = json.dumps(facts, indent=1)[:-2] + ',\n "runs": [\n  ' + ",\n  ".join(map(json.dumps, runs)) + "\n ]\n}\n"
    options.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
