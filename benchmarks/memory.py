"""What a pixel of a tile takes while it is inferred, and what is planned for it: ``python -m benchmarks.memory``.

Every figure comes from a process of its own: the most memory resident in three runs of a tile, beyond what the loaded
network had, by the tile's pixels. *Most* is that of tiles of 160 and 256 pixels at 8 and 16 bit, *planned* what
:mod:`srwatchd.engine.budget` counts with. A model that takes much less than the formula for its architecture has its
own figure in the manifest, ``memory_per_pixel``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.performance.child import peak_bytes, reset_peak
from srwatchd.config import find_models
from srwatchd.engine.budget import bytes_per_input_pixel
from srwatchd.engine.memory import trim
from srwatchd.engine.select import engines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main"]

_EDGES: Final = (160, 256)
_DEPTHS: Final = ("uint8", "uint16")
_RUNS: Final = 3
_WARM: Final = 64
_THREADS: Final = 2
_SECONDS: Final = 300


def main(words: Sequence[str]) -> int:
    """Print a row for every model and engine; with ``--one`` measure in this process."""
    models = find_models(None)
    here = [engine.name for engine in engines() if engine.installed() and engine.available() is None]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="Memory of a tile's pixel.")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="[default: all that are shipped]")
    parser.add_argument("--engine", choices=here, help="[default: all that are installed]")
    parser.add_argument("--one", nargs=4, metavar=("ENGINE", "MODEL", "EDGE", "DTYPE"), help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if unknown := sorted(set(asked.models) - set(models)):
        parser.error(f"there is no model {', '.join(unknown)}; known are {', '.join(sorted(models))}")
    if asked.one:
        engine, model, edge, depth = asked.one
        print(_measured(engine, model, int(edge), depth))
        return 0
    print("| model | engine | bytes a pixel, most | planned | planned / most |")
    print("|---|---|---:|---:|---:|")
    for model in asked.models or models:
        for engine in [asked.engine] if asked.engine else here:
            most, planned = max(_children(engine, model)), bytes_per_input_pixel(models[model], engine)
            print(f"| `{model}` | {engine} | {most:,} | {planned:,} | {planned / most:.2f} |", flush=True)
    return 0


def _children(engine: str, model: str) -> Iterator[int]:
    for edge in _EDGES:
        for depth in _DEPTHS:
            words = [sys.executable, "-m", "benchmarks.memory", "--one", engine, model, str(edge), depth]
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=_SECONDS)
            yield int(done.stdout.splitlines()[-1])


def _measured(engine: str, model: str, edge: int, depth: str) -> int:
    opened = next(each for each in engines() if each.name == engine).open(
        find_models(None)[model], device="cpu", threads=_THREADS
    )
    tile = np.random.default_rng(0).integers(0, 255, (edge, edge, 3)).astype(depth)
    opened.upscale(np.zeros((_WARM, _WARM, 3), np.uint8))
    opened.release()
    trim()
    reset_peak()
    before = peak_bytes()
    for _ in range(_RUNS):
        opened.upscale(tile)
    return round((peak_bytes() - before) / tile[:, :, 0].size)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
