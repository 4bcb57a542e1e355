"""One way of running a model, in a process of its own: ``python -m benchmarks.performance.contestant NAME MODEL``.

Answers ``{"picture": FILE.npy, "result": FILE.npy or ""}`` with the seconds and the most memory of the process.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.performance.child import peak_bytes, reset_peak, serve
from benchmarks.performance.networks import opened, plain
from srwatchd.config import find_models

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.performance.networks import Enlarge

__all__ = ["main"]

_OURS: Final = ("opencv", "openvino", "onnxruntime")
_WARM: Final = (48, 64, 3)


def main(words: list[str]) -> int:
    """Serve one contestant."""
    name, model = words
    spec = find_models(None)[model]

    def start() -> Callable[[dict[str, Any]], dict[str, Any]]:
        engine, _, precision = name.partition(" ")
        enlarge = opened(engine, spec, precision=precision or "f32") if engine in _OURS else plain(name, spec)
        enlarge(np.zeros(_WARM, np.uint8))
        return lambda order: _timed(enlarge, order["picture"], order["result"])

    serve(start, facts=lambda: {"base": peak_bytes()})
    return 0


def _timed(enlarge: Enlarge, source: str, target: str) -> dict[str, Any]:
    picture = np.load(source)
    reset_peak()
    begin = time.perf_counter()
    result = enlarge(picture)
    seconds = time.perf_counter() - begin
    peak = peak_bytes()
    if target:
        np.save(target, result)
    return {"seconds": seconds, "peak": peak}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
